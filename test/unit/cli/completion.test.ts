import test from 'ava';
import { complete, completionText } from '../../../src/cli/completion.ts';
import { buildProgram } from '../../../src/cli/program.ts';
import type { Shell, Terminal } from '../../../src/cli/session.ts';
import { completionScript, shells } from '../../../src/cli/shells.ts';
import { wordsOf } from '../../../src/cli/words.ts';

/** A tool whose daemon has these things; answers what it wrote, and which socket it asked. */
async function asked(line: readonly string[], answers: Readonly<Record<string, unknown>>) {
  const seen = { out: '', sockets: [] as string[] };
  const client = {
    call: async (method: string) => {
      if (answers[method] === undefined) throw new Error('the daemon is down');
      return answers[method];
    },
    close: () => undefined,
  };
  const terminal = {
    out: (text: string) => void (seen.out += text),
    connect: (socket: string) => {
      seen.sockets.push(socket);
      return client;
    },
  } as unknown as Terminal;
  const shell: Shell = { terminal, exitCode: 0 };
  await buildProgram(shell, () => undefined).parseAsync(['__complete', '--', ...line], { from: 'user' });
  return seen;
}

const program = wordsOf(
  buildProgram({ terminal: { out: () => undefined } as unknown as Terminal, exitCode: 0 }, () => undefined),
);
const words = (line: string): string[] => complete(program, line.split(' ')).words.map(({ word }) => word);

test('verbs, verbs below them, options and their values', (t) => {
  t.deepEqual(words('im'), ['images']);
  t.true(words('').includes('exec') && words('').includes('completion'));
  t.false(words('').includes('__complete'), 'it is nobody else’s');
  t.deepEqual(words('images p'), ['prune']);
  t.deepEqual(words('images prune --a'), ['--all']);
  for (const line of ['--h', 'images --h', 'images prune --h']) t.deepEqual(words(line), ['--help'], line);
  t.true(words('images prune --').includes('--socket'), 'options of the program hold everywhere');
  t.deepEqual(words('-o '), ['table', 'json']);
  t.deepEqual(words('--output=j'), ['--output=json']);
  t.deepEqual(words('pull --tls-verify f'), ['false']);
  t.deepEqual(words('completion '), [...shells]);
  t.deepEqual(words('frobnicate im'), []);
});

test('nouns by the name of the argument, files where a file is wanted', (t) => {
  const found = (line: string): unknown[] => {
    const { nouns, files, socket } = complete(program, line.split(' '));
    return [nouns, files, socket];
  };
  t.deepEqual(found('exec -it '), [['containers'], false, null]);
  t.deepEqual(found('port-forward w'), [['pods'], false, null]);
  t.deepEqual(found('save a '), [['images'], false, null]);
  t.deepEqual(found('-r /a.sock inspect '), [['containers', 'pods', 'images'], false, '/a.sock']);
  t.deepEqual(found('inspect --socket=/b.sock '), [['containers', 'pods', 'images'], false, '/b.sock']);
  t.deepEqual(found('load '), [[], true, null]);
  t.deepEqual(found('save --file '), [[], true, null]);
  t.deepEqual(found('exec web ls -'), [[], true, null], 'behind the container all is the command’s');
  t.deepEqual(found('ps '), [[], false, null]);
});

test('the daemon is asked for names, at the socket of the line; a dead one has none', async (t) => {
  const containers = [{ id: 'c'.repeat(64), metadata: { name: 'web' } }];
  const items = [{ id: 'p'.repeat(64), metadata: { name: 'wide', namespace: 'demo' } }];
  const images = [{ id: `sha256:${'1'.repeat(64)}`, repo_tags: ['docker.io/library/web:1'] }];
  const answers = { ListContainers: { containers }, ListPodSandbox: { items }, ListImages: { images } };
  const all = await asked(['-r', 'unix:///s', 'inspect', 'w'], answers);
  t.is(all.out, 'web\tcontainer ccccccccccccc\nwide\tpod in demo, ppppppppppppp\n');
  t.deepEqual(all.sockets, ['/s']);
  t.is((await asked(['save', 'docker'], answers)).out, 'docker.io/library/web:1\timage 1111111111111\n');
  t.is((await asked(['exec', ''], {})).out, '');
  t.deepEqual((await asked(['ima'], answers)).sockets, [], 'verbs need no daemon');
});

test('what a shell is given', async (t) => {
  t.is(completionText([{ word: 'a', about: 'two\n words' }], true), 'a\ttwo words\n:files\n');
  for (const shell of shells)
    for (const part of ['__complete --', ':files']) t.true(completionScript(shell).includes(part), shell);
});
