// The test kit's registry on loopback: its images by name, and that it serves.
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const kit = join(import.meta.dirname, '../../hack/testkit');

/** `host:port` of the registry. */
export const registryHost = `127.0.0.1:${process.env['PODWRIGHT_REGISTRY_PORT'] ?? '5000'}`;

/** The reference of one of the kit's images: `bench/tools` is `127.0.0.1:5000/bench/tools:latest`. */
export const ref = (name: string): string => `${registryHost}/${name}${/[:@]/.test(name) ? '' : ':latest'}`;

/** What images.json says of one image. */
export interface KitImage {
  readonly repo: string;
  readonly tags: readonly string[];
  /** Digest of what the tags resolve to. */
  readonly digest: string;
  readonly manifest_digest: string;
  /** The image's id. */
  readonly config_digest: string;
  readonly layers: number;
  readonly bytes: number;
}

let bin: Promise<string> | null = null;

/** Directory of the kit's programs (crictl, critest). */
export function kitPrograms(): Promise<string> {
  bin ??= run(join(kit, 'install.sh'), ['--where']).then(({ stdout }) => stdout.trim());
  return bin;
}

/** Every image that the kit pushed. */
export async function kitImages(): Promise<readonly KitImage[]> {
  const file = join(dirname(await kitPrograms()), 'images/images.json');
  return JSON.parse(readFileSync(file, 'utf8')) as KitImage[];
}

/** One image of the kit by repository and, where there are several, tag. */
export async function kitImage(repo: string, tag = ''): Promise<KitImage> {
  const found = (await kitImages()).find((image) => image.repo === repo && (tag === '' || image.tags.includes(tag)));
  if (!found) throw new Error(`the test kit has no image ${repo}: run hack/testkit/images.sh`);
  return found;
}

/** The kit's archive of an image, such as `demo.tar`. */
export const kitArchive = async (name: string): Promise<string> =>
  join(dirname(await kitPrograms()), 'images/files', name);

/** Starts the registry when it does not answer. */
export async function serveImages(): Promise<void> {
  const answers = await fetch(`http://${registryHost}/v2/`).then(
    (response) => response.ok,
    () => false,
  );
  if (!answers) await run(join(kit, 'images.sh'), ['serve']);
}
