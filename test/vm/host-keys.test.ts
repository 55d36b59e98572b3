// Keys of the whole host (keyrings(7)): each container has a session keyring of its own, which counts where the daemon was
// started in a session, as systemd and a login start it. hack/test.sh vm-limits runs it.
import { chmodSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { endsWell, livePod, Scarcity, type Shortage } from '../faults/shortage.ts';
import { dist, endsWithoutResidue, TestDaemon } from '../helpers/daemon.ts';
import { HostLimit, liftsHostLimits, whyNoHostLimits } from '../helpers/host-limits.ts';
import { containerConfig, pull, runPod, start } from '../helpers/pods.ts';

const real = whyNoHostLimits === null ? test.serial : test.serial.skip;
const title = (what: string): string => (whyNoHostLimits === null ? what : `${what} [${whyNoHostLimits}]`);

/** The build, its daemon in a session: 250 is keyctl, 1 is KEYCTL_JOIN_SESSION_KEYRING. */
const inSession = `/tmp/pwk-${process.pid}`;
const daemon = new TestDaemon({ dist: inSession });

test.before('a daemon in a session, and an image', async () => {
  mkdirSync(inSession);
  const start = `exec perl -e 'syscall(250, 1, 0) > 0 or die "keyctl: $!"; exec @ARGV' ${join(dist, 'podwrightd')} "$@"`;
  writeFileSync(join(inSession, 'podwrightd'), `#!/bin/sh\n${start}\n`);
  chmodSync(join(inSession, 'podwrightd'), 0o755);
  await daemon.start();
  await pull(daemon);
});
liftsHostLimits(test, daemon);
test.after.always('everything is swept away', async () => {
  await daemon.destroy();
  rmSync(inSession, { recursive: true });
});

/** Keys of a user that count, by /proc/key-users (proc(5)). */
function present(uid: number): number {
  const line = new RegExp(`^ *${uid}: +\\d+ \\S+ (\\d+)/`, 'm').exec(readFileSync('/proc/key-users', 'utf8'));
  return Number(line?.[1] ?? 0);
}

function keys(name: string, uid: number): Shortage {
  const limit = new HostLimit(name);
  return {
    limit: (more) => limit.set(present(uid) + more),
    lift: () => limit.lift(),
    reason: /quota exceeded \(errno 122\); there are no more keys \(kernel\.keys\.maxkeys, /,
  };
}

const first = 400_000;
const ids = [{ container_id: 0, host_id: first, length: 65_536 }];
const userns_options = { mode: 'POD', uids: ids, gids: ids } as const;

for (const [name, uid, options] of [
  ['kernel.keys.root_maxkeys', 0, {}],
  ['kernel.keys.maxkeys', first, { userns_options }],
] as const) {
  real(title(`${name}, keys of user ${uid}`), async (t) => {
    t.timeout(10 * 60_000);
    const { pid } = daemon;
    const asked = { linux: { security_context: { namespace_options: options } } };
    // there is no limit of none: somebody has one
    const holder = await runPod(daemon, asked);
    await start(daemon, holder, containerConfig(asked));
    const scarcity = new Scarcity(t, keys(name, uid), asked);
    for (const more of [0, 1, 2]) await livePod(daemon, scarcity, more);
    t.log(scarcity.failures);
    for (const verb of ['CreateContainer', 'ExecSync'])
      t.true((scarcity.failures[verb] ?? 0) > 0, `${verb} met the limit`);
    t.is(scarcity.failures['StartContainer'], 0, 'a container has its keyring before it is started');
    await daemon.removePod(holder.id);
    await endsWell(t, daemon, pid);
  });
}

if (whyNoHostLimits === null) endsWithoutResidue(test, daemon);
