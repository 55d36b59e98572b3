// ImageService's verbs over the image room. Wires, decides nothing.
import type { AdminVerbs } from '../admin/verbs.ts';
import type { ImageVerbs } from '../cri/verbs.ts';
import type { Images } from '../image/images.ts';

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
