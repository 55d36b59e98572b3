import test from 'ava';
import { changesTo, isLimited, noLimits, ownResources } from '../../../src/cgroup/own-limits.ts';
import { serviceOf } from '../../../src/cgroup/path.ts';
import { noCgroupLimits as nothing } from '../../helpers/no-limits.ts';

const v1 = { version: 'hybrid', disk: null } as const;
const v2 = { version: 'v2', disk: '8:0' } as const;

test('without limits nothing is written', (t) => {
  t.false(isLimited(noLimits));
  t.is(ownResources(noLimits, v1), null);
  t.is(ownResources(noLimits, v2), null);
});

test('limits are those that the kernel of this host takes', (t) => {
  const limits = { ...noLimits, memoryBytes: 1 << 28, cpus: 0.25, cpuWeight: 50, pids: 300 };
  const both = { ...nothing, memoryLimitBytes: 1 << 28, cpuQuota: 25_000, cpuPeriod: 100_000, pidsLimit: 300 };
  t.deepEqual(ownResources(limits, v1), { ...both, cpuShares: 512 });
  t.deepEqual(ownResources(limits, v2), { ...both, unified: { 'cpu.weight': '50' } });
  t.is(ownResources({ ...noLimits, cpuWeight: 1 }, v1)?.cpuShares, 10);
});

test('limits of the disk need cgroup v2 and a disk', (t) => {
  const limits = { ...noLimits, ioWeight: 20, readRate: 1000, writeRate: 2000 };
  const unified = { 'io.weight': 'default 20', 'io.max': '8:0 rbps=1000 wbps=2000' };
  t.deepEqual(ownResources(limits, v2), { ...nothing, unified });
  t.throws(() => ownResources(limits, v1), { message: /need cgroup v2/ });
  t.throws(() => ownResources(limits, { ...v2, disk: null }), { message: /on no single disk/ });
  t.deepEqual(ownResources({ ...noLimits, ioWeight: 20 }, { ...v2, disk: null })?.unified, {
    'io.weight': 'default 20',
  });
});

test('limits of an earlier configuration are lifted', (t) => {
  const free = { ...nothing, memoryLimitBytes: -1, cpuQuota: -1, cpuPeriod: 100_000, cpuShares: 1024, pidsLimit: -1 };
  t.is(changesTo(null, free, 'hybrid'), null);
  t.is(changesTo(null, nothing, 'hybrid'), null);
  const limited = { ...free, memoryLimitBytes: 4096, cpuQuota: 5000, cpuShares: 512, pidsLimit: 3 };
  t.like(changesTo(null, limited, 'hybrid'), { memoryLimitBytes: -1, cpuQuota: -1, cpuShares: 1024, pidsLimit: -1 });
  const wanted = { ...nothing, memoryLimitBytes: 8192 };
  t.like(changesTo(wanted, limited, 'hybrid'), {
    memoryLimitBytes: 8192,
    cpuQuota: -1,
    cpuShares: 1024,
    pidsLimit: -1,
  });
  t.deepEqual(changesTo(wanted, free, 'hybrid'), wanted);
  const weighted = { ...nothing, unified: { 'cpu.weight': '50' } };
  t.is(changesTo(weighted, limited, 'v2')?.cpuShares, null);
});

test('the usual weight of cgroup v2 reads as 1012 shares, and is left alone', (t) => {
  const free = { ...nothing, memoryLimitBytes: -1, cpuQuota: -1, cpuPeriod: 100_000, cpuShares: 1012, pidsLimit: -1 };
  t.is(changesTo(null, free, 'v2'), null);
  const wanted = { ...nothing, memoryLimitBytes: 8192 };
  t.deepEqual(changesTo(wanted, free, 'v2'), wanted);
  // weights 99 and 101, and what is a weight of its own with v1
  t.is(changesTo(null, { ...free, cpuShares: 1000 }, 'v2')?.cpuShares, 1024);
  t.is(changesTo(null, { ...free, cpuShares: 1025 }, 'v2')?.cpuShares, 1024);
  t.is(changesTo(null, free, 'v1')?.cpuShares, 1024);
});

for (const [table, service] of [
  ['0::/system.slice/podwrightd.service\n', 'podwrightd.service'],
  ['0::/system.slice/podwrightd.service/daemon\n', 'podwrightd.service'],
  ['9:name=systemd:/system.slice/x.service\n4:memory:/\n0::/\n', 'x.service'],
  ['4:memory:/other.service\n0::/\n', null],
  ['0::/user.slice/user-0.slice/session-3.scope\n', null],
  ['0::/openrc.podwrightd\n', 'podwrightd'],
  ['1:name=openrc:/openrc/podwrightd\n', 'podwrightd'],
  ['1:name=systemd:/\n0::/\n', null],
] as const) {
  test(`the service of ${JSON.stringify(table)}`, (t) => t.is(serviceOf(table), service));
}
