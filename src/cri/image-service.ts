// ImageService as a table: RPC → decode, verb, encode. Must hold nothing else.
// What is not listed answers UNIMPLEMENTED.
import { criMessage } from '../proto/cri-codec.ts';
import type { ImageServiceDefinition } from '../proto/generated/cri/runtime/v1/ImageService.ts';
import { decodeImageFilter, decodeImageName, decodePull, encodeFsInfo, encodeImage } from './convert/image.ts';
import { framedEach, inBatches } from './encoded-list.ts';
import { anImage, answering, batching, listing, mutating, nothing, reading } from './row.ts';
import type { Table } from './table.ts';
import type { ImageVerbs } from './verbs.ts';

const imageMessage = criMessage('Image');

/** Every RPC of ImageService that is served. */
export const imageService: Table<ImageVerbs, ImageServiceDefinition> = {
  ListImages: {
    ...listing,
    subject: nothing,
    async serve({ filter }, verbs, context) {
      const images = await verbs.listImages({ image: decodeImageFilter(filter) }, context);
      return { images: images.map(encodeImage) };
    },
  },
  StreamImages: {
    ...batching,
    subject: nothing,
    stream: ({ filter }, verbs, context) =>
      inBatches(async () => {
        const images = await verbs.listImages({ image: decodeImageFilter(filter) }, context);
        return framedEach(images, (image) => imageMessage.serialize(encodeImage(image)));
      }),
  },
  ImageStatus: {
    ...reading,
    subject: anImage,
    async serve({ image, verbose }, verbs, context) {
      const answer = await verbs.imageStatus({ image: decodeImageName(image), verbose }, context);
      // absent is not an error: an empty answer
      if (answer.image === null) return {};
      return { image: encodeImage(answer.image), info: verbose ? answer.info : {} };
    },
  },
  PullImage: {
    ...mutating,
    subject: (request) => ({ ...anImage(request), pod: request.sandbox_config?.metadata?.name ?? '' }),
    serve: async (request, verbs, context) => ({ image_ref: await verbs.pullImage(decodePull(request), context) }),
  },
  RemoveImage: {
    ...mutating,
    subject: anImage,
    async serve({ image }, verbs, context) {
      await verbs.removeImage({ image: decodeImageName(image) }, context);
      return {};
    },
  },
  ImageFsInfo: {
    ...answering,
    subject: nothing,
    serve: async (_, verbs, context) => encodeFsInfo(await verbs.imageFsInfo(null, context)),
  },
};
