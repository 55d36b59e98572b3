import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { withoutDescriptors } from '../../helpers/without-descriptors.ts';
import { judge } from '../../../src/verification/verifier.ts';
import { until } from '../../helpers/until.ts';

const subject = {
  name: 'reg.example/app:v1',
  descriptor: { mediaType: 'application/vnd.oci.image.index.v1+json', digest: `sha256:${'c'.repeat(64)}`, size: 7 },
};
const never = new AbortController().signal;

function place(t: ExecutionContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'podwright-verifier-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

/** A program of a few shell lines. */
function program(dir: string, name: string, ...lines: readonly string[]): string {
  const path = join(dir, name);
  writeFileSync(path, ['#!/bin/sh', ...lines, ''].join('\n'), { mode: 0o755 });
  return path;
}

const ask = (path: string, timeoutMs = 60_000) => judge({ path, timeoutMs }, subject, never);

test('a verifier is told reference, digest and descriptor as containerd tells it', async (t) => {
  const dir = place(t);
  const path = program(dir, 'v', `printf '%s\\n' "$@" >${dir}/args`, `cat >${dir}/stdin`, 'echo fine');
  t.deepEqual(await ask(path), { ok: true, reason: 'fine' });
  const args = readFileSync(join(dir, 'args'), 'utf8').trim().split('\n');
  const { digest } = subject.descriptor;
  t.deepEqual(args, [
    '-name',
    subject.name,
    '-digest',
    digest,
    '-stdin-media-type',
    'application/vnd.oci.descriptor.v1+json',
  ]);
  t.deepEqual(JSON.parse(readFileSync(join(dir, 'stdin'), 'utf8')), subject.descriptor);
});

test('any other exit code is a no, with the reason it gave', async (t) => {
  const dir = place(t);
  const no = (name: string, reason: string) => ({ ok: false, reason: `${dir}/${name}: ${reason}` });
  t.deepEqual(await ask(program(dir, 'a', 'echo "no such builder"', 'exit 1')), no('a', 'no such builder'));
  t.deepEqual(await ask(program(dir, 'b', 'echo trouble >&2', 'exit 7')), no('b', 'trouble'));
  t.deepEqual(await ask(program(dir, 'c', 'exit 3')), no('c', 'ended by code 3'));
  t.deepEqual(await ask(program(dir, 'd', 'kill -9 $$')), no('d', 'ended by SIGKILL'));
});

test('a verifier that does not end is ended, with all that it started', async (t) => {
  const dir = place(t);
  const path = program(dir, 'v', `sleep 1000 & echo $! >${dir}/pid`, 'wait');
  const said = await ask(path, 1500);
  t.deepEqual(said, { ok: false, reason: `${path}: no answer within 1500 ms` });
  if (!existsSync(join(dir, 'pid'))) return t.pass('it was ended before it started anything');
  const pid = Number(readFileSync(join(dir, 'pid'), 'utf8'));
  const ended = (): boolean => {
    try {
      return readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ');
    } catch {
      return true;
    }
  };
  await until('its child has ended', ended);
  t.pass();
});

test('endless output is bounded, and unread input is no failure', async (t) => {
  const dir = place(t);
  const loud = await ask(program(dir, 'loud', 'head -c 3000000 /dev/zero | tr "\\0" x'));
  t.true(loud.ok);
  t.is(loud.reason, 'x'.repeat(1000));
  t.deepEqual(await ask(program(dir, 'deaf', 'exec <&-', 'exit 0')), { ok: true, reason: '' });
});

test('what cannot be run is a no', async (t) => {
  const dir = place(t);
  t.like(await ask(join(dir, 'missing')), { ok: false });
  writeFileSync(join(dir, 'plain'), 'x', { mode: 0o644 });
  t.regex((await ask(join(dir, 'plain'))).reason, /cannot be run \(EACCES\)/);
});

test('a daemon without descriptors for it, or a path that cannot be one, is a no and harms nobody', async (t) => {
  const path = program(place(t), 'v', 'exit 0');
  const said = await withoutDescriptors(
    new URL('../../../src/verification/verifier.ts', import.meta.url),
    `mod.judge(${JSON.stringify({ path, timeoutMs: 60_000 })}, ${JSON.stringify(subject)}, signal)`,
  );
  t.deepEqual(said, { ok: false, reason: `${path}: it cannot be run (EMFILE)` });
  t.regex((await ask(`${path}\0`)).reason, /verifier .* cannot be used \(ERR_INVALID_ARG_VALUE\)/);
  const odd = { ...subject, name: 'a\0b' };
  t.regex((await judge({ path, timeoutMs: 60_000 }, odd, never)).reason, /it cannot be run \(ERR_INVALID_ARG_VALUE\)/);
});

test('all programs of a directory must agree, and there must be one', async (t) => {
  const dir = join(place(t), 'bin');
  mkdirSync(dir);
  t.regex((await ask(dir)).reason, /there is no verifier/);
  program(dir, 'a', 'echo one');
  program(dir, 'b', 'echo two');
  t.deepEqual(await ask(dir), { ok: true, reason: 'one; two' });
  program(dir, 'ab', 'echo never', 'exit 1');
  t.deepEqual(await ask(dir), { ok: false, reason: `${dir}/ab: never` });
});

test('a pull that is given up ends the verifier', async (t) => {
  const dir = place(t);
  const path = program(dir, 'v', `touch ${dir}/began`, 'sleep 1000');
  const giveUp = new AbortController();
  const asked = judge({ path, timeoutMs: 600_000 }, subject, giveUp.signal);
  await until('it runs', () => existsSync(join(dir, 'began')));
  giveUp.abort(new Error('given up'));
  await t.throwsAsync(asked, { message: 'given up' });
});
