// podwright metrics-relay: the node's metrics over HTTPS, for whom the API server allows. The one command that serves.
import { hostname, networkInterfaces } from 'node:os';
import { dirname } from 'node:path';
import { type Command, Option } from 'commander';
import { schema } from '../config/schema.ts';
import { version } from '../config/version.ts';
import { failureChain, invalidArgument } from '../lib/failure.ts';
import type { Session } from './session.ts';

/** Where podwrightd serves metrics unless it is told otherwise. */
const defaultSocket = `${schema.node.state.default}/metrics/metrics.sock`;

const help = `
It is made for a pod beside podwrightd, with the node's ${dirname(defaultSocket)} mounted. GET /metrics and /metrics/cadvisor
need a bearer token of which the API server says, by TokenReview and SubjectAccessReview, that its bearer may
"get" that path (a nonResourceURL). 401: no token, or not a valid one; 403: not allowed; 503: the API server did not
say, or podwrightd does not answer. /healthz and /readyz need no token; /readyz is 200 while podwrightd listens.
The relay itself needs leave to create tokenreviews and subjectaccessreviews. It ends at SIGTERM and SIGINT.`;

/** The options of the command. */
export const withRelayOptions = (one: Command): Command =>
  one
    .addOption(new Option('--metrics-socket <path>', 'where podwrightd serves metrics').default(defaultSocket))
    .addOption(new Option('--listen <address>', 'HOST:PORT, or :PORT for every address').default(':9465'))
    .option(
      '--cert-file <file>',
      'certificate chain in PEM, read again when it changes; made at the start unless given',
    )
    .option('--key-file <file>', 'its private key in PEM')
    .option('--host <names...>', 'further names and addresses in a certificate made at the start')
    .option('--kubeconfig <file>', "credentials for the API server (default: the pod's service account)")
    .option('--audience <names...>', 'take tokens for one of these only (default: those for the API server)')
    .option('--cache <seconds>', 'how long a yes of the API server holds; a no a tenth of it', '60')
    .addHelpText('after', help);

/** This machine as clients may call it. */
const ownNames = (): string[] => [
  hostname(),
  'localhost',
  ...Object.values(networkInterfaces()).flatMap((all) =>
    (all ?? []).map(({ address }) => address.split('%', 1)[0] ?? ''),
  ),
];

const text = (value: unknown): string => (typeof value === 'string' ? value : '');
const texts = (value: unknown): string[] => (Array.isArray(value) ? value.map(String) : []);

/** Serves until it is interrupted. */
export async function relayMetrics(
  { streams, nowMs }: Session,
  _: readonly string[],
  options: Readonly<Record<string, unknown>>,
): Promise<void> {
  const [certFile, keyFile] = [text(options['certFile']), text(options['keyFile'])];
  if ((certFile === '') !== (keyFile === '')) throw invalidArgument('--cert-file and --key-file go together');
  const seconds = Number(options['cache']);
  if (!(seconds >= 0 && seconds <= 3600)) throw invalidArgument('--cache must be a number of seconds from 0 to 3600');
  const { interrupted } = streams;
  const { startRelay } = await import('../relay/relay.ts');
  const relay = await startRelay(
    {
      metricsSocket: text(options['metricsSocket']),
      listen: text(options['listen']),
      certFile,
      keyFile,
      hosts: [...new Set([...ownNames(), ...texts(options['host'])])],
      kubeconfig: text(options['kubeconfig']),
      audiences: texts(options['audience']),
      cacheMs: seconds * 1000,
      version,
    },
    {
      env: process.env,
      nowMs,
      log: (level, message, error) => {
        const why = error === undefined ? '' : `: ${failureChain(error)}`;
        streams.stderr.write(`${new Date(nowMs()).toISOString()} ${level} ${message}${why}\n`);
      },
    },
  );
  await interrupted;
  await relay.stop();
}
