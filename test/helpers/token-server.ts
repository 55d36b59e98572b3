// A token server as the distribution token specification has it: JWTs that a real registry verifies.
import { generateKeyPairSync, type KeyObject, randomUUID, sign } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { Certificates } from './certificates.ts';
import { tokenService } from './real-registry.ts';

/** A request for a token. */
export interface TokenRequest {
  readonly method: string;
  readonly authorization: string | null;
  readonly grant: string | null;
  readonly scopes: readonly string[];
}

export interface TokenServer {
  readonly realm: string;
  readonly issuer: string;
  /** File of its public key. */
  readonly jwks: string;
  readonly requests: TokenRequest[];
  /** Changes the claims of tokens that are given out: an expiry in the past, another repository. */
  claims: (claims: Record<string, unknown>) => Record<string, unknown>;
  close(): Promise<void>;
}

const issuer = 'test-issuer';
const keyId = 'test-key';

/** Starts one that gives tokens to a user by password and to whoever has the refresh token. */
export async function startTokenServer(
  dir: string,
  tls: Certificates,
  who: { readonly username: string; readonly password: string; readonly refreshToken: string },
): Promise<TokenServer> {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const jwks = join(dir, 'jwks.json');
  const jwk = { ...publicKey.export({ format: 'jwk' }), kid: keyId, alg: 'ES256', use: 'sig' };
  writeFileSync(jwks, JSON.stringify({ keys: [jwk] }));
  const basic = `Basic ${Buffer.from(`${who.username}:${who.password}`).toString('base64')}`;
  const server = https.createServer(tls.server(false), (incoming, response) => {
    void readRequest(incoming).then(({ request, form }) => {
      made.requests.push(request);
      const proved =
        request.method === 'POST' ? form.get('refresh_token') === who.refreshToken : request.authorization === basic;
      response.writeHead(proved ? 200 : 401, { 'content-type': 'application/json' });
      if (!proved) return response.end('{"details":"incorrect username or password"}');
      const token = jwt(privateKey, made.claims(claimsFor(who.username, request.scopes)));
      return response.end(JSON.stringify({ token, access_token: token, expires_in: 60 }));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const made: TokenServer = {
    realm: `https://127.0.0.1:${(server.address() as AddressInfo).port}/auth`,
    issuer,
    jwks,
    requests: [],
    claims: (claims) => claims,
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
  return made;
}

async function readRequest(incoming: IncomingMessage): Promise<{ request: TokenRequest; form: URLSearchParams }> {
  const chunks: Buffer[] = [];
  for await (const chunk of incoming as AsyncIterable<Buffer>) chunks.push(chunk);
  const form = new URLSearchParams(Buffer.concat(chunks).toString('utf8'));
  const { searchParams } = new URL(incoming.url ?? '/', 'https://x');
  const scopes = [...searchParams.getAll('scope'), ...form.getAll('scope').flatMap((scope) => scope.split(' '))];
  const { method = '', headers } = incoming;
  return {
    request: { method, authorization: headers.authorization ?? null, grant: form.get('grant_type'), scopes },
    form,
  };
}

function claimsFor(subject: string, scopes: readonly string[]): Record<string, unknown> {
  const now = Math.floor(Date.now() / 1000);
  const access = scopes.map((scope) => {
    const [type, name, actions = ''] = scope.split(':');
    return { type, name, actions: actions.split(',') };
  });
  return {
    iss: issuer,
    sub: subject,
    aud: tokenService,
    iat: now,
    nbf: now - 10,
    exp: now + 3600,
    jti: randomUUID(),
    access,
  };
}

/** RFC 7515, compact, ES256. */
function jwt(key: KeyObject, claims: object): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const head = `${part({ typ: 'JWT', alg: 'ES256', kid: keyId })}.${part(claims)}`;
  return `${head}.${sign('sha256', Buffer.from(head), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`;
}
