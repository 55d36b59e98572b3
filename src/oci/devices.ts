// PURE
// Device nodes and the device cgroup's rules.
import { invalidArgument } from '../lib/failure.ts';
import type { OciDeviceRule } from './types.ts';

/** CRI Device. */
export interface DeviceRequest {
  readonly containerPath: string;
  readonly hostPath: string;
  readonly permissions: string;
}

const allow = (type: 'c' | 'b', access: string, major?: number, minor?: number): OciDeviceRule => ({
  allow: true,
  type,
  access,
  ...(major === undefined ? {} : { major }),
  ...(minor === undefined ? {} : { minor }),
});

/** What every container may use: mknod of anything, and the nodes that each /dev has (runc's defaults). */
const defaultRules: readonly OciDeviceRule[] = [
  { allow: false, access: 'rwm' },
  allow('c', 'm'),
  allow('b', 'm'),
  allow('c', 'rwm', 1, 3), // null
  allow('c', 'rwm', 1, 5), // zero
  allow('c', 'rwm', 1, 7), // full
  allow('c', 'rwm', 1, 8), // random
  allow('c', 'rwm', 1, 9), // urandom
  allow('c', 'rwm', 5, 0), // tty
  allow('c', 'rwm', 5, 1), // console
  allow('c', 'rwm', 5, 2), // ptmx
  allow('c', 'rwm', 136), // pts
];

/** The rules before the requested devices', which the monitor adds when it has found them. */
export const deviceRules = (privileged: boolean): readonly OciDeviceRule[] =>
  privileged ? [{ allow: true, access: 'rwm' }] : defaultRules;

/** Checks what can be checked without the host; throws invalid-argument naming the field. */
export function checkDevices(devices: readonly DeviceRequest[]): void {
  devices.forEach((device, at) => {
    if (!device.hostPath.startsWith('/')) throw invalidArgument(`devices[${at}].host_path ${device.hostPath} is not absolute`);
    if (!/^[rwm]{1,3}$/.test(device.permissions) || new Set(device.permissions).size !== device.permissions.length) {
      throw invalidArgument(`devices[${at}].permissions ${JSON.stringify(device.permissions)} is not a subset of "rwm"`);
    }
  });
}
