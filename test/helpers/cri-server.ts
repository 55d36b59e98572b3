// A CRI server on a socket of its own over verbs that a test gives; the others reject.
import { mkdtempSync } from 'node:fs';
import { chmod, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import type { RpcPorts } from '../../src/cri/rpc.ts';
import { type CriServer, type SocketFiles, startCriServer } from '../../src/cri/server.ts';
import type { ImageVerbs, RuntimeVerbs } from '../../src/cri/verbs.ts';
import { type CriClient, criClient } from './cri-client.ts';

/** The real file system. */
export const socketFiles: SocketFiles = {
  setMode: chmod,
  rename,
  remove: (path) => rm(path, { force: true }),
};

/** One line of the log. */
export interface LogLine {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly fields: Record<string, unknown>;
  readonly message: string;
}

/** A serving border and what it reported. */
export interface TestServer {
  readonly socket: string;
  readonly client: CriClient;
  readonly server: CriServer;
  readonly log: LogLine[];
  readonly observed: { readonly method: string; readonly code: string; readonly seconds: number }[];
}

/** What a test may differ in. */
export interface TestServerParts {
  readonly runtime?: Partial<RuntimeVerbs>;
  readonly images?: Partial<ImageVerbs>;
  readonly recovering?: () => Promise<void> | null;
  /** The border's wall clock in milliseconds; the host's unless given. */
  readonly nowMs?: () => number;
}

/** Starts a border; it ends with the test. */
export async function serveForTest(t: ExecutionContext, parts: TestServerParts): Promise<TestServer> {
  const directory = mkdtempSync(join(tmpdir(), 'podwright-cri-'));
  const socket = join(directory, 's.sock');
  const log: LogLine[] = [];
  const observed: TestServer['observed'] = [];
  const line = (level: LogLine['level']) => (fields: object, message: string) => {
    log.push({ level, fields: fields as Record<string, unknown>, message });
  };
  const ports: RpcPorts = {
    log: { debug: line('debug'), info: line('info'), warn: line('warn'), error: line('error') },
    recovering: parts.recovering ?? (() => null),
    observe: (method, code, seconds) => void observed.push({ method, code, seconds }),
    beginCall: () => null,
    newRequestId: () => `r${observed.length}`,
    elapsedMs: () => performance.now(),
    nowMs: parts.nowMs ?? (() => Date.now()),
  };
  const server = await startCriServer({
    services: [],
    socket,
    files: socketFiles,
    runtime: (parts.runtime ?? {}) as RuntimeVerbs,
    images: (parts.images ?? {}) as ImageVerbs,
    ports,
    host: {},
  });
  const client = criClient(socket);
  t.teardown(async () => {
    client.close();
    await server.stop(100);
    await rm(directory, { recursive: true, force: true });
  });
  return { socket, client, server, log, observed };
}
