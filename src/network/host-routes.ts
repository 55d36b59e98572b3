// The host's routes, read from /proc. Must not change any.
import { readFile } from 'node:fs/promises';
import { type HostRoute, parseRoutes4, parseRoutes6 } from './route-table.ts';

/** All of both families; a family that the kernel has not has none. */
export async function hostRoutes(): Promise<HostRoute[]> {
  const read = (file: string): Promise<string> => readFile(file, 'latin1').catch(() => '');
  const [four, six] = await Promise.all([read('/proc/net/route'), read('/proc/net/ipv6_route')]);
  return [...parseRoutes4(four), ...parseRoutes6(six)];
}
