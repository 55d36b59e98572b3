import test from 'ava';
import { mkdirSync, mkdtempSync, rmdirSync, rmSync, statSync } from 'node:fs';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { metricListeners } from '../../../src/daemon/metric-listeners.ts';
import { Failure } from '../../../src/lib/failure.ts';
import { createMetrics } from '../../../src/metrics/metrics.ts';
import { socketFiles } from '../../../src/state/socket-files.ts';
import { until } from '../../helpers/until.ts';

/** An address of loopback that no other process of the tests has: a port of 127.0.0.1 may be given to one when it is free. */
const ownLoopback = `127.${1 + ((process.pid >> 16) & 0x7f)}.${(process.pid >> 8) & 0xff}.${process.pid & 0xff}`;

/** Somebody else who has a port of it. */
async function taken(): Promise<{ readonly server: Server; readonly address: string }> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, ownLoopback, resolve));
  return { server, address: `${ownLoopback}:${(server.address() as AddressInfo).port}` };
}

const free = (server: Server): Promise<void> => new Promise((resolve) => server.close(() => resolve()));

/** Listeners at these places, which try again at once. */
function made(address: string, socket: string) {
  const metrics = createMetrics({ version: '1', node: '2', onError: () => undefined });
  const lines: string[] = [];
  const take = (_: object, text: string): void => void lines.push(text);
  const log = { info: take, warn: take };
  const listeners = metricListeners({ metrics, config: { metrics: { address, socket } }, files: socketFiles, log }, 5);
  return { listeners, lines };
}

test('a port that somebody else has keeps the metrics away until it is free, and the socket serves meanwhile', async (t) => {
  const dir = mkdtempSync('/tmp/pwt-metric-listeners-');
  const { server, address } = await taken();
  const { listeners, lines } = made(address, join(dir, 'metrics.sock'));
  await listeners.start();
  t.true(statSync(join(dir, 'metrics.sock')).isSocket());
  t.is(listeners.troubles().length, 1);
  t.regex(listeners.troubles()[0] ?? '', new RegExp(`could not serve metrics on ${address}.*EADDRINUSE`));
  await free(server);
  await until('they are served', () => listeners.troubles().length === 0);
  t.is((await fetch(`http://${address}/metrics`)).status, 200);
  t.deepEqual(lines, ['metrics are not served; this is tried again', 'metrics are served now'], 'each told once');
  await listeners.stop();
  await t.throwsAsync(() => fetch(`http://${address}/metrics`));
  rmSync(dir, { recursive: true });
});

test('so does a place of the socket that cannot be had', async (t) => {
  const dir = mkdtempSync('/tmp/pwt-metric-listeners-');
  const socket = join(dir, 'metrics.sock');
  mkdirSync(socket);
  const { listeners } = made('', socket);
  await listeners.start();
  t.regex(listeners.troubles()[0] ?? '', /could not serve metrics on .*metrics\.sock/);
  rmdirSync(socket);
  await until('it is served', () => listeners.troubles().length === 0);
  t.true(statSync(socket).isSocket());
  await listeners.stop();
  rmSync(dir, { recursive: true });
});

test('the end does not wait for a port, and nothing listens afterwards', async (t) => {
  const dir = mkdtempSync('/tmp/pwt-metric-listeners-');
  const { server, address } = await taken();
  const { listeners } = made(address, join(dir, 'metrics.sock'));
  await listeners.start();
  await listeners.stop();
  await free(server);
  await t.throwsAsync(() => fetch(`http://${address}/metrics`));
  rmSync(dir, { recursive: true });
});

test('an address that can never be had is an error of the start', async (t) => {
  const { listeners } = made('127.0.0.1:70000', '/nowhere');
  await t.throwsAsync(() => listeners.start(), { instanceOf: Failure, message: /is not host:port/ });
  await listeners.stop();
});
