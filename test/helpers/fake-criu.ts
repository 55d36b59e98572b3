// A program in criu's place that does as a test says: the script beside this file, in a copy of its own.
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';

/** How it behaves; the script's own text tells each. */
export type CriuMode = 'ok' | 'refuse' | 'garbage' | 'die' | 'slow' | 'hang' | 'die-held';

/** One request as it got it. */
export interface AskedOfCriu {
  /** 1 dump, 2 restore. */
  readonly kind: number;
  readonly pid: number;
  readonly leaveRunning: number;
  /** Freezer states of the cgroups beside the dumped one, by name. */
  readonly states: Readonly<Record<string, string>>;
  readonly external: readonly (readonly [string, string])[];
  readonly inherit: readonly (readonly [string, number])[];
  readonly tcp: number;
  readonly root: string;
  readonly sibling: number;
}

/** A copy of the script with its files. */
export class FakeCriu {
  readonly dir = mkdtempSync('/tmp/pwt-criu-');
  readonly program = join(this.dir, 'criu');

  constructor() {
    copyFileSync(join(import.meta.dirname, 'fake-criu'), this.program);
    chmodSync(this.program, 0o755);
    this.behave('ok');
  }

  /** How the next requests are answered; forgets the earlier ones. */
  behave(mode: CriuMode): void {
    writeFileSync(`${this.program}.mode`, mode);
    for (const name of readdirSync(this.dir))
      if (/\.(asked|errno\.\d+)$/.test(name)) rmSync(join(this.dir, name), { recursive: true });
  }

  get asked(): AskedOfCriu[] {
    const file = `${this.program}.asked`;
    if (!existsSync(file)) return [];
    // it may be about to write one: only whole lines count
    const lines = readFileSync(file, 'utf8').split('\n').slice(0, -1);
    return lines.map((line) => JSON.parse(line) as AskedOfCriu);
  }

  /** What its last write failed with, in mode `slow`; "" when none has. */
  get errno(): string {
    return readdirSync(this.dir).flatMap((name) => /\.errno\.(\d+)$/.exec(name)?.[1] ?? [])[0] ?? '';
  }

  remove(): void {
    rmSync(this.dir, { recursive: true, force: true });
  }
}
