// The bill of materials of a release: CycloneDX 1.6 as JSON. Must not read or write anything.
import { createHash } from 'node:crypto';
import type { Component } from './components.ts';
import type { ReleaseFacts } from './facts.ts';

const purl = ({ ecosystem, name, version }: Component): string => {
  if (ecosystem === 'npm') return `pkg:npm/${name.replace(/^@/, '%40')}@${version}`;
  return ecosystem === 'cargo' ? `pkg:cargo/${name}@${version}` : `pkg:generic/node@${version}`;
};

/** A name of SPDX's list is an id, more than one an expression; "SEE LICENSE IN ..." and the like are names. */
function licences(licence: string): readonly object[] {
  if (licence === '') return [];
  if (/ (OR|AND|WITH) /.test(licence)) return [{ expression: licence }];
  return [{ license: /^[A-Za-z0-9.+-]+$/.test(licence) ? { id: licence } : { name: licence } }];
}

const described = (one: Component): object => ({
  type: one.ecosystem === 'node' ? 'platform' : 'library',
  'bom-ref': purl(one),
  name: one.name,
  version: one.version,
  ...(one.hash === null ? {} : { hashes: [one.hash] }),
  ...(one.licence === '' ? {} : { licenses: licences(one.licence) }),
  purl: purl(one),
  ...(one.ecosystem === 'node' ? { cpe: `cpe:2.3:a:nodejs:node.js:${one.version}:*:*:*:*:*:*:*` } : {}),
});

/** A UUID that depends on the content alone: the same release has the same number. */
function serialNumber(content: string): string {
  const hex = createHash('sha256').update(content).digest('hex');
  const parts = [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `8${hex.slice(13, 16)}`,
    `a${hex.slice(17, 20)}`,
    hex.slice(20, 32),
  ];
  return `urn:uuid:${parts.join('-')}`;
}

/** The document. What podwright itself needs is what its lock files name: npm's direct and indirect ones, linked crates, Node. */
export function billOfMaterials(facts: ReleaseFacts, components: readonly Component[]): string {
  const { version, commit, epoch, arch } = facts;
  const own = `pkg:generic/podwright@${version}?arch=${arch}`;
  const refs = new Map(components.map((one) => [`${one.ecosystem} ${one.name}@${one.version}`, purl(one)]));
  const needs = ({ ecosystem, needs: names }: Component): string[] =>
    names.map((name) => refs.get(`${ecosystem} ${name}`)).filter((ref) => ref !== undefined);
  const body = {
    version: 1,
    metadata: {
      timestamp: new Date(epoch * 1000).toISOString(),
      component: {
        type: 'application',
        'bom-ref': own,
        name: 'podwright',
        version,
        licenses: [{ license: { id: 'Apache-2.0' } }],
        properties: [{ name: 'commit', value: commit }],
      },
    },
    components: components.map(described),
    dependencies: [
      { ref: own, dependsOn: [...refs.values()] },
      ...components.map((one) => ({ ref: purl(one), dependsOn: needs(one) })),
    ],
  };
  const head = {
    $schema: 'http://cyclonedx.org/schema/bom-1.6.schema.json',
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    serialNumber: serialNumber(JSON.stringify(body)),
  };
  return `${JSON.stringify({ ...head, ...body }, null, 2)}\n`;
}
