// Signatures as cosign makes and keeps them, made with node:crypto, and policies that ask for them.
import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import type { FakeRegistry } from './fake-registry.ts';
import { digestOf, ociManifest, type TestBlob } from './image-parts.ts';

export interface TestKey {
  readonly privateKey: KeyObject;
  /** PEM. */
  readonly publicKey: string;
  /** Hash of its signatures, null for Ed25519. */
  readonly hash: string | null;
}

const made = (
  { publicKey, privateKey }: { publicKey: KeyObject; privateKey: KeyObject },
  hash: string | null,
): TestKey => ({
  privateKey,
  publicKey: publicKey.export({ type: 'spki', format: 'pem' }) as string,
  hash,
});

/** Keys of each kind that cosign makes. */
export const ecKey = (namedCurve = 'P-256', hash = 'sha256'): TestKey =>
  made(generateKeyPairSync('ec', { namedCurve }), hash);
export const rsaKey = (modulusLength = 2048): TestKey => made(generateKeyPairSync('rsa', { modulusLength }), 'sha256');
export const ed25519Key = (): TestKey => made(generateKeyPairSync('ed25519'), null);

/** What is signed. */
export const payloadFor = (digest: string, reference: string, type = 'cosign container image signature'): Buffer =>
  Buffer.from(
    JSON.stringify({
      critical: { identity: { 'docker-reference': reference }, image: { 'docker-manifest-digest': digest }, type },
      optional: null,
    }),
  );

export interface TestSignature {
  readonly payload: Buffer;
  /** base64 */
  readonly signature: string;
}

/** Signs a payload. */
export const signed = (key: TestKey, payload: Buffer): TestSignature => ({
  payload,
  signature: sign(key.hash, payload, key.privateKey).toString('base64'),
});

/** The manifest that holds signatures, with a config as cosign makes it. */
export function signatureManifest(signatures: readonly TestSignature[]): TestBlob & { readonly mediaType: string } {
  const bytes = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: ociManifest,
      config: { mediaType: 'application/vnd.oci.image.config.v1+json', digest: digestOf(Buffer.from('{}')), size: 2 },
      layers: signatures.map(({ payload, signature }) => ({
        mediaType: 'application/vnd.dev.cosign.simplesigning.v1+json',
        digest: digestOf(payload),
        size: payload.length,
        annotations: { 'dev.cosignproject.cosign/signature': signature },
      })),
    }),
  );
  return { bytes, digest: digestOf(bytes), mediaType: ociManifest };
}

/** Puts signatures beside a digest of a repository, as `cosign sign --key` does. */
export function pushSignatures(
  server: FakeRegistry,
  at: { readonly repository: string; readonly digest: string },
  signatures: readonly TestSignature[],
): void {
  for (const { payload } of signatures) server.putBlob({ digest: digestOf(payload), bytes: payload });
  server.putManifest(at.repository, `${at.digest.replace(':', '-')}.sig`, signatureManifest(signatures));
}

/** A requirement for signatures of a key. */
export const signedBy = (key: TestKey, identity = 'matchRepository'): object => ({
  type: 'sigstoreSigned',
  keyData: Buffer.from(key.publicKey).toString('base64'),
  signedIdentity: { type: identity },
});

export const accept = { type: 'insecureAcceptAnything' };
export const reject = { type: 'reject' };

/** Writes a policy: what holds for everything, and requirements by scope. */
export function writePolicy(
  path: string,
  fallback: object,
  scopes: Readonly<Record<string, object | object[]>> = {},
): void {
  const docker = Object.fromEntries(Object.entries(scopes).map(([scope, list]) => [scope, [list].flat()]));
  writeFileSync(path, JSON.stringify({ default: [fallback], transports: { docker } }));
}
