// One caller's view of one repository that content is pushed to: what it has, what it takes over from others, what it is sent.
// Must not move bytes of blobs: the caller's function does.
import { createHash } from 'node:crypto';
import { failedPrecondition } from '../lib/failure.ts';
import type { Digest } from '../lib/id.ts';
import { type Endpoint, repositoryUrl } from './endpoint.ts';
import { StatusError } from './failures.ts';
import type { EndpointList } from './mirrors.ts';
import { TransportError } from './transport-error.ts';
import { beginUpload, sendUpload, type Upload, type UploadOptions, type UploadPlace } from './uploads.ts';

/** A manifest to push. */
export interface PushedManifest {
  /** A tag, or the manifest's digest. */
  readonly name: string;
  readonly mediaType: string;
  readonly bytes: Uint8Array;
}

/** Port: a repository that is open for pushing. Each rejects with a Failure that names host and reference. */
export interface PushRepository {
  /** Whether a blob is there. */
  has(digest: Digest, signal: AbortSignal): Promise<boolean>;
  /** Has the registry take a blob over from another of its repositories; whether it did. */
  mount(digest: Digest, from: string, signal: AbortSignal): Promise<boolean>;
  /** Sends a blob. */
  upload(blob: Upload, signal: AbortSignal): Promise<void>;
  /** Puts a manifest, all of whose blobs are there. */
  putManifest(manifest: PushedManifest, signal: AbortSignal): Promise<void>;
}

export interface PushOptions extends UploadOptions {
  /** `registry.example/team/app:v1`, for failures. */
  readonly label: string;
  readonly endpoints: EndpointList;
}

const longestAnswer = 64 * 1024;
const all = (): boolean => true;

/** Opens a repository for pushing. */
export function openPushRepository(o: PushOptions): PushRepository {
  const walk = (doing: string, signal: AbortSignal) => ({ doing: `${doing} of ${o.label}`, may: all, signal });
  /** Uploads that registries began in answer to a mount, by digest. */
  const begun = new Map<Digest, UploadPlace>();
  const taken = (digest: Digest, endpoint: Endpoint): UploadPlace | null => {
    const place = begun.get(digest);
    if (place?.endpoint !== endpoint) return null;
    begun.delete(digest);
    return place;
  };
  return {
    async has(digest, signal) {
      const { value } = await o.endpoints.first(walk(`look for blob ${digest}`, signal), async (endpoint) => {
        const url = repositoryUrl(endpoint, `blobs/${digest}`);
        const ask = { method: 'HEAD', url, headers: {}, maxBytes: 0 } as const;
        return o.exchange(endpoint, ask, signal).then(() => true, absent);
      });
      return value;
    },
    async mount(digest, from, signal) {
      const { value } = await o.endpoints.first(walk(`mount blob ${digest}`, signal), async (endpoint) => {
        // `from` may be no repository with this blob: then what was answered is a place to send it to
        const place = await beginUpload(o, { endpoint, mount: { digest, from } }, signal).catch(refused);
        if (place) begun.set(digest, place);
        return place === null;
      });
      return value;
    },
    async upload(upload, signal) {
      await o.endpoints.first(walk(`push blob ${upload.digest}`, signal), async (endpoint) => {
        const { digest } = upload;
        const place = taken(digest, endpoint) ?? (await beginUpload(o, { endpoint, mount: null }, signal));
        if (place !== null) await sendUpload(o, { begun: place, upload }, signal);
      });
    },
    async putManifest({ name, mediaType, bytes }, signal) {
      const own = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
      await o.endpoints.first(walk('push manifest', signal), async (endpoint) => {
        const url = repositoryUrl(endpoint, `manifests/${name}`);
        const headers = { 'content-type': mediaType, 'content-length': String(bytes.length) };
        const answer = await o.exchange(
          endpoint,
          { method: 'PUT', url, headers, body: bytes, maxBytes: longestAnswer },
          signal,
        );
        const told = answer.headers['docker-content-digest'];
        if (told === undefined || told === own) return;
        throw failedPrecondition(
          `registry ${endpoint.host} keeps manifest ${own} of ${o.label} under another digest`,
          undefined,
          {
            host: endpoint.host,
          },
        );
      });
    },
  };
}

/** What a registry says of a blob that it has not, or of a repository that is not made yet. */
function absent(error: unknown): boolean {
  if (error instanceof StatusError && error.status === 404) return false;
  throw error;
}

/** A mount is a wish: who may not read the other repository, or whose registry cannot or answers nonsense, sends the blob. */
function refused(error: unknown): undefined {
  if (error instanceof StatusError && error.status >= 400 && error.status < 500 && error.status !== 429) return;
  if (error instanceof TransportError && error.stage === 'protocol') return;
  throw error;
}
