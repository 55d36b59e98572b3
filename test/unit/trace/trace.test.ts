import test from 'ava';
import { createTrace, type Trace } from '../../../src/trace/trace.ts';

interface Observed {
  readonly trace: Trace;
  readonly told: string[];
  readonly spans: string[];
  at: number;
}

function make(keep: number): Observed {
  const observed = { told: [] as string[], spans: [] as string[], at: 100 };
  const trace = createTrace({
    keep,
    nowMs: () => 5000 + observed.at,
    elapsedMs: () => observed.at,
    onStage: (rpc, stage, seconds) => observed.told.push(`${rpc} ${stage} ${seconds}`),
    beginStage: ({ name }) => {
      observed.spans.push(`${name} begins`);
      return (error) => observed.spans.push(`${name} ends${error === null ? '' : ` with ${(error as Error).message}`}`);
    },
  });
  return Object.assign(observed, { trace });
}

test('stages have their place and length, and are told on', async (t) => {
  const one = make(10);
  const { stage } = one.trace.stages('abc1', 'RunPodSandbox');
  one.at += 1;
  const first = Promise.withResolvers<number>();
  const slow = stage('monitor', () => first.promise);
  one.at += 2;
  t.is(await stage('cgroup', async () => 7), 7);
  one.at += 10;
  first.resolve(3);
  t.is(await slow, 3);
  await t.throwsAsync(
    stage('network', () => Promise.reject(new Error('no network'))),
    { message: 'no network' },
  );
  t.deepEqual(one.trace.of('abc'), [
    {
      rpc: 'RunPodSandbox',
      subject: 'abc1',
      startedAtMs: 5100,
      stages: [
        { name: 'monitor', startMs: 1, durationMs: 12, failed: false },
        { name: 'cgroup', startMs: 3, durationMs: 0, failed: false },
        { name: 'network', startMs: 13, durationMs: 0, failed: true },
      ],
    },
  ]);
  t.deepEqual(one.told, ['RunPodSandbox cgroup 0', 'RunPodSandbox monitor 0.012', 'RunPodSandbox network 0']);
  t.deepEqual(one.spans, [
    'monitor begins',
    'cgroup begins',
    'cgroup ends',
    'monitor ends',
    'network begins',
    'network ends with no network',
  ]);
});

test('the ring forgets the oldest and knows the last pod', (t) => {
  const { trace } = make(2);
  t.is(trace.lastPod(), null);
  trace.stages('a', 'RunPodSandbox');
  trace.stages('b', 'RunPodSandbox');
  trace.stages('b', 'CreateContainer');
  t.is(trace.lastPod(), 'b');
  t.deepEqual(
    trace.of('').map(({ rpc }) => rpc),
    ['RunPodSandbox', 'CreateContainer'],
  );
  t.deepEqual(trace.of('a'), []);
});

test('nothing is kept when none is wanted, and stages still run', async (t) => {
  const { trace, told } = make(0);
  t.is(await trace.stages('a', 'RunPodSandbox').stage('x', async () => 1), 1);
  t.deepEqual(trace.of(''), []);
  t.is(told.length, 1);
});
