// The hooks in the directories of the node, read anew whenever somebody asks. Wires, decides nothing.
import type { Log } from '../log.ts';
import { hooksFor, type NodeHooks, readHooks } from '../oci-hooks/select.ts';
import type { HookedContainer } from '../oci-hooks/select.ts';
import type { HookEdit } from '../oci/types.ts';
import { hookNames, readSpecFiles } from '../state/spec-files.ts';

/** Reads the directories; a file that is no hook is logged once, until it is another one. */
export function nodeHooks(dirs: readonly string[], log: Pick<Log, 'error'>) {
  let told: ReadonlySet<string> = new Set();
  async function look(): Promise<NodeHooks> {
    const found = readHooks(await readSpecFiles(dirs, hookNames));
    const before = told;
    told = new Set(found.broken.map(({ path, why }) => `${path}: ${why}`));
    for (const { path, why } of found.broken)
      if (!before.has(`${path}: ${why}`))
        log.error({ hook: path, why }, 'a hook of the node is not run: its file is broken');
    return found;
  }
  return {
    look,
    select: async (): Promise<(container: HookedContainer) => readonly HookEdit[]> => {
      const found = await look();
      return (container) => hooksFor(found, container);
    },
  };
}
