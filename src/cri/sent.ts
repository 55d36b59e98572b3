// Whether the answer of a call went out: grpc-js tells only that a call is over.
import { constants, type ServerHttp2Stream } from 'node:http2';

/** What is read of a call's HTTP/2 stream. */
export type AnswerStream = Pick<ServerHttp2Stream, 'once' | 'rstCode' | 'sentTrailers'>;

/** A call of grpc-js 1.14 below what its handlers see: interceptors, and the one that has the stream. */
interface Layer {
  readonly stream?: AnswerStream;
  readonly nextCall?: Layer;
}

/** The HTTP/2 stream of a call, which grpc-js keeps to itself; null where it keeps it elsewhere. */
export function streamOf(call: object): AnswerStream | null {
  let layer = (call as { readonly call?: Layer }).call;
  while (layer && !layer.stream) layer = layer.nextCall;
  return layer?.stream ?? null;
}

/**
 * Runs `then` when the status OK has been written to the connection, in the same turn of the loop; never when the stream
 * was reset or lost before, or another status went out. A caller that does not read may have bytes waiting here even then.
 * To be called in the turn in which the answer is handed over.
 */
export function whenSent(stream: AnswerStream, then: () => void): void {
  stream.once('close', () => {
    const ok = Number(stream.sentTrailers?.['grpc-status'] ?? Number.NaN) === 0;
    if (ok && stream.rstCode === constants.NGHTTP2_NO_ERROR) then();
  });
}
