// PURE
// What belongs to the tool and what to the command that it is to run in a container.

/** Options of `podwright` that take a value, and of `podwright exec` that take none. */
const valued = new Set(['-r', '--socket', '-o', '--output']);

/**
 * `save -o FILE` as `save --file FILE`: behind `save`, -o is the file, as with Docker and not the form of the output.
 * Other command lines stay as they are.
 */
export function outputFile(argv: readonly string[]): readonly string[] {
  const at = argv.findIndex((word, i) => !word.startsWith('-') && !valued.has(argv[i - 1] ?? ''));
  if (argv[at] !== 'save') return argv;
  const name = (word: string): string =>
    word === '-o' || word === '--output' ? '--file' : word.replace(/^(?:-o(?=[^-])=?|--output=)/, '--file=');
  return [...argv.slice(0, at + 1), ...argv.slice(at + 1).map(name)];
}

/**
 * `exec -it web ls -l` as `exec -it web -- ls -l`: everything behind the container is the command's, as with Docker,
 * also what looks like an option of ours. Other command lines stay as they are.
 */
export function separateCommand(argv: readonly string[]): readonly string[] {
  const words: number[] = [];
  for (let i = 0; i < argv.length && words.length < 2; i += 1) {
    const word = argv[i] ?? '';
    if (word === '--') return argv;
    if (valued.has(word)) i += 1;
    else if (!word.startsWith('-')) words.push(i);
    if (words.length === 1 && argv[words[0] ?? 0] !== 'exec') return argv;
  }
  const at = words[1];
  if (at === undefined || argv[at + 1] === '--') return argv;
  return [...argv.slice(0, at + 1), '--', ...argv.slice(at + 1)];
}
