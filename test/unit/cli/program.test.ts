import test from 'ava';
import { PassThrough } from 'node:stream';
import type { Client } from '../../../src/cli/client.ts';
import { runProgram } from '../../../src/cli/program.ts';
import type { OwnStreams } from '../../../src/cli/session.ts';
import { notFound, unavailable } from '../../../src/lib/failure.ts';
import { version } from '../../../src/config/version.ts';

type Answers = Readonly<Record<string, unknown>>;

interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
  readonly calls: readonly (readonly [method: string, request: unknown])[];
  readonly socket: string;
}

const stdin = new PassThrough() as unknown as OwnStreams['stdin'];
const sink = new PassThrough() as unknown as OwnStreams['stdout'];

/** Runs the tool against canned answers: a value, an Error to fail with, or a list for a stream. */
async function run(line: string, answers: Answers = {}): Promise<Ran> {
  const ran = { out: '', err: '', calls: [] as [string, unknown][], socket: '' };
  const answer = (method: string, request: unknown): unknown => {
    ran.calls.push([method, request]);
    const found = answers[method];
    if (found instanceof Error) throw found;
    if (found === undefined) throw new Error(`unexpected ${method}`);
    return found;
  };
  const client = {
    call: async (method: string, request: unknown) => answer(method, request),
    async *stream(method: string, request: unknown) {
      yield* answer(method, request) as unknown[];
    },
    close: () => undefined,
  } as unknown as Client;
  const terminal = {
    out: (text: string) => void (ran.out += text),
    progress: () => undefined,
    block: () => false,
    nowMs: () => 1_700_000_100_000,
    argv: [],
    directory: '/home/somebody',
    writeFile: async () => undefined,
    streams: { stdin, stdout: sink, stderr: sink, interrupted: Promise.resolve() },
    connect: (socket: string) => {
      ran.socket = socket;
      return client;
    },
  };
  const code = await runProgram(line.split(' ').filter(Boolean), terminal, (text) => void (ran.err += text));
  return { ...ran, code };
}

const down = unavailable('podwrightd is not running at /s', undefined, { unreachable: true });
const runtime = { version: '0.1.0', runtime_name: 'podwright', runtime_version: '0.1.0', runtime_api_version: 'v1' };
const created = '1700000000000000000';
const pod = (id: string, name: string, state = 'SANDBOX_READY'): object => ({
  id,
  metadata: { name, namespace: 'demo', uid: 'u', attempt: 0 },
  state,
  created_at: created,
});
const container = {
  id: 'c'.repeat(64),
  pod_sandbox_id: 'p1',
  metadata: { name: 'web', attempt: 2 },
  state: 'CONTAINER_RUNNING',
  created_at: created,
  image: { image: 'sha256:1', user_specified_image: 'localhost/web:1' },
  image_ref: 'sha256:1',
};

test('no daemon: what to do, and status 3', async (t) => {
  for (const line of ['images', 'ps', 'pods', 'status', 'trace', 'doctor', 'load x']) {
    const dead = {
      ListImages: down,
      ListContainers: down,
      ListPodSandbox: down,
      Version: down,
      Status: down,
      Trace: down,
      Doctor: down,
      Load: down,
    };
    const { code, err, out } = await run(line, dead);
    t.is(code, 3, line);
    t.is(out, '');
    t.regex(err, /^podwright: podwrightd is not running at \/s\nStart it as root: podwrightd/, line);
  }
});

test('version says both, and works without a daemon', async (t) => {
  t.deepEqual(await run('version', { Version: runtime }).then(({ code, out }) => [code, out]), [
    0,
    `Client  podwright ${version}\nServer  podwright 0.1.0, CRI v1\n`,
  ]);
  const alone = await run('version', { Version: down });
  t.is(alone.code, 3);
  t.regex(alone.out, /Server {2}not running/);
  t.is((await run('--version')).out, `${version}\n`);
});

test('usage: status 2; help: status 0; a failure: status 1', async (t) => {
  t.is((await run('imges')).code, 2);
  t.is((await run('load')).code, 2);
  t.is((await run('images --output xml')).code, 2);
  const help = await run('--help');
  t.is(help.code, 0);
  for (const name of [
    'version',
    'status',
    'pods',
    'ps',
    'images',
    'load',
    'checkpoint',
    'trace',
    'inspect',
    'doctor',
    'shutdown',
  ])
    t.true(help.out.includes(`\n  ${name}`), name);
  t.regex((await run('load --help')).out, /docker archive or an OCI layout/);
  const failed = await run('inspect x', { Inspect: notFound('no sandbox, container or image x') });
  t.deepEqual([failed.code, failed.err], [1, 'podwright: no sandbox, container or image x\n']);
});

test('checkpoint: where the archive is; a number of seconds; without a file it is wrong usage', async (t) => {
  const answers = { CheckpointContainer: {} };
  t.is((await run('checkpoint abc --export /tmp/a.tar', answers)).out, '/tmp/a.tar\n');
  t.is((await run('checkpoint abc')).code, 2);
  const failed = await run('checkpoint abc -e x -t soon', answers);
  t.deepEqual([failed.code, failed.err], [1, 'podwright: --timeout soon is no number of seconds\n']);
});

test('the socket: default, flag before or after the command, with or without its scheme', async (t) => {
  const answers = { ListImages: { images: [] } };
  t.is((await run('images', answers)).socket, '/run/podwright/podwright.sock');
  t.is((await run('-r /a.sock images', answers)).socket, '/a.sock');
  t.is((await run('images --socket unix:///b.sock', answers)).socket, '/b.sock');
});

test('status: conditions, counts, and status 1 while the node is not ready', async (t) => {
  const answers = {
    Version: runtime,
    Status: {
      status: {
        conditions: [
          { type: 'RuntimeReady', status: true, reason: '', message: '' },
          { type: 'NetworkReady', status: false, reason: 'NetworkPluginNotReady', message: 'no conflist' },
        ],
      },
      info: {},
    },
    ListPodSandbox: { items: [pod('p1', 'a'), pod('p2', 'b'), pod('p3', 'c', 'SANDBOX_NOTREADY')] },
    ListContainers: { containers: [] },
    ListImages: { images: [{}, {}] },
  };
  const { code, out } = await run('status', answers);
  t.is(code, 1);
  t.is(
    out,
    `Runtime       podwright 0.1.0, CRI v1
Socket        /run/podwright/podwright.sock
RuntimeReady  yes
NetworkReady  no: NetworkPluginNotReady, no conflist
Pods          2 ready, 1 notready
Containers    none
Images        2
`,
  );
});

test('tables of pods, containers and images', async (t) => {
  const status = { status: { network: { ip: '10.224.0.2', additional_ips: [{ ip: 'fd00::2' }] } } };
  const pods = await run('pods', { ListPodSandbox: { items: [pod('p'.repeat(64), 'a')] }, PodSandboxStatus: status });
  t.is(
    pods.out,
    `POD            NAMESPACE  NAME  STATE  ADDRESS             AGE
ppppppppppppp  demo       a     ready  10.224.0.2 fd00::2  100s
`,
  );
  const answers = { ListContainers: { containers: [container] }, ListPodSandbox: { items: [pod('p1', 'a')] } };
  const ps = await run('ps', answers);
  t.is(
    ps.out,
    `CONTAINER      POD  NAME  ATTEMPT  IMAGE            STATE    AGE
ccccccccccccc  a    web   2        localhost/web:1  running  100s
`,
  );
  t.deepEqual(ps.calls[0], ['ListContainers', { filter: { state: { state: 'CONTAINER_RUNNING' } } }]);
  t.deepEqual((await run('ps -a', answers)).calls[0], ['ListContainers', {}]);
  const images = [
    { id: `sha256:${'1'.repeat(64)}`, repo_tags: ['b:2', 'a:1'], repo_digests: [], size: '1572864', pinned: true },
    { id: `sha256:${'2'.repeat(64)}`, repo_tags: [], repo_digests: ['c@sha256:3'], size: '10', pinned: false },
  ];
  t.is(
    (await run('images', { ListImages: { images } })).out,
    `IMAGE       ID             SIZE     PINNED
a:1         1111111111111  1.5 MiB  yes
b:2         1111111111111  1.5 MiB  yes
c@sha256:3  2222222222222  10 B
`,
  );
  t.deepEqual(JSON.parse((await run('images -o json', { ListImages: { images } })).out), images);
});

test('load sends an absolute path and prints what came in', async (t) => {
  const events = [
    { event: 'step', step: { what: 'layer', doneBytes: '1', totalBytes: '2' } },
    { event: 'image', image: { id: 'sha256:1', tags: ['a:1'] } },
  ];
  const { calls, out, code } = await run('load demo.tar --name a:1', { Load: events });
  t.deepEqual(calls, [['Load', { path: '/home/somebody/demo.tar', reference: 'a:1' }]]);
  t.is(out, 'a:1 sha256:1\n');
  t.is(code, 0);
});

test('trace draws the stages, of a pod by name or id', async (t) => {
  const stages = [
    { name: 'cgroup', startMs: 0, durationMs: 5, running: false, failed: false },
    { name: 'network', startMs: 5, durationMs: 5, running: false, failed: true },
  ];
  const calls = [{ rpc: 'RunPodSandbox', sandboxId: 'p1', startedAtMs: '1700000000000', stages }];
  const answers = { ListPodSandbox: { items: [pod('p1', 'web'), pod('p2', 'x'), pod('p3', 'x')] }, Trace: { calls } };
  const { out, calls: made } = await run('trace web', answers);
  t.deepEqual(made.at(-1), ['Trace', { sandboxId: 'p1' }]);
  t.is(
    out,
    `RunPodSandbox  pod p1  22:13:20.000  10.0 ms
  STAGE    AT MS  TOOK MS
  cgroup   0.0    5.0      ████████████████████
  network  5.0    5.0                          ████████████████████ failed
`,
  );
  t.deepEqual((await run('trace p9', answers)).calls.at(-1), ['Trace', { sandboxId: 'p9' }]);
  t.deepEqual((await run('trace', answers)).calls, [['Trace', { sandboxId: '' }]]);
  t.regex((await run('trace x', answers)).err, /2 pods are named x: give an id/);
  t.regex((await run('trace', { Trace: { calls: [] } })).err, /no pod was started since the daemon began/);
});

test('doctor, inspect, shutdown', async (t) => {
  const findings = [
    { severity: 'error', subject: 'network', problem: 'no conflist', advice: 'put one into /etc/cni/net.d' },
  ];
  const ill = await run('doctor', { Doctor: { findings } });
  t.deepEqual([ill.code, ill.out], [1, 'error: network: no conflist\n  put one into /etc/cni/net.d\n']);
  const well = await run('doctor', { Doctor: { findings: [] } });
  t.deepEqual([well.code, well.out], [0, 'nothing is wrong\n']);
  t.is((await run('inspect', { Inspect: { kind: 'daemon', json: '{"pid":1}' } })).out, '{\n  "pid": 1\n}\n');
  t.is((await run('shutdown', { Shutdown: [{ step: 'a' }, { step: 'b' }] })).out, 'a\nb\n');
});

const layer = (stage: string, doneBytes: string): object => ({
  digest: `sha256:${'ab'.repeat(32)}`,
  stage,
  doneBytes,
  totalBytes: '2097152',
});

const access = { authFile: '', skipTlsVerify: false };

test('pull tells each change of a layer on a line where there is no terminal, and prints the id', async (t) => {
  const progress = (stage: string, done: string): object => ({
    progress: { reference: 'r', layers: [layer(stage, done)] },
  });
  const events = [
    progress('queued', '0'),
    progress('downloading', '5'),
    progress('downloading', '9'),
    { id: 'sha256:1' },
  ];
  const { code, out, calls } = await run('pull --creds me:a:b busybox', { Pull: events });
  t.is(code, 0);
  t.is(out, 'sha256:1\n');
  t.deepEqual(calls, [['Pull', { reference: 'busybox', platform: '', username: 'me', password: 'a:b', ...access }]]);
  const refused = await run('pull --creds me busybox', { Pull: [] });
  t.is(refused.code, 1);
  t.regex(refused.err, /no password for me: give it by --password-stdin/);
});

test('pulls shows how far each is', async (t) => {
  const pulls = [
    {
      reference: 'docker.io/library/a:1',
      startedAtMs: '1700000095000',
      layers: [layer('done', '2097152'), layer('downloading', '1048576')],
    },
  ];
  const { out } = await run('pulls', { Pulls: { pulls } });
  t.is(out, 'IMAGE                  LAYERS  BYTES          AGE\ndocker.io/library/a:1  1/2     3 MiB / 4 MiB  5s\n');
});
