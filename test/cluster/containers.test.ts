// The life of a pod's containers under a kubelet: order, probes, hooks, restarts, what they leave behind.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { container, isReady, restartsOf, scripted, useCluster } from '../helpers/cluster.ts';
import { until } from '../helpers/until.ts';

const cluster = useCluster(test);
const shared = mkdtempSync('/tmp/pwcluster-host-');
test.after.always('the directory of the host is gone', () => rmSync(shared, { recursive: true, force: true }));

/** A directory of the host at /host. */
const onHost = { volumes: [{ name: 'host', hostPath: { path: shared } }] };
const atHost = { volumeMounts: [{ name: 'host', mountPath: '/host' }] };
/** Prints when it is told to end, and does. */
const polite = 'trap "echo asked to end; exit 0" TERM; while :; do sleep 0.1; done';
const wordsOf = (file: string): string[] => readFileSync(join(shared, file), 'utf8').trim().split(/\s+/);

test.serial(
  'init containers run one after the other, before the others, and are tried again until they succeed',
  async (t) => {
    const name = await cluster.readyPod({
      ...onHost,
      initContainers: [
        scripted('echo a >> /host/order; test $(grep -c a /host/order) -ge 2', { name: 'first', ...atHost }),
        scripted('echo b >> /host/order', { name: 'second', ...atHost }),
      ],
      containers: [scripted('echo c >> /host/order; sleep 3600', { name: 'main', ...atHost })],
    });
    t.deepEqual(wordsOf('order'), ['a', 'a', 'b', 'c']);
    const { status } = await cluster.read(name);
    t.deepEqual(
      status?.initContainerStatuses?.map(({ restartCount, state }) => [restartCount, state?.terminated?.reason]),
      [
        [1, 'Completed'],
        [0, 'Completed'],
      ],
    );
  },
);

test.serial('a sidecar is there before the others, and ends after the last of them', async (t) => {
  const name = await cluster.pod({
    ...onHost,
    restartPolicy: 'Never',
    terminationGracePeriodSeconds: 20,
    initContainers: [
      scripted(
        'echo side >> /host/sidecar; trap "echo end >> /host/sidecar; exit 0" TERM; while :; do sleep 0.1; done',
        {
          name: 'side',
          restartPolicy: 'Always',
          startupProbe: { exec: { command: ['test', '-s', '/host/sidecar'] }, periodSeconds: 1 },
          ...atHost,
        },
      ),
    ],
    containers: [scripted('echo main >> /host/sidecar', atHost)],
  });
  t.is(await cluster.ended(name), 'Succeeded');
  t.deepEqual(wordsOf('sidecar'), ['side', 'main', 'end']);
});

test.serial('probes: by command, by HTTP and by TCP; readiness comes and goes, liveness restarts', async (t) => {
  const http = 'mkdir -p /tmp/www; echo fine > /tmp/www/health; exec httpd -f -p 8080 -h /tmp/www';
  const often = { periodSeconds: 1, failureThreshold: 1 };
  const name = await cluster.readyPod({
    containers: [
      scripted(http, {
        readinessProbe: { httpGet: { path: '/health', port: 8080 }, ...often },
        startupProbe: { tcpSocket: { port: 8080 }, periodSeconds: 1, failureThreshold: 60 },
      }),
      scripted('touch /tmp/alive; exec sleep 3600', {
        name: 'command',
        livenessProbe: {
          exec: { command: ['test', '-e', '/tmp/alive'] },
          periodSeconds: 1,
          failureThreshold: 1,
          initialDelaySeconds: 2,
        },
      }),
    ],
  });
  await cluster.sh(name, 'rm /tmp/www/health', 'main');
  await cluster.podThat(name, 'is not ready any more', (pod) => !isReady(pod));
  await cluster.sh(name, 'echo fine > /tmp/www/health', 'main');
  await cluster.ready(name);
  await cluster.sh(name, 'rm /tmp/alive', 'command');
  const pod = await cluster.podThat(name, 'had its container restarted', (each) => restartsOf(each, 'command') === 1);
  t.is(restartsOf(pod), 0, 'the other one was left alone');
  const { stdout } = await cluster.kubectl(
    'get',
    'events',
    `--field-selector=involvedObject.name=${name}`,
    '-o',
    'name',
    '-o',
    'jsonpath={.items[*].reason}',
  );
  t.regex(stdout, /Unhealthy.*Killing|Killing.*Unhealthy/);
});

test.serial('lifecycle hooks: after the start and before the end', async (t) => {
  const name = await cluster.readyPod({
    ...onHost,
    terminationGracePeriodSeconds: 30,
    containers: [
      scripted('trap "echo term >> /host/hooks; exit 0" TERM; while :; do sleep 0.1; done', {
        ...atHost,
        lifecycle: {
          postStart: { exec: { command: ['sh', '-c', 'echo post >> /host/hooks'] } },
          preStop: { exec: { command: ['sh', '-c', 'echo pre >> /host/hooks'] } },
        },
      }),
    ],
  });
  t.deepEqual(wordsOf('hooks'), ['post']);
  await cluster.remove(name);
  t.deepEqual(wordsOf('hooks'), ['post', 'pre', 'term']);
});

test.serial('a container that cannot end in its grace is killed', async (t) => {
  const name = await cluster.readyPod({
    terminationGracePeriodSeconds: 1,
    containers: [scripted('trap "" TERM; while :; do sleep 0.1; done')],
  });
  await cluster.remove(name);
  t.pass();
});

test.serial('a container that fails is restarted with a back-off, and says why it ended', async (t) => {
  const name = await cluster.pod({ containers: [scripted('echo last words > /dev/termination-log; exit 7')] });
  const waits = await cluster.podThat(
    name,
    'waits for another try',
    ({ status }) => status?.containerStatuses?.[0]?.state?.waiting?.reason === 'CrashLoopBackOff',
  );
  const last = waits.status?.containerStatuses?.[0]?.lastState?.terminated;
  t.like(last, { exitCode: 7, reason: 'Error', message: 'last words\n' });
  const again = await cluster.podThat(name, 'was tried again', (pod) => restartsOf(pod) >= 2);
  t.true(restartsOf(again) >= 2);
});

test.serial('the end of the log is the message of a container that fails without one', async (t) => {
  const name = await cluster.pod({
    restartPolicy: 'Never',
    containers: [scripted('echo so it ended; exit 1', { terminationMessagePolicy: 'FallbackToLogsOnError' })],
  });
  t.is(await cluster.ended(name), 'Failed');
  const { status } = await cluster.read(name);
  t.is(status?.containerStatuses?.[0]?.state?.terminated?.message, 'so it ended\n');
});

test.serial('a container that takes more than its memory is OOMKilled', async (t) => {
  const name = await cluster.pod({
    restartPolicy: 'Never',
    containers: [scripted('tail /dev/zero', { resources: { limits: { memory: '32Mi' } } })],
  });
  t.is(await cluster.ended(name), 'Failed');
  const { status } = await cluster.read(name);
  t.like(status?.containerStatuses?.[0]?.state?.terminated, { reason: 'OOMKilled', exitCode: 137 });
});

test.serial('an image that is not there is waited for, with the reason', async (t) => {
  const missing = container({ image: '127.0.0.1:5000/no/such:image' });
  const name = await cluster.pod({ containers: [missing] });
  const waits = await cluster.podThat(name, 'cannot have its image', ({ status }) =>
    /ErrImagePull|ImagePullBackOff/.test(status?.containerStatuses?.[0]?.state?.waiting?.reason ?? ''),
  );
  t.regex(waits.status?.containerStatuses?.[0]?.state?.waiting?.message ?? '', /no\/such/);
});

test.serial('an ephemeral container looks into a pod that runs', async (t) => {
  const name = await cluster.readyPod();
  const debug = [
    'debug',
    name,
    `--image=${container().image}`,
    '--target=main',
    '--container=look',
    '--profile=general',
  ];
  const { code, stderr } = await cluster.kubectl(
    ...debug,
    '--',
    'sh',
    '-c',
    'cat /proc/1/cmdline | tr "\\0" " "; hostname',
  );
  t.is(code, 0, stderr);
  await cluster.podThat(
    name,
    'was looked into',
    ({ status }) => status?.ephemeralContainerStatuses?.[0]?.state?.terminated !== undefined,
  );
  t.is(await cluster.logs(name, '-c', 'look'), `sleep 3600 ${name}\n`);
});

test.serial('resources are changed in place: the limits of the cgroup follow, and nothing restarts', async (t) => {
  const resources = { requests: { cpu: '100m', memory: '32Mi' }, limits: { cpu: '200m', memory: '64Mi' } };
  const name = await cluster.readyPod({ containers: [container({ resources })] });
  const before = await cluster.read(name);
  const patch = JSON.stringify({
    spec: { containers: [{ name: 'main', resources: { limits: { cpu: '700m', memory: '96Mi' } } }] },
  });
  const { code, stderr } = await cluster.kubectl(
    'patch',
    'pod',
    name,
    '--subresource=resize',
    '--type=strategic',
    '-p',
    patch,
  );
  t.is(code, 0, stderr);
  const after = await cluster.podThat(
    name,
    'has its new limits',
    ({ status }) => status?.containerStatuses?.[0]?.resources?.limits?.['cpu'] === '700m',
  );
  t.is(after.status?.containerStatuses?.[0]?.resources?.limits?.['memory'], '96Mi');
  t.is(restartsOf(after), 0);
  t.is(after.status?.containerStatuses?.[0]?.containerID, before.status?.containerStatuses?.[0]?.containerID);
  const limit = await cluster.sh(
    name,
    'cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2> /dev/null || true',
  );
  t.is(limit, String(96 << 20));
});

test.serial('who follows the log hears the last words of a container that is asked to end', async (t) => {
  const name = await cluster.readyPod({ terminationGracePeriodSeconds: 30, containers: [scripted(polite)] });
  const following = cluster.kubectlLasting('logs', '-f', name);
  let said = '';
  following.stdout?.on('data', (chunk: Buffer) => (said += chunk.toString()));
  await cluster.remove(name);
  await until('the follower heard the last words', () => said.includes('asked to end'));
  t.is(said, 'asked to end\n');
});
