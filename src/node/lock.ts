// One at a time changes a node: the lock, a socket in the journal's directory that is listened on while it is held.
// Must not know what is done under it.
import { randomBytes } from 'node:crypto';
import { closeSync, linkSync, mkdirSync, openSync, readdirSync, rmSync } from 'node:fs';
import { connect, createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { pause } from '../lib/waiting.ts';

export interface Lock {
  release(): void;
}

/** Names of locks in a directory, and of what an interrupted taker leaves. */
export const isLockName = (name: string): boolean => /^lock-(\d+|new-[0-9a-f]+)$/.test(name);

const numberOf = (name: string): number => Number(/^lock-(\d+)$/.exec(name)?.[1] ?? 0);
const highest = (dir: string): number => readdirSync(dir).reduce((most, name) => Math.max(most, numberOf(name)), 0);

/**
 * Has an address for a name in a directory of any length (unix(7) allows 107 bytes), by way of its descriptor. A socket
 * in the file system is met from every network namespace, and made by those only who may write the directory.
 */
async function withAddresses<T>(dir: string, work: (addressOf: (name: string) => string) => Promise<T>): Promise<T> {
  const fd = openSync(dir, 'r');
  try {
    return await work((name) => `/proc/self/fd/${fd}/${name}`);
  } finally {
    closeSync(fd);
  }
}

function listen(path: string): Promise<Server> {
  const { promise, resolve, reject } = Promise.withResolvers<Server>();
  const server = createServer((socket) => socket.destroy());
  server.once('error', reject);
  server.listen({ path }, () => {
    server.unref();
    resolve(server);
  });
  return promise;
}

/** Whether somebody listens on a socket: nobody does when its process has ended. */
function answers(path: string): Promise<boolean> {
  const { promise, resolve, reject } = Promise.withResolvers<boolean>();
  const socket = connect({ path });
  socket.once('connect', () => {
    socket.destroy();
    resolve(true);
  });
  socket.once('error', (error: NodeJS.ErrnoException) => {
    const { code = '' } = error;
    if (code === 'EAGAIN') return resolve(true); // its queue is full
    return ['ECONNREFUSED', 'ENOENT'].includes(code) ? resolve(false) : reject(error);
  });
  return promise;
}

/** Whether somebody holds the lock of a directory; takes nothing. */
export async function isLocked(dir: string): Promise<boolean> {
  return withAddresses(dir, async (addressOf) => {
    const last = highest(dir);
    return last > 0 && (await answers(addressOf(`lock-${last}`)));
  });
}

/**
 * Takes the lock; null when another holds it. Each holder has a socket of the next number, which nobody removes
 * before there is a higher one: so what a dead holder left is never mistaken, and never taken away from a live one.
 */
export async function takeLock(dir: string): Promise<Lock | null> {
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  return withAddresses(dir, async (addressOf) => {
    const last = highest(dir);
    if (last > 0 && (await answers(addressOf(`lock-${last}`)))) return null;
    const fresh = `lock-new-${randomBytes(4).toString('hex')}`;
    const server = await listen(addressOf(fresh));
    const mine = last + 1;
    try {
      // it has its name when it is listened on already; a name that is there is not replaced
      linkSync(join(dir, fresh), join(dir, `lock-${mine}`));
    } catch (error) {
      server.close();
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') return null;
      throw error;
    } finally {
      rmSync(join(dir, fresh), { force: true });
    }
    if (highest(dir) > mine) {
      // others came and went since the first look
      server.close();
      rmSync(join(dir, `lock-${mine}`), { force: true });
      return null;
    }
    for (const name of readdirSync(dir))
      if (numberOf(name) > 0 && numberOf(name) < mine) rmSync(join(dir, name), { force: true });
    return { release: () => void server.close() };
  });
}

/** Takes the lock as soon as it is free; null when another holds it still after so many milliseconds. */
export async function takeLockWithin(dir: string, ms: number): Promise<Lock | null> {
  const deadline = performance.now() + ms;
  for (;;) {
    const lock = await takeLock(dir);
    if (lock !== null || performance.now() > deadline) return lock;
    await pause(100, new AbortController().signal);
  }
}
