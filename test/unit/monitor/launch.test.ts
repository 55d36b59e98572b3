import test from 'ava';
import { mkdtempSync, renameSync, rmSync, mkdirSync } from 'node:fs';
import { inPlace } from '../../../src/monitor/launch.ts';

const temporary = (): string => mkdtempSync('/tmp/podwright-place-');

test('a place that went while a monitor was started is asked for again', async (t) => {
  const dir = temporary();
  t.teardown(() => rmSync(dir, { recursive: true }));
  const place = async () => {
    mkdirSync(`${dir}/leaf`, { recursive: true });
    return { unifiedDir: `${dir}/leaf`, v1Tasks: [] };
  };
  let starts = 0;
  await inPlace(place, async () => {
    starts += 1;
    if (starts === 1) rmSync(`${dir}/leaf`, { recursive: true });
    // another start has made it again meanwhile
    if (starts === 2) {
      mkdirSync(`${dir}/new`);
      rmSync(`${dir}/leaf`, { recursive: true });
      renameSync(`${dir}/new`, `${dir}/leaf`);
    }
    if (starts < 3) throw new Error('no such cgroup');
  });
  t.is(starts, 3);
});

test('a start that fails in a place that is there fails', async (t) => {
  const dir = temporary();
  t.teardown(() => rmSync(dir, { recursive: true }));
  let starts = 0;
  const failing = async (): Promise<void> => {
    starts += 1;
    throw new Error('no memory');
  };
  await t.throwsAsync(
    inPlace(async () => ({ unifiedDir: '', v1Tasks: [dir] }), failing),
    { message: 'no memory' },
  );
  await t.throwsAsync(
    inPlace(async () => ({ unifiedDir: '', v1Tasks: [] }), failing),
    { message: 'no memory' },
  );
  t.is(starts, 2);
});

test('a place that always goes is given up', async (t) => {
  const dir = temporary();
  t.teardown(() => rmSync(dir, { recursive: true }));
  let starts = 0;
  const place = async () => {
    mkdirSync(`${dir}/leaf`);
    return { unifiedDir: `${dir}/leaf`, v1Tasks: [] };
  };
  const failing = async (): Promise<void> => {
    starts += 1;
    rmSync(`${dir}/leaf`, { recursive: true });
    throw new Error('gone');
  };
  await t.throwsAsync(inPlace(place, failing), { message: 'gone' });
  t.is(starts, 5);
});
