// Hooks of a container: what the monitor is told of them, and where they are refused.
import test from 'ava';
import { checkHooks, hooksRequest } from '../../../src/container/hooks.ts';
import { Failure } from '../../../src/lib/failure.ts';
import { type HookKind, hookKinds, type OciSpec } from '../../../src/oci/types.ts';

const hook = { path: '/h', args: ['/h'], env: [], timeout: 1 };
const withHooks = (...kinds: readonly HookKind[]): OciSpec => {
  const hooks = Object.fromEntries(kinds.map((kind) => [kind, [hook]]));
  return (kinds.length > 0 ? { hooks } : {}) as unknown as OciSpec;
};

const told = { create: false, started: false, stopped: false, runtimePid: 7 };

for (const [kinds, expected] of [
  [[], null],
  [['createContainer', 'startContainer'], null],
  [['prestart'], { ...told, create: true }],
  [['createRuntime', 'createContainer'], { ...told, create: true }],
  [['poststart'], { ...told, started: true }],
  [['poststop', 'startContainer'], { ...told, stopped: true }],
] as const) {
  test(`the monitor is told of its own hooks: ${kinds.join(', ') || 'none'}`, (t) =>
    t.deepEqual(hooksRequest(withHooks(...kinds), 7), expected));
}

test('a container without hooks may be anything', (t) =>
  t.notThrows(() => checkHooks(withHooks(), { userNamespace: {}, restore: {} })));

for (const kind of hookKinds) {
  const early = ['prestart', 'createRuntime', 'createContainer'].includes(kind);
  test(`${kind} in a pod with a user namespace: ${early ? 'refused by name' : 'run'}`, (t) => {
    const check = (): void => checkHooks(withHooks(kind), { userNamespace: {}, restore: null });
    if (!early) return t.notThrows(check);
    const error = t.throws(check, { instanceOf: Failure });
    t.is(error?.kind, 'unimplemented');
    t.regex(error?.message ?? '', new RegExp(`^${kind} hook /h `));
  });
  test(`a container with ${kind} hooks is not restored`, (t) => {
    const check = (): void => checkHooks(withHooks(kind), { userNamespace: null, restore: {} });
    t.is(t.throws(check, { instanceOf: Failure })?.kind, 'failed-precondition');
  });
}
