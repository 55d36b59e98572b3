// Where a process listens, as the kernel tells it.
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

const listen = '0A'; // TCP_LISTEN in /proc/net/tcp

/** Addresses, in the hexadecimal notation of /proc/net/tcp and tcp6, of the TCP sockets on which a process listens. */
export function listening(pid: number): string[] {
  const sockets = new Set<string>();
  for (const fd of readdirSync(`/proc/${pid}/fd`)) {
    try {
      const inode = /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1];
      if (inode !== undefined) sockets.add(inode);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error; // closed meanwhile
    }
  }
  return ['tcp', 'tcp6'].flatMap((table) =>
    readFileSync(`/proc/${pid}/net/${table}`, 'utf8')
      .trim()
      .split('\n')
      .slice(1)
      .map((line) => line.trim().split(/\s+/))
      .filter((fields) => fields[3] === listen && sockets.has(fields[9] as string))
      .map((fields) => (fields[1] as string).replace(/:.*$/, '')),
  );
}
