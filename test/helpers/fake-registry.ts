// A registry in this process for tests: distribution API, token server, and every way to misbehave.
import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import type { TestBlob, TestImage } from './image-parts.ts';

/** A request as the registry saw it. */
export interface SeenRequest {
  readonly method: string;
  /** Path with query. */
  readonly url: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
}

/** Who may come in. */
export type AuthMode =
  | { readonly type: 'none' }
  | { readonly type: 'basic'; readonly username: string; readonly password: string }
  | {
      readonly type: 'bearer';
      /** Basic user of the token server; null lets anybody have a token. */
      readonly user: { readonly username: string; readonly password: string } | null;
      /** Refresh token that is traded; null for none. */
      readonly identityToken: string | null;
      /** Where the token server is; "" for this registry's /token. */
      readonly realm: string;
    };

/** May answer a request itself: true if it did. */
export type Intercept = (request: SeenRequest, response: ServerResponse) => boolean;

export interface FakeRegistry {
  /** `127.0.0.1:port`. */
  readonly host: string;
  readonly url: string;
  readonly requests: SeenRequest[];
  auth: AuthMode;
  /** Tokens that were given out and are still good. */
  readonly tokens: Set<string>;
  intercept: Intercept;
  /** Where blobs are redirected, or null. */
  redirectBlobsTo: string | null;
  /** Puts an image under repository:tag. */
  push(repository: string, tag: string, image: TestImage): void;
  /** Puts a manifest or index, by its digest and, if given, a tag. */
  putManifest(repository: string, tag: string | null, manifest: TestBlob & { readonly mediaType: string }): void;
  putBlob(blob: TestBlob): void;
  /** Requests whose method and path match. */
  seen(method: string, path: RegExp): SeenRequest[];
  close(): Promise<void>;
}

interface Stored {
  readonly bytes: Buffer;
  readonly mediaType: string;
  readonly digest: string;
}

/** Starts a registry on a free port of loopback; `address` may be that of IPv6. */
export async function startFakeRegistry(
  tls: https.ServerOptions | null = null,
  address: '127.0.0.1' | '::1' = '127.0.0.1',
): Promise<FakeRegistry> {
  const manifests = new Map<string, Stored>();
  const blobs = new Map<string, Buffer>();
  const answer = async (incoming: IncomingMessage, response: ServerResponse): Promise<void> => {
    const chunks: Buffer[] = [];
    for await (const chunk of incoming as AsyncIterable<Buffer>) chunks.push(chunk);
    const { method = '', url = '', headers } = incoming;
    const request = { method, url, headers, body: Buffer.concat(chunks).toString('utf8') };
    registry.requests.push(request);
    if (registry.intercept(request, response)) return;
    serve(registry, { manifests, blobs }, { request, response });
  };
  const listener = (incoming: IncomingMessage, response: ServerResponse): void => void answer(incoming, response);
  const server = tls === null ? http.createServer(listener) : https.createServer(tls, listener);
  await new Promise<void>((resolve) => server.listen(0, address, resolve));
  const host = `${address === '::1' ? '[::1]' : address}:${(server.address() as AddressInfo).port}`;
  const registry: FakeRegistry = {
    host,
    url: `${tls === null ? 'http' : 'https'}://${host}`,
    requests: [],
    auth: { type: 'none' },
    tokens: new Set(),
    intercept: () => false,
    redirectBlobsTo: null,
    push(repository, tag, image) {
      for (const blob of [...image.layers, image.config]) registry.putBlob(blob);
      registry.putManifest(repository, tag, image.manifest);
    },
    putManifest(repository, tag, manifest) {
      manifests.set(`${repository} ${manifest.digest}`, manifest);
      if (tag !== null) manifests.set(`${repository} ${tag}`, manifest);
    },
    putBlob: ({ digest, bytes }) => void blobs.set(digest, bytes),
    seen: (method, path) => registry.requests.filter((r) => r.method === method && path.test(r.url)),
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
  return registry;
}

/** Answers with the errors body of the distribution API; with headers if they are given. */
export function refuse(
  response: ServerResponse,
  status: number,
  why: string | { readonly code: string; readonly headers: Readonly<Record<string, string>> },
): true {
  const { code, headers } = typeof why === 'string' ? { code: why, headers: {} } : why;
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(JSON.stringify({ errors: [{ code, message: code.toLowerCase().replaceAll('_', ' ') }] }));
  return true;
}

interface Stores {
  readonly manifests: ReadonlyMap<string, Stored>;
  readonly blobs: ReadonlyMap<string, Buffer>;
}

interface Call {
  readonly request: SeenRequest;
  readonly response: ServerResponse;
}

function serve(registry: FakeRegistry, stores: Stores, { request, response }: Call): void {
  const url = new URL(request.url, registry.url);
  if (url.pathname === '/token') return giveToken(registry, url, { request, response });
  if (!isAllowed(registry, request)) return challenge(registry, url, response);
  const match = /^\/v2\/(.+)\/(manifests|blobs)\/([^/]+)$/.exec(url.pathname);
  if (!match) return void refuse(response, url.pathname === '/v2/' ? 200 : 404, 'UNSUPPORTED');
  const [, repository = '', kind, reference = ''] = match;
  const stored = kind === 'manifests' ? stores.manifests.get(`${repository} ${reference}`) : undefined;
  const bytes = kind === 'manifests' ? stored?.bytes : stores.blobs.get(reference);
  if (bytes === undefined)
    return void refuse(response, 404, kind === 'manifests' ? 'MANIFEST_UNKNOWN' : 'BLOB_UNKNOWN');
  if (kind === 'blobs' && registry.redirectBlobsTo !== null) {
    response.writeHead(307, { location: `${registry.redirectBlobsTo}${url.pathname}` });
    response.end();
    return;
  }
  response.writeHead(200, {
    'content-length': bytes.length,
    'content-type': stored?.mediaType ?? 'application/octet-stream',
    'docker-content-digest': stored?.digest ?? reference,
  });
  response.end(request.method === 'HEAD' ? undefined : bytes);
}

const basic = (user: { username: string; password: string }): string =>
  `Basic ${Buffer.from(`${user.username}:${user.password}`).toString('base64')}`;

function isAllowed(registry: FakeRegistry, { headers }: SeenRequest): boolean {
  const { auth } = registry;
  const given = headers.authorization;
  switch (auth.type) {
    case 'none':
      return true;
    case 'basic':
      return given === basic(auth);
    case 'bearer':
      return typeof given === 'string' && given.startsWith('Bearer ') && registry.tokens.has(given.slice(7));
  }
}

function challenge(registry: FakeRegistry, url: URL, response: ServerResponse): void {
  const { auth } = registry;
  const repository = /^\/v2\/(.+)\/(?:manifests|blobs)\//.exec(url.pathname)?.[1] ?? '';
  const realm = auth.type === 'bearer' && auth.realm !== '' ? auth.realm : `${registry.url}/token`;
  const header =
    auth.type === 'bearer'
      ? `Bearer realm="${realm}",service="fake",scope="repository:${repository}:pull"`
      : 'Basic realm="fake"';
  refuse(response, 401, { code: 'UNAUTHORIZED', headers: { 'www-authenticate': header } });
}

function giveToken(registry: FakeRegistry, url: URL, { request, response }: Call): void {
  const { auth } = registry;
  const user = auth.type === 'bearer' ? auth.user : null;
  const identity = auth.type === 'bearer' ? auth.identityToken : null;
  const form = new URLSearchParams(request.body);
  const traded = request.method === 'POST' && identity !== null && form.get('refresh_token') === identity;
  const proved = user === null ? identity === null : request.headers.authorization === basic(user);
  if (!traded && !proved) return void refuse(response, 401, 'UNAUTHORIZED');
  const token = `token-${registry.tokens.size + 1}`;
  registry.tokens.add(token);
  response.writeHead(200, { 'content-type': 'application/json' });
  response.end(JSON.stringify(request.method === 'POST' ? { access_token: token } : { token, scope: url.search }));
}
