// PURE
// Which images of a container are held against the policy of its pod's namespace: its own, and those that it mounts.
import type { Sandbox } from '../sandbox/sandbox.ts';
import type { ContainerConfig, ImageVolume } from './container.ts';
import type { ContainerImageFacts, ImageUse } from './ports.ts';

const never = new AbortController().signal;

type Admit = (use: ImageUse, signal: AbortSignal) => Promise<void>;

interface Images {
  readonly sandbox: Sandbox;
  readonly config: ContainerConfig;
  readonly image: ContainerImageFacts;
  readonly volumes: readonly ImageVolume[];
}

/** Holds the container's image, and those it mounts, against the policy of the pod's namespace. */
export async function admitImages(admit: Admit, { sandbox, config, image, volumes }: Images): Promise<void> {
  const { namespace } = sandbox.identity.config.metadata;
  const uses = [
    { imageId: image.id, spec: config.image },
    ...volumes.map(({ mount, imageId }) => ({ imageId, spec: config.mounts[mount]?.image ?? config.image })),
  ];
  for (const { imageId, spec } of uses) {
    const names = { requested: spec.image, userSpecified: spec.userSpecifiedImage };
    await admit({ namespace, imageId, ...names }, never);
  }
}
