// PURE
// What a caller may prove to which host. Must not keep credentials: they live as long as one request.
import { invalidArgument } from '../lib/failure.ts';
import { hubHosts } from '../lib/registry-host.ts';

/** CRI AuthConfig; "" where a field is not set. */
export interface AuthConfig {
  readonly username: string;
  readonly password: string;
  /** Base64 of `username:password`. */
  readonly auth: string;
  readonly serverAddress: string;
  /** Traded for a registry token at the token server (OAuth 2 refresh token). */
  readonly identityToken: string;
  /** Sent to the registry as it is. */
  readonly registryToken: string;
}

/** One way to prove who asks. */
export type Credentials =
  | { readonly type: 'anonymous' }
  | { readonly type: 'basic'; readonly username: string; readonly password: string }
  | { readonly type: 'identity'; readonly token: string }
  | { readonly type: 'bearer'; readonly token: string };

/** Credentials and the only host they are for. */
export interface BoundCredentials {
  readonly credentials: Credentials;
  /** As `canonicalHost` writes it. */
  readonly host: string;
}

/** A host for comparison: lower case, without scheme, path and default port, the Docker Hub by one name. */
export function canonicalHost(address: string): string {
  const match = /^(?:(https?):\/\/)?([^/]*)/i.exec(address.trim());
  let host = (match?.[2] ?? '').toLowerCase();
  const scheme = match?.[1]?.toLowerCase();
  if (scheme !== 'http') host = host.replace(/:443$/, '');
  if (scheme === 'http') host = host.replace(/:80$/, '');
  return hubHosts.has(host) ? 'docker.io' : host;
}

/**
 * The credentials of a request and the host they are bound to: `serverAddress` where it is given, else
 * the registry of the image. The kinds rank registry token, identity token, user name, `auth`.
 * Throws invalid-argument, without the secret, for an `auth` that is not base64 of `user:password`.
 */
export function bindCredentials(auth: AuthConfig | null, registryHost: string): BoundCredentials {
  const credentials = auth === null ? anonymous : credentialsOf(auth);
  const address = auth?.serverAddress ?? '';
  return { credentials, host: canonicalHost(address === '' ? registryHost : address) };
}

/** No credentials. */
export const anonymous: Credentials = { type: 'anonymous' };

function credentialsOf(auth: AuthConfig): Credentials {
  if (auth.registryToken !== '') return { type: 'bearer', token: bearerToken(auth.registryToken) };
  if (auth.identityToken !== '') return { type: 'identity', token: auth.identityToken };
  if (auth.username !== '' || auth.password !== '') {
    return { type: 'basic', username: auth.username, password: auth.password };
  }
  if (auth.auth === '') return anonymous;
  const pair = decodeBasic(auth.auth);
  if (pair === null) throw invalidArgument('field auth.auth is not base64 of "username:password"');
  return { type: 'basic', ...pair };
}

/** User name and password of base64 text, null if it is none. Some clients pad the password with NUL bytes. */
export function decodeBasic(auth: string): { readonly username: string; readonly password: string } | null {
  const base64 = auth.trim();
  const text = /^[A-Za-z0-9+/_-]+={0,2}$/.test(base64) ? Buffer.from(base64, 'base64').toString('utf8') : '';
  const colon = text.indexOf(':');
  if (colon < 0) return null;
  return { username: text.slice(0, colon), password: text.slice(colon + 1).replace(/\0+$/, '') };
}

/** Whether text can be sent in a header as it is. */
export const headerSafe = (text: string): boolean => /^[\x21-\x7e]+$/.test(text);

function bearerToken(value: string): string {
  if (!headerSafe(value)) throw invalidArgument('field auth.registry_token has characters that no header may have');
  return value;
}

/** The Authorization value of a user name and password (RFC 7617, UTF-8). */
export const basicHeader = (username: string, password: string): string =>
  `Basic ${Buffer.from(`${username}:${password}`, 'utf8').toString('base64')}`;
