// A program at a terminal of its own, which a test types at: by script(1) of util-linux.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { until } from './until.ts';

const quote = (word: string): string => `'${word.replaceAll("'", `'\\''`)}'`;

/** A program that runs at a terminal. */
export class Pty {
  readonly #child: ChildProcess;
  readonly #dir: string;
  #output = '';
  #code: number | null = null;

  /** Starts it; the terminal has this size from the beginning. */
  constructor(command: readonly string[], size: { readonly columns: number; readonly rows: number }) {
    this.#dir = mkdtempSync('/tmp/pwp-');
    const ttyFile = quote(join(this.#dir, 'tty'));
    const line = `stty cols ${size.columns} rows ${size.rows}; tty > ${ttyFile}; exec ${command.map(quote).join(' ')}`;
    this.#child = spawn('script', ['-qefc', line, '/dev/null'], { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#child.stdout?.on('data', (bytes: Buffer) => void (this.#output += bytes.toString()));
    this.#child.on('close', (code) => void (this.#code = code ?? -1));
  }

  /** What it has shown so far. */
  get output(): string {
    return this.#output;
  }

  type(keys: string): void {
    this.#child.stdin?.write(keys);
  }

  /** Waits until it has shown something; answers all of its output. */
  async shows(what: string | RegExp): Promise<string> {
    const seen = (): boolean => (typeof what === 'string' ? this.#output.includes(what) : what.test(this.#output));
    await until(`the terminal shows ${String(what)}`, seen).catch((error: Error) => {
      throw new Error(`${error.message}; it shows ${JSON.stringify(this.#output.slice(-500))}`, { cause: error });
    });
    return this.#output;
  }

  /** Another size; the program is told by SIGWINCH. */
  resize(columns: number, rows: number): void {
    const tty = readFileSync(join(this.#dir, 'tty'), 'utf8').trim();
    execFileSync('stty', ['-F', tty, 'cols', String(columns), 'rows', String(rows)]);
  }

  /** The exit code of the program. */
  async ended(): Promise<number> {
    return until('the program at the terminal ends', () => this.#code);
  }

  /** Ends it by force. */
  destroy(): void {
    this.#child.kill('SIGKILL');
    rmSync(this.#dir, { recursive: true, force: true });
  }
}
