// Which images of a container are held against the policy of its pod's namespace: its own, and those that it mounts.
// Must not judge them.
import { deadlineExceeded } from '../lib/failure.ts';
import type { Sandbox } from '../sandbox/sandbox.ts';
import type { ContainerConfig, ImageVolume } from './container.ts';
import type { ContainerImageFacts, ImageUse } from './ports.ts';

/** For all images of one container, in milliseconds: as long as one verifier may take at most. */
const longestMs = 600_000;

type Admit = (use: ImageUse, signal: AbortSignal) => Promise<void>;

interface Images {
  readonly sandbox: Sandbox;
  readonly config: ContainerConfig;
  readonly image: ContainerImageFacts;
  readonly volumes: readonly ImageVolume[];
  readonly withinMs?: number;
}

/**
 * Holds the container's image, and those it mounts, against the policy of the pod's namespace. Throws what `admit`
 * throws, the signal's reason, and deadline-exceeded when all of it takes longer than `withinMs`.
 */
export async function admitImages(
  admit: Admit,
  { sandbox, config, image, volumes, withinMs = longestMs }: Images,
  signal: AbortSignal,
): Promise<void> {
  const { namespace } = sandbox.identity.config.metadata;
  const uses = [
    { imageId: image.id, spec: config.image },
    ...volumes.map(({ mount, imageId }) => ({ imageId, spec: config.mounts[mount]?.image ?? config.image })),
  ];
  const late = AbortSignal.timeout(withinMs);
  const both = AbortSignal.any([signal, late]);
  try {
    for (const { imageId, spec } of uses) {
      const names = { requested: spec.image, userSpecified: spec.userSpecifiedImage };
      await admit({ namespace, imageId, ...names }, both);
    }
  } catch (error) {
    if (late.aborted && error === late.reason && !signal.aborted)
      throw deadlineExceeded(`whether image ${config.image.image} is allowed was not known within ${withinMs} ms`);
    throw error;
  }
}
