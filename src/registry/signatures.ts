// Signatures of an image, as cosign keeps them beside it: a manifest under the tag `sha256-<hex>.sig`, or one that refers
// to the image (distribution-spec 1.1, referrers), with a layer for each signature. What comes is bounded; nothing is trusted.
import { createHash } from 'node:crypto';
import { Failure, failedPrecondition } from '../lib/failure.ts';
import { type Digest, digestHex, isDigest } from '../lib/id.ts';
import { type Endpoint, repositoryUrl } from './endpoint.ts';
import type { Exchange } from './exchange.ts';
import { acceptManifests, mediaTypes } from './manifest.ts';
import type { EndpointList } from './mirrors.ts';

/** A signature as it was found: base64 of the signed bytes, and of the signature of them. */
export interface FoundSignature {
  readonly payload: string;
  readonly signature: string;
}

export interface SignatureSource {
  /** `registry.k8s.io/pause:3.10`, for failures. */
  readonly label: string;
  readonly endpoints: EndpointList;
  readonly exchange: Exchange;
}

const payloadType = 'application/vnd.dev.cosign.simplesigning.v1+json';
const signatureKey = 'dev.cosignproject.cosign/signature';
const artifactType = 'application/vnd.dev.cosign.artifact.sig.v1+json';

/** Bounds: whoever may push to the repository wrote all of this. */
const longestDocument = 1024 * 1024;
const longestPayload = 16 * 1024;
const longestSignature = 4 * 1024;
const mostSignatures = 32;
const mostReferrers = 8;

/**
 * The signatures of a digest, none if it has none. Of more than 32 the first are taken; what is no signature is left
 * out. Fails as any request to a registry does, but not for what is not there.
 */
export async function fetchSignatures(
  o: SignatureSource,
  digest: Digest,
  signal: AbortSignal,
): Promise<FoundSignature[]> {
  const tag = `sha256-${digestHex(digest)}.sig`;
  const tagged = await getJson(o, { rest: `manifests/${tag}`, what: `signatures ${tag}`, expected: null }, signal);
  const manifests = tagged === null ? await referrers(o, digest, signal) : [tagged];
  const layers = manifests.flatMap(layersOf).slice(0, mostSignatures);
  const found: FoundSignature[] = [];
  for (const { digest: payload, size, signature } of layers) {
    const bytes = await getPayload(o, { digest: payload, size }, signal);
    if (bytes !== null) found.push({ payload: bytes.toString('base64'), signature });
  }
  return found;
}

interface Wanted {
  readonly rest: string;
  readonly what: string;
  readonly expected: Digest | null;
}

/** A JSON document of the repository; null if no host has it. */
async function getJson(
  o: SignatureSource,
  { rest, what, expected }: Wanted,
  signal: AbortSignal,
): Promise<Json | null> {
  const bytes = await get(o, { rest, what, expected, maxBytes: longestDocument }, signal);
  if (bytes === null) return null;
  try {
    const value: unknown = JSON.parse(bytes.toString('utf8'));
    return isJson(value) ? value : {};
  } catch {
    return {};
  }
}

async function get(
  o: SignatureSource,
  want: Wanted & { readonly maxBytes: number },
  signal: AbortSignal,
): Promise<Buffer | null> {
  const { expected } = want;
  const may = (endpoint: Endpoint): boolean => (expected === null ? endpoint.canResolve : endpoint.canPull);
  const walk = { doing: `get ${want.what} of ${o.label}`, may, signal };
  const attempt = async (endpoint: Endpoint): Promise<Buffer> => {
    const url = repositoryUrl(endpoint, want.rest);
    const headers = { accept: acceptManifests };
    const { body } = await o.exchange(endpoint, { method: 'GET', url, headers, maxBytes: want.maxBytes }, signal);
    const own = `sha256:${createHash('sha256').update(body).digest('hex')}`;
    if (expected === null || own === expected) return body;
    throw failedPrecondition(`${want.what} of ${o.label} from ${endpoint.host} has digest ${own}`, undefined, {
      host: endpoint.host,
    });
  };
  try {
    return (await o.endpoints.first(walk, attempt)).value;
  } catch (error) {
    if (error instanceof Failure && error.kind === 'not-found') return null;
    throw error;
  }
}

/** Manifests that say they are signatures of a digest; none where the registry does not know referrers. */
async function referrers(o: SignatureSource, digest: Digest, signal: AbortSignal): Promise<Json[]> {
  const index = await getJson(
    o,
    { rest: `referrers/${digest}`, what: `referrers of ${digest}`, expected: null },
    signal,
  ).catch((error: unknown) => {
    // registries before distribution-spec 1.1 answer such a path in many ways
    if (error instanceof Failure && typeof error.details.status === 'number' && error.details.status < 500) return null;
    throw error;
  });
  const entries = Array.isArray(index?.manifests) ? index.manifests.filter(isJson) : [];
  const ours = entries.filter(
    (entry) => entry.artifactType === artifactType && isText(entry.digest, 80) && isDigest(entry.digest),
  );
  const found: Json[] = [];
  for (const { digest: at } of ours.slice(0, mostReferrers)) {
    const want = { rest: `manifests/${String(at)}`, what: `signatures ${String(at)}`, expected: at as Digest };
    const manifest = await getJson(o, want, signal);
    if (manifest !== null) found.push(manifest);
  }
  return found;
}

interface Layer {
  readonly digest: Digest;
  readonly size: number;
  readonly signature: string;
}

/** The layers of a manifest that are signatures, as far as they keep to the bounds. */
function layersOf(manifest: Json): Layer[] {
  if (manifest.mediaType !== undefined && manifest.mediaType !== mediaTypes.ociManifest) return [];
  const layers: readonly unknown[] = Array.isArray(manifest.layers) ? manifest.layers : [];
  return layers.slice(0, mostSignatures * 4).flatMap((layer): Layer[] => {
    if (!isJson(layer) || layer.mediaType !== payloadType) return [];
    const { digest, size } = layer;
    const signature = isJson(layer.annotations) ? layer.annotations[signatureKey] : null;
    if (!isText(digest, 80) || !isDigest(digest) || !isText(signature, longestSignature)) return [];
    if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 1 || size > longestPayload) return [];
    return [{ digest, size, signature }];
  });
}

/** What was signed; null if there is none, or something else, under its digest: the other signatures count all the same. */
async function getPayload(
  o: SignatureSource,
  { digest, size }: Omit<Layer, 'signature'>,
  signal: AbortSignal,
): Promise<Buffer | null> {
  const want = { rest: `blobs/${digest}`, what: `signed text ${digest}`, expected: digest, maxBytes: size };
  return get(o, want, signal).catch((error: unknown) => {
    if (error instanceof Failure && error.kind === 'failed-precondition') return null;
    throw error;
  });
}

type Json = Readonly<Record<string, unknown>>;

const isJson = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value);
const isText = (value: unknown, longest: number): value is string =>
  typeof value === 'string' && value !== '' && value.length <= longest;
