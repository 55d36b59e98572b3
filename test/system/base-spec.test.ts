// Base specs: what containers of our own core and of another runtime take over from them, and what is refused at start.
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import test from 'ava';
import { dist, endsWithoutResidue, useDaemon } from '../helpers/daemon.ts';
import { env, exec, podConfig, pull, runPod, scripted, start, type Pod } from '../helpers/pods.ts';
import type { PodSandboxConfig } from '../../src/proto/generated/cri/runtime/v1/PodSandboxConfig.ts';
import { hybrid, missing, runtimes } from '../helpers/runtimes.ts';
import { until } from '../helpers/until.ts';

const run = promisify(execFile);
const dir = `/tmp/pwt-base-spec-${process.pid}`;
const [config, base, cruns, hook, shared] = ['config.toml', 'base.json', 'crun.json', 'hook', 'shared'].map((name) =>
  join(dir, name),
) as [string, string, string, string, string];
const crun = runtimes.find(({ name }) => name === 'crun');

const limits = (soft: number) => ({ rlimits: [{ type: 'RLIMIT_NOFILE', soft, hard: 4000 }] });
mkdirSync(shared, { recursive: true });
writeFileSync(hook, `#!/bin/sh\ncat > ${dir}/told\n`, { mode: 0o755 });
writeFileSync(
  base,
  JSON.stringify({
    ociVersion: '1.1.0',
    process: {
      args: ['nothing'],
      cwd: '/',
      env: ['BASE=1', 'GIVEN=base'],
      capabilities: { bounding: ['CAP_CHOWN', 'CAP_KILL'] },
      ...limits(3000),
    },
    mounts: [
      { destination: '/proc', type: 'proc', source: 'proc' },
      { destination: '/shared', type: 'bind', source: shared, options: ['bind', 'ro'] },
      { destination: '/cache', type: 'tmpfs', options: ['size=64k'] },
    ],
    hooks: { poststop: [{ path: hook, timeout: 10 }] },
    annotations: { 'example.org/base': 'yes' },
    linux: {
      namespaces: [{ type: 'pid' }],
      sysctl: { 'kernel.msgmax': '4096' },
      devices: [{ path: '/dev/nothing', type: 'c', major: 1, minor: 3, fileMode: 0o644 }],
    },
  }),
);
writeFileSync(cruns, JSON.stringify({ ociVersion: '1.0.2', process: limits(2000) }));
const handler =
  crun?.path === null || crun === undefined
    ? ''
    : `[runtimes.crun]\npath = "${crun.path}"\nhide_unified_cgroup = ${hybrid}\nbase_runtime_spec = "${cruns}"\n`;
writeFileSync(
  config,
  `${handler}[container]\nbase_runtime_spec = "${base}"\ndefault_ulimits = ["nofile=1024:4096", "core=0"]\n`,
);
writeFileSync(join(shared, 'file'), 'of the host');

const daemon = useDaemon(test, { flags: [`--config=${config}`] });
let pod: Pod;
test.before('an image and a pod', async () => {
  await pull(daemon);
  pod = await runPod(daemon);
});
test.after.always('the files go', () => rmSync(dir, { recursive: true, force: true }));

/** Limits of files by the base spec, of core dumps by the configuration; variables; capabilities. */
const look = 'ulimit -n; ulimit -Hn; ulimit -c; echo "$BASE $GIVEN"; grep CapBnd /proc/self/status';

test.serial('a container takes over what a base spec has, and its own things come over it', async (t) => {
  const id = await start(daemon, pod, scripted('exec sleep 3600', { envs: env({ GIVEN: 'pod' }) }));
  const inside = async (script: string) => (await exec(daemon, id, 'sh', '-c', script)).stdout.trim();
  // bits of chown (0) and kill (5)
  t.deepEqual((await inside(look)).split('\n'), ['3000', '4000', '0', '1 pod', 'CapBnd:\t0000000000000021']);
  t.is(await inside('cat /shared/file; echo x 2>/dev/null > /shared/file || echo no'), 'of the hostno');
  t.regex(await inside('df -k /cache | tail -1'), /\b64\b/);
  t.is(await inside('cat /proc/sys/kernel/msgmax'), '4096');
  t.is(await inside('stat -c "%a %t:%T" /dev/nothing; cat /dev/nothing'), '644 1:3');
  await daemon.runtime.RemoveContainer({ container_id: id });
  const state = JSON.parse(readFileSync(join(dir, 'told'), 'utf8')) as { id: string; annotations: object };
  t.is(state.id, id, 'its hook has been run');
  t.like(state.annotations, { 'example.org/base': 'yes', 'io.kubernetes.cri.container-type': 'container' });
});

test.serial('what a pod mounts at the same place counts', async (t) => {
  const mounts = [{ container_path: '/shared', host_path: '/proc/sys/kernel', readonly: true }];
  const id = await start(daemon, pod, scripted('exec sleep 3600', { mounts }));
  t.is((await exec(daemon, id, 'sh', '-c', 'cat /shared/ostype; ls /shared/file')).stdout.trim(), 'Linux');
});

test.serial('kernel parameters of a base spec are neither written on the host nor over the pod’s own', async (t) => {
  const file = '/proc/sys/kernel/msgmax';
  const before = readFileSync(file, 'utf8').trim();
  const seenIn = async (linux: NonNullable<PodSandboxConfig['linux']>): Promise<string> => {
    const own = await runPod(daemon, { linux });
    try {
      const { security_context } = own.config.linux ?? {};
      const options = { namespace_options: security_context?.namespace_options ?? null };
      const id = await start(daemon, own, scripted('exec sleep 3600', { linux: { security_context: options } }));
      return (await exec(daemon, id, 'cat', file)).stdout.trim();
    } finally {
      await daemon.removePod(own.id);
    }
  };
  try {
    t.is(await seenIn({ security_context: { namespace_options: { ipc: 'NODE', network: 'NODE' } } }), before);
    t.is(readFileSync(file, 'utf8').trim(), before);
    t.is(await seenIn({ sysctls: { 'kernel.msgmax': '5000' } }), '5000');
  } finally {
    // one that was written all the same is not for other tests
    if (readFileSync(file, 'utf8').trim() !== before) writeFileSync(file, before);
  }
});

if (!crun || crun.path === null)
  test.skip(`another handler has its own ${crun ? missing(crun) : '(no crun)'}`, (t) => void t.fail());
else
  test.serial('another handler has its own', async (t) => {
    const wish = podConfig(daemon);
    const { pod_sandbox_id } = await daemon.runtime.RunPodSandbox({ config: wish, runtime_handler: 'crun' });
    const id = await start(daemon, { id: pod_sandbox_id, config: wish }, scripted('exec sleep 3600'));
    const { stdout } = await exec(daemon, id, 'sh', '-c', `${look}; ls /shared`);
    const [soft, hard, core, values, capabilities] = stdout.split('\n');
    t.deepEqual([soft, hard, core, values], ['2000', '4000', '0', ' ']);
    t.not(capabilities, 'CapBnd:\t0000000000000021');
  });

test.serial('what cannot be honoured is refused by name before anything runs', async (t) => {
  const podwrightd = (...flags: string[]) =>
    run(join(dist, 'podwrightd'), flags).then(
      ({ stdout }) => ({ code: 0, said: stdout }),
      (error: { code: number; stderr: string }) => ({ code: error.code, said: error.stderr }),
    );
  t.is((await podwrightd(`--config=${config}`, '--check')).code, 0);
  const [wrong, bad] = [join(dir, 'wrong.toml'), join(dir, 'bad.json')];
  writeFileSync(wrong, `[container]\nbase_runtime_spec = "${bad}"\n`);
  const missingFile = await podwrightd(`--config=${wrong}`, '--check');
  t.not(missingFile.code, 0);
  t.true(missingFile.said.includes(`container.base_runtime_spec: could not read ${bad}`), missingFile.said);
  writeFileSync(bad, JSON.stringify({ ociVersion: '1.1.0', linux: { intelRdt: { closID: 'gold' } } }));
  const refused = await podwrightd(`--config=${wrong}`, '--check');
  t.not(refused.code, 0);
  t.true(
    refused.said.includes(`container.base_runtime_spec: ${bad}: linux.intelRdt is not supported in a base spec`),
    refused.said,
  );
});

test.serial('the pod goes', async (t) => {
  await daemon.removePod(pod.id);
  await until('its hooks are done', () => existsSync(join(dir, 'told')));
  t.pass();
});

endsWithoutResidue(test, daemon);
