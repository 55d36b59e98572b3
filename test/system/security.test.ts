// What confines a container: capabilities, seccomp, no_new_privs, paths, users, devices, read-only root; and what privileged lifts.
import test from 'ava';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { LinuxContainerSecurityContext } from '../../src/proto/generated/cri/runtime/v1/LinuxContainerSecurityContext.ts';
import type { NamespaceOption } from '../../src/proto/generated/cri/runtime/v1/NamespaceOption.ts';
import { endsWithoutResidue, useDaemon } from '../helpers/daemon.ts';
import {
  containerConfig,
  create,
  exec,
  exited,
  fails,
  output,
  pull,
  readLog,
  runPod,
  scripted,
  shell,
  start,
  statusOf,
  type Pod,
} from '../helpers/pods.ts';
import { ref } from '../helpers/registry.ts';

const daemon = useDaemon(test);
const nnpImage = ref('e2e-test-images/nonewprivs:1.3');
const groupsImage = ref('k8s-staging-cri-tools/test-image-predefined-group');
const userImage = ref('k8s-staging-cri-tools/test-image-user-username');
let pod: Pod;

test.before('a pod', async () => {
  await Promise.all([pull(daemon), pull(daemon, nnpImage), pull(daemon, groupsImage), pull(daemon, userImage)]);
  pod = await runPod(daemon);
});

const secured = (security_context: LinuxContainerSecurityContext, script = 'sleep 3600') =>
  scripted(script, { linux: { security_context } });

/** Runs a script under a security context and answers its trimmed output. */
async function said(security: LinuxContainerSecurityContext, script: string): Promise<string> {
  const { stdout, stderr } = await output(daemon, pod, secured(security, script));
  return `${stdout}${stderr}`.trim();
}

const status = (field: string): string => `sed -n "s/^${field}:[[:space:]]*//p" /proc/self/status`;

// capabilities(7), by number
const bit = { CHOWN: 0, NET_BIND_SERVICE: 10, NET_ADMIN: 12, NET_RAW: 13, SYS_ADMIN: 21, SYS_TIME: 25 } as const;
const has = (mask: string, name: keyof typeof bit): boolean => ((BigInt(`0x${mask}`) >> BigInt(bit[name])) & 1n) === 1n;

test.serial('capabilities are the default ones, with an empty inheritable and ambient set', async (t) => {
  const text = await said(
    {},
    `${status('CapEff')}; ${status('CapPrm')}; ${status('CapBnd')}; ${status('CapInh')}; ${status('CapAmb')}`,
  );
  const [effective = '0', permitted = '0', bounding = '0', inheritable, ambient] = text.split('\n');
  t.is(effective, permitted);
  t.is(effective, bounding);
  t.true(has(effective, 'CHOWN') && has(effective, 'NET_RAW'));
  t.false(has(effective, 'SYS_ADMIN') || has(effective, 'NET_ADMIN'));
  t.is(BigInt(`0x${inheritable}`), 0n, 'CVE-2022-29162');
  t.is(BigInt(`0x${ambient}`), 0n);
});

test.serial('capabilities are added and dropped, with or without CAP_, and ALL first', async (t) => {
  const effective = status('CapEff');
  const added = await said(
    { capabilities: { add_capabilities: ['NET_ADMIN'], drop_capabilities: ['CAP_NET_RAW'] } },
    effective,
  );
  t.true(has(added, 'NET_ADMIN') && has(added, 'CHOWN') && !has(added, 'NET_RAW'));
  const one = await said({ capabilities: { add_capabilities: ['CAP_CHOWN'], drop_capabilities: ['ALL'] } }, effective);
  t.is(BigInt(`0x${one}`), 1n);
  const none = await said({ capabilities: { drop_capabilities: ['ALL'] } }, `${effective}; chown 1 /tmp 2>&1`);
  t.regex(none, /^0+\n.*Operation not permitted/);
  const ambient = {
    capabilities: { add_capabilities: ['NET_BIND_SERVICE'], add_ambient_capabilities: ['NET_BIND_SERVICE'] },
    run_as_user: { value: '1000' },
  };
  t.true(has(await said(ambient, status('CapAmb')), 'NET_BIND_SERVICE'));
});

test.serial('a user that is not root has no capabilities in effect', async (t) => {
  t.is(BigInt(`0x${await said({ run_as_user: { value: '1000' } }, status('CapEff'))}`), 0n);
});

test.serial('no_new_privs takes the effect from setuid programs', async (t) => {
  const run = async (no_new_privs: boolean): Promise<string> => {
    const config = containerConfig({
      image: { image: nnpImage },
      command: [],
      linux: { security_context: { no_new_privs, run_as_user: { value: '1000' } } },
    });
    const { stdout, stderr } = await output(daemon, pod, config);
    return stdout + stderr;
  };
  t.regex(await run(false), /Effective uid: 0/);
  t.regex(await run(true), /Effective uid: 1000/);
  t.is(await said({ no_new_privs: true }, status('NoNewPrivs')), '1');
});

test.serial('masked paths show nothing, read-only paths refuse writing', async (t) => {
  const security = {
    masked_paths: ['/proc/meminfo', '/sys/firmware', '/no/such'],
    readonly_paths: ['/proc/sys', '/no/such'],
  };
  const script = [
    'exec 2> /dev/null',
    'wc -c < /proc/meminfo',
    'ls /sys/firmware | wc -l',
    '(echo x > /sys/firmware/x) || echo refused',
    '(echo 1 > /proc/sys/net/ipv4/ip_forward) || echo refused',
    '(echo 1 > /proc/self/oom_score_adj) && echo open',
  ].join('; ');
  t.deepEqual((await said(security, script)).split('\n'), ['0', '0', 'refused', 'refused', 'open']);
  t.not(await said({}, 'grep -c "" /proc/interrupts'), '0', 'nothing is masked unasked');
});

test.serial('a read-only root file system refuses writing, mounts and /dev/shm do not', async (t) => {
  const directory = join(daemon.dir, 'writable');
  mkdirSync(directory, { recursive: true });
  const script =
    'touch /x 2>&1; touch /etc/x 2>&1; touch /mnt/x && touch /dev/shm/x && echo fine; echo o > /dev/null && echo null';
  const config = {
    ...secured({ readonly_rootfs: true }, script),
    mounts: [{ container_path: '/mnt', host_path: directory }],
  };
  const { stdout } = await output(daemon, pod, config);
  t.is(stdout.match(/Read-only file system/g)?.length, 2);
  t.regex(stdout, /fine\nnull\n$/);
});

test.serial(
  '/proc/sys, /sys and cgroups are read-only unless privileged, and the kernel cannot be talked to',
  async (t) => {
    const script =
      'for f in /sys/kernel/uevent_helper /sys/fs/cgroup/x; do touch $f 2>/dev/null && echo wrote $f; done; mount -t tmpfs x /tmp 2>&1; mknod /tmp/kmem c 1 1 && head -c 1 /tmp/kmem 2>&1';
    const text = await said({ masked_paths: [], readonly_paths: [] }, script);
    t.notRegex(text, /wrote/);
    t.regex(text, /mount: .*(not permitted|denied)/i);
    t.regex(text, /kmem: Operation not permitted/, 'the device rules of the cgroup');
  },
);

test.serial('only the usual devices are there', async (t) => {
  const text = await said(
    {},
    'ls -1 /dev | tr "\\n" " "; for d in null zero full random urandom tty; do test -c /dev/$d || echo no $d; done; test -L /dev/fd && test -L /dev/ptmx && echo links',
  );
  t.regex(text, /links$/);
  t.notRegex(text, / no | mem | kmsg | vda | sda /);
});

test.serial('a device that is asked for is there with its permissions', async (t) => {
  const config = (permissions: string) => ({
    ...secured(
      {},
      'ls -l /dev/given; head -c 1 /dev/given > /dev/null 2>&1 && echo read; echo x 2>/dev/null > /dev/given && echo written',
    ),
    devices: [{ host_path: '/dev/zero', container_path: '/dev/given', permissions }],
  });
  t.regex((await output(daemon, pod, config('rwm'))).stdout, /1,\s+5 .*\nread\nwritten\n$/);
  const missing = {
    ...containerConfig(),
    devices: [{ host_path: '/dev/no-such-device', container_path: '/dev/x', permissions: 'r' }],
  };
  await t.throwsAsync(create(daemon, pod, missing), { message: /no-such-device/ });
});

test.serial('users and groups: numbers, names, groups of the image, merged or strict', async (t) => {
  const ids = 'id -u; id -g; id -G';
  t.is(await said({ run_as_user: { value: '1234' }, run_as_group: { value: '4321' } }, ids), '1234\n4321\n4321');
  t.is(await said({ run_as_user: { value: '1234' }, supplemental_groups: ['7', '8'] }, ids), '1234\n0\n0 7 8');
  const byImage = { ...secured({}, `${ids}; id -un`), image: { image: userImage } };
  t.regex((await output(daemon, pod, byImage)).stdout, /www-data\n$/);
  const inGroups = async (supplemental_groups_policy: 'Merge' | 'Strict') => {
    const config = {
      ...secured({ supplemental_groups: ['60000'], supplemental_groups_policy }, 'id -G; sleep 3600'),
      image: { image: groupsImage },
    };
    const id = await start(daemon, pod, config);
    const { user } = await statusOf(daemon, id);
    const inside = (await shell(daemon, id, 'id -G')).split(' ').toSorted();
    await daemon.runtime.RemoveContainer({ container_id: id });
    return { inside, told: [...(user?.linux?.supplemental_groups ?? [])].toSorted() };
  };
  t.deepEqual(await inGroups('Merge'), { inside: ['1000', '50000', '60000'], told: ['1000', '50000', '60000'] });
  t.deepEqual(await inGroups('Strict'), { inside: ['1000', '60000'], told: ['1000', '60000'] });
  await t.throwsAsync(create(daemon, pod, secured({ run_as_username: 'nobody-knows' })), { message: /nobody-knows/ });
});

const denied = /Operation not permitted|Permission denied/i;

test.serial('seccomp RuntimeDefault refuses what it should and lets work go on', async (t) => {
  const profile = { seccomp: { profile_type: 'RuntimeDefault' } } as const;
  const unconfined = { seccomp: { profile_type: 'Unconfined' } } as const;
  t.is(await said(profile, `${status('Seccomp')}; ls / > /dev/null && echo works`), '2\nworks');
  t.is(await said({}, status('Seccomp')), '0', 'no profile is unconfined');
  t.is(await said(unconfined, status('Seccomp')), '0');
  // a user namespace takes no capability (user_namespaces(7)), so that it is the filter that refuses
  t.is(await said(unconfined, 'unshare -U true && echo made'), 'made');
  t.regex(await said(profile, 'unshare -U true 2>&1'), denied);
  t.regex(await said(profile, 'mount -t tmpfs none /tmp 2>&1'), denied);
});

test.serial('seccomp Localhost takes a profile of the node', async (t) => {
  const file = join(daemon.dir, 'no-mkdir.json');
  const rule = { names: ['mkdir', 'mkdirat'], action: 'SCMP_ACT_ERRNO', errnoRet: 13 };
  writeFileSync(
    file,
    JSON.stringify({ defaultAction: 'SCMP_ACT_ALLOW', architectures: ['SCMP_ARCH_X86_64'], syscalls: [rule] }),
  );
  const profile = { seccomp: { profile_type: 'Localhost', localhost_ref: file } } as const;
  t.regex(await said(profile, 'mkdir /made 2>&1; touch /touched && echo touched'), /Permission denied\ntouched$/);
  const missing = { seccomp: { profile_type: 'Localhost', localhost_ref: '/no/such/profile.json' } } as const;
  await t.throwsAsync(create(daemon, pod, secured(missing)), { message: /no\/such\/profile/ });
});

test.serial('an AppArmor profile that cannot be applied is an error', async (t) => {
  await fails(t, create(daemon, pod, secured({ apparmor: { profile_type: 'Localhost', localhost_ref: 'mine' } })), {
    code: 'FAILED_PRECONDITION',
    message: /AppArmor/i,
  });
});

test.serial('privileged lifts all of it', async (t) => {
  const other = await runPod(daemon, { linux: { security_context: { privileged: true } } });
  const security = {
    privileged: true,
    seccomp: { profile_type: 'RuntimeDefault' },
    masked_paths: ['/proc/meminfo'],
    readonly_paths: ['/proc/sys'],
  } as LinuxContainerSecurityContext;
  const id = await start(daemon, other, secured(security));
  const script = [
    status('Seccomp'),
    'mount -t tmpfs x /tmp && echo mounted',
    'grep -q MemTotal /proc/meminfo && echo unmasked',
    'touch /proc/sys/net/ipv4/ip_forward && echo sys',
    'ls /dev | wc -l',
    'head -c 1 /dev/mem 2>&1 | wc -c',
  ].join('; ');
  const [seccomp, mounted, unmasked, sys, devices] = (await shell(daemon, id, script)).split('\n');
  t.deepEqual([seccomp, mounted, unmasked, sys], ['0', 'mounted', 'unmasked', 'sys']);
  t.true(Number(devices) > 30, 'all devices of the host');
  const mask = await shell(daemon, id, status('CapEff'));
  t.true(has(mask, 'SYS_ADMIN') && has(mask, 'SYS_TIME'));
  await daemon.removePod(other.id);
});

test.serial('the program of the monitor and of init are out of reach', async (t) => {
  const entrypoint = await create(daemon, pod, containerConfig({ command: ['/proc/self/exe'] }));
  const failed = await daemon.runtime.StartContainer({ container_id: entrypoint }).then(
    () => null,
    (error: Error) => error,
  );
  // whatever the kernel makes of it, what runs must not be the monitor
  if (failed === null) t.notRegex((await statusOf(daemon, entrypoint)).message, /podwright/);
  await daemon.runtime.RemoveContainer({ container_id: entrypoint });
  for (const fd of [3, 4, 5, 6, 7, 8, 9, 10]) {
    const id = await create(
      daemon,
      pod,
      containerConfig({ command: ['sh', '-c', 'pwd; ls'], working_dir: `/proc/self/fd/${fd}` }),
    ).catch(() => null);
    if (id === null) continue;
    const started = await daemon.runtime.StartContainer({ container_id: id }).then(
      () => true,
      () => false,
    );
    t.false(started && (await leaked(id)), `working directory /proc/self/fd/${fd}`);
    await daemon.runtime.RemoveContainer({ container_id: id });
  }
  const id = await start(daemon, pod, containerConfig());
  const text = await shell(daemon, id, 'ls -l /proc/self/fd; readlink /proc/1/exe /proc/1/cwd /proc/1/root');
  t.notRegex(text, /memfd|podwright|overlay|\/tmp\/pwt/);
  await daemon.runtime.RemoveContainer({ container_id: id });
});

/**
 * Looks at every process as fast as it can, and says what of the host or the runtime it reaches through it. That the
 * pause process, or one just before its exec, is the monitor's program may be seen: the kernel refuses that link to
 * nobody with CAP_SYS_PTRACE; it is a sealed memfd, never a file of the host (docs/rulings.md, 7).
 */
const spy = (): string => `
  reach() { [ -e "$1" ] && echo "$1: $(cat $p/comm)"; }
  while [ ! -e /dev/shm/stop ]; do
    for p in /proc/[0-9]*; do
      reach $p/root${daemon.root}
      reach $p/cwd${daemon.root}
      for f in $p/fd/*; do
        case $(readlink $f 2>/dev/null) in *podwright*|*memfd*|${daemon.dir}*|mnt:*|pid:*|net:*|ipc:*|uts:*|user:*|cgroup:*|/) echo "$f: $(readlink $f 2>/dev/null)";; esac
      done
      exe=$(readlink $p/exe 2>/dev/null)
      case $exe in
        /memfd:*) echo x 2>/dev/null > $p/exe && echo "$p/exe: written to";;
        *podwright*|${daemon.dir}*) echo "$p/exe: $exe";;
      esac
      grep -aq podwright $p/environ 2>/dev/null && echo "$p/environ: $(cat $p/comm)"
    done
  done
  echo looked`;

for (const [mode, pids] of [
  ['POD', (): NamespaceOption => ({ pid: 'POD' })],
  ['TARGET', (attacker: string): NamespaceOption => ({ pid: 'TARGET', target_id: attacker })],
] as const) {
  test.serial(
    `a peer that may trace sees nothing of the monitor in a container that is made or in a command that starts: pid ${mode}`,
    async (t) => {
      const own: NamespaceOption = { pid: mode === 'POD' ? 'POD' : 'CONTAINER' };
      const other = await runPod(daemon, { linux: { security_context: { namespace_options: own } } });
      const capabilities = { add_capabilities: ['SYS_PTRACE'] };
      const security_context = { namespace_options: own, capabilities };
      const attacker = await start(daemon, other, scripted(spy(), { linux: { security_context } }));
      const config = () => containerConfig({ linux: { security_context: { namespace_options: pids(attacker) } } });
      const victims = await Promise.all(Array.from({ length: 3 }, () => create(daemon, other, config())));
      const running = await start(daemon, other, config());
      for (let n = 0; n < 40; n += 1) t.is((await exec(daemon, running, 'true')).code, 0);
      for (const id of victims) await daemon.runtime.StartContainer({ container_id: id });
      await exec(daemon, running, 'touch', '/dev/shm/stop');
      const { log_path } = await exited(daemon, attacker);
      t.deepEqual([...new Set(readLog(log_path).map(({ text }) => text.replace(/\d+/g, 'N')))], ['looked'], 'ruling 7');
      await daemon.removePod(other.id);
    },
  );
}

/** Whether a container with an odd working directory saw more than its own root (CVE-2024-21626). */
async function leaked(id: string): Promise<boolean> {
  const { log_path } = await exited(daemon, id);
  return readLog(log_path).some(({ text }) => text.includes('podwright'));
}

endsWithoutResidue(test, daemon);
