import test from 'ava';
import { type BridgeNative, Bridges } from '../../../src/network/bridge/bridge.ts';
import { defaultNetwork, type BridgeNetwork } from '../../../src/network/bridge/settings.ts';

const own = defaultNetwork({ bridge: 'podwright0', subnet: '10.224.0.0/16', hostLocalDir: '/d' });
const other = defaultNetwork({ bridge: 'other0', subnet: '10.225.0.0/16', hostLocalDir: '/d' });
const set = (subnet: string) => ({ subnet, rangeStart: null, rangeEnd: null, gateway: null });
const formerly: BridgeNetwork = { ...own, name: 'formerly', sets: [[set('10.9.0.0/16')]] };

/** Bridges over a host that notes for which one rules are made, and can refuse to. */
function bridges() {
  const host = { rules: [] as string[], refuse: false, nowMs: 1_000_000 };
  const native = {
    networkDefaultMtu: () => Promise.resolve(1400),
    networkSetupBridge: () => Promise.resolve({ created: true }),
    networkEnsureRules: ({ bridge }: { readonly bridge: string }) => {
      if (host.refuse) return Promise.reject(new Error('no rules today'));
      host.rules.push(bridge);
      return Promise.resolve();
    },
  } as unknown as BridgeNative;
  const elapsedMs = (): number => host.nowMs;
  const options = { native, log: () => undefined, lockTimeoutMs: 1000, backend: () => 'iptables' as const, elapsedMs };
  const made = new Bridges(options);
  const rulesMadeBy = async (work: () => Promise<unknown>): Promise<string[]> => {
    host.rules = [];
    await work();
    return host.rules;
  };
  return { made, host, rulesMadeBy };
}

const atStart = { atStart: true };
const asked = { atStart: false };

test('what was made just before is not made again by the repair of a start; an administrator has it made', async (t) => {
  const { made, rulesMadeBy } = bridges();
  t.deepEqual(await rulesMadeBy(() => made.prepare(own)), ['podwright0']);
  t.deepEqual(await rulesMadeBy(() => made.prepare(own)), []);
  t.deepEqual(await rulesMadeBy(() => made.repair([own], atStart)), []);
  t.deepEqual(await rulesMadeBy(() => made.repair([own], asked)), ['podwright0']);
  t.deepEqual(await rulesMadeBy(() => made.repair([own], asked)), ['podwright0']);
  t.deepEqual(await rulesMadeBy(() => made.prepare(own)), []);
});

test('an administrator has it made also where the start came to no repair', async (t) => {
  const { made, rulesMadeBy } = bridges();
  await made.prepare(own);
  t.deepEqual(await rulesMadeBy(() => made.repair([own], asked)), ['podwright0']);
});

test('a start that took long repairs what it made: a firewall may have taken it away since', async (t) => {
  const { made, host, rulesMadeBy } = bridges();
  await made.prepare(own);
  host.nowMs += 4999;
  t.deepEqual(await rulesMadeBy(() => made.repair([own], atStart)), []);
  host.nowMs += 1;
  t.deepEqual(await rulesMadeBy(() => made.repair([own], atStart)), ['podwright0']);
});

test('a bridge that nobody prepared since the start is made by the first repair', async (t) => {
  const { made, rulesMadeBy } = bridges();
  made.remember(other);
  await made.prepare(own);
  t.deepEqual(await rulesMadeBy(() => made.repair([other, own], atStart)), ['other0']);
});

test('rules that are for more networks than are in use are made again, and those of another configuration', async (t) => {
  const gone = bridges();
  gone.made.remember(formerly);
  await gone.made.prepare(own);
  t.deepEqual(await gone.rulesMadeBy(() => gone.made.repair([own], atStart)), ['podwright0']);
  const stays = bridges();
  stays.made.remember(formerly);
  await stays.made.prepare(own);
  t.deepEqual(await stays.rulesMadeBy(() => stays.made.repair([formerly, own], atStart)), []);
  const changed = bridges();
  await changed.made.prepare(own);
  t.deepEqual(await changed.rulesMadeBy(() => changed.made.repair([{ ...own, masquerade: false }], atStart)), [
    'podwright0',
  ]);
});

test('what could not be made at the start is made by the first repair', async (t) => {
  const { made, host, rulesMadeBy } = bridges();
  host.refuse = true;
  await t.throwsAsync(made.prepare(own), { message: /podwright0/ });
  host.refuse = false;
  t.deepEqual(await rulesMadeBy(() => made.repair([own], atStart)), ['podwright0']);
});
