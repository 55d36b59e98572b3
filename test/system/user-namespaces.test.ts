// Pods with a user namespace: whose processes, files and namespaces are, seen from inside and from outside.
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readlinkSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { ContainerConfig } from '../../src/proto/generated/cri/runtime/v1/ContainerConfig.ts';
import type { Mount } from '../../src/proto/generated/cri/runtime/v1/Mount.ts';
import type { NamespaceOption } from '../../src/proto/generated/cri/runtime/v1/NamespaceOption.ts';
import type { PodSandboxConfig } from '../../src/proto/generated/cri/runtime/v1/PodSandboxConfig.ts';
import { endsWithoutResidue, useDaemon } from '../helpers/daemon.ts';
import {
  containerConfig,
  create,
  exec,
  exited,
  fails,
  output,
  pidOf,
  type Pod,
  podConfig,
  podIp,
  pull,
  runPod,
  scripted,
  shell,
  start,
  statusOf,
} from '../helpers/pods.ts';
import { until } from '../helpers/until.ts';

const daemon = useDaemon(test);
const first = 300_000;
const count = 65_536;
const ids = [{ container_id: 0, host_id: first, length: count }];
const userns_options = { mode: 'POD', uids: ids, gids: ids } as const;
const byIds = { uidMappings: ids, gidMappings: ids };

let pod: Pod;

const podOf = (options: NamespaceOption = {}, more: PodSandboxConfig = {}): PodSandboxConfig => ({
  ...more,
  linux: { ...more.linux, security_context: { namespace_options: { userns_options, ...options } } },
});

/** A container as a kubelet asks for it: the pod's namespaces repeated. */
const inside = (script: string, wish: ContainerConfig = {}): ContainerConfig =>
  scripted(script, {
    ...wish,
    linux: {
      ...wish.linux,
      security_context: {
        ...wish.linux?.security_context,
        namespace_options: { userns_options, ...wish.linux?.security_context?.namespace_options },
      },
    },
  });

const waiting = (wish: ContainerConfig = {}): ContainerConfig => inside('exec sleep 3600', wish);

const statusLine = (pid: number, name: string): string[] =>
  (new RegExp(`^${name}:\\s*(.*)$`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? '').split(/\s+/);

const upperOf = (id: string, path: string): string => join(daemon.root, 'snapshots', id, 'upper', path);

test.before('a pod', async () => {
  await pull(daemon);
  pod = await runPod(daemon, podOf());
});

test.serial('Status tells that pods can have user namespaces, with the host’s network too', async (t) => {
  const { runtime_handlers, features, info } = await daemon.runtime.Status({ verbose: true });
  t.deepEqual(
    runtime_handlers
      .filter(({ name }) => name === '' || name === 'podwright')
      .map((each) => each.features?.user_namespaces),
    [true, true],
    info['userNamespaceTrouble'],
  );
  t.true(features?.user_namespaces_host_network);
  t.false(
    existsSync(join(daemon.root, 'user-namespaces-probe')) || existsSync(join(daemon.state, 'user-namespaces-probe')),
  );
});

test.serial('PodSandboxStatus repeats the ids', async (t) => {
  const { status } = await daemon.runtime.PodSandboxStatus({ pod_sandbox_id: pod.id });
  t.like(status?.linux?.namespaces?.options?.userns_options, userns_options);
  const plain = await runPod(daemon);
  const other = await daemon.runtime.PodSandboxStatus({ pod_sandbox_id: plain.id });
  t.is(other.status?.linux?.namespaces?.options?.userns_options?.mode, 'NODE');
  await daemon.removePod(plain.id);
});

test.serial(
  'root inside is an ordinary user outside, in exec too, and its capabilities end at the border',
  async (t) => {
    const id = await start(daemon, pod, waiting());
    const pid = await pidOf(daemon, id);
    t.deepEqual(statusLine(pid, 'Uid'), Array<string>(4).fill(String(first)));
    t.deepEqual(statusLine(pid, 'Gid'), Array<string>(4).fill(String(first)));
    const seen = await shell(
      daemon,
      id,
      'id -u; cat /proc/self/uid_map /proc/1/gid_map; grep CapEff /proc/self/status',
    );
    t.deepEqual(seen.split(/\s+/), [
      '0',
      '0',
      `${first}`,
      `${count}`,
      '0',
      `${first}`,
      `${count}`,
      'CapEff:',
      '00000000a80425fb',
    ]);
    t.not(readlinkSync(`/proc/${pid}/ns/user`), readlinkSync('/proc/self/ns/user'));
    // CHOWN and MKNOD are held, and mean nothing for what is the host's
    t.is(await shell(daemon, id, 'mknod /tmp/zero c 1 5 2>/dev/null || echo refused'), 'refused');
    t.is(await shell(daemon, id, 'chown 0 /proc/sys/kernel/hostname 2>/dev/null || echo refused'), 'refused');
    t.is(await shell(daemon, id, 'echo x > /dev/null && head -c 4 /dev/zero | wc -c'), '4');
    await daemon.runtime.RemoveContainer({ container_id: id });
  },
);

test.serial('users other than root: process, streams and groups; one without an id is refused', async (t) => {
  const as = (uid: number, groups: number[] = []) => ({
    linux: {
      security_context: {
        run_as_user: { value: String(uid) },
        run_as_group: { value: '1002' },
        supplemental_groups: groups.map(String),
      },
    },
  });
  const id = await start(daemon, pod, waiting(as(1001, [1003])));
  const pid = await pidOf(daemon, id);
  t.is(statusLine(pid, 'Uid')[0], String(first + 1001));
  t.deepEqual(
    statusLine(pid, 'Groups').filter((gid) => gid !== ''),
    [first + 1002, first + 1003].map(String),
  );
  t.like((await statusOf(daemon, id)).user?.linux, { uid: '1001', gid: '1002' });
  t.is(await shell(daemon, id, 'id -u; echo again > /dev/stdout'), '1001\nagain');
  const refused = create(daemon, pod, waiting(as(count)));
  await fails(t, refused, { code: 'INVALID_ARGUMENT', message: /user 65536 is not mapped/ });
  await daemon.runtime.RemoveContainer({ container_id: id });
});

test.serial('the root file system: owners inside, and on disk as without a user namespace', async (t) => {
  const script = `stat -c %u:%g / /bin/sh /etc/passwd; touch /made; mkdir /dir; chown 33:34 /dir; stat -c %u:%g /made /dir;
    mkdir -p /etc; echo more >> /etc/passwd; stat -c %u /etc/passwd /etc/hosts /etc/hostname /etc/resolv.conf; echo x >> /etc/hosts`;
  const id = await start(daemon, pod, waiting());
  const { stdout, stderr } = await exec(daemon, id, 'sh', '-c', script);
  t.deepEqual(
    [stdout.split('\n').slice(0, -1), stderr],
    [['0:0', '0:0', '0:0', '0:0', '33:34', '0', '0', '0', '0'], ''],
  );
  const owners = ['made', 'dir', 'etc/passwd'].map((path) => statSync(upperOf(id, path)).uid);
  t.deepEqual(owners, [0, 33, 0]);
  // the layers are those of every other container
  const plain = await runPod(daemon);
  t.is((await output(daemon, plain, scripted('stat -c %u:%g /bin/sh; cat /etc/passwd'))).stdout.split('\n')[0], '0:0');
  await daemon.removePod(plain.id);
  await daemon.runtime.RemoveContainer({ container_id: id });
});

test.serial('volumes: by the pod’s ids where asked for, unmapped where not', async (t) => {
  const dir = join(daemon.dir, 'volume');
  mkdirSync(dir);
  writeFileSync(join(dir, 'file'), 'content\n');
  writeFileSync(join(dir, 'termination'), '', { mode: 0o666 });
  const mounts: Mount[] = [
    { container_path: '/mapped', host_path: dir, ...byIds },
    { container_path: '/plain', host_path: dir },
    { container_path: '/shut', host_path: dir, readonly: true, recursive_read_only: true, ...byIds },
    { container_path: '/dev/termination-log', host_path: join(dir, 'termination'), ...byIds },
  ];
  const id = await start(daemon, pod, waiting({ mounts }));
  const seen = await shell(
    daemon,
    id,
    `stat -c %u /mapped/file /plain/file /shut/file /dev/termination-log; touch /mapped/new; chown 7 /mapped/new; stat -c %u /mapped/new /plain/new;
     touch /plain/x 2>/dev/null || echo no; touch /shut/x 2>/dev/null || echo no; echo bye > /dev/termination-log`,
  );
  t.deepEqual(seen.split('\n'), ['0', '65534', '0', '0', '7', '65534', 'no', 'no']);
  t.deepEqual([statSync(join(dir, 'new')).uid, statSync(join(dir, 'file')).uid], [7, 0]);
  t.is(readFileSync(join(dir, 'termination'), 'utf8'), 'bye\n');
  const told = (await statusOf(daemon, id)).mounts.find(({ container_path }) => container_path === '/mapped');
  t.like(told, { uidMappings: ids, gidMappings: ids });
  await daemon.runtime.RemoveContainer({ container_id: id });
});

test.serial('a volume with mounts below it, and one that cannot be shown by other ids', async (t) => {
  const dir = join(daemon.dir, 'tree');
  mkdirSync(join(dir, 'sub'), { recursive: true });
  execFileSync('mount', ['-t', 'tmpfs', 'pwt', join(dir, 'sub')]);
  t.teardown(() => execFileSync('umount', [join(dir, 'sub')]));
  const mounts = [{ container_path: '/tree', host_path: dir, ...byIds }];
  const made = await output(daemon, pod, inside('stat -c %u /tree /tree/sub; touch /tree/sub/x', { mounts }));
  t.is(made.stdout, '0\n0\n');
  t.is(statSync(join(dir, 'sub/x')).uid, 0);
  const proc = [{ container_path: '/p', host_path: '/proc/sys/net', ...byIds }];
  await fails(t, create(daemon, pod, waiting({ mounts: proc })), { code: 'UNIMPLEMENTED', message: /idmapped mounts/ });
});

test.serial('an image as a volume has the pod’s owners', async (t) => {
  const image = { image: containerConfig().image?.image ?? '' };
  const mounts = [
    { container_path: '/image', image },
    { container_path: '/bin-of-it', image, image_sub_path: 'bin' },
  ];
  const { stdout } = await output(
    daemon,
    pod,
    inside('stat -c %u /image /image/bin/sh /bin-of-it/sh; touch /image/x || echo no', { mounts }),
  );
  t.is(stdout, '0\n0\n0\nno\n');
});

test.serial('every namespace belongs to the user namespace; the network works from outside', async (t) => {
  const id = await start(daemon, pod, waiting());
  const pid = await pidOf(daemon, id);
  const user = statSync(`/proc/${pid}/ns/user`).ino;
  const columns = ['-n', '-o', 'NS,ONS', '-p', String(pid)];
  // lsns of util-linux before 2.40 fails when any process of the machine ends while it is looked at (ESRCH)
  const listed = await until('namespaces are listed', () => {
    const { status, stdout } = spawnSync('lsns', columns, { encoding: 'utf8' });
    return status === 0 && { stdout };
  });
  const owners = listed.stdout
    .trim()
    .split('\n')
    .map((line) => line.trim().split(/\s+/));
  const owned = ['net', 'ipc', 'uts', 'mnt', 'pid', 'cgroup'].map((name) => {
    const inode = String(statSync(`/proc/${pid}/ns/${name}`).ino);
    return owners.find(([ns]) => ns === inode)?.[1];
  });
  t.deepEqual(owned, Array<string>(6).fill(String(user)));
  const ip = await podIp(daemon, pod);
  t.regex(ip, /^10\./);
  t.is(
    await shell(
      daemon,
      id,
      `ip -4 -o addr show eth0 | grep -c ' ${ip}/'; ls -d /sys/class/net/eth0 /sys/class/net/lo | wc -l`,
    ),
    '1\n2',
  );
  t.regex(
    await shell(daemon, id, `ping -c 1 -w 20 ${daemon.gateway} | grep -c 'bytes from' || echo unreachable`),
    /^1$/,
  );
  await daemon.runtime.RemoveContainer({ container_id: id });
});

test.serial('sysctls, /dev/shm, message queues and host name are the pod’s', async (t) => {
  const sysctls = { 'net.ipv4.ip_forward': '1', 'kernel.msgmax': '9000', 'net.ipv4.ip_unprivileged_port_start': '0' };
  const own = await runPod(daemon, podOf({}, { hostname: 'apart', linux: { sysctls } }));
  const script = `cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax; hostname; stat -c %u /dev/shm; touch /dev/mqueue/q /dev/shm/s; stat -c %u /dev/shm/s`;
  const { stdout, stderr } = await output(daemon, own, inside(script));
  t.deepEqual([stdout.split('\n').slice(0, -1), stderr], [['1', '9000', 'apart', '0', '0'], '']);
  await daemon.removePod(own.id);
  const wrong = podConfig(daemon, podOf({}, { linux: { sysctls: { 'net.ipv4.ping_group_range': '0 2147483647' } } }));
  await fails(t, daemon.runtime.RunPodSandbox({ config: wrong }), {
    code: 'INVALID_ARGUMENT',
    message: /ping_group_range/,
  });
});

test.serial('shared pids: the pause and every container in one pid namespace of the pod', async (t) => {
  const shared = await runPod(daemon, podOf({ pid: 'POD' }));
  const pids = { linux: { security_context: { namespace_options: { pid: 'POD' } } } } as const;
  const one = await start(daemon, shared, inside('exec sleep 1234', pids));
  const two = await start(daemon, shared, waiting(pids));
  t.is(
    await shell(daemon, two, 'cat /proc/1/comm; cat /proc/[0-9]*/cmdline | tr "\\0" " " | grep -c "sleep 1234"'),
    'podwright-pause\n1',
  );
  const [a, b] = [await pidOf(daemon, one), await pidOf(daemon, two)];
  t.is(readlinkSync(`/proc/${a}/ns/pid`), readlinkSync(`/proc/${b}/ns/pid`));
  t.is(statusLine(b, 'Uid')[0], String(first));
  const target = { linux: { security_context: { namespace_options: { pid: 'TARGET', target_id: one } } } } as const;
  const { stdout } = await output(daemon, shared, inside('cat /proc/1/comm', target));
  t.is(stdout, 'podwright-pause\n');
  await daemon.removePod(shared.id);
});

test.serial('another container’s own pids are joined by TARGET', async (t) => {
  const id = await start(daemon, pod, { ...inside(''), command: ['sleep', '4321'] });
  const target = { linux: { security_context: { namespace_options: { pid: 'TARGET', target_id: id } } } } as const;
  const { stdout } = await output(daemon, pod, inside('tr "\\0" " " < /proc/1/cmdline', target));
  t.is(stdout.trim(), 'sleep 4321');
  await daemon.runtime.RemoveContainer({ container_id: id });
});

test.serial('with the host’s network /sys is the host’s, and harmless', async (t) => {
  const host = await runPod(daemon, podOf({ network: 'NODE' }));
  const node = { linux: { security_context: { namespace_options: { network: 'NODE' } } } } as const;
  const id = await start(daemon, host, waiting(node));
  const pid = await pidOf(daemon, id);
  t.is(readlinkSync(`/proc/${pid}/ns/net`), readlinkSync('/proc/self/ns/net'));
  t.is(statusLine(pid, 'Uid')[0], String(first));
  const seen = await shell(
    daemon,
    id,
    `ls -d /sys/class/net/${daemon.bridge}; touch /dev/mqueue/q && echo queue; ip link set lo down 2>/dev/null || echo refused`,
  );
  t.deepEqual(seen.split('\n'), [`/sys/class/net/${daemon.bridge}`, 'queue', 'refused']);
  await daemon.removePod(host.id);
});

test.serial('privileged: everything within, nothing without', async (t) => {
  const privileged = { linux: { security_context: { privileged: true, namespace_options: { userns_options } } } };
  const strong = await runPod(daemon, privileged);
  const { stdout } = await output(
    daemon,
    strong,
    inside(
      'mkdir /m; mount -t tmpfs t /m && echo mounted; echo 0 > /proc/sys/kernel/sysrq || echo refused; dd if=/dev/vda of=/dev/null count=1 2>/dev/null || echo no disk',
      {
        linux: { security_context: { privileged: true } },
      },
    ),
  );
  t.is(stdout, 'mounted\nrefused\nno disk\n');
  await daemon.removePod(strong.id);
});

test.serial('no_new_privs and the default seccomp profile go with it', async (t) => {
  const security_context = { no_new_privs: true, seccomp: { profile_type: 'RuntimeDefault' } } as const;
  const { stdout } = await output(
    daemon,
    pod,
    inside('grep -E "NoNewPrivs|Seccomp:" /proc/self/status', { linux: { security_context } }),
  );
  t.is(stdout.replaceAll(/\s+/g, ' ').trim(), 'NoNewPrivs: 1 Seccomp: 2');
});

test.serial('a terminal belongs to its user', async (t) => {
  const security_context = { run_as_user: { value: '12' } };
  const id = await start(daemon, pod, inside('tty; stat -c %u:%g $(tty)', { tty: true, linux: { security_context } }));
  const status = await exited(daemon, id);
  t.is(status.exit_code, 0);
  t.regex(readFileSync(status.log_path, 'utf8'), /\/dev\/pts\/0\r?\n.*F 12:5/);
  await daemon.runtime.RemoveContainer({ container_id: id });
});

test.serial('what is refused', async (t) => {
  const run = (options: NamespaceOption) => daemon.runtime.RunPodSandbox({ config: podConfig(daemon, podOf(options)) });
  const invalid = (message: RegExp) => ({ code: 'INVALID_ARGUMENT', message }) as const;
  await fails(t, run({ pid: 'NODE' }), invalid(/namespace_options.pid/));
  await fails(t, run({ ipc: 'NODE' }), invalid(/namespace_options.ipc/));
  for (const mode of ['CONTAINER', 'TARGET'] as const)
    await fails(t, run({ userns_options: { mode } }), invalid(/userns_options.mode/));
  await fails(t, run({ userns_options: { mode: 'POD' } }), invalid(/uids is empty/));
  const at = (mounts: Mount[], options: NamespaceOption = {}) =>
    create(daemon, pod, waiting({ mounts, linux: { security_context: { namespace_options: options } } }));
  const volume = { container_path: '/v', host_path: daemon.dir };
  const others = [{ container_id: 0, host_id: first + 1, length: count }];
  await fails(t, at([{ ...volume, propagation: 'PROPAGATION_BIDIRECTIONAL' }]), invalid(/BIDIRECTIONAL/));
  await fails(t, at([{ ...volume, uidMappings: others, gidMappings: others }]), invalid(/not those of the pod/));
  await fails(t, at([volume], { userns_options: { mode: 'NODE' } }), invalid(/userns_options is not that of sandbox/));
  await fails(t, at([volume], { pid: 'NODE' }), invalid(/namespace_options.pid: NODE/));
  const plain = await runPod(daemon);
  await fails(t, create(daemon, plain, waiting()), invalid(/userns_options is not that of sandbox/));
  await fails(
    t,
    create(daemon, plain, { ...scripted('true'), mounts: [{ ...volume, ...byIds }] }),
    invalid(/uidMappings/),
  );
  await daemon.removePod(plain.id);
});

test.serial('pods outlive a daemon that is killed', async (t) => {
  const id = await start(daemon, pod, waiting());
  const pid = await pidOf(daemon, id);
  await daemon.crash();
  t.is(await pidOf(daemon, id), pid);
  t.is(await shell(daemon, id, 'id -u; tr -s " " < /proc/self/uid_map'), `0\n 0 ${first} ${count}`);
  t.is((await output(daemon, pod, inside('stat -c %u /etc/hosts'))).stdout, '0\n');
  const mounts = (): string[] =>
    readFileSync('/proc/self/mountinfo', 'utf8')
      .split('\n')
      .filter((line) => line.includes(daemon.dir));
  await until('no other mount of the host is left', () => mounts().length <= 1);
  t.regex(mounts().join('\n'), /^[^\n]*\/netns\/[^\n]*$/, 'the pin of the network namespace is the only one');
});

endsWithoutResidue(test, daemon);
