// The chart's schema and README follow from what they are made of, and the schema holds what it must.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { parse } from 'yaml';
import { made, valuesTable } from '../../../hack/chart-docs.mjs';
import { entries } from '../../../src/config/schema.ts';

const chart = join(import.meta.dirname, '../../../charts/podwright');
const read = (name: string): string => readFileSync(join(chart, name), 'utf8');

type Schema = {
  readonly type?: string;
  readonly description?: string;
  readonly enum?: readonly unknown[];
  readonly pattern?: string;
  readonly additionalProperties?: unknown;
  readonly properties?: Readonly<Record<string, Schema>>;
};
const schema = JSON.parse(read('values.schema.json')) as Schema;
const at = (...path: string[]): Schema | undefined =>
  path.reduce<Schema | undefined>((one, key) => one?.properties?.[key], schema);

for (const [name, text] of made()) test(`${name} is current: node hack/chart-docs.mjs`, (t) => t.is(read(name), text));

test('every setting of podwrightd can be set, but for those that are the chart’s', (t) => {
  for (const { name, setting } of entries) {
    const found = at('config', ...name.split('.'));
    if (['addon', 'monitor'].includes(name)) t.is(found, undefined);
    else t.is(found?.description, setting.doc, name);
  }
});

test('nothing that listens in public, and no bridge of our own, is accepted', (t) => {
  t.deepEqual(at('config', 'network', 'default')?.enum, ['none']);
  const metrics = new RegExp(at('config', 'metrics', 'address')?.pattern ?? '');
  const streaming = new RegExp(at('config', 'streaming', 'address')?.pattern ?? '');
  for (const address of ['127.0.0.1:9464', '127.1.2.3:1', '[::1]:9464', 'localhost:9464']) {
    t.regex(address, metrics);
    t.regex(address, streaming);
  }
  for (const address of [
    '0.0.0.0:9464',
    ':9464',
    '[::]:9464',
    '10.0.0.1:80',
    'example.org:80',
    '127.0.0.1.example:80',
  ]) {
    t.notRegex(address, metrics);
    t.notRegex(address, streaming);
  }
  t.regex('', metrics);
});

test('what a purge removes is a directory of ours by its name', (t) => {
  const places = [
    ['host', 'prefix'],
    ['host', 'configDir'],
    ['host', 'journalDir'],
    ['config', 'root'],
    ['config', 'state'],
  ];
  for (const place of places) {
    const pattern = new RegExp(at(...place)?.pattern ?? '^$');
    for (const good of ['/opt/podwright', '/podwright/', '/data/x/my-podwright-2']) t.regex(good, pattern);
    for (const bad of ['/', '/etc', '/var/lib', '/opt/podwright/..', '/podwright/etc', 'podwright', '', '/podwright//'])
      t.notRegex(bad, pattern, `${place.join('.')} ${bad}`);
  }
  const { host } = parse(read('values.yaml')) as { host: Record<string, string> };
  for (const name of ['prefix', 'configDir', 'journalDir'])
    t.regex(host[name] ?? '', new RegExp(at('host', name)?.pattern ?? '^$'));
});

test('the socket of metrics is in a directory of ours by its name', (t) => {
  const pattern = new RegExp(at('config', 'metrics', 'socket')?.pattern ?? '^$');
  for (const good of ['', '/run/podwright-metrics/metrics.sock', '/run/podwright/metrics/m.sock', '/a/my-podwright/s'])
    t.regex(good, pattern);
  for (const bad of [
    '/metrics.sock',
    '/run/metrics.sock',
    'metrics.sock',
    '/run/podwright/../m.sock',
    '/run/podwright/..',
    '/podwright',
    '/run/podwright/',
    '//podwright/m.sock',
  ])
    t.notRegex(bad, pattern, bad);
});

/** Where values and schema differ: a key that only one has, or a value of another type. */
function differences(value: unknown, of: Schema | undefined, place: string): string[] {
  if (of === undefined) return [`${place} is not in the schema`];
  if (of.properties === undefined || of.additionalProperties !== false) return [];
  const given = value as Readonly<Record<string, unknown>>;
  const missing = Object.keys(of.properties).filter((key) => !(key in given) && key !== 'global');
  return [
    ...missing.map((key) => `${place}.${key} is not in values.yaml`),
    ...Object.keys(given).flatMap((key) =>
      place === 'values' && key === 'config' ? [] : differences(given[key], of.properties?.[key], `${place}.${key}`),
    ),
  ];
}

test('values.yaml and the schema have the same keys', (t) => {
  const values = parse(read('values.yaml')) as Record<string, unknown>;
  t.deepEqual(differences(values, { ...schema, properties: { ...schema.properties } }, 'values'), []);
});

test('every value has a comment', (t) => {
  const rows = valuesTable(read('values.yaml')).split('\n').slice(2).filter(Boolean);
  t.true(rows.length > 50);
  t.deepEqual(
    rows.filter((row) => row.endsWith('|  |')),
    [],
  );
});

test('the chart is of this version', (t) => {
  const { version } = JSON.parse(readFileSync(join(chart, '../../package.json'), 'utf8')) as { version: string };
  const about = parse(read('Chart.yaml')) as { version: string; appVersion: string };
  t.deepEqual([about.version, about.appVersion], [version, version]);
});
