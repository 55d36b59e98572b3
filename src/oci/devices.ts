// PURE
// Device nodes and the device cgroup's rules.
import { invalidArgument } from '../lib/failure.ts';
import type { OciDeviceRule } from './types.ts';

/** CRI Device. */
export interface DeviceRequest {
  readonly containerPath: string;
  readonly hostPath: string;
  readonly permissions: string;
  /** Owner and group in the container; the host node's when absent. */
  readonly uid?: number;
  readonly gid?: number;
}

/** Annotation that tells the monitor which host devices to find: JSON of `DeviceRequest[]`. */
export const devicesAnnotation = 'podwright.devices';

const allow = (rule: Omit<OciDeviceRule, 'allow'>): OciDeviceRule => ({ allow: true, ...rule });

/** What every container may use: mknod of anything, and the nodes that each /dev has (runc's defaults). */
const defaultRules: readonly OciDeviceRule[] = [
  { allow: false, access: 'rwm' },
  allow({ type: 'c', access: 'm' }),
  allow({ type: 'b', access: 'm' }),
  allow({ type: 'c', access: 'rwm', major: 1, minor: 3 }), // null
  allow({ type: 'c', access: 'rwm', major: 1, minor: 5 }), // zero
  allow({ type: 'c', access: 'rwm', major: 1, minor: 7 }), // full
  allow({ type: 'c', access: 'rwm', major: 1, minor: 8 }), // random
  allow({ type: 'c', access: 'rwm', major: 1, minor: 9 }), // urandom
  allow({ type: 'c', access: 'rwm', major: 5, minor: 0 }), // tty
  allow({ type: 'c', access: 'rwm', major: 5, minor: 1 }), // console
  allow({ type: 'c', access: 'rwm', major: 5, minor: 2 }), // ptmx
  allow({ type: 'c', access: 'rwm', major: 136 }), // pts
];

/** The rules before the requested devices', which the monitor adds when it has found them. */
export const deviceRules = (all: boolean): readonly OciDeviceRule[] =>
  all ? [{ allow: true, access: 'rwm' }] : defaultRules;

/** Checks what can be checked without the host; throws invalid-argument naming the field. */
export function checkDevices(devices: readonly DeviceRequest[]): void {
  devices.forEach((device, at) => {
    if (!device.hostPath.startsWith('/'))
      throw invalidArgument(`devices[${at}].host_path ${device.hostPath} is not absolute`);
    if (!/^[rwm]{1,3}$/.test(device.permissions) || new Set(device.permissions).size !== device.permissions.length) {
      throw invalidArgument(
        `devices[${at}].permissions ${JSON.stringify(device.permissions)} is not a subset of "rwm"`,
      );
    }
  });
}
