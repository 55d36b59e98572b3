// Which AppArmor profile a container gets, by what is asked for and what the host has.
import test from 'ava';
import { type AppArmorOptions, createAppArmor, type ProfileRequest } from '../../../src/apparmor/apparmor.ts';
import { profileNames } from '../../../src/apparmor/kernel.ts';
import { defaultProfile, defaultProfileName } from '../../../src/apparmor/profile.ts';
import { Failure } from '../../../src/lib/failure.ts';

function host(differs: Partial<AppArmorOptions> = {}) {
  const seen = { loads: 0, troubles: [] as (string | null)[] };
  const room = createAppArmor({
    enabled: true,
    load: async () => void (seen.loads += 1),
    loaded: async () => new Set([defaultProfileName, 'mine']),
    onTrouble: (why) => void seen.troubles.push(why),
    ...differs,
  });
  return { room, seen };
}
const byDefault: ProfileRequest = { type: 'runtime-default', localhostRef: '' };
const unconfined: ProfileRequest = { type: 'unconfined', localhostRef: '' };
const localhost = (localhostRef: string): ProfileRequest => ({ type: 'localhost', localhostRef });

for (const [what, request, privileged, expected] of [
  ['nothing asked', null, false, defaultProfileName],
  ['the default', byDefault, false, defaultProfileName],
  ['unconfined', unconfined, false, ''],
  ['a profile', localhost('mine'), false, 'mine'],
  ['a profile in the old spelling', localhost('localhost/mine'), false, 'mine'],
  ['privileged', null, true, ''],
  ['the default, privileged', byDefault, true, ''],
  ['a profile, privileged', localhost('mine'), true, 'mine'],
] as const) {
  test(`with AppArmor: ${what}`, async (t) => t.is(await host().room.profileOf(request, privileged), expected));
}

test('without AppArmor the default is none, and a named profile is an error', async (t) => {
  const { room, seen } = host({ enabled: false });
  room.start();
  for (const request of [null, byDefault, unconfined]) t.is(await room.profileOf(request, false), '');
  const error = await t.throwsAsync(room.profileOf(localhost('mine'), false), { instanceOf: Failure });
  t.is(error?.kind, 'failed-precondition');
  t.regex(error?.message ?? '', /profile mine, but AppArmor is off/);
  t.is(seen.loads, 0);
});

test('a profile that is not loaded is an error; where that cannot be known the kernel tells', async (t) => {
  const error = await t.throwsAsync(host().room.profileOf(localhost('other'), false), { instanceOf: Failure });
  t.is(error?.kind, 'failed-precondition');
  t.regex(error?.message ?? '', /profile other is not loaded/);
  t.is(await host({ loaded: async () => null }).room.profileOf(localhost('other'), false), 'other');
});

test('the default is loaded once; when it cannot be, who asks for it is told, and it is tried again', async (t) => {
  const { room, seen } = host();
  room.start();
  await Promise.all([room.profileOf(null, false), room.profileOf(byDefault, false)]);
  t.is(seen.loads, 1);
  t.deepEqual(room.status(), { enabled: true, defaultProfile: defaultProfileName, trouble: null });

  let works = false;
  const troubles: (string | null)[] = [];
  const poor = createAppArmor({
    enabled: true,
    load: async () => {
      if (!works) throw new Error('no parser');
    },
    loaded: async () => new Set<string>(),
    onTrouble: (why) => void troubles.push(why),
  });
  await t.throwsAsync(poor.profileOf(byDefault, false), { message: /podwright-default is not loaded: no parser/ });
  t.is(await poor.profileOf(null, false), '', 'who does not ask runs all the same');
  t.is(poor.status().trouble, 'no parser');
  works = true;
  t.is(await poor.profileOf(byDefault, false), defaultProfileName);
  t.deepEqual(troubles, ['no parser', null], 'told when it changes');
});

test('a default profile that somebody else loaded counts', async (t) => {
  const load = (): Promise<void> => Promise.reject(new Error('no parser'));
  t.is(await host({ load }).room.profileOf(byDefault, false), defaultProfileName);
});

test('names of profiles are read whole', (t) => {
  const text =
    'podwright-default (enforce)\n/usr/bin/man (complain)\nname (with) blanks (unconfined)\nx//&:ns:y (kill)\n';
  t.deepEqual([...profileNames(text)], ['podwright-default', '/usr/bin/man', 'name (with) blanks', 'x//&:ns:y']);
  t.deepEqual([...profileNames('')], []);
});

test('the default profile denies what belongs to the whole host', (t) => {
  for (const line of [
    'deny mount,',
    'deny /proc/kcore rwklx,',
    'deny /sys/kernel/** wklx,',
    'deny /proc/sys/vm/** w,',
  ]) {
    t.true(defaultProfile.includes(`  ${line}\n`), line);
  }
  t.notRegex(defaultProfile, /#include|include|@\{/, 'it stands alone');
});
