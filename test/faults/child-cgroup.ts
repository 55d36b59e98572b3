// A cgroup of a test's own that it puts its daemon in, on v1, hybrid and v2 hosts.
import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { legacy } from '../helpers/cgroups.ts';
import { until } from '../helpers/until.ts';

/** One controller's cgroup, a child of the hierarchy's root. */
export class ChildCgroup {
  /** Why this host cannot have one; null if it can. */
  readonly missing: string | null;
  readonly #hierarchy: string;
  readonly #controller: string;
  readonly #dir: string;

  constructor(controller: 'pids' | 'memory') {
    this.#controller = controller;
    this.#hierarchy = legacy ? `/sys/fs/cgroup/${controller}` : '/sys/fs/cgroup';
    this.#dir = join(this.#hierarchy, `pwt-${process.pid}`);
    const given = legacy ? '/proc/cgroups' : '/sys/fs/cgroup/cgroup.subtree_control';
    const found = new RegExp(`\\b${controller}\\b`).test(readFileSync(given, 'utf8'));
    this.missing = found ? null : `no ${controller} controller for cgroups of a test`;
  }

  /** Makes it and puts a process into it. */
  hold(pid: number): void {
    mkdirSync(this.#dir, { recursive: true });
    writeFileSync(join(this.#dir, 'cgroup.procs'), String(pid));
  }

  /** The trimmed content of one of its files. */
  read(file: string): string {
    return readFileSync(join(this.#dir, file), 'utf8').trim();
  }

  write(file: string, text: string): void {
    writeFileSync(join(this.#dir, file), text);
  }

  /** Puts who is in it where this test is, and takes it away. */
  async remove(): Promise<void> {
    const own = readFileSync('/proc/self/cgroup', 'utf8').split('\n');
    const named = new RegExp(legacy ? `^\\d+:([^:]*,)?${this.#controller}(,[^:]*)?:` : '^0::');
    const path = (own.find((line) => named.test(line)) ?? '').replace(/^\d+:[^:]*:/, '');
    for (const pid of this.read('cgroup.procs').split('\n').filter(Boolean)) {
      try {
        writeFileSync(join(this.#hierarchy, path, 'cgroup.procs'), pid);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error; // it has ended meanwhile
      }
    }
    await until('nobody is in the cgroup', () => this.read('cgroup.procs') === '');
    rmdirSync(this.#dir);
  }
}
