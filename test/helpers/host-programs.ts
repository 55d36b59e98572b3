// Programs of the host in a container: perl, which makes any system call, and which no image has.
import { existsSync } from 'node:fs';
import type { Mount } from '../../src/proto/generated/cri/runtime/v1/Mount.ts';

/** Mounts with which `/usr/bin/perl` of the host runs in a container of any image. */
export const programs = (): Mount[] =>
  ['/usr', '/lib', '/lib64']
    .filter((path) => existsSync(path))
    .map((path) => ({ host_path: path, container_path: path, readonly: true }));
