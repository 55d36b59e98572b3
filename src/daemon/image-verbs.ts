// ImageService's verbs over the image room. Wires, decides nothing.
import type { ContentFinding, ContentHooks, ImageAdminVerbs } from '../admin/image-verbs.ts';
import type { AdminVerbs, RunningPull } from '../admin/verbs.ts';
import type { ImageVerbs } from '../cri/verbs.ts';
import type { Images } from '../image/images.ts';
import type { VerifyHooks } from '../image/integrity.ts';
import { formatReference, parseReference } from '../image/reference.ts';
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
