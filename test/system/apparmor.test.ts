// AppArmor: which profile the processes of a container are under. hack/testbed has a kernel for it.
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import test from 'ava';
import type { LinuxContainerSecurityContext } from '../../src/proto/generated/cri/runtime/v1/LinuxContainerSecurityContext.ts';
import { endsWithoutResidue, useDaemon } from '../helpers/daemon.ts';
import { create, fails, pull, runPod, scripted, shell, start } from '../helpers/pods.ts';

const enabled = '/sys/module/apparmor/parameters/enabled';
const parser = ['/usr/sbin/apparmor_parser', '/sbin/apparmor_parser'].find((program) => existsSync(program));
const missing =
  !existsSync(enabled) || readFileSync(enabled, 'utf8').trim() !== 'Y'
    ? 'AppArmor is off in this kernel'
    : parser === undefined
      ? 'no apparmor_parser'
      : null;

if (missing !== null) {
  test.skip(`AppArmor profiles of containers (${missing})`, () => undefined);
} else {
  const daemon = useDaemon(test);
  test.before('an image, and securityfs', async () => {
    if (!existsSync('/sys/kernel/security/apparmor'))
      execFileSync('mount', ['-t', 'securityfs', 'securityfs', '/sys/kernel/security']);
    await pull(daemon);
  });

  const under = 'cat /proc/1/attr/current; cat /proc/self/attr/current';
  const secured = (security_context: LinuxContainerSecurityContext) =>
    scripted('exec sleep 3600', { linux: { security_context } });

  test.serial('the default profile holds for a container and for commands in it, unless told otherwise', async (t) => {
    const pod = await runPod(daemon, { linux: { security_context: { privileged: true } } });
    const table: [LinuxContainerSecurityContext, string][] = [
      [{}, 'podwright-default (enforce)'],
      [{ apparmor: { profile_type: 'RuntimeDefault' }, no_new_privs: true }, 'podwright-default (enforce)'],
      [{ apparmor_profile: 'runtime/default', run_as_user: { value: '1000' } }, 'podwright-default (enforce)'],
      [{ apparmor: { profile_type: 'Unconfined' } }, 'unconfined'],
      [{ apparmor_profile: 'unconfined' }, 'unconfined'],
      [{ privileged: true }, 'unconfined'],
      [{ privileged: true, apparmor: { profile_type: 'RuntimeDefault' } }, 'unconfined'],
      [
        { privileged: true, apparmor: { profile_type: 'Localhost', localhost_ref: 'podwright-default' } },
        'podwright-default (enforce)',
      ],
    ];
    for (const [security, expected] of table) {
      const id = await start(daemon, pod, secured(security));
      t.is(await shell(daemon, id, under), `${expected}\n${expected}`, JSON.stringify(security));
      await daemon.runtime.RemoveContainer({ container_id: id });
    }
    await daemon.removePod(pod.id);
  });

  test.serial('the default profile denies what capabilities alone would allow', async (t) => {
    const pod = await runPod(daemon);
    const all = { capabilities: { add_capabilities: ['ALL'] } };
    const script =
      'mkdir /m; mount -t tmpfs x /m 2>&1; echo 1 > /proc/sys/vm/drop_caches; (echo x > /proc/sysrq-trigger) 2>&1; touch /tmp/x && echo writes; kill -0 1 && echo signals';
    const confined = await start(daemon, pod, secured(all));
    const said = await shell(daemon, confined, `(${script}) 2>&1`);
    t.regex(said, /mount.*(denied|not permitted)/i);
    t.regex(said, /sysrq-trigger: Permission denied/);
    t.regex(said, /writes\nsignals$/);
    const free = await start(daemon, pod, secured({ ...all, apparmor: { profile_type: 'Unconfined' } }));
    t.is(await shell(daemon, free, 'mkdir /m; mount -t tmpfs x /m && echo mounted'), 'mounted');
    await daemon.removePod(pod.id);
  });

  test.serial('with a shared pid namespace the last of the processes is under the profile, too', async (t) => {
    const pod = await runPod(daemon, { linux: { security_context: { namespace_options: { pid: 'POD' } } } });
    const id = await start(daemon, pod, secured({ namespace_options: { pid: 'POD' } }));
    t.is(await shell(daemon, id, 'cat /proc/$(pgrep -f "[s]leep 3600")/attr/current'), 'podwright-default (enforce)');
    await daemon.removePod(pod.id);
  });

  test.serial('a profile that is not loaded is refused, and Status tells of the default one', async (t) => {
    const pod = await runPod(daemon);
    for (const wish of [
      { apparmor: { profile_type: 'Localhost', localhost_ref: 'no-such-profile' } },
      { apparmor_profile: 'localhost/no-such-profile' },
    ] as const) {
      await fails(t, create(daemon, pod, secured(wish)), { code: 'FAILED_PRECONDITION', message: /no-such-profile/ });
    }
    const { info } = await daemon.runtime.Status({ verbose: true });
    t.deepEqual(JSON.parse(info['apparmor'] ?? ''), {
      enabled: true,
      defaultProfile: 'podwright-default',
      trouble: null,
    });
    await daemon.removePod(pod.id);
  });

  endsWithoutResidue(test, daemon);
}
