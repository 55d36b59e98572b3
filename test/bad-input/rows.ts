// All tables, and a value of each message that needs more than nothing to be right.
import { containerRows } from './container.ts';
import { imageRows } from './image.ts';
import { resourceRows } from './resources.ts';
import type { Rows } from './row.ts';
import { sandboxRows } from './sandbox.ts';
import { securityRows } from './security.ts';

const tables: readonly Rows[] = [sandboxRows, containerRows, securityRows, resourceRows, imageRows];

/** Rows by `Message.field`. */
export const allRows: Rows = Object.assign({}, ...tables) as Rows;

/** Fields that stand in more than one table: each has one place. */
export const doubled: readonly string[] = tables
  .flatMap((table) => Object.keys(table))
  .filter((key, at, all) => all.indexOf(key) !== at);

/** The least of a message that a call takes, by its name; {} where nothing is asked for. */
export const samples: Readonly<Record<string, object>> = {
  PortMapping: { protocol: 'TCP', container_port: 80 },
  Mount: { container_path: '/mnt', host_path: '/tmp' },
  Device: { host_path: '/dev/null', container_path: '/dev/null2', permissions: 'rwm' },
  KeyValue: { key: 'A', value: Buffer.from('1') },
  HugepageLimit: { page_size: '2MB', limit: '0' },
  SecurityProfile: { profile_type: 'Unconfined' },
  CDIDevice: { name: 'vendor.example/class=one' },
  IDMapping: { host_id: 100_000, container_id: 0, length: 65_536 },
  Int64Value: { value: '0' },
  NamespaceOption: { network: 'POD', pid: 'CONTAINER', ipc: 'POD' },
  UserNamespace: { mode: 'NODE' },
};
