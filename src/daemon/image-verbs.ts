// ImageService's verbs over the image room. Wires, decides nothing.
import type { ContentFinding, ContentHooks, ImageAdminVerbs } from '../admin/image-verbs.ts';
import type { AdminVerbs } from '../admin/verbs.ts';
import type { ImageVerbs } from '../cri/verbs.ts';
import type { Images } from '../image/images.ts';
import type { VerifyHooks } from '../image/integrity.ts';
import type { ImageId } from '../lib/id.ts';

/** All of them. */
export const imageVerbs = (images: Images): ImageVerbs => ({
  pullImage: ({ image, credentials, pod }, { signal }) =>
    images.pull(
      {
        reference: image.image,
        userSpecifiedImage: image.userSpecifiedImage,
        annotations: image.annotations,
        runtimeHandler: '',
        auth: credentials,
        namespace: pod?.namespace ?? null,
        authFile: null,
        skipVerify: false,
        platform: null,
      },
      signal,
    ),
  listImages: async ({ image }) => images.list(image),
  async imageStatus({ image, verbose }) {
    const found = images.status(image);
    return { image: found, info: found && verbose ? await images.statusInfo(found) : {} };
  },
  removeImage: ({ image }) => images.remove(image),
  async imageFsInfo() {
    const { images: own, containers } = await images.fsInfo();
    return { images: own, containers };
  },
});

/** `podwright image load`. */
export const loadVerb =
  (images: Images): AdminVerbs['load'] =>
  async ({ path, reference }, onStep, signal) => {
    const found = await images.load({ path, reference, onStep }, signal);
    return found.map(({ id, repoTags }) => ({ id, tags: repoTags }));
  };

/** What the verbs need besides the room. */
export interface ImageAdminPorts {
  /** Ids of the containers that stand on a layer. */
  readonly containersOn: (chainId: string) => string[];
  /** A path where nothing is, in a directory that a start empties. */
  readonly newFile: () => string;
  /** The bytes of a file, which is removed then. */
  readonly read: (path: string) => AsyncIterable<Buffer>;
}

/** `podwright save` and `podwright images …`. */
export function imageAdminVerbs(images: Images, { containersOn, newFile, read }: ImageAdminPorts): ImageAdminVerbs {
  const nameOf = (id: string): string => images.get(id as ImageId)?.repoTags[0] ?? id;
  const hooksOf = ({ onStep, onFinding }: ContentHooks): VerifyHooks => ({
    onStep,
    onFinding: ({ item, kind, why }) => {
      const containers = item.type === 'layer' ? containersOn(item.key) : [];
      const finding: ContentFinding = { what: item.what, kind, why, images: item.images.map(nameOf), containers };
      onFinding(finding);
    },
  });
  return {
    async save(input, onStep, signal) {
      if (input.path !== '') return { images: await images.save({ ...input, onStep }, signal), content: null };
      const path = newFile();
      const saved = await images.save({ ...input, path, onStep }, signal);
      return { images: saved, content: read(path) };
    },
    verifyImages: (references, hooks, signal) => images.verify(references, hooksOf(hooks), signal),
    repairImages: (references, hooks, signal) => images.repair(references, hooksOf(hooks), signal),
    pruneImages: (all) => images.prune(all),
    imageUsage: () => images.usage(),
  };
}
