// The command line of `podwright`: which commands there are, and how it ends.
// Must not do anything a command does.
import { Command, CommanderError, Option } from 'commander';
import { schema } from '../config/schema.ts';
import { version } from '../config/version.ts';
import { failureChain } from '../lib/failure.ts';
import { checkpoint } from './checkpoint.ts';
import { isUnreachable } from './client.ts';
import { addCompletion } from './complete.ts';
import { outputFile, separateCommand } from './command-line.ts';
import { diagnose } from './doctor.ts';
import { attachContainer, execCommand } from './exec.ts';
import { addImageCommands } from './image-commands.ts';
import { inspect } from './inspect.ts';
import { relayMetrics, withRelayOptions } from './metrics-relay.ts';
import { installer, withInstallerOptions } from './installer.ts';
import { addNodeCommands } from './node-commands.ts';
import { listPods } from './pods.ts';
import { forwardPorts } from './port-forward.ts';
import { pullImage } from './pull.ts';
import { listPulls } from './pulls.ts';
import { listContainers } from './ps.ts';
import { withAccessOptions } from './registry-access.ts';
import { command, type Run, type Shell, type Terminal } from './session.ts';
import { shutdown } from './shutdown.ts';
import { showStatus } from './status.ts';
import { showTrace } from './trace.ts';
import { showVersion } from './version.ts';

const defaultSocket = `${schema.node.state.default}/podwright.sock`;

const socketHelp = 'socket of the daemon; this and -o may follow a command too';

const exitCodes = `
Exit status: 0 done, 1 failed (or status and doctor found something wrong), 2 wrong usage,
3 the daemon is not running. exec: that of the command.`;

/** Runs the tool with the arguments after its name; answers the exit status. Never rejects. */
export async function runProgram(
  argv: readonly string[],
  terminal: Terminal,
  fail: (text: string) => void,
): Promise<number> {
  const shell: Shell = { terminal, exitCode: 0 };
  const program = buildProgram(shell, fail);
  try {
    await program.parseAsync(separateCommand(outputFile(argv)), { from: 'user' });
    return shell.exitCode;
  } catch (error) {
    // commander has printed its own already
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    terminal.progress('');
    fail(`podwright: ${failureChain(error)}\n`);
    if (!isUnreachable(error)) return 1;
    fail(
      'Start it as root: podwrightd (by systemctl start podwrightd, in a checkout npm run up). Another socket: -r.\n',
    );
    return 3;
  }
}

/** The whole command line; nothing of it runs before it is parsed. */
export function buildProgram(shell: Shell, fail: (text: string) => void): Command {
  const program = new Command('podwright')
    .description('Looks at podwrightd and its pods, brings images, changes what runs the pods of this node.')
    .version(version, '-V, --version', 'print the version of this tool')
    .addOption(new Option('-r, --socket <path>', socketHelp).default(defaultSocket))
    .addOption(new Option('-o, --output <form>', 'form of the output').choices(['table', 'json']).default('table'))
    .addHelpText('after', exitCodes)
    .exitOverride()
    .configureOutput({ writeOut: shell.terminal.out, writeErr: fail });
  const make = (names: string, does: string, run: Run): Command =>
    command(shell, names, { does, run }).copyInheritedSettings(program);
  const add = (names: string, does: string, run: Run): Command => {
    const one = make(names, does, run);
    program.addCommand(one);
    return one;
  };
  add('version', 'Versions of this tool and of the daemon', showVersion);
  add('status', 'Whether the node can run pods, and what it runs', showStatus);
  add('pods', 'The pods', listPods);
  add('ps', 'The running containers', listContainers).option('-a, --all', 'created and exited ones too');
  withAccessOptions(add('pull <image>', 'Pull an image from its registry', pullImage))
    .option('--platform <os/arch[/variant]>', "of an image for several platforms (default: this machine's)")
    .option('-q, --quiet', 'print the id only');
  add('pulls', 'The pulls that run now, whoever asked for them', listPulls).option(
    '-w, --watch',
    'go on showing them until interrupted',
  );
  addImageCommands(program, make);
  const streams = (one: Command): Command =>
    one
      .option('-i, --interactive', 'hand over standard input')
      .option('-t, --tty', 'with a terminal; ctrl-p ctrl-q leaves it');
  streams(add('exec <container> <command...>', 'Run a command in a container, by id or name', execCommand));
  streams(add('attach <container>', "A container's own input and output, from now on", attachContainer));
  add('port-forward <pod> <ports...>', 'Ports of this machine into a pod: [LOCAL:]REMOTE', forwardPorts).option(
    '--address <address>',
    'address to listen on',
    '127.0.0.1',
  );
  add('checkpoint <container>', 'Capture a running container with criu; it goes on', checkpoint)
    .requiredOption('-e, --export <file>', 'the archive to write')
    .option('-t, --timeout <seconds>', 'how long it may take', '120');
  add('trace [pod]', "Stage times of a pod's start: by id, name, or the last pod", showTrace);
  add('inspect [id]', 'What the daemon knows of a pod, container or image, or of itself', inspect);
  add('doctor', 'What is wrong or unfinished on this node', diagnose).option(
    '--collect',
    'release first what the network still has of pods that are gone',
  );
  withRelayOptions(add('metrics-relay', "The node's metrics over HTTPS, for whom the API server allows", relayMetrics));
  add('shutdown', 'End every pod, remove the network of our own, end the daemon', shutdown);
  addNodeCommands(program, make);
  withInstallerOptions(add('installer <task>', 'What the pods of the Helm chart run', installer));
  addCompletion(program, shell, defaultSocket);
  return program;
}
