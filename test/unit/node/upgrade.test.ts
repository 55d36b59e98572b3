// A node that podwright runs is told anew: which settings count, and which cannot be changed so.
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { switchNode } from '../../../src/cli/node.ts';
import type { Session } from '../../../src/cli/session.ts';
import { ended, type Journal, newJournal, type Settings, type Side, turned } from '../../../src/node/journal.ts';
import { journalStore } from '../../../src/node/journal-file.ts';
import { place } from '../../../src/node/place.ts';
import { namedAs, pointerIn, refuseMoved } from '../../../src/node/upgrade.ts';
import { Model, podwrightSide } from './model.ts';
import { run, stories } from './stories.ts';

const present: Settings = {
  prefix: '/opt/podwright',
  configDir: '/etc/podwright',
  configFile: '/etc/podwright/config.toml',
  linkDir: null,
  daemon: { by: 'command', stop: 'stop', start: 'start' },
  kubelet: {
    form: 'drop-in',
    file: '/k.d/90.conf',
    control: { by: 'command', stop: 'ks', start: 'wrong' },
    healthUrl: 'http://h',
  },
  kubernetes: null,
  graceMs: 1000,
  timeoutMs: 60_000,
  freeBytes: 0,
};
const kubelet = present.kubelet!;

test('commands, links and times may be others; where podwright and the kubelet’s setting are may not', (t) => {
  const may: readonly Partial<Settings>[] = [
    {},
    { kubelet: { ...kubelet, control: { by: 'systemd', unit: 'k' }, healthUrl: 'http://i' }, linkDir: '/l' },
    { daemon: { by: 'command', stop: 'other', start: 'other' }, timeoutMs: 1, graceMs: 1, wish: 'w' },
    { kubernetes: { kubeconfig: '/c', node: 'n' } },
  ];
  for (const about of may) t.notThrows(() => refuseMoved(present, { ...present, ...about }));
  const mayNot: readonly (readonly [Partial<Settings>, RegExp])[] = [
    [{ prefix: '/srv' }, /^--prefix is \/srv, and podwright on this node has \/opt\/podwright: leave it so, or revert/],
    [{ configDir: '/srv' }, /^--config-dir is \/srv, /],
    [{ configDir: '/srv', configFile: '/srv/config.toml' }, /^--config-dir is \/srv, /],
    [
      { daemon: { by: 'self', log: '/l' } },
      /^--daemon is self, and podwright on this node is kept running by command:/,
    ],
    [
      { kubelet: { ...kubelet, form: 'config', file: '/k.yaml' } },
      /^--kubelet-config is \/k.yaml, .* changed \/k.d\/90/,
    ],
    [{ kubelet: { ...kubelet, form: 'config' } }, /^--kubelet-config is \/k.d\/90.conf, .* \(--kubelet-drop-in\):/],
  ];
  const dropIn = { ...present, configFile: '/etc/podwright/conf.d/a.toml' };
  t.notThrows(() => refuseMoved(present, dropIn), 'config.toml stays below it');
  t.notThrows(() => refuseMoved(dropIn, dropIn));
  for (const other of [present, { ...present, configFile: '/etc/podwright/conf.d/b.toml' }])
    t.throws(() => refuseMoved(dropIn, other), {
      message: /^--config-as is .* are in .*\/conf.d\/a.toml, .* and remove that file$/,
    });
  t.is({ ...present, ...namedAs(dropIn, false) }.configFile, dropIn.configFile, 'none are brought');
  t.deepEqual([namedAs(dropIn, true), namedAs(null, false)], [{}, {}]);
  for (const [about, message] of mayNot) t.throws(() => refuseMoved(present, { ...present, ...about }), { message });
  const by = (unit: string): Settings => ({ ...present, daemon: { by: 'systemd', unit, unitDir: '/u' } });
  t.throws(() => refuseMoved(by('a.service'), by('b.service')), { message: /^--daemon is systemd's b.service/ });
  t.deepEqual(pointerIn(present), { form: 'drop-in', file: '/k.d/90.conf' });
  t.is(pointerIn({ ...present, kubelet: null }), null);
});

test('a switch is refused where podwright runs beside: the kubelet would stay, and the node be waited for in vain', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'pw-beside-'));
  t.teardown(() => rmSync(dir, { recursive: true }));
  const about = { to: podwrightSide('1.0.0'), bootId: 'b0', now: '2026-01-01T00:00:00.000Z', previous: null };
  const beside = newJournal({
    ...about,
    id: 'x',
    kind: 'install',
    from: { type: 'none' },
    settings: { ...present, kubelet: null },
  });
  journalStore(dir).write(ended(beside, 'done', about.now));
  const session = { directory: dir, print: () => t.fail() } as unknown as Session;
  await t.throwsAsync(async () => switchNode(session, [], { journalDir: dir }), {
    message: /its kubelet was not moved to it: to move it, podwright uninstall first; another release .* install$/,
  });
  t.is(journalStore(dir).read()?.id, 'x');
});

/** An upgrade of a node to other settings. */
function upgrade(next: Settings): Journal {
  const side = podwrightSide('1.0.0');
  const about = { from: side, to: side, bootId: 'b0', now: '2026-01-01T00:00:00.000Z' };
  const before = newJournal({ ...about, id: 'x', kind: 'switch', settings: present, previous: null });
  const previous = ended(before, 'done', about.now);
  return newJournal({ ...about, id: 'y', kind: 'upgrade', settings: next, previous });
}

test('what an upgrade was told counts once it is done; walked back or refused, what counted before', async (t) => {
  const control = { by: 'systemd', unit: 'k' } as const;
  const configFile = '/etc/podwright/conf.d/a.toml';
  const next = { ...present, configFile, kubelet: { ...kubelet, control }, wish: 'w' };
  for (const [point, outcome] of [
    ['', 'done'],
    ['look', 'refused'],
    ['before start daemon', 'walked-back'],
  ]) {
    const model = new Model(stories['upgrade']!.before(), true);
    model.onPoint = (name) => {
      if (name === point && model.journal?.direction === 'forward') throw new Error('broken');
      return false;
    };
    const by: (string | undefined)[] = [];
    const startDaemon = model.effects.startDaemon.bind(model.effects);
    model.effects.startDaemon = (journal, side, ctx) => {
      by.push(journal.settings.wish);
      return startDaemon(journal, side, ctx);
    };
    const last = await run(model, upgrade(next));
    if (last === 'killed') return t.fail();
    t.is(last.outcome, outcome as Journal['outcome']);
    t.deepEqual(last.settings, outcome === 'done' ? next : present);
    if (outcome === 'walked-back') t.deepEqual(by, ['w', undefined], 'back by the commands that it ran by');
  }
});

test('a walk back whose old command does not start podwrightd any more takes the one of the upgrade, and keeps it', async (t) => {
  const next: Settings = { ...present, daemon: { by: 'command', stop: 'mended', start: 'mended' }, wish: 'w' };
  for (const works of ['mended', 'start']) {
    const model = new Model(stories['upgrade']!.before(), true);
    model.onPoint = (name) => {
      if (name === 'before self-test') throw new Error('broken');
      return false;
    };
    const startDaemon = model.effects.startDaemon.bind(model.effects);
    const by: string[] = [];
    model.effects.startDaemon = async (journal, side, ctx) => {
      const { daemon } = journal.settings;
      const start = daemon.by === 'command' ? daemon.start : '';
      by.push(start);
      if (journal.direction === 'back' && start !== works) throw new Error(`${start}: not found`);
      return startDaemon(journal, side, ctx);
    };
    const last = await run(model, upgrade(next));
    if (last === 'killed') return t.fail();
    t.is(last.outcome, 'walked-back');
    t.is(model.host.daemon, '1.0.0');
    t.deepEqual(by, works === 'mended' ? ['mended', 'start', 'mended'] : ['mended', 'start']);
    t.deepEqual(last.settings, works === 'mended' ? { ...present, daemon: next.daemon } : present);
  }
});

test('a file of configuration that an upgrade brings is gone after the walk back, and the one before stays', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'pw-config-'));
  t.teardown(() => rmSync(dir, { recursive: true }));
  const [main, dropIn] = [join(dir, 'config.toml'), join(dir, 'conf.d/a.toml')];
  const settings = (configFile: string): Settings => ({ ...present, prefix: dir, configDir: dir, configFile });
  const signal = new AbortController().signal;
  writeFileSync(main, 'before');
  const about = {
    from: podwrightSide('1'),
    to: podwrightSide('1', 'fresh'),
    configBefore: null,
    replaced: settings(main),
  };
  const forward: Journal = { ...upgrade(settings(dropIn)), ...about };
  await place(() => Promise.resolve(''), forward, { side: forward.to, signal });
  t.deepEqual([readFileSync(main, 'utf8'), readFileSync(dropIn, 'utf8')], ['before', 'fresh']);
  const back = turned(forward, 'self-test', 'broken');
  t.is(back.settings.configFile, main);
  await place(() => Promise.resolve(''), back, { side: back.from, signal });
  t.is(readFileSync(main, 'utf8'), 'before');
  t.false(existsSync(dropIn));
});

test('links follow their directory, there and back', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'pw-links-'));
  t.teardown(() => rmSync(dir, { recursive: true }));
  const [old, fresh] = [join(dir, 'old'), join(dir, 'fresh')];
  const settings = (linkDir: string | null): Settings => ({ ...present, prefix: dir, configDir: dir, linkDir });
  const side: Side = { type: 'podwright', release: join(dir, '1'), version: '1', endpoint: '', config: null };
  const signal = new AbortController().signal;
  const puts = (about: Partial<Journal>) =>
    place(() => Promise.resolve(''), { ...upgrade(settings(fresh)), ...about }, { side, signal });
  const names = (one: string): readonly string[] => readdirSync(one).sort();
  mkdirSync(old);
  writeFileSync(join(old, 'other'), '');
  await puts({ settings: settings(old), replaced: null });
  t.deepEqual(names(old), ['other', 'podwright', 'podwrightd']);
  await puts({ settings: settings(fresh), replaced: settings(old) });
  t.deepEqual([names(old), names(fresh)], [['other'], ['podwright', 'podwrightd']]);
  await puts({ settings: settings(old), replaced: settings(fresh), direction: 'back' });
  t.deepEqual([names(old), names(fresh)], [['other', 'podwright', 'podwrightd'], []]);
  await puts({ settings: settings(null), replaced: settings(old) });
  t.deepEqual(names(old), ['other']);
});
