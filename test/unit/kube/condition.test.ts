import test from 'ava';
import { type HealthFacts, HealthWatch } from '../../../src/kube/condition.ts';

const well: HealthFacts = {
  notReady: null,
  network: { ready: true, message: '' },
  quarantined: 0,
  owedReleases: 0,
  owedRemovals: 0,
  owedWrites: 0,
  silentMonitors: 0,
  deadMonitors: 0,
  store: { freeBytes: 50, totalBytes: 100, freeInodes: 50, totalInodes: 100 },
};
const store = { freeBytes: 50, totalBytes: 100, freeInodes: 50, totalInodes: 100 };
const minute = 60_000;

test('nothing is wrong', (t) => {
  t.deepEqual(new HealthWatch('1.2.3').judge(well, 0), {
    status: 'True',
    reason: 'Healthy',
    message: 'podwright 1.2.3: nothing is wrong',
  });
});

const cases: readonly (readonly [
  title: string,
  facts: Partial<HealthFacts>,
  afterMs: number,
  status: 'True' | 'False' | 'Unknown',
  reason: string,
  message: RegExp,
])[] = [
  ['recovering', { notReady: { reason: 'Recovering', message: 'it looks' } }, 0, 'Unknown', 'Recovering', /^it looks/],
  ['recovery failed', { notReady: { reason: 'RecoveryFailed', message: 'no' } }, 0, 'False', 'RecoveryFailed', /^no/],
  ['store unreadable', { store: 'input/output error' }, 0, 'False', 'StoreUnreadable', /^input\/output error/],
  ['store full', { store: { ...store, freeBytes: 1 } }, 0, 'False', 'StoreFull', /is full/],
  ['no inodes', { store: { ...store, freeInodes: 1 } }, 0, 'False', 'StoreFull', /1 of 100 inodes/],
  ['quarantine', { quarantined: 2 }, 0, 'False', 'RecordsQuarantined', /^2 damaged files were set aside/],
  ['dead monitor', { deadMonitors: 1 }, minute, 'False', 'MonitorsDead', /^1 pod's monitor is dead/],
  ['silent monitors', { silentMonitors: 3 }, minute, 'False', 'MonitorsSilent', /^3 pods' monitors do not answer/],
  ['network', { network: { ready: false, message: 'none' } }, minute, 'False', 'NetworkNotReady', /^none/],
  ['releases', { owedReleases: 1 }, 5 * minute, 'False', 'ReleasesOwed', /^1 network release is owed/],
  ['records', { owedWrites: 2 }, minute, 'False', 'RecordsUnwritten', /^2 records are not on the disk yet/],
  ['removals', { owedRemovals: 2 }, 5 * minute, 'False', 'RemovalsStuck', /^2 removals do not end/],
];
for (const [title, facts, afterMs, status, reason, message] of cases) {
  test(`${title}: counts once it has held for ${afterMs} ms`, (t) => {
    const watch = new HealthWatch('1');
    const bad = { ...well, ...facts };
    if (afterMs > 0) {
      t.is(watch.judge(bad, 1000).status, 'True');
      t.is(watch.judge(bad, 999 + afterMs).status, 'True');
    }
    const health = watch.judge(bad, 1000 + afterMs);
    t.is(health.status, status);
    t.is(health.reason, reason);
    t.regex(health.message, message);
    t.is(watch.judge(well, 1001 + afterMs).status, 'True');
    if (afterMs > 0) t.is(watch.judge(bad, 1002 + afterMs).status, 'True', 'it begins anew');
  });
}

test('a file system that counts no inodes is not full for that', (t) => {
  t.is(new HealthWatch('1').judge({ ...well, store: { ...store, freeInodes: 0, totalInodes: 0 } }, 0).status, 'True');
});

test('the gravest leads, all are told', (t) => {
  const health = new HealthWatch('1').judge({ ...well, quarantined: 1, store: { ...store, freeBytes: 0 } }, 0);
  t.is(health.reason, 'StoreFull');
  t.regex(health.message, /is full.*; 1 damaged file was set aside/);
});
