// What every command works with: the connection, the form of the output, where it goes.
import type { ReadStream, WriteStream } from 'node:tty';
import { Command } from 'commander';
import type { Client } from './client.ts';

/** The process's own streams, for commands that hand them to a container. */
export interface OwnStreams {
  /** A terminal, or whatever it was redirected from. */
  readonly stdin: Pick<ReadStream, 'isTTY' | 'setRawMode' | 'on' | 'off' | 'pause' | 'resume'>;
  readonly stdout: Pick<WriteStream, 'columns' | 'rows' | 'write' | 'on' | 'off' | 'once'>;
  readonly stderr: Pick<WriteStream, 'write' | 'once'>;
  /** Settles when the user interrupts; asked for only by commands that run until then. */
  readonly interrupted: Promise<void>;
}

/** The process as commands see it. */
export interface Terminal {
  /** Standard output. */
  readonly out: (text: string) => void;
  /** A line of progress that replaces the one before; does nothing when standard error is no terminal. */
  readonly progress: (text: string) => void;
  /** Lines of progress that replace those before; false, and nothing done, when standard error is no terminal. */
  readonly block: (lines: readonly string[]) => boolean;
  /** Wall clock in milliseconds. */
  readonly nowMs: () => number;
  /** The words after the program's name. */
  readonly argv: readonly string[];
  /** The current directory. */
  readonly directory: string;
  /** `server` is what failures call the other end; podwrightd when it is not given. */
  readonly connect: (socket: string, server?: string) => Client;
  /** Writes a text file that the user named. */
  readonly writeFile: (path: string, text: string) => Promise<void>;
  readonly streams: OwnStreams;
}

/** One command while it runs. */
export interface Session extends Terminal {
  readonly client: Client;
  readonly socket: string;
  /** Prints a value: the text of it, or with `--output json` its JSON. */
  readonly print: (value: unknown, text: () => string) => void;
  /** Ends the program with this status once the command is done. */
  readonly failWith: (exitCode: number) => void;
}

/** Work of one command. */
export type Run = (
  session: Session,
  args: readonly string[],
  options: Readonly<Record<string, unknown>>,
) => Promise<void>;

/** The parts that all commands share. */
export interface Shell {
  readonly terminal: Terminal;
  /** Status of the program when no command fails; commands may raise it. */
  exitCode: number;
}

/** Makes a command whose work gets a session, and closes the connection after it. */
export function command(
  shell: Shell,
  nameAndArgs: string,
  about: { readonly does: string; readonly run: Run },
): Command {
  const [name, ...argumentNames] = nameAndArgs.split(' ');
  const one = new Command(name).description(about.does);
  for (const argument of argumentNames) one.argument(argument);
  return one.action(async (...given: unknown[]) => {
    const self = given.at(-1) as Command;
    const args = given
      .slice(0, -2)
      .flatMap((arg) => (Array.isArray(arg) ? (arg as string[]) : [typeof arg === 'string' ? arg : '']));
    const options = self.optsWithGlobals<Record<string, unknown>>();
    const socket = String(options['socket']).replace(/^unix:\/\//, '');
    const { terminal } = shell;
    const client = terminal.connect(socket);
    const json = options['output'] === 'json';
    try {
      const session: Session = {
        ...terminal,
        client,
        socket,
        print: (value, text) => terminal.out(json ? `${JSON.stringify(value, null, 2)}\n` : text()),
        failWith: (exitCode) => void (shell.exitCode = exitCode),
      };
      await about.run(session, args, options);
    } finally {
      client.close();
    }
  });
}
