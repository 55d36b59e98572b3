// PURE
// Images: requests to domain values, domain values to answers.
import type { Image as ImageValue } from '../../image/image.ts';
import type { Image } from '../../proto/generated/cri/runtime/v1/Image.ts';
import type { ImageFilter__Output } from '../../proto/generated/cri/runtime/v1/ImageFilter.ts';
import type { ImageFsInfoResponse } from '../../proto/generated/cri/runtime/v1/ImageFsInfoResponse.ts';
import type { ImageSpec__Output } from '../../proto/generated/cri/runtime/v1/ImageSpec.ts';
import type { PullImageRequest__Output } from '../../proto/generated/cri/runtime/v1/PullImageRequest.ts';
import type { FilesystemUsage } from '../usage.ts';
import type { PullImage, RegistryCredentials } from '../verbs.ts';
import { decodeHandler, name, noNul, oneLine, required, textMap } from './fields.ts';
import { encodeFilesystem } from './stats.ts';

/** The text that names an image in a request. Throws invalid-argument when it is missing. */
export function decodeImageName(message: ImageSpec__Output | null): string {
  const { image, runtime_handler } = required('image', message);
  decodeHandler('image.runtime_handler', runtime_handler);
  return name('image.image', image);
}

/** The text ListImages selects by, "" for all images. */
export function decodeImageFilter(from: ImageFilter__Output | null): string {
  if (from === null || from.image === null) return '';
  decodeHandler('filter.image.runtime_handler', from.image.runtime_handler);
  return oneLine('filter.image.image', from.image.image);
}

/** PullImageRequest. */
export function decodePull({ image, auth, sandbox_config }: PullImageRequest__Output): PullImage {
  const metadata = sandbox_config?.metadata ?? null;
  return {
    image: {
      image: decodeImageName(image),
      userSpecifiedImage: oneLine('image.user_specified_image', image?.user_specified_image ?? ''),
      annotations: textMap('image.annotations', image?.annotations ?? {}),
    },
    credentials: decodeCredentials(auth),
    pod: metadata === null ? null : { namespace: metadata.namespace, name: metadata.name, uid: metadata.uid },
  };
}

/** An AuthConfig with nothing in it is as none: the kubelet and crictl send such. */
function decodeCredentials(from: PullImageRequest__Output['auth']): RegistryCredentials | null {
  if (from === null) return null;
  const credentials = {
    username: noNul('auth.username', from.username),
    password: noNul('auth.password', from.password),
    auth: from.auth,
    serverAddress: oneLine('auth.server_address', from.server_address),
    identityToken: noNul('auth.identity_token', from.identity_token),
    registryToken: noNul('auth.registry_token', from.registry_token),
  };
  const { serverAddress: _, ...secrets } = credentials;
  return Object.values(secrets).every((value) => value === '') ? null : credentials;
}

/** Image of ListImages and ImageStatus. */
export function encodeImage(image: ImageValue): Image {
  return {
    id: image.id,
    repo_tags: [...image.repoTags],
    repo_digests: [...image.repoDigests],
    size: image.sizeBytes,
    uid: image.user.uid === null ? null : { value: image.user.uid },
    username: image.user.uid === null ? image.user.username : '',
    spec: {
      image: image.id,
      annotations: image.annotations,
      user_specified_image: image.userSpecifiedImage,
    },
    pinned: image.pinned,
  };
}

/** ImageFsInfoResponse. */
export const encodeFsInfo = (from: {
  readonly images: readonly FilesystemUsage[];
  readonly containers: readonly FilesystemUsage[];
}): ImageFsInfoResponse => ({
  image_filesystems: from.images.map(encodeFilesystem),
  container_filesystems: from.containers.map(encodeFilesystem),
});
