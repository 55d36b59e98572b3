// One caller's view of one repository: what a tag means, manifests, configs, and leave to fetch blobs.
// Must not move layer bytes: it says where they are and the caller's function fetches them.
import { createHash } from 'node:crypto';
import { Failure, failedPrecondition, notFound } from '../lib/failure.ts';
import { type Digest, isDigest } from '../lib/id.ts';
import { type AuthSession, headersFor } from './auth.ts';
import type { HttpResponse } from './client.ts';
import { type Endpoint, repositoryUrl, type TlsFiles } from './endpoint.ts';
import type { Exchange } from './exchange.ts';
import { StatusError } from './failures.ts';
import {
  acceptManifests,
  type Descriptor,
  type ImageIndex,
  type ImageManifest,
  isIndexType,
  isManifestType,
  longestConfig,
  longestManifest,
  parseManifest,
} from './manifest.ts';
import type { EndpointList } from './mirrors.ts';
import { choosePlatform, type Platform, platformText } from './platform.ts';
import { retrying, type RetryPolicy } from './retry.ts';
import { fetchSignatures, type FoundSignature } from './signatures.ts';

/** A manifest or index as it was received and checked. */
export interface Document {
  readonly digest: Digest;
  readonly mediaType: string;
  readonly bytes: Buffer;
}

/** What a reference points to for one platform. */
export interface ResolvedImage {
  /** What the tag or digest names: an index, or the manifest itself. */
  readonly target: Document;
  readonly manifest: Document & Pick<ImageManifest, 'artifactType' | 'config' | 'layers'>;
  /** The host that answered. */
  readonly host: string;
}

/** Where a blob is, for whoever fetches it. */
export interface BlobSource {
  readonly host: string;
  readonly url: string;
  readonly headers: readonly (readonly [string, string])[];
  readonly allowHttp: boolean;
  readonly tls: TlsFiles;
  readonly proxy: string | null;
  readonly connectMs: number;
}

/** Port: an open repository. */
export interface Repository {
  /** Whether the caller may read it, and what it points to; null if the registry does not say by HEAD. */
  probe(signal: AbortSignal): Promise<Digest | null>;
  /** The manifest for a platform. */
  resolve(platform: Platform, signal: AbortSignal): Promise<ResolvedImage>;
  /** A small blob, verified. */
  config(descriptor: Descriptor, signal: AbortSignal): Promise<Buffer>;
  /**
   * Has `fetch` get a blob from one host after the other until it succeeds. A failure of `fetch` counts
   * against the host if its details name one (`host`); any other ends the walk.
   */
  blob<T>(digest: Digest, signal: AbortSignal, fetch: (source: BlobSource) => Promise<T>): Promise<T>;
  /** The signatures that are kept beside a manifest or index; none is no failure. */
  signatures(digest: Digest, signal: AbortSignal): Promise<FoundSignature[]>;
}

export interface RepositoryOptions {
  /** `registry.k8s.io/pause:3.10`, for failures. */
  readonly label: string;
  readonly tag: string | null;
  readonly digest: Digest | null;
  readonly endpoints: EndpointList;
  readonly session: AuthSession;
  /** Asks with auth and retries. */
  readonly exchange: Exchange;
  /** For blobs, whose exchange is somebody else's. */
  readonly retry: RetryPolicy;
}

const deepestIndex = 4;
/** Manifests that one image may have us look at: nested indexes could lead to billions. */
const mostManifests = 64;

/** Opens a repository of one image. */
export function openRepository(o: RepositoryOptions): Repository {
  const wanted = o.digest ?? o.tag ?? 'latest';
  return {
    probe: (signal) => probe(o, wanted, signal),
    resolve: async (platform, signal) => {
      const { endpoint, value: target } = await getManifest(
        o,
        { name: wanted, digest: o.digest, mediaType: '' },
        signal,
      );
      const manifest = await descend(
        o,
        { document: target, platform, depth: 0, budget: { left: mostManifests } },
        signal,
      );
      if (manifest === null) throw noPlatform(o.label, target, platform);
      return { target: target.document, manifest, host: endpoint.host };
    },
    config: (descriptor, signal) => getConfig(o, descriptor, signal),
    blob: (digest, signal, fetch) => getBlob(o, { digest, fetch }, signal),
    signatures: (digest, signal) => fetchSignatures(o, digest, signal),
  };
}

async function probe(o: RepositoryOptions, wanted: string, signal: AbortSignal): Promise<Digest | null> {
  const walk = { doing: `check access to ${o.label}`, may: mayAsk(o.digest), signal };
  const { value } = await o.endpoints.first(walk, async (endpoint) => {
    const url = repositoryUrl(endpoint, `manifests/${wanted}`);
    const ask = { method: 'HEAD', url, headers: { accept: acceptManifests }, maxBytes: 0 } as const;
    return o.exchange(endpoint, ask, signal).catch((error: unknown) => {
      // some registries serve manifests by GET only
      if (error instanceof StatusError && (error.status === 405 || error.status === 501)) return null;
      throw error;
    });
  });
  return value === null ? null : digestHeader(value);
}

const mayAsk =
  (digest: Digest | null) =>
  (endpoint: Endpoint): boolean =>
    digest === null ? endpoint.canResolve : endpoint.canPull;

function digestHeader(response: HttpResponse): Digest | null {
  const value = String(response.headers['docker-content-digest'] ?? '');
  return isDigest(value) ? value : null;
}

interface Parsed {
  readonly document: Document;
  readonly content: ImageManifest | ImageIndex;
}

interface Wanted {
  /** Tag or digest. */
  readonly name: string;
  readonly digest: Digest | null;
  /** As an index declared it, or "". */
  readonly mediaType: string;
}

async function getManifest(
  o: RepositoryOptions,
  wanted: Wanted,
  signal: AbortSignal,
): Promise<{ endpoint: Endpoint; value: Parsed }> {
  const walk = { doing: `get manifest of ${o.label}`, may: mayAsk(wanted.digest), signal };
  return o.endpoints.first(walk, async (endpoint) => {
    const url = repositoryUrl(endpoint, `manifests/${wanted.name}`);
    const ask = { method: 'GET', url, headers: { accept: acceptManifests }, maxBytes: longestManifest } as const;
    const response = await o.exchange(endpoint, ask, signal);
    const bytes = response.body;
    const own = sha256(bytes);
    const promised = wanted.digest ?? digestHeader(response);
    if (promised !== null && promised !== own)
      throw wrongDigest(`manifest of ${o.label}`, endpoint.host, { expected: promised, actual: own });
    const declared = wanted.mediaType || (response.headers['content-type'] ?? '');
    const content = parseAnswer(bytes, declared, { label: o.label, host: endpoint.host });
    return { document: { digest: own, mediaType: content.mediaType, bytes }, content };
  });
}

/** An answer that is no manifest counts against its host: a mirror may serve an error page. */
function parseAnswer(
  bytes: Buffer,
  declared: string,
  from: { label: string; host: string },
): ImageManifest | ImageIndex {
  try {
    return parseManifest(bytes, declared, `${from.label} from ${from.host}`);
  } catch (error) {
    if (!(error instanceof Failure) || error.kind !== 'failed-precondition') throw error;
    throw failedPrecondition(error.message, error.cause, { host: from.host });
  }
}

const sha256 = (bytes: Uint8Array): Digest =>
  `sha256:${createHash('sha256').update(bytes).digest('hex')}` as string as Digest;

function wrongDigest(what: string, host: string, digests: { expected: Digest; actual: Digest }): Failure {
  return failedPrecondition(`${what} from ${host} has digest ${digests.actual}, not ${digests.expected}`, undefined, {
    host,
  });
}

interface Descent {
  readonly document: Parsed;
  readonly platform: Platform;
  readonly depth: number;
  /** Manifests that may still be fetched, counted over the whole descent. */
  readonly budget: { left: number };
}

/** The manifest of the platform at or below a document; null if there is none. */
async function descend(
  o: RepositoryOptions,
  at: Descent,
  signal: AbortSignal,
): Promise<ResolvedImage['manifest'] | null> {
  const { content, document } = at.document;
  if (content.type === 'manifest') return { ...content, ...document };
  if (at.depth >= deepestIndex)
    throw failedPrecondition(`indexes of ${o.label} are nested more than ${deepestIndex} deep`);
  for (const entry of choosePlatform(at.platform, content.manifests)) {
    if (!isIndexType(entry.mediaType) && !isManifestType(entry.mediaType)) continue;
    at.budget.left -= 1;
    if (at.budget.left < 0)
      throw failedPrecondition(`indexes of ${o.label} lead to more than ${mostManifests} manifests`);
    const { value } = await getManifest(o, { name: entry.digest, ...entry }, signal);
    if (value.document.bytes.length !== entry.size) {
      throw failedPrecondition(
        `manifest ${entry.digest} of ${o.label} has ${value.document.bytes.length} bytes, not ${entry.size}`,
      );
    }
    const found = await descend(o, { ...at, document: value, depth: at.depth + 1 }, signal);
    if (found !== null) return found;
  }
  return null;
}

function noPlatform(label: string, target: Parsed, platform: Platform): Error {
  const entries = target.content.type === 'index' ? target.content.manifests : [];
  const have = entries.flatMap((e) =>
    e.platform === null || e.platform.os === 'unknown' ? [] : [platformText(e.platform)],
  );
  const list = [...new Set(have)]
    .slice(0, 20)
    .join(', ')
    .replace(/[^\x20-\x7e]/g, '?');
  return notFound(
    `image ${label} has nothing for ${platformText(platform)}, only ${list || 'entries without platform'}`,
  );
}

async function getConfig(o: RepositoryOptions, descriptor: Descriptor, signal: AbortSignal): Promise<Buffer> {
  if (descriptor.size > longestConfig)
    throw failedPrecondition(`config of ${o.label} is larger than ${longestConfig} bytes`);
  const walk = { doing: `get config ${descriptor.digest} of ${o.label}`, may: mayAsk(descriptor.digest), signal };
  const { value } = await o.endpoints.first(walk, async (endpoint) => {
    const url = repositoryUrl(endpoint, `blobs/${descriptor.digest}`);
    const response = await o.exchange(endpoint, { method: 'GET', url, headers: {}, maxBytes: descriptor.size }, signal);
    const own = sha256(response.body);
    if (own !== descriptor.digest)
      throw wrongDigest(`config of ${o.label}`, endpoint.host, { expected: descriptor.digest, actual: own });
    return response.body;
  });
  return value;
}

async function getBlob<T>(o: RepositoryOptions, job: BlobJob<T>, signal: AbortSignal): Promise<T> {
  const walk = { doing: `get blob ${job.digest} of ${o.label}`, may: mayAsk(job.digest), signal };
  const { value } = await o.endpoints.first(walk, (endpoint) => {
    const once = (): Promise<T> => job.fetch(sourceAt(o, endpoint, job.digest)).catch(asStatusError);
    return retrying(o.retry, signal, async () => {
      try {
        return await once();
      } catch (error) {
        if (!(error instanceof StatusError) || error.status !== 401) throw error;
        // the token ran out, or blobs are guarded where manifests are not: ask for the blob's head to be challenged
        const { url } = sourceAt(o, endpoint, job.digest);
        await o.exchange(endpoint, { method: 'HEAD', url, headers: {}, maxBytes: 0 }, signal);
        return once();
      }
    });
  });
  return value;
}

/** A refusal that the fetch of a blob reports in its failure's details means what any refusal does. */
function asStatusError(error: unknown): never {
  if (!(error instanceof Failure)) throw error;
  const { status, host } = error.details;
  if (typeof status !== 'number' || typeof host !== 'string') throw error;
  throw new StatusError({ status, host, detail: '', retryAfter: '' });
}

interface BlobJob<T> {
  readonly digest: Digest;
  readonly fetch: (source: BlobSource) => Promise<T>;
}

const sourceAt = (o: RepositoryOptions, endpoint: Endpoint, digest: Digest): BlobSource => ({
  host: endpoint.host,
  url: repositoryUrl(endpoint, `blobs/${digest}`),
  headers: Object.entries(headersFor(endpoint, o.session, {})),
  allowHttp: endpoint.base.startsWith('http:'),
  tls: endpoint.tls,
  proxy: endpoint.proxy,
  connectMs: endpoint.connectMs,
});
