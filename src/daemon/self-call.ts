// A call of the daemon to itself, the way the kubelet calls it: through the socket, HTTP/2 and gRPC to a verb.
// Must not use a gRPC client: one would stay in memory for a call every half minute.
import { connect as connectHttp } from 'node:http2';
import { connect as connectSocket } from 'node:net';
import { deadlineExceeded, unavailable } from '../lib/failure.ts';

/** A gRPC message without fields: not compressed, length 0. */
const emptyMessage = Buffer.alloc(5);

/** Calls Version on a unix socket. Throws unavailable, or deadline-exceeded when there is no answer in time. */
export async function callVersion(socket: string, withinMs: number): Promise<void> {
  const session = connectHttp('http://localhost', { createConnection: () => connectSocket(socket) });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const fail = (error: Error): void => reject(unavailable(`could not call ${socket}`, error));
  const timer = setTimeout(
    () => reject(deadlineExceeded(`no answer on ${socket} within ${Math.round(withinMs)} ms`)),
    withinMs,
  );
  try {
    session.on('error', fail);
    const stream = session.request({
      ':method': 'POST',
      ':path': '/runtime.v1.RuntimeService/Version',
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    const settle = (headers: Readonly<Record<string, unknown>>): void => {
      const status = headers['grpc-status'];
      if (status === undefined) return;
      if (status === '0') resolve();
      else reject(unavailable(`Version on ${socket} did not answer OK`));
    };
    stream.on('error', fail).on('response', settle).on('trailers', settle);
    stream.on('close', () => reject(unavailable(`Version on ${socket} ended without a status`)));
    stream.resume();
    stream.end(emptyMessage);
    await promise;
  } finally {
    clearTimeout(timer);
    session.destroy();
  }
}
