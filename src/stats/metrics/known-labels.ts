// PURE
// Label values that many metrics of one call have, made once. Must not outlive the call: devices come and go.

/** Label values of one block device. */
export interface DeviceLabels {
  readonly device: readonly string[];
  readonly read: readonly string[];
  readonly write: readonly string[];
}

/** The same array for the same values. */
export class KnownLabels {
  readonly #deviceName: (major: number, minor: number) => string;
  readonly #single = new Map<string, readonly string[]>();
  readonly #devices = new Map<number, DeviceLabels>();

  /** `deviceName` tells "/dev/sda" of a block device. */
  constructor(deviceName: (major: number, minor: number) => string) {
    this.#deviceName = deviceName;
  }

  /** Those of a metric with one label. */
  single(value: string): readonly string[] {
    let labels = this.#single.get(value);
    if (labels === undefined) this.#single.set(value, (labels = [value]));
    return labels;
  }

  /** The device alone, and with its numbers and what was done. */
  device(major: number, minor: number): DeviceLabels {
    const key = major * 2 ** 20 + minor; // minor numbers have 20 bits
    let labels = this.#devices.get(key);
    if (labels === undefined) {
      const device = this.single(this.#deviceName(major, minor));
      const all = [...device, String(major), String(minor)];
      labels = { device, read: [...all, 'Read'], write: [...all, 'Write'] };
      this.#devices.set(key, labels);
    }
    return labels;
  }
}
