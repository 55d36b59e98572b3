// The commands that change what runs the pods of this node: which there are and what they take.
// Must not do anything a command does.
import { Command } from 'commander';
import { installHere, nodeStatus, resumeNode, revertNode, switchNode, uninstallHere } from './node.ts';
import { withKubelet, withPlaces, withRelease } from './node-options.ts';
import type { Run } from './session.ts';

const outcomes = `
Each step is in the journal before it begins. When one fails, or all takes too long, everything is walked back; after a
kill or a reboot \`podwright node resume\` brings the node to one of the two states. Exit status: 0 done (also when there
was nothing to do), 1 refused, walked back or stuck: \`podwright node status -o json\` tells.`;

/** Adds them to the tool; `make` gives a command its name, its words and its work. */
export function addNodeCommands(program: Command, make: (names: string, does: string, run: Run) => Command): void {
  const node = new Command('node')
    .description('Moves this node from one container runtime to another, and back')
    .copyInheritedSettings(program);
  program.addCommand(node);
  const add = (one: Command): Command => {
    node.addCommand(one);
    return one;
  };
  add(withKubelet(make('switch', 'Move the kubelet to podwright, or podwright to another release', switchNode)))
    .option('--detach', 'go on outside of the session and the cgroups of the caller; log in the journal directory')
    .addHelpText('after', outcomes);
  add(withPlaces(make('status', 'What runs the pods, and how far a change is', nodeStatus)));
  const detached = (one: Command): Command =>
    add(one).option('--detach', 'go on outside of the session and the cgroups of the caller');
  detached(withPlaces(make('revert', 'Back to the runtime before podwright', revertNode))).addHelpText(
    'after',
    outcomes,
  );
  detached(withPlaces(make('resume', 'Bring an interrupted change to its end', resumeNode))).addHelpText(
    'after',
    outcomes,
  );
  const install = make('install', 'Install this release and run podwrightd: a node of its own', installHere);
  program.addCommand(
    withRelease(install)
      .option('--no-start', 'only put the files there; podwrightd is neither started nor tried')
      .option('--detach', 'go on outside of the session and the cgroups of the caller')
      .addHelpText('after', outcomes),
  );
  const uninstall = make(
    'uninstall',
    'End podwright here, back to the runtime before it, and remove its files',
    uninstallHere,
  );
  program.addCommand(
    withRelease(uninstall)
      .option('--purge', 'images, records, configuration and the journal too')
      .option('--detach', 'go on outside of the session and the cgroups of the caller')
      .addHelpText('after', outcomes),
  );
}
