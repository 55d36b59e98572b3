// A client that reads slowly gets all that was written for it: the time it has to leave begins when the kernel has that.
import test from 'ava';
import { Duplex } from 'node:stream';
import { mock } from 'node:test';
import type { WebSocket } from 'ws';
import { SpdyConnection } from '../../../src/streaming/spdy/connection.ts';
import { ChannelConnection, type UpgradedSocket } from '../../../src/streaming/websocket/connection.ts';

const minute = 60_000;

/** Lets what is due happen. */
const settled = async (): Promise<void> => {
  for (let n = 0; n < 10; n += 1) await new Promise((resolve) => setImmediate(resolve));
};

/** A wire that takes a piece when it is told to. */
class SlowWire extends Duplex {
  readonly taken: Buffer[] = [];
  #take: (() => void)[] = [];

  override _read(): void {
    // the client says nothing
  }

  override _write(bytes: Buffer, _: unknown, done: () => void): void {
    this.#take.push(() => {
      this.taken.push(bytes);
      done();
    });
  }

  async takeAll(): Promise<void> {
    while (this.#take.length > 0) {
      for (const take of this.#take.splice(0)) take();
      await settled();
    }
  }
}

test.serial('spdy', async (t) => {
  mock.timers.enable({ apis: ['setTimeout'] });
  t.teardown(() => mock.timers.reset());
  const wire = new SlowWire();
  const connection = new SpdyConnection(wire, {
    accepts: () => false,
    onStream: () => undefined,
    onLost: () => undefined,
    mostHeld: { stream: 0, all: 0 },
    mostStreams: 1,
  });
  connection.sendFrame(Buffer.from('last words'));
  connection.end();
  mock.timers.tick(minute);
  await settled();
  t.false(wire.destroyed, 'it waits for a slow reader');
  await wire.takeAll();
  t.regex(Buffer.concat(wire.taken).toString('latin1'), /^last words/);
  mock.timers.tick(minute);
  await settled();
  t.true(wire.destroyed, 'and not for one that does not leave');
});

test.serial('websocket', async (t) => {
  mock.timers.enable({ apis: ['setTimeout'] });
  t.teardown(() => mock.timers.reset());
  const told: string[] = [];
  const sent: (() => void)[] = [];
  const ws = {
    OPEN: 1,
    readyState: 1,
    on: () => undefined,
    resume: () => undefined,
    send: (_: Buffer, __: object, done: () => void) => void sent.push(done),
    close: () => void told.push('close'),
    terminate: () => void told.push('terminate'),
  } as unknown as WebSocket;
  const protocol = { name: 'v5.channel.k8s.io', base64: false, closes: true, json: true };
  const upgraded = { ws, socket: new SlowWire(), protocol } as unknown as UpgradedSocket;
  const connection = new ChannelConnection(upgraded);
  connection.sendBytes(1, Buffer.from('last'));
  connection.sendBytes(3, Buffer.from('words'));
  connection.end();
  mock.timers.tick(minute);
  t.deepEqual(told, [], 'it waits for a slow reader');
  for (const done of sent) done();
  t.deepEqual(told, ['close']);
  mock.timers.tick(minute);
  t.deepEqual(told, ['close', 'terminate'], 'and not for one that does not leave');
});
