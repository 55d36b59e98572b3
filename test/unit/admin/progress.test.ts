// How far a push is, as its caller is told: no reader is waited for, and the last state comes all the same.
import { EventEmitter } from 'node:events';
import test from 'ava';
import { type RegistryVerbs, servePush } from '../../../src/admin/registry-verbs.ts';
import type { RunningPull } from '../../../src/admin/running-pull.ts';

const image = { reference: 'r.example/a:1', id: 'i', digest: 'd', size: 1, sameManifest: true };
const at = (stage: string): RunningPull => {
  const layers = [{ digest: 'sha256:1', stage, bytes: 0, totalBytes: 1 }];
  return { reference: image.reference, startedAt: 0n, layers };
};

interface Written {
  readonly progress?: { readonly layers: readonly { readonly stage: string }[] };
  readonly image?: unknown;
}

/** The caller's stream, which takes so many messages before it is full. */
class Reader extends EventEmitter {
  readonly request = {
    reference: 'a',
    target: '',
    compression: '',
    username: '',
    password: '',
    authFile: '',
    skipTlsVerify: false,
  };
  readonly told: string[] = [];
  writableEnded = false;
  room: number;

  constructor(room: number) {
    super();
    this.room = room;
  }

  write({ progress }: Written): boolean {
    this.told.push(progress?.layers[0]?.stage ?? 'image');
    this.room -= 1;
    return this.room > 0;
  }
}

const push = (reader: Reader, act: (tell: (push: RunningPull) => void) => Promise<void>): Promise<void> => {
  const verbs: RegistryVerbs = {
    pull: async () => '',
    push: async (_, tell) => {
      await act(tell);
      return image;
    },
  };
  return servePush(reader as never, verbs, new AbortController().signal);
};

const stages = ['queued', 'compressing', 'uploading', 'done'];

test('a caller that reads is told each state', async (t) => {
  const reader = new Reader(100);
  await push(reader, async (tell) => stages.forEach((stage) => tell(at(stage))));
  t.deepEqual(reader.told, [...stages, 'image']);
});

test('one that does not is told the last of those that it missed, before the end', async (t) => {
  const reader = new Reader(1);
  await push(reader, async (tell) => stages.forEach((stage) => tell(at(stage))));
  t.deepEqual(reader.told, ['queued', 'done', 'image']);
});

test('one that reads again is told how far all is then', async (t) => {
  const reader = new Reader(1);
  await push(reader, async (tell) => {
    for (const stage of stages.slice(0, 3)) tell(at(stage));
    reader.room = 100;
    reader.emit('drain');
    tell(at('done'));
  });
  t.deepEqual(reader.told, ['queued', 'uploading', 'done', 'image']);
});

test('nothing is told after the end', async (t) => {
  const reader = new Reader(1);
  const failing = push(reader, async (tell) => {
    for (const stage of stages) tell(at(stage));
    throw new Error('refused');
  });
  await t.throwsAsync(failing, { message: 'refused' });
  reader.writableEnded = true;
  reader.emit('drain');
  t.deepEqual(reader.told, ['queued']);
});
