// A node that is given back by the installer as it runs: its own files, the host a directory, the API server one object.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import type { ApiRequest, ApiServer } from '../../../src/apiserver/apiserver.ts';
import { runInstaller } from '../../../src/installer/pod.ts';

const program = '#!/bin/sh\n';
const range = { oldest: 1, newest: 1 };
const listed = JSON.stringify({
  version: '1.0.0',
  arch: 'amd64',
  records: range,
  monitorProtocol: range,
  files: [
    {
      path: 'bin/podwright',
      mode: '0755',
      size: program.length,
      sha256: createHash('sha256').update(program).digest('hex'),
    },
  ],
});

/** A pod of the installer that is told to give its node back; what a removal has left is on the host. */
function makePod(t: ExecutionContext, left: Readonly<Record<string, string>>) {
  const dir = mkdtempSync(join(tmpdir(), 'pw-retire-'));
  t.teardown(() => rmSync(dir, { recursive: true }));
  const put = (path: string, text: string, mode = 0o644): void => {
    mkdirSync(dirname(join(dir, path)), { recursive: true });
    writeFileSync(join(dir, path), text, { mode });
  };
  put('image/RELEASE.json', listed);
  put('image/bin/podwright', program, 0o755);
  put('config/config.toml', '');
  for (const volume of ['config', 'retire']) put(`${volume}/revision`, '1');
  mkdirSync(join(dir, 'run'));
  for (const [path, text] of Object.entries(left)) put(`prefix/releases/${path}`, text);
  const host = {
    process: '',
    prefix: '/opt/podwright',
    configDir: '/c',
    journalDir: join(dir, 'journal'),
    linkDir: '',
  };
  return {
    dir,
    releases: join(dir, 'prefix/releases'),
    settings: { node: 'n1', switch: true, purge: true, host, daemon: {}, kubelet: {} },
    paths: {
      release: join(dir, 'image'),
      config: join(dir, 'config'),
      retire: join(dir, 'retire'),
      ready: join(dir, 'run/ready'),
      prefixSeen: join(dir, 'prefix'),
      cniSeen: '',
      mountPoints: [],
    },
  };
}

const before = { labels: { 'podwright.io/release': '1.0.0' }, annotations: {} };

/** The node's own object, and the Lease. */
function fakeApi() {
  const node = { metadata: structuredClone(before) as Record<'labels' | 'annotations', Record<string, string | null>> };
  const exchange = ({ method, path, body }: ApiRequest) => {
    const { metadata } = (body ?? { metadata: {} }) as typeof node;
    if (method === 'PATCH')
      for (const part of ['labels', 'annotations'] as const) Object.assign(node.metadata[part], metadata[part]);
    const answer = path.includes('/nodes/') ? node : { metadata: { name: 'turn', resourceVersion: '1' } };
    return Promise.resolve({ status: 200, body: structuredClone(answer), retryAfterMs: null });
  };
  const api: ApiServer = { url: 'https://fake', exchange, close: () => undefined };
  return { api, node };
}

for (const [title, left] of [
  ['the list of a release alone', { '1.0.0/RELEASE.json': listed }],
  ['those of this release and one before', { '0.9.0/RELEASE.json': listed, '1.0.0/RELEASE.json': listed }],
] as const)
  test(`a removal that was cut short is finished: ${title} is left`, async (t) => {
    const { releases, paths, settings } = makePod(t, left);
    const { api, node } = fakeApi();
    const stop = new AbortController();
    const ran: string[] = [];
    // the host: the last change is over, and what is left is to be removed by a release that has its program
    const status = { state: 'done', on: { type: 'runtime' }, transaction: { id: 'u1', kind: 'uninstall' } };
    const run = (argv: readonly string[]): Promise<string> => {
      const [release = '', ...words] = argv.slice(argv.indexOf('--') + 1);
      const seen = release.replace(settings.host.prefix, paths.prefixSeen);
      if (!existsSync(seen)) return Promise.reject(new Error(`${release}: no such file`));
      if (words[1] === 'status') return Promise.resolve(JSON.stringify(status));
      ran.push(words.filter((word) => !word.startsWith('--')).join(' '));
      rmSync(releases, { recursive: true });
      return Promise.resolve('');
    };
    const log = (message: string): void => {
      if (message === 'done: gone' || message.startsWith('could not go on')) stop.abort();
    };
    const lease = { namespace: 'pw', name: 'turn', seconds: 60 };
    const told: string[] = [];
    await runInstaller(
      { api, run, paths, settings, lease, nowMs: () => 0, log: (message) => (told.push(message), log(message)) },
      AbortSignal.any([stop.signal, AbortSignal.timeout(60_000)]),
    );
    t.deepEqual(ran, ['uninstall'], told.join('\n'));
    t.deepEqual(node.metadata.labels['podwright.io/release'], null);
    t.deepEqual(readdirSync(paths.prefixSeen), []);
  });
