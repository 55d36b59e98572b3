// A registry in this process that can be pushed to, and misbehaves as it is told.
import { createHash, randomUUID } from 'node:crypto';
import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A request as it came; `bytes` are those of its body that arrived. */
export interface PushRequestSeen {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage['headers'];
  bytes: number;
}

/** Answers a request itself, before its body is read: true if it did. */
export type Interrupt = (request: IncomingMessage, response: ServerResponse) => boolean;

export interface PushServer {
  /** `127.0.0.1:port`. */
  readonly host: string;
  readonly requests: PushRequestSeen[];
  /** By digest. */
  readonly blobs: Map<string, Buffer>;
  /** By repository and tag. */
  readonly manifests: Map<string, Buffer>;
  interrupt: Interrupt;
  /** Where uploads are said to be: of this server, or somebody else's. */
  uploadsAt: string;
  /** `user:password` that it wants, or null. */
  wants: string | null;
  close(): Promise<void>;
}

const digestOf = (bytes: Buffer): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

/** Starts one on a free port of loopback. */
export async function startPushServer(): Promise<PushServer> {
  const uploads = new Map<string, Buffer>();
  const server = http.createServer((request, response) => void answer(request, response));
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { method = '', url = '', headers } = request;
    const seen: PushRequestSeen = { method, url, headers, bytes: 0 };
    made.requests.push(seen);
    if (made.interrupt(request, response)) return;
    const chunks: Buffer[] = [];
    try {
      for await (const chunk of request as AsyncIterable<Buffer>) {
        chunks.push(chunk);
        seen.bytes += chunk.length;
      }
    } catch {
      return; // whoever cut it off knows
    }
    serve(made, uploads, { request, response, body: Buffer.concat(chunks) });
  };
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const made: PushServer = {
    host,
    requests: [],
    blobs: new Map(),
    manifests: new Map(),
    interrupt: () => false,
    uploadsAt: '',
    wants: null,
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
  return made;
}

interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly body: Buffer;
}

function serve(made: PushServer, uploads: Map<string, Buffer>, { request, response, body }: Exchange): void {
  const { method = '', headers } = request;
  const url = new URL(request.url ?? '/', 'http://x');
  const basic = made.wants === null ? undefined : `Basic ${Buffer.from(made.wants).toString('base64')}`;
  if (basic !== undefined && headers.authorization !== basic)
    return void response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end();
  const upload = /^\/v2\/(.+)\/blobs\/uploads\/(.*)$/.exec(url.pathname);
  const [, repository = '', id = ''] = upload ?? [];
  const at = (to: string, sent: number): Record<string, string> => ({
    location: `${made.uploadsAt}/v2/${repository}/blobs/uploads/${to}`,
    range: `0-${Math.max(0, sent - 1)}`, // of an empty upload too, as distribution
  });
  if (upload && method === 'POST') {
    const fresh = randomUUID();
    uploads.set(fresh, Buffer.alloc(0));
    return void response.writeHead(202, { location: at(fresh, 0)['location'] }).end();
  }
  if (upload) {
    const before = uploads.get(id) ?? Buffer.alloc(0);
    if (method === 'GET') return void response.writeHead(204, at(id, before.length)).end();
    const begin = /^([0-9]+)-/.exec(headers['content-range'] ?? '')?.[1];
    if (begin !== undefined && Number(begin) !== before.length)
      return void response.writeHead(416, at(id, before.length)).end();
    const all = Buffer.concat([before, body]);
    uploads.set(id, all);
    if (method === 'PATCH') return void response.writeHead(202, at(id, all.length)).end();
    const digest = url.searchParams.get('digest') ?? '';
    const ok = digestOf(all) === digest;
    if (ok) made.blobs.set(digest, all);
    return void response.writeHead(ok ? 201 : 400).end(ok ? '' : '{"errors":[{"code":"DIGEST_INVALID"}]}');
  }
  const blob = /\/blobs\/(sha256:[0-9a-f]{64})$/.exec(url.pathname);
  if (blob) return void response.writeHead(made.blobs.has(blob[1] ?? '') ? 200 : 404).end();
  if (method !== 'PUT') return void response.writeHead(404).end();
  made.manifests.set(url.pathname, body);
  response.writeHead(201, { 'docker-content-digest': digestOf(body) }).end();
}
