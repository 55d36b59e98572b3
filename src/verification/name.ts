// PURE
// What an image is called, as policies and signatures see it.

/** A reference: `docker.io/library/busybox` with tag or digest. */
export interface ImageName {
  /** Host with port, in its one spelling (lib/registry-host.ts). */
  readonly host: string;
  /** Host and repository. */
  readonly repository: string;
  readonly tag: string | null;
  readonly digest: string | null;
}

/** Reads a reference as users write it; null for text that is none. */
export type ReadName = (text: string) => ImageName | null;

/** A name written out. */
export const nameText = ({ repository, tag, digest }: ImageName): string =>
  digest === null ? `${repository}:${tag ?? 'latest'}` : `${repository}@${digest}`;
