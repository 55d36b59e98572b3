// No inotify instance or watch on the whole host, when the daemon starts and later: what it would be told of is seen all the
// same, and told of again within half a minute of when it can be. hack/test.sh vm-limits runs it.
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from 'node:tls';
import test, { type ExecutionContext } from 'ava';
import { renewPair } from '../helpers/certificates.ts';
import { endsWithoutResidue, freePort, TestDaemon } from '../helpers/daemon.ts';
import { HostLimit, liftsHostLimits, whyNoHostLimits } from '../helpers/host-limits.ts';
import { until } from '../helpers/until.ts';

const real = whyNoHostLimits === null ? test.serial : test.serial.skip;
const title = (what: string): string => (whyNoHostLimits === null ? what : `${what} [${whyNoHostLimits}]`);

const files = `/tmp/pwk-${process.pid}`;
const pair = { cert: join(files, 'tls/tls.crt'), key: join(files, 'tls/tls.key') };

/** Puts a fresh pair in place. */
const renew = (name: string): void => renewPair(pair, name);

const port = await freePort();
const set = (key: string, value: string): string => `--set=streaming.${key}=${value}`;
const flags = [`--streaming-address=127.0.0.1:${port}`, '--streaming-tls=files'];
flags.push(set('cert_file', pair.cert), set('key_file', pair.key));
const daemon = new TestDaemon({ network: 'none', flags });
const log = (): string => readFileSync(daemon.logFile, 'utf8');
const times = (what: RegExp): number => log().match(what)?.length ?? 0;

test.before('a key pair, and a daemon once: this test watches for itself', async () => {
  renew('first');
  await daemon.start();
});
liftsHostLimits(test, daemon);
test.after.always('everything is swept away', async () => {
  await daemon.destroy();
  rmSync(files, { recursive: true });
});

/** The name in the certificate that the server shows: asking for it makes the daemon look at no file. */
function shown(): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false }, () => {
    resolve(String(socket.getPeerCertificate().subject.CN));
    socket.destroy();
  });
  socket.on('error', reject);
  return promise;
}

/** One CNI configuration in place of those before, by rename. */
function configure(name: string): void {
  const subnet = daemon.subnet;
  const ipam = { type: 'host-local', dataDir: join(daemon.dir, 'ipam'), ranges: [[{ subnet }]] };
  const plugins = [{ type: 'bridge', bridge: daemon.bridge, isGateway: true, ipMasq: true, ipam }];
  writeFileSync(join(daemon.dir, 'new'), JSON.stringify({ cniVersion: '1.0.0', name, plugins }));
  renameSync(join(daemon.dir, 'new'), join(daemon.confDir, '10.conflist'));
}

/** That the daemon uses it, as its log tells: a status would make it look. */
const configured = (name: string): boolean => log().includes(`"network":"${name}"`);

/** What the daemon says of the network when it is asked. */
async function asked(): Promise<string> {
  const { info } = await daemon.runtime.Status({ verbose: true });
  return info['cniconfig'] ?? '';
}

/** Both, named after one word. */
function change(name: string): void {
  configure(name);
  renew(name);
}

const told = async (name: string): Promise<boolean> => configured(name) && (await shown()) === name;

/** Half a minute in which a watch is tried again, and the time that an emulated machine takes to tell of it. */
const againMs = 60_000;
/** Less than that half a minute: the daemon was told. */
const atOnceMs = 20_000;

/** How often the log told that the configurations and the key pair are not watched. */
const unwatched = (): readonly number[] => [
  times(/changes of CNI configurations are seen later/g),
  times(/is not watched; SIGHUP reads it/g),
];

/** Changes are seen when the daemon is asked, are told of when the limit is lifted, and then at once. */
async function comesBack(t: ExecutionContext, limit: HostLimit, word: string): Promise<void> {
  change(`${word}-unheard`);
  t.true((await asked()).includes(`${word}-unheard`), 'a status sees it');
  const { pid } = daemon;
  process.kill(pid, 'SIGHUP');
  await until('SIGHUP sees it', async () => (await shown()) === `${word}-unheard`);
  change(`${word}-after`);
  limit.lift();
  await until('what came meanwhile is seen', () => told(`${word}-after`), againMs);
  change(`${word}-heard`);
  await until('it is watched again', () => told(`${word}-heard`), atOnceMs);
  t.is(daemon.pid, pid, 'it was not started anew');
}

real(title('a daemon that starts without an inotify instance'), async (t) => {
  const instances = new HostLimit('fs.inotify.max_user_instances');
  instances.set(0);
  await daemon.restart();
  t.deepEqual(unwatched(), [1, 1]);
  await comesBack(t, instances, 'started');
  t.deepEqual(unwatched(), [1, 1], 'told once');
});

real(title('directories that are made anew when there is no inotify watch left'), async (t) => {
  const watches = new HostLimit('fs.inotify.max_user_watches');
  watches.set(0);
  for (const dir of [daemon.confDir, join(files, 'tls')]) {
    renameSync(dir, `${dir}.old`);
    mkdirSync(dir);
  }
  await until('they cannot be watched', () => unwatched().every((n) => n === 2));
  await comesBack(t, watches, 'anew');
  t.deepEqual(unwatched(), [2, 2], 'told once');
});

if (whyNoHostLimits === null) endsWithoutResidue(test, daemon);
