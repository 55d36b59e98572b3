// ExecSync: output to the byte, exit codes, deadlines that end the whole tree.
import test from 'ava';
import { readdirSync } from 'node:fs';
import { endsWithoutResidue, useDaemon } from '../helpers/daemon.ts';
import {
  containerConfig,
  env,
  exec,
  fails,
  pull,
  runPod,
  scripted,
  sh,
  shell,
  start,
  type Pod,
} from '../helpers/pods.ts';
import { processesOf } from '../helpers/residue.ts';
import { until } from '../helpers/until.ts';

const daemon = useDaemon(test);
let pod: Pod;
let id: string;

test.before('a container', async () => {
  await pull(daemon);
  pod = await runPod(daemon);
  id = await start(daemon, pod, containerConfig({ envs: env({ GIVEN: 'yes' }), working_dir: '/srv' }));
});

const processes = (): string[] => processesOf({ state: '/nowhere', ids: new Set([id]) }).map(({ what }) => what.trim());

test.serial('stdout, stderr and the exit code come apart', async (t) => {
  t.deepEqual(await exec(daemon, id, ...sh('echo out; echo err >&2; exit 42')), {
    code: 42,
    stdout: 'out\n',
    stderr: 'err\n',
  });
  t.deepEqual(await exec(daemon, id, 'true'), { code: 0, stdout: '', stderr: '' });
  t.is((await exec(daemon, id, ...sh('kill -9 $$'))).code, 137);
});

test.serial('it runs where and as what the container runs', async (t) => {
  t.is(await shell(daemon, id, 'pwd; echo $GIVEN; id -u; hostname'), `/srv\nyes\n0\n${pod.config.hostname}`);
  for (const ns of ['mnt', 'pid', 'net', 'ipc', 'uts', 'cgroup']) {
    t.is(
      await shell(daemon, id, `readlink /proc/self/ns/${ns}`),
      await shell(daemon, id, `readlink /proc/1/ns/${ns}`),
      ns,
    );
  }
  // in the unified hierarchy a command has a leaf of its own, to be killed by
  const groups = (text: string): string =>
    text
      .replace(/^0::\/exec-\d+$/m, '0::/')
      .split('\n')
      .sort()
      .join('\n');
  t.is(groups(await shell(daemon, id, 'cat /proc/self/cgroup')), groups(await shell(daemon, id, 'cat /proc/1/cgroup')));
  const security = 'grep -E "^(Cap|NoNewPrivs|Seccomp:)" /proc/';
  t.is(await shell(daemon, id, `${security}self/status`), await shell(daemon, id, `${security}1/status`));
});

test.serial('it has no input, and no descriptor but its three', async (t) => {
  t.is(await shell(daemon, id, 'cat; ls /proc/self/fd | wc -l'), '4'); // 0, 1, 2 and the directory that ls reads
});

test.serial('output that is no text arrives to the byte', async (t) => {
  const answer = await daemon.runtime.ExecSync({ container_id: id, cmd: sh('printf "\\000\\377\\r\\n"') });
  t.deepEqual(answer.stdout, Buffer.from([0, 255, 13, 10]));
});

test.serial('a missing program is an error that names it', async (t) => {
  const answer = await daemon.runtime
    .ExecSync({ container_id: id, cmd: ['/no/such/program'] })
    .catch((error: Error) => error);
  if (answer instanceof Error) t.regex(answer.message, /\/no\/such\/program/);
  else t.like(answer, { exit_code: 127 });
});

test.serial('past its timeout the command dies with all it started, and the code is DEADLINE_EXCEEDED', async (t) => {
  const before = processes().length;
  const from = performance.now();
  const cmd = sh('sleep 1111 & setsid sleep 1112 & sh -c "sleep 1113 & sleep 1114" & wait');
  await fails(t, daemon.runtime.ExecSync({ container_id: id, cmd, timeout: '1' }), { code: 'DEADLINE_EXCEEDED' });
  const took = performance.now() - from;
  t.true(took >= 950 && took < 60_000, `it took ${took} ms`);
  // what ran before may have ended only now: those of the command are known by their words
  await until('all of it is dead', () => {
    const alive = processes();
    return alive.length <= before && !alive.some((what) => what.includes('111'));
  });
});

test.serial('a timeout that is not reached changes nothing', async (t) => {
  const answer = await daemon.runtime.ExecSync({ container_id: id, cmd: sh('sleep 0.1; echo done'), timeout: '30' });
  t.is(answer.stdout.toString(), 'done\n');
});

test.serial('a client that goes away early does not leave its command', async (t) => {
  const gone = new AbortController();
  const call = daemon.runtime.ExecSync(
    { container_id: id, cmd: ['sleep', '2222'], timeout: '10' },
    { signal: gone.signal },
  );
  const failure = t.throwsAsync(call);
  await until('it runs', () => processes().some((what) => what.includes('2222')));
  gone.abort();
  await failure;
  await until('it is dead', () => !processes().some((what) => what.includes('2222')));
});

test.serial('a descendant that holds the output open does not hold the call', async (t) => {
  const from = performance.now();
  const answer = await exec(daemon, id, ...sh('sleep 300 & echo started'));
  t.is(answer.stdout, 'started\n');
  t.true(performance.now() - from < 120_000);
  await shell(daemon, id, 'pkill -f "sleep 300$"; true');
});

test.serial('megabytes of output come whole', async (t) => {
  const bytes = 4_000_000;
  const { stdout, code } = await exec(daemon, id, 'spew', String(bytes), '1000');
  t.is(code, 0);
  t.is(stdout.length, bytes);
});

test.serial('what is beyond 16 MiB is dropped and the command still ends by itself', async (t) => {
  const answer = await daemon.runtime.ExecSync({
    container_id: id,
    cmd: sh('spew 40000000 1000; echo after >&2; exit 5'),
  });
  t.is(answer.exit_code, 5);
  const total = answer.stdout.length + answer.stderr.length;
  t.true(total > 15 * 1024 * 1024 && total < 16 * 1024 * 1024, `${total}`);
});

test.serial('many at once do not mix', async (t) => {
  const answers = await Promise.all(
    Array.from({ length: 30 }, (_, n) => exec(daemon, id, ...sh(`echo ${n}; exit ${n}`))),
  );
  t.deepEqual(
    answers.map(({ code, stdout }) => [code, stdout]),
    Array.from({ length: 30 }, (_, n) => [n, `${n}\n`]),
  );
});

test.serial('an exec ends with its container', async (t) => {
  const other = await start(daemon, pod, scripted('sleep 3600'));
  const call = daemon.runtime.ExecSync({ container_id: other, cmd: ['sleep', '3333'] });
  const ended = call.then(
    ({ exit_code }) => exit_code,
    () => 'error',
  );
  await until('it runs', () =>
    processesOf({ state: '/nowhere', ids: new Set([other]) }).some(({ what }) => what.includes('3333')),
  );
  await daemon.runtime.StopContainer({ container_id: other, timeout: '0' });
  t.true([137, 'error'].includes(await ended));
  await daemon.runtime.RemoveContainer({ container_id: other });
});

test.serial('hundreds of execs leave no process and no descriptor in the monitor', async (t) => {
  const monitor = processesOf(daemon).find(({ kind, what }) => kind === 'monitor' && what.includes(pod.id));
  const count = (): number => readdirSync(`/proc/${monitor?.pid}/fd`).length;
  const running = processes().length;
  const before = count();
  for (let n = 0; n < 10; n += 1) await Promise.all(Array.from({ length: 20 }, () => exec(daemon, id, 'true')));
  await until('nothing more runs than before', () => processes().length <= running);
  t.true(await until('descriptors are as before', () => count() <= before));
});

endsWithoutResidue(test, daemon);
