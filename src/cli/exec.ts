// podwright exec and attach: a command in a container, or its main process, at the user's terminal.
import { checkTerminal, type Handover, runConsole } from './console.ts';
import { containerOf } from './names.ts';
import type { Run, Session } from './session.ts';

const handoverOf = (options: Readonly<Record<string, unknown>>): Handover => ({
  interactive: options['interactive'] === true,
  tty: options['tty'] === true,
});

/** Runs a command; the tool ends with its exit code. */
export const execCommand: Run = async (session, [container = '', ...cmd], options) => {
  const handover = handoverOf(options);
  checkTerminal(handover, session.streams);
  const { interactive: stdin, tty } = handover;
  const container_id = await containerOf(session.client, container);
  const { url } = await session.client.call('Exec', { container_id, cmd, tty, stdin, stdout: true, stderr: !tty });
  await converse(session, url, handover);
};

/** Attaches to the main process of a container. */
export const attachContainer: Run = async (session, [container = ''], options) => {
  const handover = handoverOf(options);
  checkTerminal(handover, session.streams);
  const { interactive: stdin, tty } = handover;
  const container_id = await containerOf(session.client, container);
  const { url } = await session.client.call('Attach', { container_id, tty, stdin, stdout: true, stderr: !tty });
  await converse(session, url, handover);
};

async function converse({ streams, failWith }: Session, url: string, handover: Handover): Promise<void> {
  const code = await runConsole(url, streams, handover);
  if (code === null) streams.stderr.write('detached\n');
  else if (code !== 0) failWith(code);
}
