// The commands on images against a whole daemon, as text and as JSON: verify, repair, prune, df, save, load, push, and
// what doctor says of it. Pods run from what they leave.
import { execFile, execFileSync, spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import test, { type ExecutionContext } from 'ava';
import { type Certificates, makeCertificates } from '../helpers/certificates.ts';
import { dist, endsWithoutResidue, useDaemon } from '../helpers/daemon.ts';
import { containerConfig, create, exited, pull, runPod, scripted, start, tools } from '../helpers/pods.ts';
import { type RealRegistry, startRealRegistry } from '../helpers/real-registry.ts';
import { kitImage, ref } from '../helpers/registry.ts';
import { until } from '../helpers/until.ts';

const run = promisify(execFile);
const dir = mkdtempSync('/tmp/pwt-commands-');
const authFile = join(dir, 'auth.json');
const daemon = useDaemon(test, { network: 'none', flags: [`--set=registry.auth_files=${authFile}`] });
const anna = 'anna:correct horse';
// htpasswd -nbB -C 4 anna 'correct horse'
const htpasswd = 'anna:$2b$04$APIzCCRml7sYX0B9MqeOxufcUiZV5IA0S7pbfpvdM9PuXPUTp5j8q\n';
const noSkopeo = spawnSync('skopeo', ['--version']).error !== undefined;

let certificates: Certificates;
let registry: RealRegistry;

test.before('a registry to push to', async () => {
  certificates = makeCertificates(dir);
  writeFileSync(join(dir, 'htpasswd'), htpasswd);
  writeFileSync(authFile, '{}');
  const guard = { type: 'htpasswd', file: join(dir, 'htpasswd') } as const;
  registry = await startRealRegistry(dir, 'pushed', { guard, tls: certificates, store: join(dir, 'store') });
});
test.after.always('the registry ends', async () => {
  await registry?.close();
  rmSync(dir, { recursive: true, force: true });
});

const hostPod = { linux: { security_context: { namespace_options: { network: 'NODE' } } } } as const;

interface Ended {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Runs the tool to its end, whatever that is, with this on its standard input. */
async function podwright(args: readonly string[], input = ''): Promise<Ended> {
  const child = spawn(join(dist, 'podwright'), ['--socket', daemon.socket, ...args]);
  const ended = { out: '', err: '' };
  child.stdout.on('data', (chunk: Buffer) => void (ended.out += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => void (ended.err += chunk.toString()));
  child.stdin.on('error', () => undefined).end(input); // a command that does not read it
  const code = await new Promise<number>((resolve) => child.once('close', resolve));
  return { code, ...ended };
}

/** The same, which succeeds, with JSON as its answer. */
async function json<T>(t: ExecutionContext, ...args: string[]): Promise<T> {
  const { code, out, err } = await podwright(['--output', 'json', ...args]);
  t.is(code, 0, err);
  return JSON.parse(out) as T;
}

const chainOf = async (image: string): Promise<string[]> =>
  (JSON.parse(await daemon.podwright('inspect', image)) as { chain: string[] }).chain;
const layerDir = (chainId: string): string => join(daemon.root, 'layers', chainId.replace('sha256:', ''));
// a number may come again at once, the time of birth does not
const bornAt = (chainId: string): bigint => statSync(layerDir(chainId), { bigint: true }).birthtimeNs;

/** Changes one byte of a file of a layer. */
function damage(chainId: string): string {
  const find = ['-type', 'f', '-size', '+0', '-links', '1'];
  const found = execFileSync('find', [join(layerDir(chainId), 'diff'), ...find], { encoding: 'utf8' });
  const file = found.trim().split('\n')[0] ?? '';
  const bytes = readFileSync(file);
  bytes[0] = (bytes[0] ?? 0) ^ 1;
  writeFileSync(file, bytes);
  return file;
}

interface Verified {
  readonly images: number;
  readonly layers: number;
  readonly findings: {
    readonly what: string;
    readonly kind: string;
    readonly images: string[];
    readonly containers: string[];
  }[];
}

test.serial(
  'a damaged layer is named, got again alone, and pods run from it; doctor tells what was set aside',
  async (t) => {
    const id = await pull(daemon);
    const whole = await podwright(['images', 'verify', tools]);
    t.is(whole.code, 0, whole.err);
    t.regex(whole.out, /^1 images: 2 layers and \d+ blobs, .* verified$/m);
    t.like(await json<Verified>(t, 'images', 'verify'), { images: 1, layers: 2, findings: [] });
    const nothing = await podwright(['images', 'repair']);
    t.deepEqual([nothing.code, nothing.out], [0, 'nothing is damaged\n']);

    const pod = await runPod(daemon, hostPod);
    const lives = await start(daemon, pod, containerConfig());
    const chain = await chainOf(tools);
    const before = chain.map(bornAt);
    damage(chain[1] ?? '');
    const found = await podwright(['images', 'verify']);
    t.is(found.code, 1);
    t.regex(found.out, new RegExp(`^damaged: layer sha256:[0-9a-f]{64} of ${tools}$`, 'm'));
    t.regex(found.out, new RegExp(`containers that stand on it: ${lives.slice(0, 12)}`));
    const asJson = await podwright(['-o', 'json', 'images', 'verify', tools]);
    t.is(asJson.code, 1);
    const { findings } = JSON.parse(asJson.out) as Verified;
    t.like(findings, [{ kind: 'damaged', images: [tools], containers: [lives] }]);

    const repaired = await podwright(['images', 'repair', tools]);
    t.is(repaired.code, 0, repaired.err);
    t.regex(repaired.out, new RegExp(`^${tools} repaired$`, 'm'));
    const after = chain.map(bornAt);
    t.is(after[0], before[0], 'the sound layer was not touched');
    t.not(after[1], before[1]);
    t.like(await json<Verified>(t, 'images', 'verify'), { findings: [] });
    const ran = await create(daemon, pod, scripted('exit 7'));
    await daemon.runtime.StartContainer({ container_id: ran });
    t.is((await exited(daemon, ran)).exit_code, 7);
    t.is((await daemon.runtime.ContainerStatus({ container_id: lives })).status?.state, 'CONTAINER_RUNNING');

    const [aside = ''] = readdirSync(join(daemon.root, 'quarantine'));
    const path = join(daemon.root, 'quarantine', aside);
    const { out } = await podwright(['doctor']);
    t.true(out.includes(`warning: quarantine ${path}: it was damaged and has been set aside`), out);
    // a node without a network has more to say, and ends with 1 for that
    const said = JSON.parse((await podwright(['-o', 'json', 'doctor'])).out) as { severity: string; subject: string }[];
    t.true(said.some(({ severity, subject }) => severity === 'warning' && subject === `quarantine ${path}`));
    await daemon.removePod(pod.id);
    rmSync(path, { recursive: true });
    t.false((await podwright(['doctor'])).out.includes('quarantine'));
    t.is((await daemon.image.ImageStatus({ image: { image: tools } })).image?.id, id);
  },
);

test.serial('what cannot be got again is said; repair proves itself by the files of the node', async (t) => {
  const target = `${registry.host}/repair/tools:v1`;
  trust();
  writeFileSync(
    authFile,
    JSON.stringify({ auths: { [registry.host]: { auth: Buffer.from(anna).toString('base64') } } }),
  );
  await pull(daemon);
  t.is((await podwright(['push', tools, target])).code, 0);
  await daemon.image.RemoveImage({ image: { image: tools } });
  await pull(daemon, target);
  const chain = await chainOf(target);
  damage(chain[0] ?? '');
  const repaired = await json<{ images: object[] }>(t, 'images', 'repair');
  t.deepEqual(repaired.images, [{ image: target, outcome: 'repaired', why: '' }]);
  writeFileSync(authFile, '{}');
  damage(chain[0] ?? '');
  const gone = await podwright(['images', 'repair', target]);
  t.is(gone.code, 1);
  t.regex(gone.out, new RegExp(`^${target} removed, as it could not be got again: .*not authorized`, 'm'));
  t.is((await daemon.image.ImageStatus({ image: { image: target } })).image, null);
});

test.serial('prune and df', async (t) => {
  await pull(daemon);
  await pull(daemon, ref('test/layers'));
  const pod = await runPod(daemon, hostPod);
  await start(daemon, pod, containerConfig());
  const rows = await json<{ what: string; count: number; bytes: string; reclaimableBytes: string }[]>(
    t,
    'images',
    'df',
  );
  const layers = rows.find(({ what }) => what === 'layers');
  t.true((layers?.count ?? 0) >= 4 && Number(layers?.bytes) > Number(layers?.reclaimableBytes));
  t.true(Number(layers?.reclaimableBytes) > 0);
  t.regex(await daemon.podwright('images', 'df'), /^TYPE +COUNT +SIZE +INODES +RECLAIMABLE +PATH\nlayers /);
  t.regex((await podwright(['images', 'prune'])).out, /^0 images removed, /m, 'all have names');
  const pruned = await json<{ tags: string[] }[]>(t, 'images', 'prune', '--all');
  t.deepEqual(
    pruned.map(({ tags }) => tags),
    [[ref('test/layers')]],
    'a container stands on the other',
  );
  await daemon.removePod(pod.id);
  t.regex((await podwright(['images', 'prune', '-a'])).out, new RegExp(`^${tools} .*\n1 images removed, `));
  await until('the layers are gone', () => readdirSync(join(daemon.root, 'layers')).every((name) => name === 'empty'));
});

test.serial('save and load, and what a killed daemon left half saved', async (t) => {
  const { config_digest: id } = await kitImage('bench/tools');
  await pull(daemon);
  const file = join(dir, 'tools.tar');
  const saved = await json<{ id: string; tags: string[]; sameManifest: boolean }[]>(t, 'save', '--file', file, tools);
  t.like(saved, [{ id, tags: [tools], sameManifest: false }]);
  await daemon.image.RemoveImage({ image: { image: tools } });
  t.deepEqual(await json(t, 'load', file), [{ id, tags: [tools] }]);
  t.regex((await podwright(['load', file])).out, new RegExp(`^${tools} ${id}\n$`));
  const damaged = await podwright(['load', join(dir, 'htpasswd')]);
  t.is(damaged.code, 1);
  t.regex(damaged.err, /htpasswd/);
  // a save is under way when the daemon is killed
  const part = join(dir, '.half.tar.01234567-89ab-cdef-0123-456789abcdef.part');
  writeFileSync(part, 'half');
  mkdirSync(join(daemon.root, 'saves'), { recursive: true });
  writeFileSync(join(daemon.root, 'saves', 'note'), part);
  await daemon.crash();
  await until('it is gone', () => !existsSync(part) && readdirSync(join(daemon.root, 'saves')).length === 0);
});

/** Makes the registry's certificate known to the daemon. */
function trust(): void {
  mkdirSync(join(daemon.certsDir, registry.host), { recursive: true });
  const text = `server = "https://${registry.host}"\nca = "${certificates.ca}"\n`;
  writeFileSync(join(daemon.certsDir, registry.host, 'hosts.toml'), text);
}

test.serial('push: credentials in every form, digests in every place, and pulled back', async (t) => {
  const { config_digest: id } = await kitImage('bench/tools');
  trust();
  writeFileSync(authFile, '{}');
  await pull(daemon);
  const target = `${registry.host}/team/tools:v1`;
  const refused = await podwright(['push', tools, target]);
  t.is(refused.code, 1);
  t.regex(refused.err, /not authorized/);
  const file = join(dir, 'digest');
  const plain = await podwright(
    ['push', '--creds', 'anna', '--password-stdin', '--digestfile', file, tools, target],
    'correct horse\n',
  );
  t.is(plain.code, 0, plain.err);
  t.regex(plain.out, /^sha256:[0-9a-f]{64}\n$/);
  t.is(readFileSync(file, 'utf8'), plain.out.trim());
  t.regex(plain.err, /^[0-9a-f]{12}: compressing /m);
  t.regex(plain.err, /^[0-9a-f]{12}: pushed /m);
  t.regex(plain.err, /a new manifest was written/);
  const given = join(dir, 'given.json');
  writeFileSync(given, JSON.stringify({ auths: { [registry.host]: { auth: Buffer.from(anna).toString('base64') } } }));
  const again = await podwright(['push', '--auth-file', given, tools, target]);
  t.is(again.out, plain.out, 'the same layers make the same blobs');
  t.regex(again.err, /^[0-9a-f]{12}: already there /m);
  writeFileSync(authFile, readFileSync(given));
  const other = `${registry.host}/team/other:v2`;
  t.like(await json(t, 'push', '--compression', 'zstd', tools, other), { reference: other, id, sameManifest: false });
  for (const name of [target, other]) {
    await daemon.image.RemoveImage({ image: { image: id } });
    t.is((await podwright(['pull', '--quiet', '--auth-file', given, name])).out, `${id}\n`);
  }
  const retagged = await podwright(['push', other, `${registry.host}/team/third:v3`]);
  t.is(retagged.code, 0);
  t.regex(retagged.err, /^[0-9a-f]{12}: taken over there /m);
  t.false(retagged.err.includes('a new manifest'));
  t.is(JSON.parse(await daemon.podwright('inspect', other)).manifestDigest, retagged.out.trim());
  const shown = `${daemon.log(2 ** 22)}${plain.err}${refused.err}`;
  for (const secret of ['correct horse', Buffer.from(anna).toString('base64')]) t.false(shown.includes(secret));
  const wrong = await podwright(['push', '--tls-verify', 'perhaps', tools]);
  t.is(wrong.code, 2);
  t.regex((await podwright(['push', '--help'])).out, /Blobs that the registry has are not\s+sent/);
});

(noSkopeo ? test.serial.skip : test.serial)(
  `skopeo reads what is pushed${noSkopeo ? ' [no skopeo: hack/testkit/install.sh deps]' : ''}`,
  async (t) => {
    const { config_digest: id } = await kitImage('test/mixed');
    await pull(daemon, ref('test/mixed'));
    const target = `${registry.host}/team/mixed:v1`;
    const pushed = (await podwright(['push', '--creds', anna, ref('test/mixed'), target])).out.trim();
    const inspect = ['inspect', '--tls-verify=false', '--creds', anna];
    const raw = await run('skopeo', [...inspect, '--raw', `docker://${target}`]);
    t.is(`sha256:${createHash('sha256').update(raw.stdout).digest('hex')}`, pushed);
    const config = await run('skopeo', [...inspect, '--config', '--raw', `docker://${target}`]);
    t.is(`sha256:${createHash('sha256').update(config.stdout).digest('hex')}`, id);
    await daemon.image.RemoveImage({ image: { image: id } });
  },
);

endsWithoutResidue(test, daemon);
