// The streaming server of a daemon over TLS with a pair from files: crictl by both transports, a renewed pair, a broken one.
import test from 'ava';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { renewPair } from '../helpers/certificates.ts';
import { crictl } from '../helpers/crictl.ts';
import { endsWithoutResidue, useDaemon } from '../helpers/daemon.ts';
import { containerConfig, pull, runPod, start } from '../helpers/pods.ts';
import { until } from '../helpers/until.ts';

const dir = mkdtempSync('/tmp/pwk-');
const files = { cert: join(dir, 'tls', 'tls.crt'), key: join(dir, 'tls', 'tls.key') };

/** Puts a fresh pair in place. */
const renew = (name: string): void => renewPair(files, name);

renew('first');
const set = (key: string, value: string): string => `--set=streaming.${key}=${value}`;
const flags = ['--streaming-tls=files', set('cert_file', files.cert), set('key_file', files.key)];
const daemon = useDaemon(test, { flags });
test.after.always('its files are removed', () => rmSync(dir, { recursive: true }));
let id = '';

test.before('a container', async () => {
  await pull(daemon);
  id = await start(daemon, await runPod(daemon), containerConfig());
});

/** The name in the certificate that the server shows. */
async function shown(): Promise<string> {
  const { url } = await daemon.runtime.Exec({ container_id: id, cmd: ['true'], stdout: true });
  const { hostname, port, protocol } = new URL(url);
  if (protocol !== 'https:') throw new Error(`${url} is not https`);
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const socket = connect({ host: hostname, port: Number(port), rejectUnauthorized: false }, () => {
    const { CN } = socket.getPeerCertificate().subject;
    resolve(String(CN));
  });
  socket.on('error', reject);
  try {
    return await promise;
  } finally {
    socket.destroy();
  }
}

test.serial('crictl by both transports, and podwright', async (t) => {
  for (const transport of ['spdy', 'websocket'])
    t.is(await crictl(daemon.socket, 'exec', '-r', transport, id, 'echo', transport), transport);
  t.is(await daemon.podwright('exec', id, 'echo', 'podwright'), 'podwright\n');
});

test.serial('a renewed pair is shown without a restart, a broken one is not taken', async (t) => {
  t.is(await shown(), 'first');
  renew('second');
  await until('the new certificate', async () => (await shown()) === 'second');
  writeFileSync(files.key, 'nonsense');
  await until('the log tells', () => daemon.log().includes('the old one stays'));
  t.is(await shown(), 'second');
  renew('third');
  await until('the new certificate', async () => (await shown()) === 'third');
});

endsWithoutResidue(test, daemon);
