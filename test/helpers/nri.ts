// The plugins of the test kit, run as a node runs them.
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { until } from './until.ts';

const cache = process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache');
const kit = join(process.env['PODWRIGHT_TESTKIT_CACHE'] ?? join(cache, 'podwright-testkit'), 'bin/nri');

/** The programs of `hack/testkit/install.sh nri`. */
export const nriPlugins = { template: join(kit, 'template'), injector: join(kit, 'device-injector') } as const;

/** Why tests with them are skipped, null when they are here. */
export const withoutNriPlugins: string | null = Object.values(nriPlugins).every((path) => existsSync(path))
  ? null
  : 'hack/testkit/install.sh nri has not been run';

/** A template plugin that was started from outside the daemon, and what it says. */
export class TemplatePlugin {
  readonly #process: ChildProcess;
  #said = '';
  #ended = false;

  constructor(socket: string, { index = '50', name = 'template' } = {}) {
    this.#process = spawn(nriPlugins.template, ['-idx', index, '-name', name, '-socket', socket], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    this.#process.stderr?.setEncoding('utf8').on('data', (text: string) => void (this.#said += text));
    this.#process.on('exit', () => void (this.#ended = true));
  }

  /** Whole lines so far. */
  get lines(): string[] {
    return this.#said.split('\n').slice(0, -1);
  }

  /** Waits for a line. */
  async says(what: RegExp): Promise<string> {
    const found = await until(`the plugin says ${what}`, () => this.lines.find((line) => what.test(line))).catch(
      (error: Error) => {
        throw new Error(`${error.message}; it said:\n${this.#said}`, { cause: error });
      },
    );
    return found;
  }

  get ended(): boolean {
    return this.#ended;
  }

  signal(name: NodeJS.Signals): void {
    this.#process.kill(name);
  }

  /** kill -9; resolves when it is gone. */
  async kill(): Promise<void> {
    if (!this.#ended) this.#process.kill('SIGKILL');
    await until('the plugin ends', () => this.#ended);
  }
}
