// CDI devices: nodes, mounts, environment and groups that a spec of the node's describes.
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { endsWithoutResidue, useDaemon } from '../helpers/daemon.ts';
import { create, fails, output, pull, runPod, scripted, type Pod } from '../helpers/pods.ts';

const dir = mkdtempSync('/tmp/pwt-cdi-');
const [fixed, dynamic] = [join(dir, 'etc'), join(dir, 'run')];
const daemon = useDaemon(test, { flags: [`--cdi-spec-dirs=${fixed},${dynamic}`] });
let pod: Pod;

test.before('a pod, and specs', async () => {
  mkdirSync(fixed);
  mkdirSync(join(dir, 'lib'));
  writeFileSync(join(dir, 'lib/driver'), 'driver\n');
  // a driver for it there is none: who may open it is told that, who may not is told so
  execFileSync('mknod', [join(dir, 'node'), 'c', '240', '7']);
  writeFileSync(
    join(fixed, 'vendor.json'),
    JSON.stringify({
      cdiVersion: '0.6.0',
      kind: 'vendor.example/gpu',
      containerEdits: {
        env: ['VENDOR=all', 'PATH=/vendor/bin:/bin'],
        mounts: [{ hostPath: join(dir, 'lib'), containerPath: '/vendor/lib', options: ['rbind', 'ro', 'nosuid'] }],
      },
      devices: [
        {
          name: '0',
          containerEdits: {
            deviceNodes: [
              { path: '/dev/gpu0', hostPath: join(dir, 'node'), permissions: 'r', fileMode: 0o640, uid: 12, gid: 34 },
              { path: '/dev/gpuctl', type: 'c', major: 1, minor: 3, permissions: 'rw' },
            ],
            env: ['GPU=0'],
            additionalGids: [4321],
          },
        },
        { name: 'cached', containerEdits: { intelRdt: { closID: 'x' } } },
        { name: 'gone', containerEdits: { deviceNodes: [{ path: '/dev/no-such-gpu' }] } },
      ],
    }),
  );
  await pull(daemon);
  pod = await runPod(daemon);
});

test.after.always('the specs go', () => rmSync(dir, { recursive: true }));

const look =
  'stat -c "%t %T %a %u %g" /dev/gpu0 /dev/gpuctl; (head -c1 /dev/gpu0) 2>&1; (echo x > /dev/gpu0) 2>&1; echo x > /dev/gpuctl && echo wrote; echo $VENDOR $GPU $PATH; cat /vendor/lib/driver; touch /vendor/lib/x 2>&1; id -G';

test.serial('CDI device: its nodes, mounts, environment and groups are there', async (t) => {
  const wishes = [
    { CDI_devices: [{ name: 'vendor.example/gpu=0' }] },
    { annotations: { 'cdi.k8s.io/plugin': 'vendor.example/gpu=0' } },
    { CDI_devices: [{ name: 'vendor.example/gpu=0' }], annotations: { 'cdi.k8s.io/x': 'vendor.example/gpu=0' } },
  ];
  for (const wish of wishes) {
    const { stdout } = await output(daemon, pod, scripted(look, wish));
    const [gpu, control, read, denied, wrote, env, driver, readonly, groups] = stdout.split('\n');
    t.is(gpu, 'f0 7 640 12 34', 'as the spec has it, on the host’s node');
    t.is(control, '1 3 666 0 0');
    t.regex(read ?? '', /No such device/);
    t.regex(denied ?? '', /Operation not permitted|Permission denied/, 'the spec allows reading only');
    t.is(wrote, 'wrote');
    t.is(env, 'all 0 /vendor/bin:/bin');
    t.is(driver, 'driver');
    t.regex(readonly ?? '', /Read-only/);
    t.is(groups, '0 4321');
  }
});

test.serial('without a device nothing of it is there', async (t) => {
  t.regex(
    (await output(daemon, pod, scripted('ls /dev/gpu0 /vendor 2>&1'))).stdout,
    /gpu0: No such[^]*vendor: No such/,
  );
});

test.serial('a spec that appears later counts, and that of the later directory most', async (t) => {
  const config = () => scripted('echo $GPU', { CDI_devices: [{ name: 'vendor.example/gpu=0' }] });
  mkdirSync(dynamic);
  const yaml =
    'cdiVersion: "1.0.0"\nkind: vendor.example/gpu\ndevices:\n  - name: "0"\n    containerEdits:\n      env: ["GPU=dynamic"]\n';
  writeFileSync(join(dynamic, 'vendor.yaml'), yaml);
  t.is((await output(daemon, pod, config())).stdout, 'dynamic\n');
  writeFileSync(join(dynamic, 'again.yaml'), yaml);
  await fails(t, create(daemon, pod, config()), {
    code: 'FAILED_PRECONDITION',
    message: /again\.yaml and in .*vendor\.yaml/,
  });
  rmSync(dynamic, { recursive: true });
  t.is((await output(daemon, pod, config())).stdout, '0\n');
});

test.serial('what cannot be told or done is refused by name', async (t) => {
  const wrong = async (
    name: string,
    code: 'FAILED_PRECONDITION' | 'INVALID_ARGUMENT' | 'UNIMPLEMENTED',
    message: RegExp,
  ) => fails(t, create(daemon, pod, scripted('true', { CDI_devices: [{ name }] })), { code, message });
  await wrong('vendor.example/gpu=7', 'FAILED_PRECONDITION', /vendor\.example\/gpu=7 is in none/);
  await wrong('gpu0', 'INVALID_ARGUMENT', /CDI_devices\[0\]\.name "gpu0"/);
  await wrong('vendor.example/gpu=cached', 'UNIMPLEMENTED', /needs intelRdt/);
  await t.throwsAsync(create(daemon, pod, scripted('true', { CDI_devices: [{ name: 'vendor.example/gpu=gone' }] })), {
    message: /no-such-gpu/,
  });
  writeFileSync(join(fixed, 'broken.json'), '{');
  execFileSync('mkfifo', [join(fixed, 'fifo.json')]);
  await wrong('vendor.example/gpu=7', 'FAILED_PRECONDITION', /broken\.json: .*fifo\.json: it is not a file/);
  t.is(
    (await output(daemon, pod, scripted('echo $GPU', { CDI_devices: [{ name: 'vendor.example/gpu=0' }] }))).stdout,
    '0\n',
  );
});

endsWithoutResidue(test, daemon);
