// Host paths in containers: read-only forms, what is missing, links, order, propagation both ways.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { Mount } from '../../src/proto/generated/cri/runtime/v1/Mount.ts';
import { endsWithoutResidue, useDaemon } from '../helpers/daemon.ts';
import {
  containerConfig,
  create,
  fails,
  output,
  pull,
  runPod,
  scripted,
  shell,
  start,
  statusOf,
  type Pod,
} from '../helpers/pods.ts';

const daemon = useDaemon(test);
let pod: Pod;
let serial = 0;

test.before('a pod', async () => {
  await pull(daemon);
  pod = await runPod(daemon);
});

/** A new directory of the host with a file in it. */
function hostDir(): string {
  const dir = join(daemon.dir, `volume-${(serial += 1)}`);
  mkdirSync(join(dir, 'sub/deep'), { recursive: true });
  writeFileSync(join(dir, 'file'), 'content\n');
  return dir;
}

const mount = (...args: string[]): Buffer => execFileSync('mount', args);
const umount = (...args: string[]): Buffer => execFileSync('umount', args);

const mounted = (mounts: Mount[], script = 'sleep 3600') => ({ ...scripted(script), mounts });

test.serial('a directory is read and written, with what is mounted below it, and told in the status', async (t) => {
  const dir = hostDir();
  mount('-t', 'tmpfs', 'pwt', join(dir, 'sub'));
  t.teardown(() => umount(join(dir, 'sub')));
  writeFileSync(join(dir, 'sub/below'), 'below\n');
  const mounts = [{ container_path: '/data', host_path: dir }];
  const id = await start(daemon, pod, mounted(mounts));
  t.is(
    await shell(daemon, id, 'cat /data/file /data/sub/below; echo new > /data/new; rm /data/file'),
    'content\nbelow',
  );
  t.is(readFileSync(join(dir, 'new'), 'utf8'), 'new\n');
  t.false(existsSync(join(dir, 'file')));
  const told = (await statusOf(daemon, id)).mounts;
  t.is(told.length, 1);
  t.like(told[0], { container_path: '/data', host_path: dir, readonly: false, propagation: 'PROPAGATION_PRIVATE' });
  await daemon.runtime.RemoveContainer({ container_id: id });
});

test.serial('a file is mounted over a file', async (t) => {
  const dir = hostDir();
  const { stdout } = await output(
    daemon,
    pod,
    mounted([{ container_path: '/etc/passwd', host_path: join(dir, 'file') }], 'cat /etc/passwd'),
  );
  t.is(stdout, 'content\n');
});

test.serial("mounts of the request replace the pod's own files", async (t) => {
  const dir = hostDir();
  const mounts = ['/etc/hosts', '/etc/resolv.conf', '/etc/hostname'].map((container_path) => ({
    container_path,
    host_path: join(dir, 'file'),
  }));
  const { stdout } = await output(daemon, pod, mounted(mounts, 'cat /etc/hosts /etc/resolv.conf /etc/hostname'));
  t.is(stdout, 'content\n'.repeat(3));
});

test.serial('readonly refuses writing to the mount; recursive_read_only to those below it too', async (t) => {
  const dir = hostDir();
  mount('-t', 'tmpfs', 'pwt', join(dir, 'sub'));
  t.teardown(() => umount(join(dir, 'sub')));
  const script =
    'touch /data/x 2>&1 | grep -o "Read-only"; touch /data/sub/x 2>&1 | grep -o "Read-only"; test -e /data/sub/x && echo below';
  const base = { container_path: '/data', host_path: dir, readonly: true };
  t.is((await output(daemon, pod, mounted([base], script))).stdout, 'Read-only\nbelow\n');
  execFileSync('rm', [join(dir, 'sub/x')]);
  const { runtime_handlers } = await daemon.runtime.Status({});
  t.true(runtime_handlers.some(({ features }) => features?.recursive_read_only_mounts));
  t.is(
    (await output(daemon, pod, mounted([{ ...base, recursive_read_only: true }], script))).stdout,
    'Read-only\nRead-only\n',
  );
});

test.serial('deeper mounts go over shallower ones, in whichever order they are given', async (t) => {
  const [outer, inner] = [hostDir(), hostDir()];
  mkdirSync(join(outer, 'in'));
  writeFileSync(join(inner, 'inner'), '');
  const mounts = [
    { container_path: '/data/in', host_path: inner },
    { container_path: '/data', host_path: outer },
  ];
  t.is(
    (await output(daemon, pod, mounted(mounts, 'ls /data /data/in'))).stdout,
    '/data:\nfile\nin\nsub\n\n/data/in:\nfile\ninner\nsub\n',
  );
});

test.serial('a mount point that the image does not have is made in the container alone', async (t) => {
  const dir = hostDir();
  const mounts = [
    { container_path: '/not/in/the/image', host_path: dir },
    { container_path: '/not/a/file', host_path: join(dir, 'file') },
  ];
  t.is(
    (await output(daemon, pod, mounted(mounts, 'cat /not/a/file; ls /not/in/the/image'))).stdout,
    'content\nfile\nsub\n',
  );
  const { stdout } = await output(daemon, pod, scripted('ls /not 2>&1'));
  t.regex(stdout, /No such file/);
});

test.serial('a missing source is refused when it may not be made, and nothing is made', async (t) => {
  const host_path = join(daemon.dir, 'missing', 'deep');
  await t.throwsAsync(create(daemon, pod, mounted([{ container_path: '/data', host_path }])), {
    message: /missing\/deep/,
  });
  t.false(existsSync(host_path));
  t.deepEqual((await daemon.runtime.ListContainers({})).containers, []);
});

test.serial('a source that is a link is followed on the host', async (t) => {
  const dir = hostDir();
  symlinkSync(dir, `${dir}-link`);
  const { stdout } = await output(
    daemon,
    pod,
    mounted([{ container_path: '/data', host_path: `${dir}-link` }], 'cat /data/file'),
  );
  t.is(stdout, 'content\n');
});

test.serial("a mount point behind a link stays in the container's root", async (t) => {
  const dir = hostDir();
  const volume = hostDir();
  symlinkSync(dir, join(volume, 'escape'));
  symlinkSync('/', join(volume, 'root'));
  const before = readdirSync(dir);
  const mounts = [
    { container_path: '/v', host_path: volume },
    { container_path: `/v/escape/made`, host_path: volume },
    { container_path: '/v/root/tmp/pwt-made', host_path: volume },
  ];
  const id = await start(daemon, pod, mounted(mounts)).catch(() => null);
  t.deepEqual(readdirSync(dir), before, 'nothing appeared where the link leads on the host');
  t.false(existsSync('/tmp/pwt-made'));
  if (id !== null) await daemon.runtime.RemoveContainer({ container_id: id });
});

test.serial('propagation: private sees nothing new, host-to-container does, bidirectional gives back', async (t) => {
  const dir = hostDir();
  mount('--bind', dir, dir);
  t.teardown(() => umount('-R', dir));
  mount('--make-shared', dir);
  const privileged = await runPod(daemon, { linux: { security_context: { privileged: true } } });
  const propagation = {
    '/none': 'PROPAGATION_PRIVATE',
    '/in': 'PROPAGATION_HOST_TO_CONTAINER',
    '/both': 'PROPAGATION_BIDIRECTIONAL',
  } as const;
  const mounts = Object.entries(propagation).map(([container_path, how]) => ({
    container_path,
    host_path: dir,
    propagation: how,
  }));
  const config = containerConfig({ mounts, linux: { security_context: { privileged: true } } });
  const id = await start(daemon, privileged, config);
  mount('-t', 'tmpfs', 'pwt', join(dir, 'sub'));
  writeFileSync(join(dir, 'sub/late'), '');
  const seen = 'for d in none in both; do test -e /$d/sub/late && echo $d; done';
  t.is(await shell(daemon, id, seen), 'in\nboth');
  t.is(
    await shell(
      daemon,
      id,
      'mount -t tmpfs back /both/sub/deep 2>/dev/null || { mkdir -p /both/up && mount -t tmpfs back /both/up; }; mkdir -p /in/here && mount -t tmpfs own /in/here && echo done',
    ),
    'done',
  );
  const points = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .filter((line) => line.includes(dir));
  t.true(
    points.some((line) => / - tmpfs back /.test(line)),
    'bidirectional: the host sees it',
  );
  t.false(
    points.some((line) => / - tmpfs own /.test(line)),
    'host-to-container: the host does not',
  );
  await daemon.removePod(privileged.id);
  umount('-R', join(dir, 'up'));
  umount(join(dir, 'sub'));
});

test.serial('mount options close a mount: nothing in it is run, is a device, or gives rights', async (t) => {
  const dir = hostDir();
  writeFileSync(join(dir, 'run'), '#!/bin/sh\necho ran\n', { mode: 0o755 });
  execFileSync('mknod', ['-m', '666', join(dir, 'null'), 'c', '1', '3']);
  const script = '/data/run 2>&1; (echo x > /data/null) 2>&1 && echo written; grep " /data " /proc/self/mountinfo';
  const base = { container_path: '/data', host_path: dir };
  t.regex((await output(daemon, pod, mounted([base], script))).stdout, /^ran\nwritten\n/);
  const closed = { ...base, mount_options: ['noexec', 'nodev', 'nosuid'] };
  const { stdout } = await output(daemon, pod, mounted([closed], script));
  t.regex(stdout, /run: Permission denied\n.*null: Permission denied\n.* \/data rw,nosuid,nodev,noexec,/);
  const id = await create(daemon, pod, mounted([closed]));
  t.deepEqual((await statusOf(daemon, id)).mounts[0]?.mount_options, closed.mount_options);
  await daemon.runtime.RemoveContainer({ container_id: id });
  t.true((await daemon.runtime.Status({})).features?.mount_options);
});

test.serial('a mount option that is none is INVALID_ARGUMENT', async (t) => {
  for (const option of ['no-such', 'ro', 'bind', 'shared', 'size=1m', '']) {
    const mounts = [{ container_path: '/data', host_path: hostDir(), mount_options: [option] }];
    await fails(t, create(daemon, pod, mounted(mounts)), { code: 'INVALID_ARGUMENT', message: /mount_options\[0\]/ });
  }
});

test.serial('propagation from a source that is not shared is refused', async (t) => {
  const dir = hostDir();
  mount('--bind', dir, dir);
  t.teardown(() => umount(dir));
  mount('--make-private', dir);
  for (const propagation of ['PROPAGATION_HOST_TO_CONTAINER', 'PROPAGATION_BIDIRECTIONAL'] as const) {
    const config = mounted([{ container_path: '/data', host_path: dir, propagation }]);
    await t.throwsAsync(create(daemon, pod, config), { message: /shared/ });
  }
});

test.serial('a hung or odd source does not break the pod: sockets and fifos are mounted as they are', async (t) => {
  const dir = hostDir();
  execFileSync('mkfifo', [join(dir, 'fifo')]);
  const mounts = [{ container_path: '/run/fifo', host_path: join(dir, 'fifo') }];
  t.is((await output(daemon, pod, mounted(mounts, 'test -p /run/fifo && echo fifo'))).stdout, 'fifo\n');
  const socket = [{ container_path: '/run/podwright.sock', host_path: daemon.socket }];
  t.is((await output(daemon, pod, mounted(socket, 'test -S /run/podwright.sock && echo socket'))).stdout, 'socket\n');
});

test.serial('the root cannot be mounted over by mistake: container_path / is refused', async (t) => {
  const config = mounted([{ container_path: '/', host_path: hostDir() }]);
  await fails(t, create(daemon, pod, config), { code: 'INVALID_ARGUMENT', message: /container_path/ });
});

endsWithoutResidue(test, daemon);
