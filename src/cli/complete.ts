// podwright completion: the script of a shell, and what that asks at each press of TAB.
import { type Command, Argument } from 'commander';
import type { Client } from './client.ts';
import { complete, completionText, type Noun } from './completion.ts';
import type { Shell } from './session.ts';
import { completionScript, shells } from './shells.ts';
import { wordsOf } from './words.ts';

/** How long the daemon may take, in milliseconds: somebody waits at a prompt. */
const patienceMs = 2000;

interface Named {
  readonly word: string;
  readonly about: string;
}

const namesOf: Readonly<Record<Noun, (client: Client) => Promise<readonly Named[]>>> = {
  containers: async (client) => {
    const filter = { state: { state: 'CONTAINER_RUNNING' as const } };
    const { containers } = await client.call('ListContainers', { filter }, patienceMs);
    return containers.map(({ id, metadata }) => ({
      word: metadata?.name || id,
      about: `container ${id.slice(0, 13)}`,
    }));
  },
  pods: async (client) => {
    const { items } = await client.call('ListPodSandbox', {}, patienceMs);
    return items.map(({ id, metadata }) => ({
      word: metadata?.name || id,
      about: `pod in ${metadata?.namespace ?? ''}, ${id.slice(0, 13)}`,
    }));
  },
  images: async (client) => {
    const { images } = await client.call('ListImages', {}, patienceMs);
    return images.flatMap(({ id, repo_tags: tags }) =>
      (tags.length > 0 ? tags : [id]).map((word) => ({ word, about: `image ${id.slice(7, 20)}` })),
    );
  },
};

/** Adds the two commands; `program` is what they complete. */
export function addCompletion(program: Command, shell: Shell, defaultSocket: string): void {
  const { terminal } = shell;
  program
    .command('completion')
    .description('Print the completion script of a shell, to be sourced there')
    .addArgument(new Argument('<shell>', 'whose').choices(shells))
    .action((name: (typeof shells)[number]) => terminal.out(completionScript(name)));
  program
    .command('__complete', { hidden: true })
    .argument('[words...]')
    .action(async (line: readonly string[]) => {
      const found = complete(wordsOf(program), line);
      const last = line.at(-1) ?? '';
      const socket = (found.socket ?? defaultSocket).replace(/^unix:\/\//, '');
      const names = found.nouns.length === 0 ? [] : await askNames(terminal.connect(socket), found.nouns);
      const matching = names.filter(({ word }) => word.startsWith(last));
      terminal.out(completionText([...found.words, ...matching], found.files));
    });
}

/** Names of several nouns; a daemon that does not answer has none: a message would spoil the prompt. */
async function askNames(client: Client, nouns: readonly Noun[]): Promise<readonly Named[]> {
  try {
    const lists = await Promise.all(nouns.map((noun) => namesOf[noun](client).catch(() => [])));
    return lists.flat();
  } finally {
    client.close();
  }
}
