// ImageService's verbs over the image room. Wires, decides nothing.
import type { AdminVerbs, RunningPull } from '../admin/verbs.ts';
import type { ImageVerbs } from '../cri/verbs.ts';
import type { Images } from '../image/images.ts';
import { formatReference, parseReference } from '../image/reference.ts';

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

/** How often a caller of `podwright pull` is told how far it is, in milliseconds. */
const tellEveryMs = 200;

/** `podwright pull`. Calls for an image that is being pulled already see the same progress. */
export const pullVerb =
  (images: Images): AdminVerbs['pull'] =>
  async ({ reference, username, password }, onProgress, signal) => {
    const label = formatReference(parseReference(reference));
    const tell = (): void => {
      const running: RunningPull | undefined = images.progress().findLast((one) => one.reference === label);
      if (running) onProgress(running);
    };
    const auth =
      username === ''
        ? null
        : { username, password, auth: '', serverAddress: '', identityToken: '', registryToken: '' };
    const timer = setInterval(tell, tellEveryMs);
    try {
      return await images.pull(
        { reference, userSpecifiedImage: reference, annotations: {}, runtimeHandler: '', auth, namespace: null },
        signal,
      );
    } finally {
      clearInterval(timer);
    }
  };
