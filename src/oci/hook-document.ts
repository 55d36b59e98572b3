// PURE
// A hook as documents have it that others write: CDI specs, hook files, base specs (runtime-spec config.md, Hooks).
import { list, maybe, name, path, type Read, text, uint32, wrong } from '../lib/document.ts';
import { type HookKind, hookKinds, type OciHook } from './types.ts';

/** "NAME=value". */
export const variable: Read<string> = (value, at) =>
  /^[^=\0]+=[^\0]*$/.test(name(value, at)) ? name(value, at) : wrong(at, 'is not NAME=value');

/** The name of one of the spec's lists. */
export const hookKind: Read<HookKind> = (value, at) =>
  hookKinds.find((kind) => kind === name(value, at)) ?? wrong(at, `${JSON.stringify(value)} is not a kind of hook`);

/** runtime-spec: a timeout that is set is greater than zero. */
const seconds: Read<number> = (value, at) => uint32(value, at) || wrong(at, 'is 0');

/** Members of a hook. */
export const hookMembers = { path, args: list(text), env: list(variable), timeout: maybe(seconds) };

/** Seconds that a hook has which says nothing of that: one that hangs must not hold a container for ever. */
const hookTimeout = 60;

/** A hook with what its document leaves out. */
export const completeHook = (hook: {
  readonly [K in keyof typeof hookMembers]: ReturnType<(typeof hookMembers)[K]>;
}): OciHook => ({
  path: hook.path,
  args: hook.args.length > 0 ? hook.args : [hook.path],
  env: hook.env,
  timeout: hook.timeout ?? hookTimeout,
});
