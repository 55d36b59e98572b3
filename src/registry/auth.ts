// Answers a registry's challenges for one request of one caller (distribution spec: token and basic auth).
// Must not outlive the request, nor show credentials to a host they are not bound to.
import { Failure, permissionDenied } from '../lib/failure.ts';
import { type Challenge, parseChallenges } from './challenge.ts';
import type { HttpRequest, HttpResponse, Send } from './client.ts';
import {
  anonymous,
  basicHeader,
  headerSafe,
  type BoundCredentials,
  canonicalHost,
  type Credentials,
} from './credentials.ts';
import type { Endpoint } from './endpoint.ts';
import type { Exchange } from './exchange.ts';
import { errorDetail, StatusError } from './failures.ts';
import type { NodeCredentials } from './node-credentials.ts';
import { reachOf, reachOfOwnHost } from './reach.ts';

/** Bytes of a token server's answer, and of the token in it: it goes into a header of every request. */
const longestAnswer = 256 * 1024;
const longestToken = 64 * 1024;
const clientId = 'podwright';

export interface AuthOptions {
  readonly send: Send;
  readonly bound: BoundCredentials;
  /** The registry and the repository that the reference names. */
  readonly named: { readonly host: string; readonly repository: string };
  /** For hosts that the caller's credentials are not for. */
  readonly node: NodeCredentials;
  /** What tokens are asked for: leave to push has leave to pull in it. */
  readonly actions: 'pull' | 'pull,push';
  /** The proxy for a token server. */
  readonly proxyFor: (url: URL) => string | null;
}

/** The proofs of one caller for one repository. */
export class AuthSession {
  readonly #send: Send;
  readonly #bound: BoundCredentials;
  readonly #named: AuthOptions['named'];
  readonly #node: NodeCredentials;
  readonly #actions: AuthOptions['actions'];
  readonly #proxyFor: (url: URL) => string | null;
  /** Authorization by endpoint base, once an endpoint has asked for it. */
  readonly #headers = new Map<string, string>();
  /** What was sent to prove something. */
  readonly #secrets = new Set<string>();

  constructor(options: AuthOptions) {
    this.#proxyFor = options.proxyFor;
    this.#send = options.send;
    this.#bound = options.bound;
    this.#named = options.named;
    this.#node = options.node;
    this.#actions = options.actions;
  }

  /** What to send as Authorization, null for nothing (yet). */
  header(endpoint: Endpoint): string | null {
    const known = this.#headers.get(endpoint.base);
    if (known !== undefined) return known;
    const own = this.#callersFor(endpoint);
    return own.type === 'bearer' ? `Bearer ${own.token}` : null;
  }

  /** Answers a 401: whether there is something new to try. */
  async answer(endpoint: Endpoint, refusal: HttpResponse, signal: AbortSignal): Promise<boolean> {
    const before = this.header(endpoint);
    const credentials = await this.#credentialsFor(endpoint, signal);
    for (const secret of secretsOf(credentials)) this.#secrets.add(secret);
    const challenges = parseChallenges(refusal.headers['www-authenticate'] ?? '');
    const header = await this.#prove({ endpoint, credentials, peer: refusal.peer }, challenges, signal);
    if (header === null || header === before) return false;
    this.#headers.set(endpoint.base, header);
    this.#secrets.add(header.slice(header.indexOf(' ') + 1));
    return true;
  }

  /** A refusal as an error, without the secrets that a server may repeat in it. */
  refusal(response: HttpResponse, host: string): StatusError {
    const redact = (text: string): string =>
      [...this.#secrets].reduce((rest, secret) => (secret === '' ? rest : rest.replaceAll(secret, '***')), text);
    const detail = errorDetail(response.body, redact);
    return new StatusError({
      status: response.status,
      host,
      detail,
      retryAfter: response.headers['retry-after'] ?? '',
    });
  }

  /** The caller's own credentials as far as they are for this endpoint. */
  #callersFor(endpoint: Endpoint): Credentials {
    const bound =
      canonicalHost(endpoint.base) === this.#bound.host || canonicalHost(endpoint.host) === this.#bound.host;
    // a mirror gets what the operator granted it: hosts.toml `credentials_from = "origin"`
    return bound || endpoint.sharesCredentials ? this.#bound.credentials : anonymous;
  }

  /** The caller's credentials count before those of the node, the host's own before the origin's. */
  async #credentialsFor(endpoint: Endpoint, signal: AbortSignal): Promise<Credentials> {
    const callers = this.#callersFor(endpoint);
    if (callers.type !== 'anonymous') return callers;
    try {
      const own = await this.#node(endpoint.host, endpoint.repository, signal);
      if (own.type !== 'anonymous' || !endpoint.sharesCredentials) return own;
      return await this.#node(this.#named.host, this.#named.repository, signal);
    } catch (error) {
      signal.throwIfAborted();
      // it counts against this host: another one may not need them
      if (!(error instanceof Failure)) throw error;
      throw new Failure(error.kind, error.message, {
        cause: error.cause,
        details: { ...error.details, host: endpoint.host },
      });
    }
  }

  async #prove(asked: Asked, challenges: readonly Challenge[], signal: AbortSignal): Promise<string | null> {
    const { credentials } = asked;
    // a token of the caller's was sent at once and refused
    if (credentials.type === 'bearer')
      return credentials === this.#bound.credentials ? null : `Bearer ${credentials.token}`;
    const bearer = challenges.find((c) => c.scheme === 'bearer' && (c.parameters.realm ?? '') !== '');
    if (bearer) return `Bearer ${await this.#token({ ...asked, challenge: bearer }, signal)}`;
    if (challenges.some((c) => c.scheme === 'basic') && credentials.type === 'basic') {
      return basicHeader(credentials.username, credentials.password);
    }
    return null;
  }

  async #token(asked: Asked & { readonly challenge: Challenge }, signal: AbortSignal): Promise<string> {
    const request = tokenRequest({ ...asked, actions: this.#actions, proxyFor: this.#proxyFor });
    const response = await this.#send(request, signal);
    const { host } = new URL(request.url);
    if (response.status !== 200) throw this.refusal(response, host);
    return readToken(response, host);
  }
}

interface Asked {
  readonly endpoint: Endpoint;
  readonly credentials: Credentials;
  /** Address of who asks. */
  readonly peer: string;
}

interface TokenNeed extends Asked {
  readonly challenge: Challenge;
  readonly actions: AuthOptions['actions'];
  readonly proxyFor: (url: URL) => string | null;
}

function tokenRequest(need: TokenNeed): HttpRequest {
  const { endpoint, challenge, credentials } = need;
  const realm = realmOf(endpoint, challenge, credentials);
  const own = `repository:${endpoint.repository}:${need.actions}`;
  const scope =
    need.actions === 'pull' ? challenge.parameters.scope || own : withScope(challenge.parameters.scope, own);
  const query = new URLSearchParams();
  if (challenge.parameters.service) query.set('service', challenge.parameters.service);
  for (const part of scope.split(' ')) if (part !== '') query.append('scope', part);
  const sameHost = realm.host === new URL(endpoint.base).host;
  const { material } = endpoint;
  const common = {
    tls: sameHost ? material : { ...material, cert: null, key: null, skipVerify: false },
    proxy: sameHost ? endpoint.proxy : need.proxyFor(realm),
    connectMs: endpoint.connectMs,
    maxBytes: longestAnswer,
    // the operator named the registry: it may be its own token server wherever it is, but only there
    reach: realm.hostname === new URL(endpoint.base).hostname ? reachOfOwnHost('any', need.peer) : reachOf(need.peer),
  };
  return credentials.type === 'identity'
    ? { ...common, ...refreshTrade(realm, query, { scope, token: credentials.token }) }
    : { ...common, ...tokenQuery(realm, query, credentials) };
}

/** The scopes of a challenge with one of ours in place of that for the same repository: a token is asked for once. */
function withScope(asked: string | undefined, own: string): string {
  const resource = own.slice(0, own.lastIndexOf(':') + 1);
  const others = (asked ?? '').split(' ').filter((part) => part !== '' && !part.startsWith(resource));
  return [own, ...others].join(' ');
}

function realmOf(endpoint: Endpoint, challenge: Challenge, credentials: Credentials): URL {
  const realm = URL.parse(challenge.parameters.realm ?? '');
  if (realm === null || !/^https?:$/.test(realm.protocol)) {
    throw permissionDenied(`token server named by registry ${endpoint.host} is not a web address`);
  }
  if (realm.username !== '' || realm.password !== '') {
    throw permissionDenied(`token server named by registry ${endpoint.host} has credentials in its address`);
  }
  const own = new URL(endpoint.base);
  if (realm.protocol === 'http:' && own.protocol === 'https:') {
    throw permissionDenied(`registry ${endpoint.host} wants tokens fetched from ${realm.host} without encryption`);
  }
  // secrets go unencrypted at most to the host to which the registry's own requests go unencrypted
  if (credentials.type !== 'anonymous' && realm.protocol === 'http:' && realm.hostname !== own.hostname) {
    throw permissionDenied(`registry ${endpoint.host} wants credentials sent to ${realm.host} without encryption`);
  }
  return realm;
}

type TokenMessage = Pick<HttpRequest, 'method' | 'url' | 'headers' | 'body'>;

/** OAuth 2 refresh (distribution spec, "OAuth2 token authentication"). */
function refreshTrade(realm: URL, query: URLSearchParams, trade: { scope: string; token: string }): TokenMessage {
  const form = new URLSearchParams(query);
  form.set('scope', trade.scope);
  form.set('grant_type', 'refresh_token');
  form.set('client_id', clientId);
  form.set('refresh_token', trade.token);
  const headers = { 'content-type': 'application/x-www-form-urlencoded', accept: 'application/json' };
  return { method: 'POST', url: realm.href, headers, body: form.toString() };
}

function tokenQuery(realm: URL, query: URLSearchParams, credentials: Credentials): TokenMessage {
  const headers: Record<string, string> = { accept: 'application/json' };
  if (credentials.type === 'basic') {
    query.set('account', credentials.username);
    headers.authorization = basicHeader(credentials.username, credentials.password);
  }
  for (const [name, value] of query) realm.searchParams.append(name, value);
  return { method: 'GET', url: realm.href, headers, body: null };
}

function readToken(response: HttpResponse, host: string): string {
  const json = parseObject(response.body);
  const token = json.token || json.access_token;
  if (typeof token !== 'string' || token === '') throw badToken('gave no token', host);
  if (!headerSafe(token) || token.length > longestToken) throw badToken('gave a token that no header can hold', host);
  return token;
}

const badToken = (what: string, host: string): StatusError =>
  new StatusError({ status: 502, host, detail: `the token server ${what}`, retryAfter: '' });

/** The fields of a JSON object; none where the body is something else. */
function parseObject(body: Buffer): Readonly<Record<string, unknown>> {
  try {
    const json: unknown = JSON.parse(body.toString('utf8'));
    return typeof json === 'object' && json !== null ? (json as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

/** What of credentials must not be shown. */
function secretsOf(credentials: Credentials): string[] {
  if (credentials.type === 'anonymous') return [];
  if (credentials.type !== 'basic') return [credentials.token];
  const { username, password } = credentials;
  return [password, basicHeader(username, password).slice('Basic '.length)];
}

/** The headers of a request to an endpoint: its fixed ones, the request's, and the proof. Names in lower case. */
export function headersFor(
  endpoint: Endpoint,
  session: AuthSession,
  own: Readonly<Record<string, string>>,
): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const [name, value] of endpoint.headers) {
    const key = name.toLowerCase();
    headers[key] = headers[key] === undefined ? value : `${headers[key]}, ${value}`;
  }
  const authorization = session.header(endpoint);
  return { ...headers, ...own, ...(authorization === null ? {} : { authorization }) };
}

/** An exchange that proves who asks as soon as it is told to, once. */
export function withAuth(send: Send, session: AuthSession): Exchange {
  return async (endpoint, ask, signal) => {
    const once = (): Promise<HttpResponse> => {
      const { material: tls, proxy, connectMs } = endpoint;
      const headers = headersFor(endpoint, session, ask.headers);
      return send({ ...ask, headers, body: ask.body ?? null, tls, proxy, connectMs, reach: 'any' }, signal);
    };
    const sent = session.header(endpoint);
    let response = await once();
    // a host it was redirected to may not ask for what is for the endpoint
    const asked = response.status === 401 && !response.strayed;
    // another request beside this one may have been asked first
    const proved = asked && session.header(endpoint) !== sent;
    if (proved || (asked && (await session.answer(endpoint, response, signal)))) response = await once();
    if (response.status < 200 || response.status > 299) throw session.refusal(response, endpoint.host);
    return response;
  };
}
