// PURE
// An image with one static program, as files of an OCI layout: what a self-test runs where nothing may be pulled.
import { createHash } from 'node:crypto';

/** A file of the layout: its path below the layout's directory. */
export interface LayoutFile {
  readonly path: string;
  readonly bytes: Uint8Array;
}

const digest = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
const json = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(value));

const block = 512;

/** A tar archive of one executable file (ustar, POSIX.1-1988). */
function tarOf(name: string, content: Uint8Array): Uint8Array {
  const header = Buffer.alloc(block);
  const octal = (value: number, width: number): string => `${value.toString(8).padStart(width - 1, '0')}\0`;
  header.write(name, 0);
  header.write(octal(0o755, 8), 100);
  header.write(octal(0, 8), 108);
  header.write(octal(0, 8), 116);
  header.write(octal(content.length, 12), 124);
  header.write(octal(0, 12), 136);
  header.write('        ', 148); // the checksum is made with blanks in its own place
  header.write('0', 156);
  header.write('ustar\x0000', 257);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  const rest = Buffer.alloc((block - (content.length % block)) % block);
  return Buffer.concat([header, content, rest, Buffer.alloc(2 * block)]);
}

/** The layout of an image whose only file is `/<name>`; `architecture` as Go has it: "amd64". */
export function programLayout(name: string, program: Uint8Array, architecture: string): readonly LayoutFile[] {
  const blob = (bytes: Uint8Array): LayoutFile => ({ path: `blobs/sha256/${digest(bytes)}`, bytes });
  const descriptor = (mediaType: string, bytes: Uint8Array): object => ({
    mediaType: `application/vnd.oci.image.${mediaType}`,
    digest: `sha256:${digest(bytes)}`,
    size: bytes.length,
  });
  const layer = tarOf(name, program);
  const config = json({
    architecture,
    os: 'linux',
    config: { Entrypoint: [`/${name}`] },
    rootfs: { type: 'layers', diff_ids: [`sha256:${digest(layer)}`] },
  });
  const manifest = json({
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    config: descriptor('config.v1+json', config),
    layers: [descriptor('layer.v1.tar', layer)],
  });
  const index = json({ schemaVersion: 2, manifests: [descriptor('manifest.v1+json', manifest)] });
  return [
    blob(layer),
    blob(config),
    blob(manifest),
    { path: 'index.json', bytes: index },
    { path: 'oci-layout', bytes: json({ imageLayoutVersion: '1.0.0' }) },
  ];
}
