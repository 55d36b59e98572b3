// PURE
// A hook's file as podman and CRI-O have it: reading and checking the document (oci-hooks(5), version 1.0.0).
// This room reads hook files and says which of them a container has. Must not read files, and must not know the CRI.
import type { Expression } from '../lib/bounded-expression.ts';
import { DocumentError, list, map, maybe, name, object, type Read, wrong, yesNo } from '../lib/document.ts';
import { completeHook, hookKind, hookMembers } from '../oci/hook-document.ts';
import type { HookKind, OciHook } from '../oci/types.ts';
import { pattern } from './pattern.ts';

/** When a hook is run: what is given must hold, all of it. */
export interface When {
  /** null, as with the others: not given. */
  readonly always: boolean | null;
  readonly hasBindMounts: boolean | null;
  /** Each has one annotation at least, whose name and whose value match. */
  readonly annotations: readonly { readonly key: Expression; readonly value: Expression }[];
  /** One of them matches the program; none: any does. */
  readonly commands: readonly Expression[];
}

/** A hook as a file has it. */
export interface HookSpec {
  /** The file. */
  readonly path: string;
  readonly hook: OciHook;
  readonly when: When;
  readonly stages: readonly HookKind[];
}

/** A file of a directory of hooks. */
export interface HookFile {
  readonly path: string;
  /** Its directory's place among the directories: of files with one name that of the last directory counts. */
  readonly priority: number;
  /** Its contents, or why they could not be had. */
  readonly content: { readonly text: string } | { readonly why: string };
}

const stage: Read<HookKind> = (value, at) =>
  value === 'precreate' ? wrong(at, '"precreate" is not supported: no hook may change a spec') : hookKind(value, at);

const document = object({
  version: (value, at) =>
    value === '1.0.0' ? value : wrong(at, value === undefined ? 'is missing' : `${JSON.stringify(value)} is not 1.0.0`),
  hook: object(hookMembers),
  when: object({
    always: maybe(yesNo),
    hasBindMounts: maybe(yesNo),
    annotations: map(pattern),
    commands: list(pattern),
  }),
  stages: (value, at) => {
    const stages = list(stage)(value, at);
    return stages.length > 0 ? [...new Set(stages)] : wrong(at, 'is empty');
  },
});

/** A key that is no pattern is named by its place, like the values. */
const keyPattern = (key: string): Expression => pattern(key, `when.annotations[${JSON.stringify(name(key, 'when'))}]`);

/** Reads a hook; the answer is a text where it is none: why. */
export function parseHook({ path, content }: HookFile): HookSpec | string {
  if ('why' in content) return content.why;
  try {
    const { hook, when, stages } = document(JSON.parse(content.text), '');
    const annotations = Object.entries(when.annotations).map(([key, value]) => ({ key: keyPattern(key), value }));
    return { path, hook: completeHook(hook), when: { ...when, annotations }, stages };
  } catch (error) {
    if (error instanceof DocumentError) return error.message;
    if (error instanceof SyntaxError) return `it is not JSON: ${error.message}`;
    throw error;
  }
}
