// A registry of this process and a client of it, for the contract tests of the registry room.
import type { ExecutionContext } from 'ava';
import { Failure, failureChain, type FailureKind } from '../../../src/lib/failure.ts';
import type { AuthConfig } from '../../../src/registry/credentials.ts';
import { createRegistry, defaultRetry, type Registry, type RegistryOptions } from '../../../src/registry/registry.ts';
import type { Repository } from '../../../src/registry/repository.ts';
import { type FakeRegistry, startFakeRegistry } from '../../helpers/fake-registry.ts';
import { makeImage, type TestImage } from '../../helpers/image-parts.ts';

export const amd64 = { os: 'linux', architecture: 'amd64', variant: '' };
/** Never fires. */
export const signal = new AbortController().signal;
const noAuth: AuthConfig = {
  username: '',
  password: '',
  auth: '',
  serverAddress: '',
  identityToken: '',
  registryToken: '',
};
/** A name that is none: 64 letters in a row are too long, so that no server of names is asked. */
export const nowhere = `${'a'.repeat(64)}.invalid`;
export const image = makeImage([{ 'etc/one': '1' }, { 'etc/two': '2' }]);

export interface Made {
  readonly registry: Registry;
  readonly server: FakeRegistry;
  /** Opens `team/app` at the server, or at another host. */
  readonly open: (at?: {
    host?: string;
    tag?: string | null;
    digest?: string | null;
    auth?: Partial<AuthConfig> | null;
  }) => Promise<Repository>;
}

/** A registry with `team/app:v1` in this process, and a client. */
export async function setup(t: ExecutionContext, options: Partial<RegistryOptions> = {}): Promise<Made> {
  const server = await startFakeRegistry();
  server.push('team/app', 'v1', image);
  const registry = createRegistry({
    hostsDir: '',
    registriesConf: '',
    authFiles: [],
    helperEnv: {},
    listDir: async () => [],
    onNote: () => undefined,
    readText: async () => null,
    proxies: { http: '', https: '', none: '' },
    userAgent: 'test/1',
    // long enough for a machine that is busy: a test of a limit sets its own
    timeouts: { connectMs: 20_000, idleMs: 20_000, totalMs: 60_000, helperMs: 20_000 },
    retry: { ...defaultRetry, baseMs: 1, longestMs: 20 },
    ...options,
  });
  t.teardown(async () => {
    registry.close();
    await server.close();
  });
  return {
    registry,
    server,
    open: ({ host = server.host, tag = 'v1', digest = null, auth = null } = {}) =>
      registry.open({
        host,
        path: 'team/app',
        tag,
        digest: digest as never,
        label: `${host}/team/app:${tag}`,
        auth: auth && { ...noAuth, ...auth },
        authFile: null,
        skipVerify: false,
      }),
  };
}

/** hosts.toml by registry host. */
export const hostsFiles =
  (files: Readonly<Record<string, string>>) =>
  async (path: string): Promise<string | null> => {
    const host = /^\/hosts\/(.*)\/hosts\.toml$/.exec(path)?.[1] ?? '';
    return files[host] ?? null;
  };

/** For an intercept that has answered. */
export const answered = (response: unknown): boolean => response !== null;

/** What a failure is to be: its kind, and its chain of messages. */
export type Expected = readonly [FailureKind, RegExp];

/** Awaits a failure of that kind whose chain of messages matches. */
export async function fails(t: ExecutionContext, work: Promise<unknown>, [kind, pattern]: Expected): Promise<Failure> {
  const error = await t.throwsAsync(work, { instanceOf: Failure });
  t.is(error.kind, kind, failureChain(error));
  t.regex(failureChain(error), pattern);
  return error;
}

/** Whether a manifest was resolved to that image. */
export const checkImage = (
  t: ExecutionContext,
  resolved: Awaited<ReturnType<Repository['resolve']>>,
  of: TestImage = image,
): void => {
  t.is(resolved.manifest.digest as string, of.manifest.digest);
  t.deepEqual(
    resolved.manifest.layers.map((l) => l.digest as string),
    of.layers.map((l) => l.digest),
  );
};
