// NRI as the daemon runs it: the socket, the launched plugins, the verbs that they work by. Wires, decides little.
import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { parseDeviceName } from '../cdi/names.ts';
import type { Config } from '../config/schema.ts';
import { version } from '../config/version.ts';
import { stopContainer } from '../container/stop.ts';
import { updateContainerResources } from '../container/update-resources.ts';
import { failureChain } from '../lib/failure.ts';
import type { Log } from '../log.ts';
import { launchPlugin } from '../nri/launch.ts';
import { Nri } from '../nri/nri.ts';
import { wrongName } from '../nri/plugin.ts';
import type { OciSpec } from '../oci/types.ts';
import { sandboxResources } from '../sandbox/update-resources.ts';
import { closeToOthers, firstFile, programsIn, removeSocket, roomForSocket } from '../state/nri-files.ts';
import type { Pods } from './live.ts';

export interface NriParts {
  readonly config: Config;
  readonly log: Log;
  /** The pods, once they are composed. */
  readonly pods: () => Pods;
}

/** How long plugins may take to hear that the daemon ends, in milliseconds. */
const goodbyeMs = 500;

/** How long an evicted container may take to end by itself, in milliseconds. */
const evictionMs = 30_000;

/** The border to plugins, without any yet. */
export function composeNri({ config, log, pods }: NriParts): Nri {
  const { nri: settings } = config;
  return new Nri({
    about: { runtimeName: 'podwright', runtimeVersion: version },
    timeouts: { registrationMs: settings.registrationTimeoutMs, requestMs: settings.requestTimeoutMs },
    validator: { ...settings, validate: settings.enable && settings.validate },
    most: settings.maxPlugins,
    log,
    configOf: (index, name) =>
      firstFile([`${index}-${name}.conf`, `${name}.conf`].map((file) => join(settings.pluginConfigPath, file))),
    sandboxes: () => pods().sandboxes.list(),
    containers: () => pods().containers.list(),
    sandbox: (id) => pods().sandboxes.get(id),
    podFacts: (sandbox) => ({
      netns: pods().runPorts.netnsPin(sandbox.identity.id),
      ...sandboxResources(sandbox),
    }),
    specOf: (id) => pods().files.readBundle(id) as OciSpec | null,
    cdi: (names) => pods().cdiEdits(names.map((name) => parseDeviceName('the device of an NRI plugin', name))),
    updateContainer: (id, limits, signal) => updateContainerResources(pods().containerPorts, { id, ...limits }, signal),
    evict: (id, reason) => void evict({ log, pods }, id, reason),
  });
}

async function evict({ log, pods }: Omit<NriParts, 'config'>, id: string, reason: string): Promise<void> {
  try {
    const signal = AbortSignal.timeout(2 * evictionMs);
    await stopContainer(pods().containerPorts, { id, timeoutMs: evictionMs }, signal);
  } catch (error) {
    log.error({ containerId: id, reason, error: failureChain(error) }, 'a container could not be evicted');
  }
}

/** The running border. */
export interface RunningNri {
  /** Says good-bye, and ends the plugins that were started; once, however often it is asked. */
  stop(): Promise<void>;
}

/**
 * Serves the socket, and starts the plugins of the node when recovery is over: they are told of all that there is.
 * Throws failed-precondition where another runtime serves the socket.
 */
export async function startNri(
  nri: Nri,
  {
    config: { nri: settings },
    log,
    recovered,
  }: Pick<NriParts, 'config' | 'log'> & { readonly recovered: Promise<void> },
): Promise<RunningNri> {
  if (!settings.enable) return { stop: async () => undefined };
  const ends: (() => void)[] = [];
  const launched = recovered.then(() => launchAll(nri, { dir: settings.pluginPath, log, ends }));
  nri.launching(launched);
  const join = (connection: Socket): void =>
    void launched.then(() => nri.join(connection, { kind: 'external', index: '', name: '' }));
  const server = settings.disableConnections ? null : await serveNri(settings.socket, join, log);
  const stop = async (): Promise<void> => {
    server?.close();
    await nri.close(goodbyeMs);
    for (const end of ends) end();
    if (server) await removeSocket(settings.socket);
  };
  let stopped: Promise<void> | null = null;
  return { stop: () => (stopped ??= stop()) };
}

/** Whoever connects waits for the plugins of the node: they were there first. */
export async function serveNri(
  socket: string,
  join: (connection: Socket) => void,
  log: Pick<Log, 'warn'>,
): Promise<Server> {
  await roomForSocket(socket);
  const server = createServer((connection) => {
    connection.on('error', () => undefined); // whoever takes it hears of its end
    join(connection);
  });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once('error', reject);
  server.listen(socket, resolve);
  await promise;
  server.removeListener('error', reject);
  // an accept(2) that fails, for lack of descriptors, must not end the daemon
  server.on('error', (error) => log.warn({ error }, 'the NRI listener has a problem'));
  await closeToOthers(socket);
  return server;
}

interface Launching {
  readonly dir: string;
  readonly log: Log;
  /** How to end what was started. */
  readonly ends: (() => void)[];
}

/** Starts every program of the directory; one that cannot be a plugin is told of and left out. */
async function launchAll(nri: Nri, { dir, log, ends }: Launching): Promise<void> {
  try {
    const programs = await programsIn(dir);
    await Promise.all(programs.map((program) => launchOne(nri, program, { dir, log, ends })));
  } catch (error) {
    log.error({ dir, error: failureChain(error) }, 'the NRI plugins of the node could not be started');
  }
}

async function launchOne(nri: Nri, program: string, { dir, log, ends }: Launching): Promise<void> {
  const [, index = '', name = ''] = /^(\d\d)-(.+)$/.exec(program) ?? [];
  const wrong = index === '' ? 'its name is not two digits, "-" and a name' : wrongName(index, name);
  if (wrong !== null) {
    log.error({ program: join(dir, program), why: wrong }, 'a program among the NRI plugins is none');
    return;
  }
  try {
    const onExit = (how: string): void => log.warn({ plugin: program, how }, 'the program of an NRI plugin has ended');
    const { socket, end } = launchPlugin({ path: join(dir, program), index, name, onExit });
    ends.push(end);
    if (!(await nri.join(socket, { kind: 'launched', index, name }))) end();
  } catch (error) {
    log.error({ plugin: program, error: failureChain(error) }, 'an NRI plugin could not be started');
  }
}
