// Calls to a daemon whose disk fails: what they may say.
import { readFileSync } from 'node:fs';
import type { ExecutionContext } from 'ava';
import { status as grpcStatus, type ServiceError } from '@grpc/grpc-js';
import type { CallOptions } from '../helpers/cri-client.ts';
import type { TestDaemon } from '../helpers/daemon.ts';
import { patienceMs } from '../helpers/until.ts';

type Call = (options: CallOptions) => Promise<unknown>;

/** What failed, as errno(3) and Node have it. */
export const reason = /EIO|EROFS|i\/o error|input\/output error|read-only file system/i;
/** Words for what was attempted first, and what it was attempted on: a path, an id, a program. */
const attempt = /^[a-z].*(\/\S+|[0-9a-f]{64}|"[^"]+")/;

/** Makes calls while a disk fails, each with an end, and keeps what they were told. */
export class Failing {
  readonly told: Record<string, string> = {};
  failures = 0;
  readonly #t: ExecutionContext;

  constructor(t: ExecutionContext) {
    this.#t = t;
  }

  /** A call that comes out right, or says what the disk did not do. Whether it came out right. */
  async may(name: string, call: Call): Promise<boolean> {
    const error = await call({ deadlineMs: patienceMs }).then(
      () => null,
      (each: ServiceError) => each,
    );
    this.told[name] = error === null ? 'came out right' : `${grpcStatus[error.code]}: ${error.details}`;
    if (error === null) return true;
    this.failures += 1;
    this.#t.regex(error.details, reason, name);
    this.#t.regex(error.details, attempt, name);
    this.#t.false(['DEADLINE_EXCEEDED', 'UNAVAILABLE', 'UNKNOWN'].includes(grpcStatus[error.code] as string), name);
    return false;
  }

  /** A call that cannot come out right. */
  async fails(name: string, call: Call): Promise<void> {
    this.#t.false(await this.may(name, call), `${name} cannot come out right`);
  }

  /** A call that needs no disk. */
  async answers(name: string, call: Call): Promise<void> {
    this.#t.true(await this.may(name, call), `${name}: ${this.told[name]}`);
  }

  /** Work that comes to an end, whichever. */
  async within(name: string, work: Promise<string>): Promise<string> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`${name} does not end`)), patienceMs);
    });
    try {
      return await Promise.race([work, late]);
    } finally {
      clearTimeout(timer);
    }
  }
}

/** Lines of a daemon's log in which it takes something for a bug of its own. */
export const bugsIn = ({ logFile }: TestDaemon): string[] =>
  readFileSync(logFile, 'utf8')
    .split('\n')
    .filter((line) => /"msg":"(call hit a bug|a bug)/.test(line));
