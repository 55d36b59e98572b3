// One blob's way into a repository (distribution spec, "Pushing blobs"): where an upload is, what follows each answer.
// Must not move bytes: the caller's function does. No credential, header or certificate of the registry goes to another
// host, whoever names that; once an upload has gone away, they stay away.
import { Failure } from '../lib/failure.ts';
import type { Digest } from '../lib/id.ts';
import { type AuthSession, headersFor } from './auth.ts';
import type { HttpResponse } from './client.ts';
import { type Endpoint, repositoryUrl } from './endpoint.ts';
import type { Exchange } from './exchange.ts';
import { StatusError } from './failures.ts';
import { reachOf } from './reach.ts';
import type { BlobSource } from './repository.ts';
import type { RetryPolicy } from './retry.ts';
import { retryPause } from './retry.ts';
import { TransportError } from './transport-error.ts';

/** Where bytes go next, with all that is needed to send them there. */
export interface UploadTarget extends BlobSource {
  readonly reach: 'any' | 'machine' | 'network';
}

/** Bytes of the blob: from `begin` to before `end`. */
export interface UploadPart {
  readonly method: 'PUT' | 'PATCH';
  readonly begin: number;
  readonly end: number;
}

/** What was answered. */
export interface UploadAnswer {
  readonly status: number;
  readonly location: string | null;
  readonly range: string | null;
  readonly retryAfter: string | null;
  /** How far the server may lead. */
  readonly leads: 'machine' | 'network';
  readonly body: Buffer;
}

/** Sends bytes. A failure of the host's has `host` in its details, and `stage` (native-failure.ts). */
export type SendPart = (target: UploadTarget, part: UploadPart) => Promise<UploadAnswer>;

/** A blob to send. */
export interface Upload {
  readonly digest: Digest;
  readonly size: number;
  readonly send: SendPart;
}

export interface UploadOptions {
  readonly session: AuthSession;
  readonly exchange: Exchange;
  readonly retry: RetryPolicy;
  readonly proxyFor: (url: URL) => string | null;
}

/** A place that a registry gave for an upload. */
export interface UploadPlace {
  readonly endpoint: Endpoint;
  readonly url: URL;
  /** Whether it is at the endpoint itself, and has been all the way. */
  readonly own: boolean;
  readonly reach: UploadTarget['reach'];
  /** Bytes that a part should have at least (OCI-Chunk-Min-Length). */
  readonly leastBytes: number;
}

/** What every registry and proxy takes in one request, where the whole was too much for one. */
const partBytes = 4 * 1024 * 1024;
const largestPart = 512 * 1024 * 1024;
const mostRedirects = 5;
/** Of a blob that makes no progress. */
const mostAttempts = 5;
const longestAnswer = 64 * 1024;

/** Asks for a place, or for a blob of another repository of the registry: null when it is there then. */
export async function beginUpload(
  o: UploadOptions,
  { endpoint, mount }: { readonly endpoint: Endpoint; readonly mount: { digest: Digest; from: string } | null },
  signal: AbortSignal,
): Promise<UploadPlace | null> {
  const query = mount === null ? '' : `?mount=${mount.digest}&from=${encodeURIComponent(mount.from)}`;
  const url = `${repositoryUrl(endpoint, 'blobs/uploads/')}${query}`;
  const ask = { method: 'POST', url, headers: { 'content-length': '0' }, maxBytes: longestAnswer } as const;
  const answer = await o.exchange(endpoint, ask, signal);
  if (mount !== null && answer.status === 201) return null;
  const from = { endpoint, url: new URL(url), own: true, reach: 'any', leastBytes: 0 } as const;
  return { ...placeAt(from, locationOf(answer), reachOf(answer.peer)), leastBytes: leastBytesOf(answer) };
}

const locationOf = ({ headers }: HttpResponse): string | null => headers.location ?? null;

function leastBytesOf({ headers }: HttpResponse): number {
  const text = String(headers['oci-chunk-min-length'] ?? '');
  return /^[0-9]{1,12}$/.test(text) ? Math.min(Number(text), largestPart) : 0;
}

/** Where a Location leads from a place. Throws TransportError for what is none, or not safe to follow. */
function placeAt(from: UploadPlace, location: string | null, leads: 'machine' | 'network'): UploadPlace {
  const refuse = (why: string): never => {
    throw new TransportError({ stage: 'protocol', host: from.url.host }, `its place for an upload ${why}`);
  };
  const url = location === null ? null : URL.parse(location, from.url.href);
  if (url === null || !/^https?:$/.test(url.protocol) || url.hostname === '') return refuse('is not a web address');
  if (url.username !== '' || url.password !== '') return refuse('has credentials in it');
  if (from.url.protocol === 'https:' && url.protocol === 'http:')
    return refuse(`is at plain http: ${url.host.slice(0, 255)}`);
  const own = from.own && url.origin === new URL(from.endpoint.base).origin;
  return { ...from, url, own, reach: own ? 'any' : leads };
}

/** What is sent there: nothing that is the endpoint's, anywhere else. */
function targetOf(o: UploadOptions, { endpoint, url, own, reach }: UploadPlace, more: Headers): UploadTarget {
  const { tls, proxy, connectMs } = endpoint;
  const headers = own ? headersFor(endpoint, o.session, more) : more;
  return {
    host: url.host,
    url: url.href,
    headers: Object.entries(headers),
    allowHttp: url.protocol === 'http:',
    tls: own ? tls : { ...tls, clientCert: null, clientKey: null, skipVerify: false },
    proxy: own ? proxy : o.proxyFor(url),
    connectMs,
    reach,
  };
}

type Headers = Readonly<Record<string, string>>;

interface Step {
  readonly upload: Upload;
  readonly part: UploadPart;
  readonly headers: Headers;
}

/** Sends one part, to where it is led; the answer is a success. */
async function sendTo(
  o: UploadOptions,
  place: UploadPlace,
  step: Step,
): Promise<{ place: UploadPlace; answer: UploadAnswer }> {
  let at = place;
  for (let hops = 0; hops <= mostRedirects; hops += 1) {
    const answer = await step.upload.send(targetOf(o, at, step.headers), step.part);
    const { status } = answer;
    if (status === 307 || status === 308) {
      at = placeAt(at, answer.location, answer.leads);
      continue;
    }
    if (status < 200 || status > 299) throw refusal(o, at, answer);
    return { place: at, answer };
  }
  throw new TransportError({ stage: 'protocol', host: place.url.host }, 'too many redirects');
}

function refusal({ session }: UploadOptions, { url }: UploadPlace, answer: UploadAnswer): StatusError {
  const { status, body } = answer;
  return session.refusal(
    { status, body, headers: { 'retry-after': answer.retryAfter ?? '' }, strayed: false, peer: '' },
    url.host,
  );
}

const withDigest = (place: UploadPlace, digest: Digest): UploadPlace => {
  const url = new URL(place.url);
  url.search = `${url.search === '' ? '?' : `${url.search}&`}digest=${encodeURIComponent(digest)}`;
  return { ...place, url };
};

/** The whole in one request: what every registry can. */
async function putWhole(o: UploadOptions, place: UploadPlace, upload: Upload): Promise<void> {
  const part = { method: 'PUT', begin: 0, end: upload.size } as const;
  await sendTo(o, withDigest(place, upload.digest), { upload, part, headers: {} });
}

/** The rest in parts, each of which counts once it has arrived. */
async function putParts(o: UploadOptions, way: Way, upload: Upload): Promise<void> {
  const { size, digest } = upload;
  while (way.sent < size) {
    const begin = way.sent;
    const end = Math.min(size, begin + Math.max(partBytes, way.place.leastBytes));
    const headers = { 'content-range': `${begin}-${end - 1}` };
    const { place, answer } = await sendTo(o, way.place, { upload, part: { method: 'PATCH', begin, end }, headers });
    way.place = placeAt(place, answer.location, answer.leads);
    const arrived = arrivedOf(answer.range) ?? end;
    if (arrived <= begin || arrived > end)
      throw new TransportError({ stage: 'protocol', host: place.url.host }, `${arrived} bytes have arrived, it says`);
    way.sent = arrived;
    if (arrived <= way.best) continue; // once more what an upload that is gone had
    way.best = arrived;
    way.failures = 0;
  }
  const part = { method: 'PUT', begin: size, end: size } as const;
  await sendTo(o, withDigest(way.place, digest), { upload, part, headers: {} });
}

/** `0-<last byte>`, also with `bytes=` before it: how many bytes are there, 1 perhaps none. Null for what says nothing. */
function arrivedOf(range: string | null): number | null {
  const last = /^(?:bytes=)?0-([0-9]{1,15})$/.exec(range ?? '')?.[1];
  return last === undefined ? null : Number(last) + 1;
}

/** How far an upload is. */
interface Way {
  place: UploadPlace;
  sent: number;
  /** The most that any of its uploads had: only more is progress. */
  best: number;
  /** Without progress. */
  failures: number;
  inParts: boolean;
}

/**
 * Sends a blob from a place on: in one request, and after that failed in parts, from what has arrived. Throws what no
 * further attempt helps against.
 */
export async function sendUpload(
  o: UploadOptions,
  { begun, upload }: { readonly begun: UploadPlace; readonly upload: Upload },
  signal: AbortSignal,
): Promise<void> {
  const way: Way = { place: begun, sent: 0, best: 0, failures: 0, inParts: false };
  for (;;) {
    try {
      await (way.inParts ? putParts(o, way, upload) : putWhole(o, way.place, upload));
      return;
    } catch (error) {
      signal.throwIfAborted();
      way.failures += 1;
      const pause = way.failures < mostAttempts ? pauseBefore(error, way, o.retry) : null;
      if (pause === null) throw error;
      await o.retry.sleep(pause, signal);
      await resume(o, way, signal);
      way.inParts = true;
    }
  }
}

/** Finds out what has arrived; begins anew where that cannot be told. */
async function resume(o: UploadOptions, way: Way, signal: AbortSignal): Promise<void> {
  const { endpoint, own, url, leastBytes } = way.place;
  // of a whole that broke off, registries differ in what they keep
  if (way.inParts && own) {
    const ask = { method: 'GET', url: url.href, headers: {}, maxBytes: longestAnswer } as const;
    const answer = await o.exchange(endpoint, ask, signal).catch((error: unknown) => {
      signal.throwIfAborted();
      if (error instanceof StatusError || error instanceof TransportError) return null;
      throw error;
    });
    const arrived = answer === null || answer.strayed ? null : arrivedOf(answer.headers.range ?? null);
    // of an empty upload distribution says 0-0 too
    const untold = arrived === 1 && way.sent === 0;
    if (answer !== null && arrived !== null && arrived >= way.sent && !untold) {
      way.sent = arrived;
      if (answer.headers.location !== undefined)
        way.place = placeAt(way.place, locationOf(answer), reachOf(answer.peer));
      return;
    }
  }
  const begun = await beginUpload(o, { endpoint, mount: null }, signal);
  way.place = begun === null ? way.place : { ...begun, leastBytes: Math.max(begun.leastBytes, leastBytes) };
  way.sent = 0;
}

/** Statuses after which a new upload may do: the token ran out, the upload is not known (any more), the whole is too large. */
const anew = new Set([401, 404, 413, 416]);

function pauseBefore(error: unknown, { failures }: Way, retry: RetryPolicy): number | null {
  if (error instanceof StatusError && anew.has(error.status)) return failures === 1 ? 0 : null;
  if (error instanceof Failure) {
    const { host, stage } = error.details;
    const lost = ['connect', 'timeout', 'http', 'dns'].includes(String(stage)) && host !== undefined;
    return lost ? retryPause(new TransportError({ stage: 'timeout', host: '' }, ''), failures, retry) : null;
  }
  return retryPause(error, failures, retry);
}
