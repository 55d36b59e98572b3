import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { Failure } from '../../../src/lib/failure.ts';
import { policyOf, policyTrouble } from '../../../src/verification/policy-files.ts';

function place(t: ExecutionContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'podwright-policies-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

/** Expects that the namespace `team` is let in nothing, and that a start says so in the same words. */
async function closed(t: ExecutionContext, policyDir: string, why: RegExp): Promise<void> {
  const settings = { policyFile: '', policyDir };
  const error = await t.throwsAsync(policyOf(settings, 'team'), { instanceOf: Failure }, policyDir);
  t.is((error as Failure).kind, 'failed-precondition');
  t.regex(error!.message, why);
  t.deepEqual(await policyTrouble(settings), [error!.message]);
}

test('a directory of policies that is not there is no leave to use everything', async (t) => {
  const root = place(t);
  await closed(t, join(root, 'missing'), /directory of image policies .*missing cannot be read \(ENOENT\)/);
  writeFileSync(join(root, 'file'), '');
  await closed(t, join(root, 'file'), /cannot be read \(ENOTDIR\)/);
  symlinkSync(join(root, 'nowhere'), join(root, 'link'));
  await closed(t, join(root, 'link'), /cannot be read \(ENOENT\)/);
});

test('nor is a link to nothing in it', async (t) => {
  const root = place(t);
  symlinkSync(join(root, 'nowhere'), join(root, 'team.json'));
  await closed(t, root, /team\.json cannot be read \(it is a link to nothing\)/);
  t.is(await policyOf({ policyFile: '', policyDir: root }, 'other'), null, 'other namespaces are not concerned');
});

test('a namespace without a policy, where there are policies, has none', async (t) => {
  const root = place(t);
  mkdirSync(join(root, 'team'));
  t.is(await policyOf({ policyFile: '', policyDir: root }, 'team'), null);
  t.is(await policyOf({ policyFile: '', policyDir: '' }, 'team'), null);
  t.deepEqual(await policyTrouble({ policyFile: '', policyDir: root }), []);
});
