// Identifiers as branded strings. Must not make any: randomness comes in from the border.

declare const brand: unique symbol;
type Branded<T, B extends string> = T & { readonly [brand]: B };

/** 64 lower-case hex digits. */
export type SandboxId = Branded<string, 'SandboxId'>;
/** 64 lower-case hex digits. */
export type ContainerId = Branded<string, 'ContainerId'>;
/** `sha256:<64 hex>`, the digest of the image's config. */
export type ImageId = Branded<string, 'ImageId'>;
/** `<algorithm>:<hex>`, OCI image-spec descriptor digest. */
export type Digest = Branded<string, 'Digest'>;
/** `sha256:<64 hex>`, OCI image-spec layer ChainID. */
export type ChainId = Branded<string, 'ChainId'>;

const hex64 = /^[0-9a-f]{64}$/;
const sha256 = /^sha256:[0-9a-f]{64}$/;

/** Whether the text has the form of a sandbox or container id. */
export const isObjectId = (text: string): boolean => hex64.test(text);
/** Whether the text is a sha256 digest. */
export const isDigest = (text: string): text is Digest => sha256.test(text);
/** The hex part of a digest. */
export const digestHex = (digest: string): string => digest.slice(digest.indexOf(':') + 1);
