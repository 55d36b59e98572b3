// Images and volumes that are made for an escape: links where the runtime mounts, looks up users, or makes directories, and
// a neighbour that swaps a directory for a link meanwhile. What is trapped lies on the host and must stay as it is.
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import type { ContainerConfig } from '../../src/proto/generated/cri/runtime/v1/ContainerConfig.ts';
import { endsWithoutResidue, useDaemon } from '../helpers/daemon.ts';
import { type FakeRegistry, startFakeRegistry } from '../helpers/fake-registry.ts';
import { programs } from '../helpers/host-programs.ts';
import { makeImage } from '../helpers/image-parts.ts';
import { processOf } from '../helpers/processes.ts';
import { patienceMs, until } from '../helpers/until.ts';
import {
  containerConfig,
  create,
  exited,
  fails,
  pidOf,
  type Pod,
  pull,
  readLog,
  runPod,
  scripted,
  shell,
  start,
} from '../helpers/pods.ts';

const daemon = useDaemon(test);
const trap = join(daemon.dir, 'trap');
const up = '../'.repeat(20);
let pod: Pod;
let registry: FakeRegistry;

test.before('a pod', async () => {
  await pull(daemon);
  pod = await runPod(daemon);
  registry = await startFakeRegistry();
  mkdirSync(trap);
  writeFileSync(join(trap, 'passwd'), 'trapped:x:4242:4242::/:/bin/sh\n');
  writeFileSync(join(trap, 'null'), 'of the host\n');
});
test.after.always('the registry ends', () => registry?.close());

let serial = 0;
/** Pulls an image of one layer with these files; answers its reference. */
async function image(files: Readonly<Record<string, string>>): Promise<string> {
  serial += 1;
  registry.push('trap', `v${serial}`, makeImage([files]));
  return pull(daemon, `${registry.host}/trap:v${serial}`);
}

/** A container of the image, with the host's programs, that runs a perl script. */
const perl = (reference: string, script: string, wish: ContainerConfig = {}): ContainerConfig =>
  containerConfig({
    ...wish,
    image: { image: reference },
    command: ['/usr/bin/perl', '-e', script],
    mounts: [...programs(), ...(wish.mounts ?? [])],
  });

/** What it printed; null when it was refused before it ran. */
async function said(config: ContainerConfig): Promise<string | null> {
  const id = await create(daemon, pod, config).catch(() => null);
  if (id === null) return null;
  try {
    await daemon.runtime.StartContainer({ container_id: id });
    const { log_path } = await exited(daemon, id);
    return readLog(log_path)
      .map(({ text }) => text)
      .join('\n');
  } catch {
    return null;
  } finally {
    await daemon.runtime.RemoveContainer({ container_id: id });
  }
}

/** The trap is as it was. */
function untouched(t: ExecutionContext, what: string): void {
  t.deepEqual(readdirSync(trap).toSorted(), ['null', 'passwd'], what);
  t.is(readFileSync(join(trap, 'null'), 'utf8'), 'of the host\n', what);
}

const print = 'print -e "/proc/self/status" ? "proc" : "none", " ", -e "/dev/null" && -c _ ? "null" : "none";';

for (const path of ['proc', 'sys', 'dev', 'dev/shm', 'dev/pts', 'etc', 'etc/hosts', 'etc/resolv.conf', 'run/secrets']) {
  for (const [kind, target] of [
    ['absolute', trap],
    ['climbing', `${up}${trap.slice(1)}`],
    ['of the process', '/proc/self/root'],
  ] as const) {
    test.serial(`an image with a link at /${path}: ${kind}`, async (t) => {
      const reference = await image({ 'some/file': 'x', [path]: `-> ${target}` });
      const secrets = { container_path: '/run/secrets/token', host_path: join(daemon.dir, 'net.d') };
      const text = await said(perl(reference, print, { mounts: [secrets] }));
      t.true(text === null || /^(proc|none) (null|none)$/.test(text), String(text));
      untouched(t, `/${path} -> ${target}`);
    });
  }
}

test.serial('a masked path stays masked when the image has something else for /dev/null', async (t) => {
  const masked = { linux: { security_context: { masked_paths: ['/proc/meminfo', '/secret'] } } };
  const script = 'for $f (qw(/proc/meminfo /secret)) { open F, $f; print length join "", <F> }';
  for (const target of [join(trap, 'null'), '/secret', '/proc/sys/kernel/core_pattern']) {
    const reference = await image({ secret: 'of the image', 'dev/': '755', 'dev/null': `-> ${target}` });
    t.is(await said(perl(reference, script, masked)), '00', target);
    untouched(t, target);
  }
});

test.serial('a masked or read-only path through a link is covered where it leads, inside', async (t) => {
  const security = { masked_paths: ['/alias'], readonly_paths: ['/way/out'] };
  const reference = await image({ secret: 'of the image', alias: '-> /secret', way: `-> ${up}` });
  const text = await said(
    perl(reference, 'open F, "/secret"; print length join "", <F>;', { linux: { security_context: security } }),
  );
  t.true(text === null || text === '0', String(text));
  untouched(t, 'alias');
});

test.serial('volumes are mounted inside, whatever links the image has on the way', async (t) => {
  const volume = join(daemon.dir, 'volume');
  mkdirSync(volume);
  writeFileSync(join(volume, 'mark'), 'volume');
  const reference = await image({ a: `-> ${trap}`, b: `-> ${up}${trap.slice(1)}`, c: '-> a', loop: '-> loop' });
  for (const name of ['a', 'b', 'c']) {
    const mounts = [{ container_path: `/${name}/made/here`, host_path: volume }];
    const text = await said(perl(reference, `open F, "/${name}/made/here/mark"; print <F>;`, { mounts }));
    t.is(text, 'volume', name);
    untouched(t, name);
  }
  const mounts = [{ container_path: '/loop/x', host_path: volume }];
  t.is(await said(perl(reference, 'print "ran"', { mounts })), null, 'a link to itself leads nowhere');
});

test.serial('a working directory is made inside, or refused', async (t) => {
  const reference = await image({ a: `-> ${trap}`, b: `-> ${up}${trap.slice(1)}` });
  for (const working_dir of ['/a/made', '/b/made', '/proc/1/root/made', '/proc/self/cwd', '/a/../../../../made']) {
    const text = await said(
      perl(reference, 'print -e "../null" || -e "../../trap" ? "host" : "inside"', { working_dir }),
    );
    t.true(text === null || text === 'inside', `${working_dir}: ${text}`);
    untouched(t, working_dir);
    t.false(existsSync('/made'), working_dir);
  }
});

test.serial('users are looked up in the image, not where its links lead', async (t) => {
  for (const target of [join(trap, 'passwd'), `${up}${trap.slice(1)}/passwd`, '/proc/self/root/etc/passwd']) {
    const reference = await image({ 'etc/': '755', 'etc/passwd': `-> ${target}` });
    const security_context = { run_as_username: 'trapped' };
    await fails(t, create(daemon, pod, perl(reference, 'print $<', { linux: { security_context } })), {
      code: 'FAILED_PRECONDITION',
      message: /trapped/,
    });
  }
});

test.serial(
  'a neighbour that swaps a directory for a link while a volume is mounted below it gains nothing',
  async (t) => {
    const shared = join(daemon.dir, 'shared');
    const volume = join(daemon.dir, 'swapped');
    for (const dir of [shared, volume, join(shared, 'way')]) mkdirSync(dir);
    writeFileSync(join(volume, 'mark'), 'volume');
    const swap = `cd /shared; ln -s ${up} link; while [ ! -e stop ]; do mv way old; mv link way; mv way link; mv old way; done`;
    const mounts = [{ container_path: '/shared', host_path: shared }];
    const attacker = await start(daemon, pod, scripted(swap, { mounts }));
    let ran = 0;
    for (let n = 0; n < 30; n += 1) {
      const below = { container_path: '/shared/way/in', host_path: volume };
      const script = 'cat /shared/way/in/mark /in/mark 2>/dev/null; ls -d /in /root/.. 2>/dev/null | tr "\\n" " "';
      const text = await said(scripted(script, { mounts: [...mounts, below] }));
      if (text !== null) ran += 1;
      t.notRegex(text ?? '', /podwright|lost\+found/);
    }
    await shell(daemon, attacker, 'touch /shared/stop');
    await exited(daemon, attacker);
    await daemon.runtime.RemoveContainer({ container_id: attacker });
    t.true(ran > 0, 'some came up');
    for (const path of ['/in', join(daemon.dir, 'in'), join(trap, 'in')]) t.false(existsSync(path), path);
    untouched(t, 'after the swaps');
  },
);

test.serial(
  'a neighbour that puts a link where a device was just made does not lead the runtime to its target',
  async (t) => {
    const shared = join(daemon.dir, 'with-device');
    for (const dir of [shared, join(shared, 'way')]) mkdirSync(dir);
    chmodSync(join(trap, 'null'), 0o600);
    // as fast as it can: a link to the trap, by its name on the host, where there is a node
    const script = `chdir "/shared/way"; until (-e "../stop") { if (-e "given" && !-l "given") { symlink "${join(trap, 'null')}", "link"; rename "link", "given"; } }`;
    const mounts = [{ container_path: '/shared', host_path: shared }];
    const command = ['/usr/bin/perl', '-e', script];
    const attacker = await start(daemon, pod, containerConfig({ command, mounts: [...mounts, ...programs()] }));
    const devices = [{ host_path: '/dev/zero', container_path: '/shared/way/given', permissions: 'rw' }];
    let links = 0;
    const latest = Date.now() + 2 * patienceMs;
    for (let n = 0; n < 30 || (links === 0 && Date.now() < latest); n += 1) {
      await said({ ...scripted('true', { mounts }), devices });
      t.is(statSync(join(trap, 'null')).mode & 0o777, 0o600);
      t.is(statSync(join(trap, 'null')).uid, 0);
      if (lstatSync(join(shared, 'way/given'), { throwIfNoEntry: false })?.isSymbolicLink() === true) links += 1;
      rmSync(join(shared, 'way/given'), { force: true });
    }
    t.true(links > 0, 'a node was made there, and a link put in its place');
    await shell(daemon, attacker, 'touch /shared/stop');
    await exited(daemon, attacker);
    await daemon.runtime.RemoveContainer({ container_id: attacker });
    untouched(t, 'after the links');
  },
);

test.serial(
  'what is written to /proc for a container or a command is not led to a volume that lies there',
  async (t) => {
    const files = [
      'self/oom_score_adj',
      'thread-self/attr/exec',
      'self/attr/exec',
      'self/attr/apparmor/exec',
      '1/oom_score_adj',
    ];
    const volume = join(daemon.dir, 'proc');
    for (const file of files) {
      mkdirSync(dirname(join(volume, file)), { recursive: true });
      writeFileSync(join(volume, file), 'mine');
    }
    const intact = (what: string): void => {
      for (const file of files) t.is(readFileSync(join(volume, file), 'utf8'), 'mine', `${what}: ${file}`);
    };
    const places = [
      '/proc',
      '/proc/self',
      '/proc/thread-self',
      '/proc/self/attr',
      '/proc/1',
      '/x/../proc',
      '//proc/sys',
    ];
    for (const container_path of places) {
      const mounts = [{ container_path, host_path: volume }];
      await fails(t, create(daemon, pod, scripted('sleep 3600', { mounts })), {
        code: 'INVALID_ARGUMENT',
        message: /nothing is mounted inside \/proc|no procfs/,
      });
      intact(container_path);
    }
    // who may mount does so by itself: a command that comes later is what it must be all the same
    const privileged = { linux: { security_context: { privileged: true } } };
    const strong = await runPod(daemon, privileged);
    const own = { linux: { ...privileged.linux, resources: { oom_score_adj: '321' } } };
    const mounts = [{ container_path: '/volume', host_path: volume }];
    const config = scripted('mount --bind /volume /proc; touch /dev/shm/done; sleep 3600', { ...own, mounts });
    const id = await start(daemon, strong, config);
    await until('it has done so', async () => (await shell(daemon, id, 'ls /dev/shm')) === 'done');
    t.is(readFileSync(`/proc/${await pidOf(daemon, id)}/oom_score_adj`, 'utf8'), '321\n');
    const running = daemon.runtime.ExecSync({ container_id: id, cmd: ['sleep', '4321'] });
    const command = await until('the command is there', () => processOf('sleep\x004321\0'));
    t.is(readFileSync(`/proc/${command}/oom_score_adj`, 'utf8'), '321\n', 'of a command');
    intact('a command');
    await Promise.all([daemon.removePod(strong.id), running]);
  },
);

endsWithoutResidue(test, daemon);
