// A restart of the host, as its effects: every process, mount, interface, rule and cgroup of ours gone, records of another boot.
import test from 'ava';
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { decodeRecord, encodeRecord } from '../../src/state/record.ts';
import { endsWithoutResidue, useDaemon } from '../helpers/daemon.ts';
import {
  containerConfig,
  create,
  exec,
  exited,
  podIp,
  pull,
  runPod,
  scripted,
  start,
  statusOf,
} from '../helpers/pods.ts';
import { sweep } from '../helpers/sweep.ts';

const daemon = useDaemon(test);

test.before('an image', () => pull(daemon));

const bootId = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
const earlierBoot = '00000000-1111-4222-8333-444444444444';

/** Makes every fact about this boot one about an earlier boot. Answers how many files had one. */
function moveToEarlierBoot(): number {
  let changed = 0;
  const change = (file: string, convert: (text: string) => string): void => {
    const text = readFileSync(file, 'utf8');
    if (!text.includes(bootId)) return;
    writeFileSync(file, convert(text));
    changed += 1;
  };
  const replaced = (text: string): string => text.replaceAll(bootId, earlierBoot);
  for (const noun of ['sandboxes', 'containers']) {
    for (const id of readdirSync(join(daemon.root, noun))) {
      const file = join(daemon.root, noun, id, 'status.json');
      change(file, (text) => encodeRecord(JSON.parse(replaced(JSON.stringify(decodeRecord(text, file))))));
    }
  }
  for (const id of readdirSync(join(daemon.state, 'containers'))) {
    const file = join(daemon.state, 'containers', id, 'exit.json');
    if (readdirSync(join(daemon.state, 'containers', id)).includes('exit.json')) change(file, replaced);
  }
  return changed;
}

const addresses = (): string[] =>
  readdirSync(join(daemon.root, 'networks')).flatMap((network) =>
    readdirSync(join(daemon.root, 'networks', network)).filter((name) => /^\d+\.\d+\.\d+\.\d+$/.test(name)),
  );

for (const { title, run, end } of [
  { title: '/run is empty afterwards', run: 'empty', end: () => daemon.kill9() },
  { title: '/run is a disk and keeps its files', run: 'kept', end: () => daemon.kill9() },
  { title: 'the daemon was stopped in order before', run: 'kept', end: () => daemon.stop() },
]) {
  test.serial(`${title}: pods are NOTREADY with their facts, addresses free, images whole`, async (t) => {
    const pod = await runPod(daemon, { port_mappings: [{ container_port: 80, host_port: 38124 }] });
    const host = await runPod(daemon, {
      linux: { security_context: { namespace_options: { network: 'NODE', pid: 'POD' } } },
    });
    const shared = { linux: { security_context: { namespace_options: { network: 'NODE', pid: 'POD' } } } } as const;
    const running = [await start(daemon, pod, containerConfig()), await start(daemon, host, containerConfig(shared))];
    const over = await start(daemon, pod, scripted('exit 5'));
    const created = await create(daemon, pod, containerConfig());
    await exited(daemon, over);
    const before = await Promise.all(running.map((id) => statusOf(daemon, id)));
    const ended = await statusOf(daemon, over);
    const images = (await daemon.image.ListImages({})).images.map((image) => ({ ...image }));
    const ip = await podIp(daemon, pod);
    t.true(addresses().includes(ip));

    await end();
    await sweep(daemon);
    t.true(moveToEarlierBoot() >= 5);
    if (run === 'empty') rmSync(daemon.state, { recursive: true });
    await daemon.start();

    for (const { id } of [pod, host]) {
      const { status } = await daemon.runtime.PodSandboxStatus({ pod_sandbox_id: id });
      t.is(status?.state, 'SANDBOX_NOTREADY');
    }
    for (const [at, id] of running.entries()) {
      const status = await statusOf(daemon, id);
      const { created_at = '', started_at = '', labels = {} } = before[at] ?? {};
      t.like(status, { state: 'CONTAINER_EXITED', exit_code: 255, reason: 'Unknown', created_at, started_at, labels });
      t.true(BigInt(status.finished_at) > BigInt(status.started_at));
      t.regex(status.message, /restarted/);
    }
    t.deepEqual({ ...(await statusOf(daemon, over)) }, { ...ended }, 'an exit of before stands');
    t.not((await statusOf(daemon, created)).state, 'CONTAINER_CREATED');
    t.false(addresses().includes(ip), 'the address is free');
    t.deepEqual(
      (await daemon.image.ListImages({})).images.map((image) => ({ ...image })),
      images,
    );

    const fresh = await runPod(daemon, { port_mappings: [{ container_port: 80, host_port: 38124 }] });
    t.regex(await podIp(daemon, fresh), /^10\./);
    const id = await start(daemon, fresh, containerConfig());
    t.is((await exec(daemon, id, 'true')).code, 0);
    await daemon.removeAllPods();
    t.deepEqual(await daemon.leftOfPods(), []);
  });
}

endsWithoutResidue(test, daemon);
