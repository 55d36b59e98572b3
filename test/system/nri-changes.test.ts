// What NRI plugins want, as the kernel has it in the end: a plugin inside the test, on the daemon's own socket.
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import test from 'ava';
import { endsWithoutResidue, useDaemon } from '../helpers/daemon.ts';
import { type Handlers, mask, Refused, TestPlugin } from '../helpers/nri-plugin.ts';
import {
  create,
  exec,
  exited,
  fails,
  logOf,
  output,
  type Pod,
  pull,
  runPod,
  scripted,
  shell,
  start,
  statusOf,
  textOf,
} from '../helpers/pods.ts';
import { until } from '../helpers/until.ts';

const dir = mkdtempSync('/tmp/pwt-nri-');
const socket = join(dir, 'nri.sock');
const daemon = useDaemon(test, {
  flags: [
    '--set=nri.enable=true',
    `--set=nri.socket=${socket}`,
    `--set=nri.plugin_path=${join(dir, 'none')}`,
    '--set=nri.request_timeout=30s',
    `--cdi-spec-dirs=${dir}`,
    '--set=nri.validate=true',
    '--set=nri.reject_oci_hook_adjustment=true',
  ],
});
let pod: Pod;

test.before('a pod', async () => {
  const edits = { env: ['FROM_CDI=yes'] };
  const spec = { cdiVersion: '0.6.0', kind: 'v.example/c', devices: [{ name: '0', containerEdits: edits }] };
  writeFileSync(join(dir, 'v.json'), JSON.stringify(spec));
  await pull(daemon);
  pod = await runPod(daemon);
});
test.after.always('the files go', () => rmSync(dir, { recursive: true, force: true }));

/** How often a plugin has joined. */
const joins = (): number => daemon.log(10_000_000).split('an NRI plugin has joined').length;

/** Runs a part of a test with a plugin. */
async function withPlugin(handlers: Handlers, work: (plugin: TestPlugin) => Promise<void>): Promise<void> {
  await until('the socket is there', () => existsSync(socket));
  const before = joins();
  const plugin = new TestPlugin(connect(socket), handlers);
  try {
    await plugin.register('test', '10');
    await until('the plugin has joined', () => joins() > before);
    await work(plugin);
  } finally {
    plugin.socket.destroy();
    await plugin.ended();
  }
}

const wants = (...events: Parameters<typeof mask>): Handlers => ({ Configure: () => ({ events: mask(...events) }) });
const adjusting = (adjust: object): Handlers => ({
  ...wants('CreateContainer'),
  CreateContainer: () => ({ adjust }),
});

test.serial(
  'arguments, environment, a CDI device, limits of resources and of tasks, a sysctl, oom score',
  async (t) => {
    const adjust = {
      args: [
        'sh',
        '-c',
        'echo $MINE $FROM_CDI; ulimit -n; cat /proc/self/oom_score_adj /proc/sys/net/core/somaxconn; exec sleep 3600',
      ],
      env: [{ key: 'MINE', value: 'yes' }],
      CDIDevices: [{ name: 'v.example/c=0' }],
      rlimits: [{ type: 'RLIMIT_NOFILE', soft: '77', hard: '88' }],
      linux: {
        oomScoreAdj: { value: '321' },
        sysctl: { 'net.core.somaxconn': '123' },
        resources: { memory: { limit: { value: String(64 * 1024 * 1024) } }, pids: { limit: '33' } },
      },
    };
    await withPlugin(adjusting(adjust), async () => {
      const id = await start(daemon, pod, scripted('echo not this'));
      const status = await statusOf(daemon, id);
      t.is(status.resources?.linux?.memory_limit_in_bytes, String(64 * 1024 * 1024));
      const said = await until('it has said all', async () => {
        const text = (await shell(daemon, id, 'cat /proc/1/cmdline | tr "\\0" " "')).trim();
        return /sleep 3600/.test(text) && text;
      });
      t.regex(said, /sleep 3600/);
      const { stdout } = await exec(
        daemon,
        id,
        'sh',
        '-c',
        'ulimit -n; cat /proc/1/oom_score_adj; cat /proc/sys/net/core/somaxconn; tr "\\0" "\\n" < /proc/1/environ | grep -E "^(MINE|FROM_CDI)="',
      );
      t.deepEqual(stdout.trim().split('\n').toSorted(), ['123', '321', '77', 'FROM_CDI=yes', 'MINE=yes']);
      await daemon.runtime.RemoveContainer({ container_id: id });
    });
  },
);

test.serial('a seccomp policy holds for the container and for commands in it', async (t) => {
  const syscalls = [{ names: ['mkdir', 'mkdirat'], action: 'SCMP_ACT_ERRNO', errnoRet: { value: 95 } }];
  const seccompPolicy = { defaultAction: 'SCMP_ACT_ALLOW', syscalls };
  await withPlugin(adjusting({ linux: { seccompPolicy } }), async () => {
    const id = await start(daemon, pod, scripted('exec sleep 3600'));
    const { stderr, code } = await exec(daemon, id, 'mkdir', '/tmp/x');
    t.not(code, 0);
    t.regex(stderr, /not supported/i);
    await daemon.runtime.RemoveContainer({ container_id: id });
    const { stderr: own } = await output(daemon, pod, scripted('mkdir /tmp/y'));
    t.regex(own, /not supported/i);
  });
});

test.serial('what is not carried out is refused by name, and the validator says what it does not allow', async (t) => {
  const refused = { linux: { scheduler: { policy: 2, priority: 5 } } };
  await withPlugin(adjusting(refused), async () => {
    const message = /linux\.scheduler of NRI plugin 10-test is not supported/;
    await fails(t, create(daemon, pod, scripted('true')), { code: 'UNIMPLEMENTED', message });
  });
  await withPlugin(adjusting({ hooks: { poststop: [{ path: '/bin/true' }] } }), async () => {
    const message = /plugins 10-test add OCI hooks/;
    await fails(t, create(daemon, pod, scripted('true')), { code: 'PERMISSION_DENIED', message });
  });
});

test.serial('a start that a plugin refuses: the container has ended with its words', async (t) => {
  const handlers = { ...wants('StartContainer'), StartContainer: () => new Refused(2, 'not on this node') };
  await withPlugin(handlers, async () => {
    const id = await create(daemon, pod, scripted('exec sleep 3600'));
    await fails(t, daemon.runtime.StartContainer({ container_id: id }), {
      code: 'FAILED_PRECONDITION',
      message: /NRI plugin 10-test fails StartContainer: not on this node/,
    });
    const status = await statusOf(daemon, id);
    t.like(status, { state: 'CONTAINER_EXITED', reason: 'StartError', exit_code: 128 });
    t.regex(status.message, /not on this node/);
    await daemon.runtime.RemoveContainer({ container_id: id });
  });
});

test.serial('a plugin changes an update, updates others by itself, and evicts', async (t) => {
  const handlers = {
    ...wants('UpdateContainer'),
    UpdateContainer: ({ container }: Readonly<Record<string, unknown>>) => ({
      update: [
        {
          containerId: (container as { id: string }).id,
          linux: { resources: { cpu: { shares: { value: '512' } } } },
        },
      ],
    }),
  };
  await withPlugin(handlers, async (plugin) => {
    const [one, other] = [
      await start(daemon, pod, scripted('exec sleep 3600')),
      await start(daemon, pod, scripted('trap "exit 7" TERM; echo ready; while :; do sleep 0.1; done')),
    ];
    await until('its handler is set', async () => textOf(await logOf(daemon, other)).includes('ready'));
    const shares = async (id: string) => (await statusOf(daemon, id)).resources?.linux?.cpu_shares;
    await daemon.runtime.UpdateContainerResources({ container_id: one, linux: { cpu_shares: '100' } });
    t.is(await shares(one), '512', 'the plugin’s word counts');
    const update = [other, 'f'.repeat(64)].map((containerId) => ({
      containerId,
      linux: { resources: { cpu: { shares: { value: '333' } } } },
    }));
    const answer = await plugin.call('UpdateContainers', { update }, 'UpdateContainersResponse');
    t.like(answer, { code: 0, body: { failed: [] } });
    t.is(await shares(other), '333');
    const evict = [{ containerId: other, reason: 'noisy' }];
    t.is((await plugin.call('UpdateContainers', { evict }, 'UpdateContainersResponse')).code, 0);
    t.is((await exited(daemon, other)).exit_code, 7, 'it had its grace');
    for (const id of [one, other]) await daemon.runtime.RemoveContainer({ container_id: id });
  });
});

test.serial('garbage on the socket is nothing to pods', async (t) => {
  const bad = connect(socket);
  bad.on('error', () => undefined);
  bad.end('GET / HTTP/1.1\r\nHost: node\r\n\r\n');
  const { stdout } = await output(daemon, pod, scripted('echo fine'));
  t.is(stdout, 'fine\n');
});

endsWithoutResidue(test, daemon);
