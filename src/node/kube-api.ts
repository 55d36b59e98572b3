// The API server by a kubeconfig: single requests with a bound each. Loaded only when a kubeconfig was given.
// Must not know what is asked.
import { request as httpsRequest, type RequestOptions } from 'node:https';
import { KubeConfig } from '@kubernetes/client-node';
import { failedPrecondition, unavailable } from '../lib/failure.ts';
import type { Api } from './kubernetes.ts';

/** From the request to the last byte of its answer, in milliseconds. */
const exchangeMs = 15_000;
/** Largest answer. */
const maxBytes = 8 << 20;

/** Reads a kubeconfig anew for each request: the kubelet renews its certificate in place. */
export function apiByKubeconfig(file: string): Api {
  return {
    exchange: async ({ method, path, body, contentType = 'application/json' }, caller) => {
      const config = new KubeConfig();
      try {
        config.loadFromFile(file);
      } catch (error) {
        throw failedPrecondition(`read the kubeconfig ${file}`, error);
      }
      const server = config.getCurrentCluster()?.server;
      if (server === undefined) throw failedPrecondition(`${file} has no cluster for its current context`);
      const headers: Record<string, string> = { accept: 'application/json' };
      if (body !== null) headers['content-type'] = contentType;
      const options: RequestOptions = { method, headers };
      await config.applyToHTTPSOptions(options);
      const signal = AbortSignal.any([caller, AbortSignal.timeout(exchangeMs)]);
      const url = new URL(`${server.replace(/\/$/, '')}${path}`);
      return send(url, { ...options, signal, agent: false }, body);
    },
  };
}

function send(url: URL, options: RequestOptions, body: object | null): ReturnType<Api['exchange']> {
  const { promise, resolve, reject } = Promise.withResolvers<{ readonly status: number; readonly body: unknown }>();
  const fail = (error: unknown): void => reject(unavailable(`${options.method} ${url.pathname} of ${url.host}`, error));
  const request = httpsRequest(url, options, (response) => {
    const chunks: Buffer[] = [];
    let size = 0;
    response.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size > maxBytes) request.destroy(new Error(`the answer is longer than ${maxBytes} bytes`));
      else chunks.push(chunk);
    });
    response.once('error', fail);
    response.once('end', () => {
      const text = Buffer.concat(chunks).toString();
      resolve({ status: response.statusCode ?? 0, body: parsed(text) });
    });
  });
  request.once('error', fail);
  request.end(body === null ? undefined : JSON.stringify(body));
  return promise;
}

/** The JSON of an answer; of another text, such as a proxy's page, null. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
