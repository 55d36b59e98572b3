// A CNI plugin that does not release: its pod stays, is told, and keeps neither the node's shutdown nor anything else.
import { chmodSync, existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { settle, TestDaemon } from '../helpers/daemon.ts';
import { containerConfig, fails, podIp, pull, runPod, start } from '../helpers/pods.ts';
import { podResidue } from '../helpers/residue.ts';
import { until } from '../helpers/until.ts';

let daemon: TestDaemon;
let bin: string;

/** A plugin that gives an address and does not take it back while a file is there. */
const plugin = (dir: string): string => `#!/bin/sh
case $CNI_COMMAND in
  ADD) echo '{"cniVersion":"1.0.0","interfaces":[{"name":"eth0","sandbox":"'$CNI_NETNS'"}],"ips":[{"address":"10.9.9.9/24","interface":0}]}' ;;
  DEL) if [ -e ${dir}/stuck ]; then echo '{"code":11,"msg":"the controller is away"}'; exit 1; fi ;;
  VERSION) echo '{"cniVersion":"1.0.0","supportedVersions":["1.0.0"]}' ;;
esac
`;

test.before('a daemon with a plugin of ours', async () => {
  daemon = new TestDaemon({ network: 'none' });
  bin = join(daemon.dir, 'cni');
  mkdirSync(bin, { recursive: true });
  writeFileSync(join(bin, 'fickle'), plugin(bin));
  chmodSync(join(bin, 'fickle'), 0o755);
  daemon = new TestDaemon({ network: 'none', dir: daemon.dir, flags: [`--cni-bin-dirs=${bin}`] });
  mkdirSync(daemon.confDir, { recursive: true });
  const conflist = { cniVersion: '1.0.0', name: 'fickle', plugins: [{ type: 'fickle' }] };
  writeFileSync(join(daemon.confDir, '10-fickle.conflist'), JSON.stringify(conflist));
  await daemon.start();
  await pull(daemon);
});
test.afterEach.always((t) => {
  if (!t.passed) t.log(daemon.lastWords());
});
test.after.always(async () => {
  const { dir } = daemon;
  await daemon.destroy();
  rmSync(dir, { recursive: true, force: true });
});

test.serial('a pod whose release fails stays and is tried again', async (t) => {
  const pod = await runPod(daemon);
  t.is(await podIp(daemon, pod), '10.9.9.9');
  writeFileSync(join(bin, 'stuck'), '');
  await fails(t, daemon.runtime.StopPodSandbox({ pod_sandbox_id: pod.id }), {
    code: 'UNAVAILABLE',
    message: /release the network.*the controller is away/,
  });
  rmSync(join(bin, 'stuck'));
  await daemon.removePod(pod.id);
  t.deepEqual(await daemon.leftOfPods(), []);
});

test.serial('a pod whose removal fails is removed by the daemon itself once its network lets it go', async (t) => {
  const pod = await runPod(daemon);
  const container = await start(daemon, pod, containerConfig());
  writeFileSync(join(bin, 'stuck'), '');
  await fails(t, daemon.runtime.RemovePodSandbox({ pod_sandbox_id: pod.id }), { code: 'UNAVAILABLE' });
  const doctor = (): Promise<string> => daemon.podwright('doctor');
  const subject = `sandbox ${pod.id.slice(0, 13)}: its removal did not end`;
  t.true((await doctor()).includes(subject));
  await until('it is tried again, in vain', async () =>
    /tried again \d+ times: .*the controller is away/.test(await doctor()),
  );
  rmSync(join(bin, 'stuck'));
  // from here on nobody calls
  await until('its record is gone', () => !existsSync(join(daemon.root, 'sandboxes', pod.id)));
  t.deepEqual(await daemon.leftOfPods(), []);
  t.false(existsSync(join(daemon.root, 'containers', container)));
  t.regex(await doctor(), /nothing is wrong/);
});

test.serial('a pod whose stop fails is stopped by the daemon itself', async (t) => {
  const pod = await runPod(daemon);
  writeFileSync(join(bin, 'stuck'), '');
  await fails(t, daemon.runtime.StopPodSandbox({ pod_sandbox_id: pod.id }), { code: 'UNAVAILABLE' });
  t.true((await daemon.podwright('doctor')).includes(`sandbox ${pod.id.slice(0, 13)}: its stop did not end`));
  rmSync(join(bin, 'stuck'));
  await until('it has stopped', async () => {
    const { status } = await daemon.runtime.PodSandboxStatus({ pod_sandbox_id: pod.id });
    return status?.state === 'SANDBOX_NOTREADY';
  });
  await daemon.removePod(pod.id);
  t.deepEqual(await daemon.leftOfPods(), []);
});

test.serial('shutdown ends, says what is left, and frees all the rest', async (t) => {
  const stuck = await runPod(daemon);
  await start(daemon, stuck, containerConfig());
  writeFileSync(join(bin, 'stuck'), '');
  const failed = (await t.throwsAsync(daemon.podwright('shutdown'))) as Error & { code?: number; stderr?: string };
  t.not(failed.code, 0);
  t.regex(failed.stderr ?? '', /pod test\/\S+ .*its record stays.*the controller is away/s);
  await until('the daemon has ended', () => !daemon.running);
  const record = `record ${join(daemon.root, 'sandboxes', stuck.id)}`;
  t.true((await podResidue(daemon)).includes(record));
  // what is in the trash the next one frees: see below
  const others = async (): Promise<string[]> =>
    (await podResidue(daemon)).filter((each) => each !== record && !each.startsWith('trash '));
  t.deepEqual(await settle(others), []);
  t.false(existsSync(daemon.socket));
});

test.serial('the next daemon releases what is owed', async (t) => {
  rmSync(join(bin, 'stuck'));
  await daemon.start();
  t.deepEqual(await daemon.leftOfPods(), []);
  await daemon.shutdown();
});
