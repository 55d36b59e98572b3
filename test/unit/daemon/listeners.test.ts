import test from 'ava';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { mkdtempSync, rmSync } from 'node:fs';
import { get } from 'node:http';
import { connect, type Server } from 'node:net';
import { join } from 'node:path';
import { serveNri } from '../../../src/daemon/nri.ts';
import { createMetrics } from '../../../src/metrics/metrics.ts';
import { socketFiles } from '../../../src/state/socket-files.ts';
import { until } from '../../helpers/until.ts';

/** As accept(2) fails for lack of descriptors. */
const trouble = new Error('accept EMFILE');

/** The server that answers on a socket. */
async function serverBehind(socketPath: string): Promise<Server> {
  const { promise, resolve } = Promise.withResolvers<Server>();
  const seen = (message: unknown): void => resolve((message as { server: Server }).server);
  subscribe('http.server.request.start', seen);
  get({ socketPath, path: '/else', agent: false }, (answer) => void answer.resume()).on('error', () => undefined);
  const server = await promise;
  unsubscribe('http.server.request.start', seen);
  return server;
}

test.serial('the NRI listener outlives a connection that cannot be accepted', async (t) => {
  const dir = mkdtempSync('/tmp/pwt-nri-listener-');
  const socket = join(dir, 'nri.sock');
  const warned: string[] = [];
  let joined = 0;
  const server = await serveNri(
    socket,
    (connection) => {
      joined += 1;
      connection.destroy();
    },
    { warn: (_: object, text: string) => void warned.push(text) },
  );
  t.true(server.emit('error', trouble));
  t.true(server.emit('error', trouble));
  t.deepEqual(warned, ['the NRI listener has a problem', 'the NRI listener has a problem']);
  const client = connect(socket).on('error', () => undefined);
  await until('the next one is taken', () => joined === 1);
  client.destroy();
  await new Promise((resolve) => server.close(resolve));
  rmSync(dir, { recursive: true });
});

test.serial('so does the listener of metrics', async (t) => {
  const dir = mkdtempSync('/tmp/pwt-metrics-listener-');
  const errors: unknown[] = [];
  const metrics = createMetrics({ version: '1', node: '2', onError: (error) => errors.push(error) });
  const path = join(dir, 'metrics.sock');
  await metrics.listenUnix(path, socketFiles);
  const server = await serverBehind(path);
  t.true(server.emit('error', trouble));
  t.like(errors, [{ cause: trouble }]);
  await metrics.close();
  rmSync(dir, { recursive: true });
});
