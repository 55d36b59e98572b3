// The verbs on images behind the admin service, in domain terms, and their messages.
// Must not hold logic.
import { once } from 'node:events';
import type { ServerWritableStream } from '@grpc/grpc-js';
import { invalidArgument } from '../lib/failure.ts';
import type { AdminHandlers } from '../proto/generated/admin/podwright/v1/Admin.ts';
import type { ContentFinding as FindingMessage } from '../proto/generated/admin/podwright/v1/ContentFinding.ts';
import type { LoadStep as StepMessage } from '../proto/generated/admin/podwright/v1/LoadStep.ts';

const formats = ['docker-archive', 'oci-archive', 'oci-dir'] as const;
export const compressions = ['none', 'gzip', 'zstd'] as const;

/** How far a load, a save or a verification has come. */
export interface LoadStep {
  /** What is being done: "layer sha256:…". */
  readonly what: string;
  readonly doneBytes: number;
  /** 0 when it is not known. */
  readonly totalBytes: number;
}

/** What Save takes. */
export interface SaveInput {
  readonly references: readonly string[];
  /** Absolute; "" for the archive's bytes as the answer. */
  readonly path: string;
  readonly format: (typeof formats)[number];
  readonly compression: (typeof compressions)[number];
}

/** An image as it was saved. */
export interface SavedImage {
  readonly id: string;
  readonly tags: readonly string[];
  readonly manifestDigest: string;
  readonly sameManifest: boolean;
}

/** Content that is not what it should be. */
export interface ContentFinding {
  /** "layer sha256:…". */
  readonly what: string;
  readonly kind: 'damaged' | 'unverifiable';
  readonly why: string;
  /** Names of images, ids of containers. */
  readonly images: readonly string[];
  readonly containers: readonly string[];
}

/** Whom to tell while content is verified. */
export interface ContentHooks {
  readonly onStep: (step: LoadStep) => void;
  readonly onFinding: (finding: ContentFinding) => void;
}

/** Each rejects with a Failure. References name images; none are all images. */
export interface ImageAdminVerbs {
  readonly save: (
    input: SaveInput,
    onStep: (step: LoadStep) => void,
    signal: AbortSignal,
  ) => Promise<{ readonly images: readonly SavedImage[]; readonly content: AsyncIterable<Buffer> | null }>;
  readonly verifyImages: (
    references: readonly string[],
    hooks: ContentHooks,
    signal: AbortSignal,
  ) => Promise<{ readonly images: number; readonly layers: number; readonly blobs: number; readonly bytes: number }>;
  readonly repairImages: (
    references: readonly string[],
    hooks: ContentHooks,
    signal: AbortSignal,
  ) => Promise<readonly { readonly image: string; readonly outcome: string; readonly why: string }[]>;
  readonly pruneImages: (
    all: boolean,
  ) => Promise<readonly { readonly id: string; readonly tags: readonly string[]; readonly bytes: number }[]>;
  readonly imageUsage: () => Promise<
    readonly {
      readonly what: string;
      readonly count: number;
      readonly bytes: number;
      readonly inodes: number;
      readonly reclaimableBytes: number;
      readonly path: string;
    }[]
  >;
}

/** Steps are only for the eye: while the reader is slow they are left out. */
export function stepWriter<Event extends object>(call: ServerWritableStream<never, Event>): (step: LoadStep) => void {
  let full = false;
  call.on('drain', () => (full = false));
  return (step) => {
    if (!full) full = !call.write({ step: step as StepMessage } as Event);
  };
}

type Call<M extends 'Save' | 'VerifyImages' | 'RepairImages'> = Parameters<AdminHandlers[M]>[0];

/** A text of a request that must be one of some. Throws invalid-argument. */
export const oneOf = <T extends string>(what: string, value: string, of: readonly T[]): T => {
  const found = of.find((one) => one === value);
  if (found === undefined)
    throw invalidArgument(`${what} must be one of ${of.join(', ')}, not ${JSON.stringify(value)}`);
  return found;
};

/** Save. */
export async function serveSave(call: Call<'Save'>, verbs: ImageAdminVerbs, signal: AbortSignal): Promise<void> {
  const { references, path, format, compression } = call.request;
  if (path !== '' && !path.startsWith('/')) throw invalidArgument(`path must be absolute, not ${JSON.stringify(path)}`);
  const input = {
    references,
    path,
    format: oneOf('format', format, formats),
    compression: oneOf('compression', compression, compressions),
  };
  const { images, content } = await verbs.save(input, stepWriter(call as never), signal);
  for await (const chunk of content ?? []) {
    if (!call.write({ chunk })) await once(call, 'drain', { signal });
  }
  for (const image of images) call.write({ image: { ...image, tags: [...image.tags] } });
}

const findingMessage = (finding: ContentFinding): FindingMessage => ({
  ...finding,
  images: [...finding.images],
  containers: [...finding.containers],
});

const hooksOf = (call: ServerWritableStream<never, { finding?: FindingMessage }>): ContentHooks => ({
  onStep: stepWriter(call),
  onFinding: (finding) => void call.write({ finding: findingMessage(finding) }),
});

/** VerifyImages. */
export async function serveVerify(
  call: Call<'VerifyImages'>,
  verbs: ImageAdminVerbs,
  signal: AbortSignal,
): Promise<void> {
  const result = await verbs.verifyImages(call.request.references, hooksOf(call as never), signal);
  call.write({ result });
}

/** RepairImages. */
export async function serveRepair(
  call: Call<'RepairImages'>,
  verbs: ImageAdminVerbs,
  signal: AbortSignal,
): Promise<void> {
  for (const image of await verbs.repairImages(call.request.references, hooksOf(call as never), signal))
    call.write({ image });
}
