// PURE
// Signatures as cosign makes them with a key of one's own: a payload of JSON ("simple signing") and a signature of its bytes.
// Must not fetch anything; keys come in as PEM text.
import { createPublicKey, type KeyObject, verify } from 'node:crypto';
import { isTable, printable } from './json.ts';

/** A signature as it was found at the registry. */
export interface Signature {
  /** The signed bytes, in base64. */
  readonly payload: string;
  /** The signature of them, in base64. */
  readonly signature: string;
}

/** What a payload says. */
export interface Claim {
  readonly digest: string;
  /** The reference that was signed for. */
  readonly reference: string;
}

/** How a key signs: which hashes its signatures may have; null: it hashes by itself. */
export interface PublicKey {
  readonly key: KeyObject;
  readonly hashes: readonly (string | null)[];
}

const curves: Readonly<Record<string, readonly string[]>> = {
  prime256v1: ['sha256'],
  // cosign signs by SHA-256 whatever the curve, newer sigstore libraries by the hash of the curve's size
  secp384r1: ['sha256', 'sha384'],
  secp521r1: ['sha256', 'sha512'],
};
const shortestRsaBits = 2048;

/** Reads a public key in PEM: ECDSA P-256, P-384, P-521, RSA of 2048 bits or more, Ed25519. A text says what is wrong. */
export function readPublicKey(pem: string): PublicKey | string {
  if (!/-----BEGIN (RSA )?PUBLIC KEY-----/.test(pem)) return 'it is no public key in PEM';
  let key: KeyObject;
  try {
    key = createPublicKey(pem);
  } catch {
    return 'it is a damaged public key';
  }
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = key;
  if (type === 'ed25519') return { key, hashes: [null] };
  if (type === 'rsa') {
    const bits = details?.modulusLength ?? 0;
    return bits >= shortestRsaBits ? { key, hashes: ['sha256'] } : `it is an RSA key of only ${bits} bits`;
  }
  const hashes = type === 'ec' ? curves[details?.namedCurve ?? ''] : undefined;
  return hashes ? { key, hashes } : `keys of type ${type ?? 'unknown'} ${details?.namedCurve ?? ''} are not supported`;
}

/** Whether the key made this signature. */
export function isSignedBy({ key, hashes }: PublicKey, { payload, signature }: Signature): boolean {
  const bytes = Buffer.from(payload, 'base64');
  const mark = Buffer.from(signature, 'base64');
  return hashes.some((hash) => {
    try {
      return verify(hash, bytes, key, mark);
    } catch {
      return false;
    }
  });
}

const types = ['cosign container image signature', 'atomic container signature'];

/** What a payload says; a text says what is wrong with it. Only look at one whose signature is right. */
export function readClaim({ payload }: Signature): Claim | string {
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(Buffer.from(payload, 'base64')));
  } catch {
    return 'what is signed is not JSON';
  }
  const critical = isTable(json) ? json.critical : null;
  if (!isTable(critical)) return 'what is signed has no critical part';
  const { type, image, identity } = critical;
  if (typeof type !== 'string' || !types.includes(type)) return `what is signed is a ${printable(String(type))}`;
  const digest = isTable(image) ? image['docker-manifest-digest'] : null;
  const reference = isTable(identity) ? identity['docker-reference'] : null;
  if (typeof digest !== 'string' || typeof reference !== 'string') return 'what is signed names no image';
  return { digest, reference };
}
