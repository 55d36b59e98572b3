// A command in a container at the user's own terminal: raw mode, sizes, the keys that detach, the exit code.
// Must not know which call the URL came from.
import { internal, invalidArgument } from '../lib/failure.ts';
import { type Channels, openChannels } from './channels.ts';
import type { OwnStreams } from './session.ts';

/** Which of the user's streams are handed over. */
export interface Handover {
  readonly interactive: boolean;
  readonly tty: boolean;
}

/** How it ended: the exit code, or null when the user detached. */
export type ConsoleEnd = number | null;

const channels = { stdin: 0, stdout: 1, stderr: 2, status: 3, size: 4 } as const;

/** ctrl-p ctrl-q, as Docker has it. */
const detachKeys = [0x10, 0x11] as const;

/** Throws what Docker says when a terminal is wanted and there is none. */
export function checkTerminal({ tty, interactive }: Handover, { stdin }: OwnStreams): void {
  if (tty && interactive && !stdin.isTTY) throw invalidArgument('the input device is not a TTY');
}

/** Joins the user's streams with a streaming URL until it ends. The terminal is as before when this settles. */
export async function runConsole(url: string, streams: OwnStreams, handover: Handover): Promise<ConsoleEnd> {
  const { stdout, stderr } = streams;
  const over = Promise.withResolvers<ConsoleEnd>();
  let status = '';
  const connection = await openChannels(
    { url, protocol: 'v5.channel.k8s.io' },
    {
      data: (channel, bytes, resume) => {
        if (channel === channels.status) status += bytes.toString();
        const to = channel === channels.stdout ? stdout : channel === channels.stderr ? stderr : null;
        if (!to || to.write(bytes)) return true;
        to.once('drain', resume);
        return false;
      },
      end: () => undefined,
      closed: (error) => (error ? over.reject(error) : settle(status, over)),
    },
  );
  const leave = handOver(connection, streams, { ...handover, detach: () => over.resolve(null) });
  try {
    return await over.promise;
  } finally {
    leave();
    connection.close();
  }
}

/** Sends input and sizes; answers what gives the streams back. */
function handOver(
  connection: Channels,
  { stdin, stdout }: OwnStreams,
  { interactive, tty, detach }: Handover & { readonly detach: () => void },
): () => void {
  const tellSize = (): void => {
    const size = JSON.stringify({ Width: stdout.columns, Height: stdout.rows });
    if (stdout.columns !== undefined) connection.send(channels.size, Buffer.from(size), () => undefined);
  };
  const raw = tty && interactive && stdin.isTTY;
  const isDetach = detachScanner();
  const send = (bytes: Buffer): void => {
    if (raw && isDetach(bytes)) return detach();
    stdin.pause();
    connection.send(channels.stdin, bytes, () => void (given && stdin.resume()));
  };
  let given = true;
  const end = (): void => connection.end(channels.stdin);
  if (tty) {
    tellSize();
    stdout.on('resize', tellSize);
  }
  if (interactive) {
    if (raw) stdin.setRawMode(true);
    stdin.on('data', send).on('end', end);
  }
  return () => {
    given = false;
    stdout.off('resize', tellSize);
    if (!interactive) return;
    stdin.off('data', send).off('end', end).pause();
    if (raw) stdin.setRawMode(false);
  };
}

/** Tells whether the keys that detach were pressed, one right after the other; what is sent before stays sent. */
export function detachScanner(): (bytes: Uint8Array) => boolean {
  let matched = 0;
  return (bytes) => {
    for (const byte of bytes) {
      if (byte === detachKeys[matched]) matched += 1;
      else matched = byte === detachKeys[0] ? 1 : 0;
      if (matched === detachKeys.length) return true;
    }
    return false;
  };
}

/** The outcome that the status channel tells: see metav1.Status. */
function settle(text: string, over: PromiseWithResolvers<ConsoleEnd>): void {
  try {
    over.resolve(exitCodeOf(text));
  } catch (error) {
    over.reject(error);
  }
}

interface Status {
  readonly status?: string;
  readonly message?: string;
  readonly reason?: string;
  readonly details?: { readonly causes?: readonly { readonly reason?: string; readonly message?: string }[] };
}

/** The exit code in a metav1.Status; throws what it says when there is none. */
export function exitCodeOf(text: string): number {
  if (text === '') throw internal('the connection ended without telling how');
  const { status, message, details } = JSON.parse(text) as Status;
  if (status === 'Success') return 0;
  const code = details?.causes?.find(({ reason }) => reason === 'ExitCode')?.message;
  if (code === undefined) throw internal((message ?? text).replace(/^Internal error occurred: /, ''));
  return Number(code);
}
