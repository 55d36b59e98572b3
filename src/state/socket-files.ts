// What a server does to its socket's file.
import { chmod, mkdir, rename, rm } from 'node:fs/promises';

export const socketFiles = {
  /** chmod(2). */
  setMode: (path: string, mode: number): Promise<void> => chmod(path, mode),
  /** rename(2): replaces what is there. */
  rename: (from: string, to: string): Promise<void> => rename(from, to),
  /** unlink(2); nothing there is fine. */
  remove: (path: string): Promise<void> => rm(path, { force: true }),
  /** mkdir(2) with its parents; one that is there stays as it is. */
  makeDirectory: async (path: string): Promise<void> => void (await mkdir(path, { recursive: true, mode: 0o700 })),
};
