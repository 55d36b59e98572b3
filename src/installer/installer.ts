// The pods of the chart, which bring podwright to hosts: starts what each runs, with the service account of its pod.
// Must not know the command line, or change what runs a node's pods: a transaction on the host does, outside of this pod,
// which ends with it.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ApiServer } from '../apiserver/apiserver.ts';
import { boundedServer } from '../apiserver/exchange.ts';
import { inCluster, serviceAccountDir } from '../apiserver/in-cluster.ts';
import { failureChain } from '../lib/failure.ts';
import { type Chart, type Check, checkCluster, nodesLeft } from './cluster.ts';
import { runProgram } from './host.ts';
import { type InstallerParts, runInstaller } from './pod.ts';

/** What the process gives. */
export interface Surroundings {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly nowMs: () => number;
  readonly version: string;
  readonly log: (message: string) => void;
  readonly signal: AbortSignal;
}

/** Of each question to the API server; a list of thousands of nodes is some megabytes. */
const bounds = { timeoutMs: 20_000, maxBytes: 256 << 20, maxConnections: 4 };

async function withApi<T>({ env, nowMs, version }: Surroundings, work: (api: ApiServer) => Promise<T>): Promise<T> {
  const access = inCluster({ env, dir: serviceAccountDir, nowMs });
  const api = boundedServer(access, bounds, `podwright-installer/${version}`);
  try {
    return await work(api);
  } finally {
    api.close();
  }
}

/** The installer of a node: goes on until the signal fires. */
export const install = (
  around: Surroundings,
  parts: Pick<InstallerParts, 'paths' | 'settings' | 'lease'>,
): Promise<void> =>
  withApi(around, (api) =>
    runInstaller({ ...parts, api, run: runProgram, nowMs: around.nowMs, log: around.log }, around.signal),
  );

/** Waits until no node has anything of podwright any more; what is not there yet is told whenever it changes. */
export const retire = (around: Surroundings, chart: Chart): Promise<void> =>
  withApi(around, async (api) => {
    let told = '';
    while (!around.signal.aborted) {
      try {
        const left = await nodesLeft(api, chart, around.signal);
        if (left.length === 0) return;
        const line = `waiting for ${left.join('; ')}`;
        if (line !== told) around.log(line);
        told = line;
      } catch (error) {
        around.log(`could not ask: ${failureChain(error)}`);
      }
      await new Promise((resolve) => void setTimeout(resolve, 3000));
    }
  });

/** `helm test`: answers what it found, throws with what is wrong. */
export const check = (around: Surroundings, what: Omit<Check, 'token'>): Promise<readonly string[]> =>
  withApi(around, async (api) => {
    const token = (await readFile(join(serviceAccountDir, 'token'), 'utf8')).trim();
    return checkCluster(api, { ...what, token }, around.signal);
  });
