// PURE
// One host that may serve a repository, with all that is needed to speak to it.
// Must not read files: hosts.ts fills it.

/** TLS settings of a host as files, for the addon, which reads them itself. */
export interface TlsFiles {
  readonly caFiles: readonly string[];
  readonly clientCert: string | null;
  readonly clientKey: string | null;
  readonly skipVerify: boolean;
}

/** The same as PEM text, for node:tls. */
export interface TlsMaterial {
  readonly ca: readonly string[];
  readonly cert: string | null;
  readonly key: string | null;
  readonly skipVerify: boolean;
}

/** A mirror or the registry itself. */
export interface Endpoint {
  /** `https://host[:port]/v2`, no slash at the end. */
  readonly base: string;
  /** Host with port, for messages. */
  readonly host: string;
  /** Path of the repository at this host: registries.conf may have moved it. */
  readonly repository: string;
  /** Whether this is the registry that the reference names. */
  readonly isOrigin: boolean;
  /** May be asked what a tag means; may be asked for content by digest. */
  readonly canResolve: boolean;
  readonly canPull: boolean;
  /** May be sent content. */
  readonly canPush: boolean;
  readonly tls: TlsFiles;
  readonly material: TlsMaterial;
  /** Fixed headers of its hosts.toml. */
  readonly headers: readonly (readonly [string, string])[];
  /** Whether the caller's credentials for the origin are for this host too (`credentials_from = "origin"`). */
  readonly sharesCredentials: boolean;
  /** Query `ns` that tells a mirror whose content is wanted, or null. */
  readonly namespace: string | null;
  /** Proxy for this host, or null for none. */
  readonly proxy: string | null;
  readonly connectMs: number;
  /**
   * Base of the encrypted endpoint that this one replaces where no TLS is spoken (`insecure` of
   * registries.conf); it is asked only after a connection to that one failed. Null for all others.
   */
  readonly insteadOf: string | null;
}

/** TLS by the system's rules. */
export const systemTls: { readonly tls: TlsFiles; readonly material: TlsMaterial } = {
  tls: { caFiles: [], clientCert: null, clientKey: null, skipVerify: false },
  material: { ca: [], cert: null, key: null, skipVerify: false },
};

/** The URL of something below a repository: `manifests/latest`, `blobs/sha256:…`. */
export function repositoryUrl(endpoint: Endpoint, rest: string): string {
  const query = endpoint.namespace === null ? '' : `?ns=${encodeURIComponent(endpoint.namespace)}`;
  return `${endpoint.base}/${endpoint.repository}/${rest}${query}`;
}
