// PURE
// Which hooks of the node's directories a container has.
import { type Expression, type Matches, matchesWithin } from '../lib/bounded-expression.ts';
import { failedPrecondition } from '../lib/failure.ts';
import { type HookEdit, hookKinds } from '../oci/types.ts';
import { type HookFile, type HookSpec, parseHook } from './hook.ts';

/** What the files of the directories say. */
export interface NodeHooks {
  /** In the order in which they are run. */
  readonly hooks: readonly HookSpec[];
  /** Files that are none, and directories that could not be read. */
  readonly broken: readonly { readonly path: string; readonly why: string }[];
}

/** What of a container decides. */
export interface HookedContainer {
  readonly annotations: Readonly<Record<string, string>>;
  /** Its program, as it is called. */
  readonly command: string;
  /** Whether something of the host is mounted into it. */
  readonly hasBindMounts: boolean;
}

/** What a file is known by; a directory that could not be read is nobody's namesake. */
const fileName = (path: string): string => (path.endsWith('.json') ? path.slice(path.lastIndexOf('/') + 1) : path);

/** oci-hooks(5): the order is that of the names, capital letters or not. */
const byName = (a: string, b: string): number => {
  const [x, y] = [a.toLowerCase(), b.toLowerCase()];
  return x === y ? (a < b ? -1 : 1) : x < y ? -1 : 1;
};

/**
 * Reads the files, those of directories with a lower priority first. A file hides its namesakes in earlier directories,
 * also when it is broken: what it was to replace is not what the node's owner wants either.
 */
export function readHooks(files: readonly HookFile[]): NodeHooks {
  const last = new Map(files.map((file) => [fileName(file.path), file]));
  const hooks: HookSpec[] = [];
  const broken: { path: string; why: string }[] = [];
  for (const [, file] of [...last].toSorted(([a], [b]) => byName(a, b))) {
    const read = parseHook(file);
    if (typeof read === 'string') broken.push({ path: file.path, why: read });
    else hooks.push(read);
  }
  return { hooks, broken };
}

/** Milliseconds of the processor for all patterns of one container. */
const limitMs = 500;

/** The hooks of a container. Throws failed-precondition when their patterns take too long. */
export function hooksFor({ hooks }: Pick<NodeHooks, 'hooks'>, container: HookedContainer): readonly HookEdit[] {
  const matches = matchesWithin(limitMs);
  return hooks
    .filter((one) => isWanted(one, container, matches))
    .flatMap(({ hook, stages }) =>
      hookKinds.filter((kind) => stages.includes(kind)).map((kind) => ({ kind, ...hook })),
    );
}

function isWanted(
  { path, when }: HookSpec,
  { annotations, command, hasBindMounts }: HookedContainer,
  matches: Matches,
): boolean {
  const hasMatch = (expressions: readonly Expression[], rows: readonly (readonly string[])[]): boolean => {
    const found = matches(expressions, rows);
    if (found !== null) return found;
    const patterns = expressions.map(({ source }) => JSON.stringify(source)).join(', ');
    throw failedPrecondition(`pattern ${patterns} of hook ${path} takes too long to match`);
  };
  if (when.always === false) return false;
  if (when.hasBindMounts !== null && !(when.hasBindMounts && hasBindMounts)) return false;
  const all = Object.entries(annotations);
  if (!when.annotations.every(({ key, value }) => hasMatch([key, value], all))) return false;
  if (when.commands.length > 0) return when.commands.some((one) => hasMatch([one], [[command]]));
  return when.always === true || when.hasBindMounts === true || when.annotations.length > 0;
}
