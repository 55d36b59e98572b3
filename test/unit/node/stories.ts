// Changes of a node as the tests of transactions tell them, and what must hold after each.
import type { ExecutionContext } from 'ava';
import { type Journal, type Kind, newJournal, type Settings, type Side } from '../../../src/node/journal.ts';
import { runTransaction } from '../../../src/node/transaction.ts';
import { type Host, type Model, newEndpoint, oldEndpoint, oldSide, podwrightSide } from './model.ts';

const settings = (kubelet: boolean): Settings => ({
  prefix: '/opt/podwright',
  configDir: '/etc/podwright',
  configFile: '/etc/podwright/config.toml',
  linkDir: null,
  daemon: { by: 'self', log: '/var/log/podwrightd.log' },
  kubelet: kubelet
    ? { form: 'config', file: '/k', control: { by: 'systemd', unit: 'kubelet.service' }, healthUrl: 'http://h' }
    : null,
  kubernetes: null,
  graceMs: 1000,
  timeoutMs: 60_000,
  freeBytes: 0,
});

export interface Story {
  readonly kind: Kind;
  readonly kubelet: boolean;
  readonly from: Side;
  readonly to: Side;
  readonly before: () => Host;
}

const onOld = (): Host => ({
  kubelet: true,
  pointer: oldEndpoint,
  uses: oldEndpoint,
  cordoned: false,
  pods: new Set([oldEndpoint]),
  daemon: null,
  placed: null,
  config: null,
});
const onNew = (): Host => ({
  ...onOld(),
  pointer: newEndpoint,
  uses: newEndpoint,
  pods: new Set([newEndpoint]),
  daemon: '1.0.0',
  placed: '1.0.0',
  config: 'one',
});
const alone = (version: string | null): Host => ({
  ...onOld(),
  kubelet: false,
  pointer: '',
  uses: '',
  pods: new Set(version === null ? [] : [newEndpoint]),
  daemon: version,
  placed: version,
  config: version && 'one',
});
const origin: Side = { type: 'runtime', endpoint: oldEndpoint, name: 'containerd', version: '2', pointer: oldEndpoint };

export const stories: Readonly<Record<string, Story>> = {
  switch: { kind: 'switch', kubelet: true, from: oldSide, to: podwrightSide('1.0.0', 'one'), before: onOld },
  'switch of a cordoned node': {
    kind: 'switch',
    kubelet: true,
    from: oldSide,
    to: podwrightSide('1.0.0'),
    before: () => ({ ...onOld(), cordoned: true }),
  },
  upgrade: {
    kind: 'upgrade',
    kubelet: true,
    from: podwrightSide('1.0.0'),
    to: podwrightSide('1.1.0', 'two'),
    before: onNew,
  },
  revert: { kind: 'revert', kubelet: true, from: podwrightSide('1.0.0'), to: origin, before: onNew },
  install: {
    kind: 'install',
    kubelet: false,
    from: { type: 'none' },
    to: podwrightSide('1.0.0', 'one'),
    before: () => alone(null),
  },
  'uninstall of a node of its own': {
    kind: 'uninstall',
    kubelet: false,
    from: podwrightSide('1.0.0'),
    to: { type: 'none' },
    before: () => alone('1.0.0'),
  },
};

export const begin = ({ kind, from, to, kubelet }: Story): Journal =>
  newJournal({
    id: 'x',
    kind,
    from,
    to,
    settings: settings(kubelet),
    bootId: 'b0',
    now: '2026-01-01T00:00:00.000Z',
    previous: null,
  });

export const run = (model: Model, journal: Journal): Promise<Journal | 'killed'> => {
  const { effects, store } = model;
  const never = new AbortController().signal;
  const parts = {
    effects,
    store,
    tell: () => undefined,
    nowMs: () => 0,
    sleep: async () => undefined,
    interrupted: never,
  };
  return Promise.race([runTransaction(parts, journal), model.killed.promise]);
};

/** All is on one side, as it would be if nothing else had ever been. */
export function isOn(t: ExecutionContext, story: Story, { model, ended }: { model: Model; ended: Journal }): void {
  const side = ended.outcome === 'done' ? story.to : story.from;
  const { host } = model;
  const before = story.before();
  const about = `${ended.outcome} after ${model.passed.at(-1)}`;
  t.is(host.kubelet, story.kubelet, `the kubelet runs, ${about}`);
  // told, for nothing else is left to be done about it
  const told = ended.warnings.some((warning) => warning.startsWith('uncordon: '));
  t.true(host.cordoned === before.cordoned || told, `cordoned as before, ${about}`);
  t.is(host.daemon, side.type === 'podwright' ? side.version : null, `podwrightd, ${about}`);
  t.is(host.placed, side.type === 'podwright' ? side.version : null, `the link, ${about}`);
  if (ended.outcome !== 'done') t.is(host.config, before.config, `configuration, ${about}`);
  else if (story.to.type === 'podwright' && story.to.config !== null) t.is(host.config, story.to.config);
  if (story.kubelet && side.type !== 'none') {
    t.is(host.pointer, side.endpoint, `the kubelet is told, ${about}`);
    t.deepEqual([...host.pods], [side.endpoint], `pods are on one side, ${about}`);
  }
  if (side.type === 'none') t.deepEqual([...host.pods], []);
}
