// Images made on the spot for tests: tars, layers, configs, manifests, indexes.
import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';

/** `sha256:<hex>` of bytes. */
export const digestOf = (bytes: Uint8Array): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

/**
 * A tar (ustar) of regular files; a name that ends in a slash is a directory, its text the mode in octal digits; a text
 * that begins with "-> " is a symbolic link.
 */
export function tarOf(files: Readonly<Record<string, string>>): Buffer {
  const blocks = Object.entries(files).flatMap(([name, text]) => {
    const isDirectory = name.endsWith('/');
    const link = text.startsWith('-> ') ? text.slice(3) : null;
    const data = Buffer.from(isDirectory || link !== null ? '' : text);
    const header = Buffer.alloc(512);
    const field = (value: string, at: number, length: number): void => void header.write(value, at, length, 'latin1');
    field(name, 0, 100);
    field(`${(isDirectory ? text : '644').padStart(7, '0')}\0`, 100, 8);
    field('0000000\0', 108, 8);
    field('0000000\0', 116, 8);
    field(`${data.length.toString(8).padStart(11, '0')}\0`, 124, 12);
    field('00000000000\0', 136, 12);
    field('        ', 148, 8);
    field(isDirectory ? '5' : link === null ? '0' : '2', 156, 1);
    field(link ?? '', 157, 100);
    field('ustar\u000000', 257, 8);
    const sum = header.reduce((total, byte) => total + byte, 0);
    field(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 8);
    return [header, data, Buffer.alloc((512 - (data.length % 512)) % 512)];
  });
  return Buffer.concat([...blocks, Buffer.alloc(1024)]);
}

export interface TestBlob {
  readonly digest: string;
  readonly bytes: Buffer;
}

export interface TestImage {
  readonly layers: readonly (TestBlob & { readonly diffId: string; readonly tar: Buffer })[];
  readonly config: TestBlob;
  readonly manifest: TestBlob & { readonly mediaType: string };
}

export const ociManifest = 'application/vnd.oci.image.manifest.v1+json';
export const ociIndex = 'application/vnd.oci.image.index.v1+json';
const ociConfig = 'application/vnd.oci.image.config.v1+json';
const ociLayer = 'application/vnd.oci.image.layer.v1.tar+gzip';

export interface ImageOptions {
  /** Fields of the config's `config`. */
  readonly config?: object;
  readonly architecture?: string;
  /** Changes the parts of the manifest before it is encoded. */
  readonly manifest?: (manifest: Record<string, unknown>) => Record<string, unknown>;
  /** Changes the whole config before it is encoded. */
  readonly wholeConfig?: (config: Record<string, unknown>) => Record<string, unknown>;
}

const blob = (bytes: Buffer): TestBlob => ({ digest: digestOf(bytes), bytes });
const jsonBlob = (value: unknown): TestBlob => blob(Buffer.from(JSON.stringify(value)));

/** An image with one layer for each map of files. */
export function makeImage(
  layerFiles: readonly Readonly<Record<string, string>>[],
  options: ImageOptions = {},
): TestImage {
  const layers = layerFiles.map((files) => {
    const tar = tarOf(files);
    return { ...blob(gzipSync(tar)), diffId: digestOf(tar), tar };
  });
  const plainConfig = {
    architecture: options.architecture ?? 'amd64',
    os: 'linux',
    config: options.config ?? { Cmd: ['/bin/sh'], Env: ['A=b'] },
    rootfs: { type: 'layers', diff_ids: layers.map((layer) => layer.diffId) },
  };
  const config = jsonBlob(options.wholeConfig?.(plainConfig) ?? plainConfig);
  const plainManifest = {
    schemaVersion: 2,
    mediaType: ociManifest,
    config: { mediaType: ociConfig, digest: config.digest, size: config.bytes.length },
    layers: layers.map((layer) => ({ mediaType: ociLayer, digest: layer.digest, size: layer.bytes.length })),
  };
  const changed = options.manifest?.(plainManifest) ?? plainManifest;
  const mediaType = typeof changed.mediaType === 'string' ? changed.mediaType : ociManifest;
  return { layers, config, manifest: { ...jsonBlob(changed), mediaType } };
}

/** An index over manifests (or indexes) with their platforms; null for an entry that does not say. */
export function makeIndex(
  entries: readonly { of: TestBlob & { mediaType: string }; platform: Readonly<Record<string, string>> | null }[],
): TestBlob & { readonly mediaType: string } {
  const manifests = entries.map(({ of, platform }) => ({
    mediaType: of.mediaType,
    digest: of.digest,
    size: of.bytes.length,
    ...(platform === null ? {} : { platform }),
  }));
  return { ...jsonBlob({ schemaVersion: 2, mediaType: ociIndex, manifests }), mediaType: ociIndex };
}

/** An artifact of type `application/x-test` with a layer for each file, named by its title; its config is the empty one. */
export function makeArtifact(files: Readonly<Record<string, string>>): TestImage {
  const layers = Object.values(files).map((text) => {
    const bytes = Buffer.from(text);
    return { ...blob(bytes), diffId: '', tar: bytes };
  });
  const config = blob(Buffer.from('{}'));
  const titles = Object.keys(files);
  const manifest = jsonBlob({
    schemaVersion: 2,
    mediaType: ociManifest,
    artifactType: 'application/x-test',
    config: { mediaType: 'application/vnd.oci.empty.v1+json', digest: config.digest, size: 2 },
    layers: layers.map(({ digest, bytes }, at) => ({
      mediaType: 'application/x-test-file',
      digest,
      size: bytes.length,
      annotations: { 'org.opencontainers.image.title': titles[at] },
    })),
  });
  return { layers, config, manifest: { ...manifest, mediaType: ociManifest } };
}
