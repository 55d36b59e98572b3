// The commands on images: which there are and what they take.
// Must not do anything a command does.
import { type Command, Option } from 'commander';
import { listImages } from './images.ts';
import { imageUsage, pruneImages } from './images-prune.ts';
import { repairImages, verifyImages } from './images-verify.ts';
import { loadImage } from './load.ts';
import { pushImage } from './push.ts';
import { withAccessOptions } from './registry-access.ts';
import { saveImages } from './save.ts';
import type { Run } from './session.ts';

/** Adds them to the tool; `make` gives a command its name, its words and its work. */
export function addImageCommands(program: Command, make: (names: string, does: string, run: Run) => Command): void {
  const images = make('images', 'The images on disk; with a command, what can be done with them', listImages);
  program.addCommand(images);
  images.addCommand(make('verify [image...]', 'Hold layers and documents against their digests', verifyImages));
  images.addCommand(make('repair [image...]', 'Get damaged layers and documents again', repairImages));
  images.addCommand(
    make('prune', 'Remove images without a name that no container stands on', pruneImages).option(
      '-a, --all',
      'also those that have a name, but for pinned ones',
    ),
  );
  images.addCommand(make('df', 'What images and writable layers take on the disk', imageUsage));
  program.addCommand(
    make('load <file>', 'Load an image from a docker archive or an OCI layout', loadImage).option(
      '-n, --name <reference>',
      'name for an image that brings none',
    ),
  );
  const format = new Option('--format <format>', 'what to write')
    .choices(['docker-archive', 'oci-archive', 'oci-dir'])
    .default('docker-archive');
  const compression = new Option('--compression <kind>', 'of layers whose blobs are not kept, in OCI formats')
    .choices(['gzip', 'zstd', 'none'])
    .default('gzip');
  program.addCommand(pushCommand(make));
  program.addCommand(
    make('save <image...>', 'Save images to a docker archive or an OCI layout', saveImages)
      .option('-f, --file <path>', 'file or directory to write, -o too (standard output)')
      .addOption(format)
      .addOption(compression),
  );
}

const pushHelp = `
IMAGE is pushed to the registry that its name says, or to TARGET, a name with tag. Blobs that the registry has are not
sent; others are sent as they were pulled where they are kept (image.keep_blobs), else layers are compressed anew: config
and layers stay the same, the manifest is a new one then. Only this machine's platform of an image is here to be pushed.
The manifest's digest goes to standard output.`;

function pushCommand(make: (names: string, does: string, run: Run) => Command): Command {
  const compression = new Option('--compression <kind>', 'of layers whose blobs are neither kept nor there')
    .choices(['gzip', 'zstd', 'none'])
    .default('gzip');
  return withAccessOptions(make('push <image> [target]', 'Push an image to a registry', pushImage))
    .addOption(compression)
    .option('--digestfile <path>', "write the manifest's digest to this file too")
    .option('-q, --quiet', 'print the digest only')
    .addHelpText('after', pushHelp);
}
