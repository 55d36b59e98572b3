// Parsers of policies of images, and of the signatures that anybody may put beside an image.
import * as fc from 'fast-check';
import { readImageName } from '../../../src/image/verify.ts';
import { EndpointList } from '../../../src/registry/mirrors.ts';
import { fetchSignatures } from '../../../src/registry/signatures.ts';
import { systemTls } from '../../../src/registry/endpoint.ts';
import type { Digest } from '../../../src/lib/id.ts';
import { identityMismatch } from '../../../src/verification/identity.ts';
import { parsePolicy, rulingFor } from '../../../src/verification/policy.ts';
import { readClaim, readPublicKey } from '../../../src/verification/signature.ts';
import { complain, digest, only } from './check.ts';
import { documents, texts } from './texts.ts';

const keys = [
  'default',
  'transports',
  'docker',
  'type',
  'signedIdentity',
  'keyPath',
  'keyPaths',
  'keyData',
  'fulcio',
  'path',
];
const words = [
  'insecureAcceptAnything',
  'reject',
  'sigstoreSigned',
  'podwrightVerifier',
  'matchRepository',
  'r.io/a',
  '/k',
];
const signedRule =
  '{"type":"sigstoreSigned","keyPath":"/k","signedIdentity":{"type":"remapIdentity","prefix":"r.io","signedPrefix":"s.io"}}';
const policies = fc.oneof(
  texts({
    pieces: [
      '{',
      '}',
      '[',
      ']',
      ':',
      ',',
      ...[...keys, ...words, 'timeoutSeconds', '*.r.io', ''].map((word) => JSON.stringify(word)),
    ],
    samples: [
      `{"default":[{"type":"reject"}],"transports":{"docker":{"r.io/a":[${signedRule}],"":[{"type":"insecureAcceptAnything"}]}}}`,
    ],
  }),
  documents(keys, words).map((value) => JSON.stringify(value)),
);
const name = readImageName('r.io/a/b:c')!;
export const policyTarget = fc.asyncProperty(policies, async (text) => {
  const policy = only(['failed-precondition'], () => parsePolicy(text, '/p.json'));
  if (policy === null) return;
  const { requirements } = rulingFor(policy, name);
  if (requirements.length === 0) complain('an image for which nothing must hold');
  for (const one of requirements)
    if (one.type === 'signed') identityMismatch(one.identity, { wanted: name, signed: 'r.io/a/b' }, readImageName);
});

const claims = documents(
  ['critical', 'image', 'identity', 'type', 'docker-manifest-digest', 'docker-reference'],
  ['cosign container image signature', digest, 'r.io/a'],
);
const pem = texts({
  pieces: ['-----BEGIN PUBLIC KEY-----', '-----END PUBLIC KEY-----', '\n', 'MFkw', '=='],
  samples: ['-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE\n-----END PUBLIC KEY-----\n'],
});
export const claimTarget = fc.asyncProperty(claims, pem, async (claim, key) => {
  const payload = Buffer.from(JSON.stringify(claim)).toString('base64');
  const read = readClaim({ payload, signature: '' });
  if (typeof read === 'string' && (read.length > 300 || /[^\x20-\x7e]/.test(read)))
    complain(`a reason unfit to be shown: ${read}`);
  if (typeof read !== 'string')
    identityMismatch({ type: 'matchExact' }, { wanted: name, signed: read.reference }, readImageName);
  readPublicKey(key);
});

const manifests = documents(
  [
    'layers',
    'mediaType',
    'digest',
    'size',
    'annotations',
    'dev.cosignproject.cosign/signature',
    'manifests',
    'artifactType',
  ],
  ['application/vnd.dev.cosign.simplesigning.v1+json', 'application/vnd.oci.image.manifest.v1+json', digest],
);
const endpoint = {
  base: 'https://r.io/v2',
  host: 'r.io',
  repository: 'a',
  isOrigin: true,
  canResolve: true,
  canPull: true,
  canPush: false,
  ...systemTls,
  headers: [],
  sharesCredentials: false,
  namespace: null,
  proxy: null,
  connectMs: 1,
  insteadOf: null,
};
export const signaturesTarget = fc.asyncProperty(manifests, async (manifest) => {
  const body = Buffer.from(JSON.stringify(manifest));
  const source = {
    label: 'r.io/a:b',
    endpoints: new EndpointList([endpoint]),
    exchange: async () => ({ status: 200, headers: {}, body, strayed: false, peer: '' }),
  };
  const found = await fetchSignatures(source, digest as string as Digest, new AbortController().signal);
  if (found.length > 32) complain(`${found.length} signatures`);
});
