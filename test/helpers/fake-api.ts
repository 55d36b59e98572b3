// An API server that answers as a test says: over HTTPS, on loopback, and keeps what it was asked.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { type KeyPair, selfSigned } from '../../src/lib/certificate.ts';

/** A request as it came. */
export interface Asked {
  readonly method: string;
  /** With its query. */
  readonly path: string;
  readonly type: string;
  readonly token: string;
  readonly body: unknown;
}

/** An answer with a JSON body; or whatever else a handler does with the response. */
export type FakeAnswer = {
  readonly status: number;
  readonly body?: unknown;
  readonly headers?: Record<string, string>;
};
/** What answers; null when the handler has done so itself, or never will. */
export type Handler = (asked: Asked, response: ServerResponse) => FakeAnswer | null;

/** A Status of the API with this code. */
export const refusal = (code: number, message = `refused with ${code}`): FakeAnswer => ({
  status: code,
  body: { kind: 'Status', apiVersion: 'v1', status: 'Failure', code, message },
});

/** A key pair of loopback that is its own authority. */
export const loopbackPair = (commonName = 'fake'): KeyPair => {
  const [notBefore, notAfter] = [new Date(Date.now() - 3_600_000), new Date(Date.now() + 86_400_000)];
  return selfSigned({ commonName, hosts: ['127.0.0.1', 'localhost'], notBefore, notAfter });
};

/** The server. */
export class FakeApi {
  readonly asked: Asked[] = [];
  readonly pair = loopbackPair('fake API');
  readonly dir = mkdtempSync('/tmp/pwt-api-');
  handler: Handler = () => refusal(404);
  #server: Server | null = null;
  #port = 0;

  get url(): string {
    return `https://127.0.0.1:${this.#port}`;
  }

  /**
   * Listens; on the port of before when it did. A port that the kernel gave may be somebody's when it is asked for again:
   * who stops and starts takes one of freePort's.
   */
  async start(port = this.#port): Promise<void> {
    const server = createServer({ ...this.pair }, (request, response) => void this.#answer(request, response));
    this.#server = server;
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, '127.0.0.1', resolve);
    });
    this.#port = (server.address() as AddressInfo).port;
  }

  /** Nobody listens from now on, and connections are cut. */
  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = null;
    if (server === null) return;
    const ended = new Promise<void>((resolve) => server.close(() => resolve()));
    server.closeAllConnections();
    await ended;
  }

  async end(): Promise<void> {
    await this.stop();
    rmSync(this.dir, { recursive: true, force: true });
  }

  /** A kubeconfig for this server; `user` in the form of the file. */
  kubeconfig(user: object = { token: 'secret' }, name = 'kubeconfig'): string {
    const ca = Buffer.from(this.pair.cert).toString('base64');
    const config = {
      apiVersion: 'v1',
      kind: 'Config',
      'current-context': 'c',
      contexts: [{ name: 'c', context: { cluster: 'k', user: 'u' } }],
      clusters: [{ name: 'k', cluster: { server: this.url, 'certificate-authority-data': ca } }],
      users: [{ name: 'u', user }],
    };
    const file = join(this.dir, name);
    writeFileSync(file, JSON.stringify(config));
    return file;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const parts: Buffer[] = [];
    response.on('error', () => undefined);
    try {
      for await (const part of request as AsyncIterable<Buffer>) parts.push(part);
    } catch {
      return; // the client gave up
    }
    const text = Buffer.concat(parts).toString();
    const asked: Asked = {
      method: request.method ?? '',
      path: request.url ?? '',
      type: request.headers['content-type'] ?? '',
      token: (request.headers.authorization ?? '').replace(/^Bearer /, ''),
      body: text === '' ? null : (JSON.parse(text) as unknown),
    };
    this.asked.push(asked);
    const answer = this.handler(asked, response);
    if (answer === null) return;
    response.writeHead(answer.status, { 'content-type': 'application/json', ...answer.headers });
    response.end(answer.body === undefined ? '' : JSON.stringify(answer.body));
  }
}
