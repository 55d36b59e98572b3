// Checkpoints and what goes on beside them: commands in the containers that are captured, containers that are not.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { ChannelClient } from '../helpers/channel-client.ts';
import { endsWithoutResidue, useDaemon } from '../helpers/daemon.ts';
import { FakeCriu } from '../helpers/fake-criu.ts';
import { exec, fails, pull, type Pod, runPod, scripted, sh, shell, start } from '../helpers/pods.ts';
import { cgroupsOf } from '../helpers/residue.ts';
import { until } from '../helpers/until.ts';

const criu = new FakeCriu();
const daemon = useDaemon(test, { flags: ['--set', `checkpoint.criu=${criu.program}`] });
const place = mkdtempSync('/tmp/pwt-checkpoint-');

const ticking = (name: string) =>
  scripted('i=0; while true; do i=$((i+1)); echo $i > /tick; sleep 0.05; done', { metadata: { name, attempt: 0 } });
let pod: Pod;
let id: string;

test.before('a pod of one', async () => {
  await pull(daemon);
  pod = await runPod(daemon);
  id = await start(daemon, pod, ticking('a'));
});
test.beforeEach('criu does as it is told', () => criu.behave('ok'));
test.after.always('files go', () => {
  rmSync(place, { recursive: true, force: true });
  criu.remove();
});

const capture = (output_path: string) =>
  daemon.runtime.CheckpointPod({ pod_sandbox_id: pod.id, output_path, container_ids: [id] });

async function goesOn(t: ExecutionContext): Promise<void> {
  const before = await shell(daemon, id, 'cat /tick');
  t.true(await until('the container goes on', async () => (await shell(daemon, id, 'cat /tick')) !== before));
}

/** A script that says that it has begun and ends when it is told to. */
const held = (name: string): string[] =>
  sh(`touch /${name}.begun; while ! [ -e /${name}.go ]; do sleep 0.1; done; rm /${name}.*`);
const begun = (name: string) =>
  until(`${name} runs`, async () => (await exec(daemon, id, 'test', '-e', `/${name}.begun`)).code === 0);
const release = (name: string) => exec(daemon, id, 'touch', `/${name}.go`);

/** A checkpoint fails because of a running command, and leaves everything as it was. */
async function isRefused(t: ExecutionContext, message: RegExp): Promise<void> {
  const output = mkdtempSync(join(place, 'out-'));
  await fails(t, capture(output), { code: 'FAILED_PRECONDITION', message });
  t.deepEqual(readdirSync(output), []);
  const location = join(output, 'a.tar');
  const alone = daemon.runtime.CheckpointContainer({ container_id: id, location });
  await fails(t, alone, { code: 'FAILED_PRECONDITION', message });
  t.deepEqual(readdirSync(output), []);
  t.deepEqual(criu.asked, []);
  await goesOn(t);
}

async function isMade(t: ExecutionContext): Promise<void> {
  const output = mkdtempSync(join(place, 'out-'));
  await capture(output);
  t.true(existsSync(join(output, 'pod.json')));
  await goesOn(t);
}

test.serial('a command by ExecSync makes a checkpoint fail by its name, until it has ended', async (t) => {
  const running = exec(daemon, id, ...held('sync'));
  await begun('sync');
  await isRefused(t, new RegExp(`container ${id} has a running command, which cannot be captured: sh$`));
  await release('sync');
  t.is((await running).code, 0);
  await isMade(t);
});

test.serial('so does one by a stream', async (t) => {
  const { url } = await daemon.runtime.Exec({ container_id: id, cmd: held('stream'), stdout: true, stderr: true });
  const client = await ChannelClient.connect(url, 'v5.channel.k8s.io');
  await begun('stream');
  await isRefused(t, /has a running command, which cannot be captured: sh$/);
  await release('stream');
  await client.closed();
  await isMade(t);
});

test.serial('a command that ends by itself is no hindrance for long', async (t) => {
  const running = exec(daemon, id, ...sh('touch /soon.begun; sleep 1; rm /soon.begun'));
  // a busy machine may need more than what a checkpoint waits for commands
  await until('the checkpoint is made', () =>
    isMade(t).then(
      () => true,
      ({ details }: { details?: string }) => !/has a running command/.test(details ?? ''),
    ),
  );
  t.is((await running).code, 0);
});

test.serial('what a command has left behind belongs to the container', async (t) => {
  t.is((await exec(daemon, id, ...sh('sleep 7373 > /dev/null 2>&1 &'))).code, 0);
  await isMade(t);
  await exec(daemon, id, 'pkill', '-f', 'sleep 7373');
});

test.serial('a process that is not the container’s own is seen when all stands still', async (t) => {
  const stranger = spawn('sleep', ['3600'], { stdio: 'ignore' });
  await once(stranger, 'spawn');
  const dirs = cgroupsOf(new Set([id]));
  const freezer =
    dirs.find((dir) => existsSync(join(dir, 'freezer.state'))) ??
    dirs.find((dir) => existsSync(join(dir, 'cgroup.freeze'))) ??
    '';
  writeFileSync(join(freezer, 'cgroup.procs'), String(stranger.pid));
  const output = mkdtempSync(join(place, 'out-'));
  const message = new RegExp(`container ${id} has a running command, .*: sleep \\(pid ${stranger.pid}\\)$`);
  await fails(t, capture(output), { code: 'FAILED_PRECONDITION', message });
  t.deepEqual(readdirSync(output), []);
  t.deepEqual(criu.asked, []);
  const ended = once(stranger, 'exit');
  stranger.kill('SIGKILL');
  await ended;
  await goesOn(t);
  await isMade(t);
});

test.serial('a container that is stopped ends its own checkpoint and no other', async (t) => {
  criu.behave('slow');
  const gone = new AbortController();
  const location = join(mkdtempSync(join(place, 'out-')), 'a.tar');
  let answered = false;
  const call = daemon.runtime
    .CheckpointContainer({ container_id: id, location, timeout: '600' }, { signal: gone.signal })
    .finally(() => (answered = true));
  const ended = t.throwsAsync(call as Promise<never>, { any: true });
  await until('criu is at work', () => criu.asked.length > 0);
  const other = await start(daemon, pod, ticking('b'));
  await daemon.runtime.StopContainer({ container_id: other, timeout: '0' });
  await daemon.runtime.RemoveContainer({ container_id: other });
  t.false(answered, 'it goes on');
  gone.abort();
  await ended;
  // its caller has not waited for that
  await until('it is thawed', async () => (await exec(daemon, id, 'true').catch(() => null)) !== null);
  await goesOn(t);

  const doomed = await start(daemon, pod, ticking('c'));
  criu.behave('slow');
  const lost = daemon.runtime.CheckpointContainer({ container_id: doomed, location });
  const refused = fails(t, lost, { code: 'FAILED_PRECONDITION', message: new RegExp(`container ${doomed} was ended`) });
  await until('criu is at work', () => criu.asked.length > 0);
  await daemon.runtime.StopContainer({ container_id: doomed, timeout: '0' });
  await refused;
  await daemon.runtime.RemoveContainer({ container_id: doomed });
});

endsWithoutResidue(test, daemon);
