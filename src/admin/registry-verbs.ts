// The verbs that speak to registries behind the admin service, in domain terms, and their messages.
// Must not hold logic.
import type { ServerWritableStream } from '@grpc/grpc-js';
import { invalidArgument } from '../lib/failure.ts';
import type { AdminHandlers } from '../proto/generated/admin/podwright/v1/Admin.ts';
import type { RunningPull as ProgressMessage } from '../proto/generated/admin/podwright/v1/RunningPull.ts';
import { compressions, oneOf, type SaveInput } from './image-verbs.ts';
import { encodePull, type RunningPull } from './running-pull.ts';

/** Who asks a registry, and how. */
export interface AccessInput {
  /** "" for the node's own credentials. */
  readonly username: string;
  readonly password: string;
  /** Absolute; null for the node's own files. */
  readonly authFile: string | null;
  /** Takes any certificate of the registry. */
  readonly skipVerify: boolean;
}

/** An image as it was pushed. */
export interface PushedImage {
  readonly reference: string;
  readonly id: string;
  /** Of the manifest, and its bytes. */
  readonly digest: string;
  readonly size: number;
  readonly sameManifest: boolean;
}

/** Each rejects with a Failure. */
export interface RegistryVerbs {
  /** Brings an image from its registry; answers its id. `platform` is "" for this machine's. */
  readonly pull: (
    input: AccessInput & { readonly reference: string; readonly platform: string },
    onProgress: (pull: RunningPull) => void,
    signal: AbortSignal,
  ) => Promise<string>;
  /** Sends an image to a registry. `target` is "" for the image's own name. */
  readonly push: (
    input: AccessInput & Pick<SaveInput, 'compression'> & { readonly reference: string; readonly target: string },
    onProgress: (push: RunningPull) => void,
    signal: AbortSignal,
  ) => Promise<PushedImage>;
}

type Call<M extends 'Pull' | 'Push'> = Parameters<AdminHandlers[M]>[0];

interface AccessFields {
  readonly username: string;
  readonly password: string;
  readonly authFile: string;
  readonly skipTlsVerify: boolean;
}

function accessOf({ username, password, authFile, skipTlsVerify }: AccessFields): AccessInput {
  if (password !== '' && username === '') throw invalidArgument('a password needs a user name');
  if (authFile !== '' && !authFile.startsWith('/'))
    throw invalidArgument(`auth_file must be absolute, not ${JSON.stringify(authFile)}`);
  return { username, password, authFile: authFile === '' ? null : authFile, skipVerify: skipTlsVerify };
}

/** Nobody needs what a slow reader missed, but how far all is now; `last` tells that before the end. */
function progressWriter(call: ServerWritableStream<never, { progress?: ProgressMessage }>) {
  let full = false;
  let missed: RunningPull | null = null;
  const write = (at: RunningPull): void => {
    missed = null;
    full = !call.write({ progress: encodePull(at) });
  };
  const last = (): void => {
    if (missed !== null && !call.writableEnded) write(missed);
  };
  call.on('drain', () => {
    full = false;
    last();
  });
  return {
    tell: (at: RunningPull): void => {
      if (full) missed = at;
      else write(at);
    },
    last,
  };
}

/** Pull. */
export async function servePull(call: Call<'Pull'>, verbs: RegistryVerbs, signal: AbortSignal): Promise<void> {
  const { reference, platform } = call.request;
  const input = { reference, platform, ...accessOf(call.request) };
  const progress = progressWriter(call as never);
  const id = await verbs.pull(input, progress.tell, signal);
  progress.last();
  call.write({ id });
}

/** Push. */
export async function servePush(call: Call<'Push'>, verbs: RegistryVerbs, signal: AbortSignal): Promise<void> {
  const { reference, target } = call.request;
  const compression = oneOf('compression', call.request.compression || 'gzip', compressions);
  const input = { reference, target, compression, ...accessOf(call.request) };
  const progress = progressWriter(call as never);
  const image = await verbs.push(input, progress.tell, signal);
  progress.last();
  call.write({ image });
}
