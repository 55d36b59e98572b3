// Keep-alive connections, one pool for each set of TLS and proxy settings.
// Must not choose settings.
import { createHash } from 'node:crypto';
import http from 'node:http';
import https from 'node:https';
import nodeTls, { createSecureContext, type SecureContext } from 'node:tls';
import type { TlsMaterial } from './endpoint.ts';

/** What connections of one pool have in common. */
export interface AgentKey {
  readonly secure: boolean;
  readonly tls: TlsMaterial;
  readonly proxy: string | null;
}

const mostAgents = 32;
const idleSocketMs = 30_000;

/** Agents by their settings; the longest unused goes first when there are too many. */
export class AgentPool {
  readonly #agents = new Map<string, http.Agent>();

  get(key: AgentKey): http.Agent {
    const name = nameOf(key);
    const agent = this.#agents.get(name) ?? makeAgent(key);
    this.#agents.delete(name);
    this.#agents.set(name, agent);
    for (const [oldest, old] of this.#agents) {
      if (this.#agents.size <= mostAgents) break;
      this.#agents.delete(oldest);
      retire(old);
    }
    return agent;
  }

  close(): void {
    for (const agent of this.#agents.values()) agent.destroy();
    this.#agents.clear();
  }
}

/** Requests that run keep their sockets; idle ones end now, the rest when they become idle. */
function retire(agent: http.Agent): void {
  for (const sockets of Object.values(agent.freeSockets)) for (const socket of sockets ?? []) socket.destroy();
  agent.maxFreeSockets = 0;
}

function nameOf({ secure, tls, proxy }: AgentKey): string {
  const hash = createHash('sha256');
  hash.update(JSON.stringify([secure, tls.ca, tls.cert, tls.key, tls.skipVerify, proxy]));
  return hash.digest('base64');
}

function makeAgent({ secure, tls, proxy }: AgentKey): http.Agent {
  const options: http.AgentOptions = {
    keepAlive: true,
    timeout: idleSocketMs,
    maxFreeSockets: 4,
    ...(proxy === null ? {} : { proxyEnv: { HTTP_PROXY: proxy, HTTPS_PROXY: proxy } }),
  };
  if (!secure) return new http.Agent(options);
  return new https.Agent({ ...options, rejectUnauthorized: !tls.skipVerify, secureContext: secureContext(tls) });
}

let systemContext: SecureContext | undefined;

/** Trust is the system's store (Mozilla's list where there is none), plus the host's own authorities. */
function secureContext(tls: TlsMaterial): SecureContext {
  if (tls.ca.length === 0 && tls.cert === null) {
    systemContext ??= createSecureContext({ ca: systemAuthorities() });
    return systemContext;
  }
  return createSecureContext({
    ca: [...systemAuthorities(), ...tls.ca],
    ...(tls.cert === null ? {} : { cert: tls.cert }),
    ...(tls.key === null ? {} : { key: tls.key }),
  });
}

let authorities: readonly string[] | undefined;

function systemAuthorities(): string[] {
  if (authorities === undefined) {
    // the same certificates are found in the bundle and in the directory of the store
    const system = [...new Set(nodeTls.getCACertificates('system'))];
    authorities = system.length > 0 ? system : nodeTls.rootCertificates;
  }
  return [...authorities];
}
