// A write that the kernel may do in part.
import { writeFileSync } from 'node:fs';

/** Writes to a cgroup file such as memory.reclaim, which answers EAGAIN when it did less than it was asked. */
export function writeSome(file: string, text: string): void {
  try {
    writeFileSync(file, text);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
  }
}
