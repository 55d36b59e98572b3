// The test kit's registry (CNCF distribution) once more, with TLS and a guard: over the kit's images, read-only, or with
// a store of its own that can be pushed to.
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Certificates } from './certificates.ts';
import { kitPrograms } from './registry.ts';
import { until } from './until.ts';

/** A registry that runs. */
export interface RealRegistry {
  /** `127.0.0.1:port`. */
  readonly host: string;
  close(): Promise<void>;
}

/** How it is guarded: by a file of htpasswd(1) with bcrypt, or by tokens of an issuer whose keys it knows. */
export type Guard =
  | { readonly type: 'htpasswd'; readonly file: string }
  | { readonly type: 'token'; readonly realm: string; readonly issuer: string; readonly jwks: string };

/** The service that tokens are for. */
export const tokenService = 'test-registry';

const guardLines = (guard: Guard): string =>
  guard.type === 'htpasswd'
    ? `  htpasswd: {realm: test, path: ${guard.file}}`
    : `  token: {realm: "${guard.realm}", service: ${tokenService}, issuer: ${guard.issuer}, jwks: ${guard.jwks}}`;

/** Starts it on a free port; its files are in `dir`, its images those of the kit, or those of `store`, where they are pushed. */
export async function startRealRegistry(
  dir: string,
  name: string,
  by: { guard: Guard; tls: Certificates; store?: string },
): Promise<RealRegistry> {
  const bin = await kitPrograms();
  const [config, log] = [join(dir, `${name}.yml`), join(dir, `${name}.log`)];
  writeFileSync(
    config,
    `version: 0.1
log: {level: info, accesslog: {disabled: true}}
storage:
  filesystem: {rootdirectory: ${by.store ?? join(dirname(bin), 'registry/data')}}
  maintenance: {readonly: {enabled: ${by.store === undefined}}}
http:
  addr: 127.0.0.1:0
  tls: {certificate: ${by.tls.cert}, key: ${by.tls.key}}
auth:
${guardLines(by.guard)}
`,
  );
  writeFileSync(log, '');
  const child: ChildProcess = spawn(
    'sh',
    ['-c', 'exec "$0" serve "$1" > "$2" 2>&1', join(bin, 'registry'), config, log],
    {
      stdio: 'ignore',
      env: { ...process.env, OTEL_TRACES_EXPORTER: 'none' },
    },
  );
  const port = await until(`the registry ${name} listens`, () => {
    const text = readFileSync(log, 'utf8');
    if (child.exitCode !== null) throw new Error(`the registry ${name} ended: ${text}`);
    return /listening on 127\.0\.0\.1:(\d+)/.exec(text)?.[1];
  });
  return {
    host: `127.0.0.1:${port}`,
    async close() {
      if (child.exitCode === null) child.kill('SIGKILL');
      await until(`the registry ${name} ends`, () => child.exitCode !== null || child.signalCode !== null);
    },
  };
}
