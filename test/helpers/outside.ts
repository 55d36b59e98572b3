// A second network namespace beside the host: the world outside, that knows no route to any pod.
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { kitPrograms } from './registry.ts';
import { until } from './until.ts';

const run = promisify(execFile);

/** The other side of a pair of interfaces from the host. */
export interface Outside {
  /** The host's address on the pair. */
  readonly hostIp: string;
  /** The outside's. */
  readonly ip: string;
  /** Runs a script there, with busybox as `$B`, and answers its trimmed output; rejects when it fails. */
  readonly sh: (script: string) => Promise<string>;
  /** Serves `applet` (tcpsvd, udpsvd) on a port there: every client is told the address it comes from. */
  readonly serve: (protocol: 'tcp' | 'udp', port: number) => Promise<void>;
  readonly end: () => Promise<void>;
}

/** The kit's busybox: the host may have no nc. */
export const busyboxPath = async (): Promise<string> => join(dirname(await kitPrograms()), 'images/busybox');

/** Makes the namespace; `end` removes it with everything in it. */
export async function makeOutside(): Promise<Outside> {
  const random = randomBytes(3);
  const name = `pwt-${random.toString('hex')}`;
  const [hostEnd, ownEnd] = [`pwo${random.toString('hex')}`, 'eth0'];
  const third = `10.199.${random.readUInt8(0)}`;
  const [hostIp, ip] = [`${third}.1`, `${third}.2`];
  const busybox = await busyboxPath();
  const servers: ChildProcess[] = [];
  const inside = (...args: string[]): Promise<{ stdout: string }> =>
    run('ip', ['netns', 'exec', name, ...args], { timeout: 60_000 });
  await run('ip', ['netns', 'add', name]);
  await run('ip', ['link', 'add', hostEnd, 'type', 'veth', 'peer', 'name', ownEnd, 'netns', name]);
  await run('ip', ['address', 'add', `${hostIp}/24`, 'dev', hostEnd]);
  await run('ip', ['link', 'set', hostEnd, 'up']);
  await inside('ip', 'link', 'set', 'lo', 'up');
  await inside('ip', 'address', 'add', `${ip}/24`, 'dev', ownEnd);
  await inside('ip', 'link', 'set', ownEnd, 'up');
  const listens = async (protocol: string, port: number): Promise<boolean> => {
    const { stdout } = await inside('cat', `/proc/net/${protocol}`);
    return stdout.includes(`:${port.toString(16).toUpperCase().padStart(4, '0')} `);
  };
  return {
    hostIp,
    ip,
    sh: async (script) => (await inside(busybox, 'sh', '-c', `B=${busybox}; ${script}`)).stdout.trim(),
    async serve(protocol, port) {
      const command = [
        `${protocol}svd`,
        '0.0.0.0',
        String(port),
        busybox,
        'sh',
        '-c',
        `echo $${protocol.toUpperCase()}REMOTEADDR`,
      ];
      servers.push(spawn('ip', ['netns', 'exec', name, busybox, ...command], { stdio: 'ignore' }));
      await until(`${protocol} port ${port} is served outside`, () => listens(protocol, port));
    },
    async end() {
      for (const server of servers) server.kill('SIGKILL');
      await run('ip', ['netns', 'delete', name]);
      await run('ip', ['link', 'delete', hostEnd]).catch(() => undefined); // it went with its other end
    },
  };
}

/** Connects from the host, sends a text, and answers what comes back until the end. Rejects when refused or silent for 20 s. */
export function ask(host: string, port: number, text = ''): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const socket = connect({ host, port });
  let answer = '';
  socket.setTimeout(20_000, () => socket.destroy(new Error(`${host}:${port} does not answer`)));
  socket.on('connect', () => socket.end(text));
  socket.on('data', (chunk: Buffer) => (answer += chunk.toString()));
  socket.on('error', reject);
  socket.on('close', () => resolve(answer.trim()));
  return promise;
}
