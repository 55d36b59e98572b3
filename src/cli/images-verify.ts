// podwright images verify, podwright images repair: what is on disk, held against its digests.
import type { Run } from './session.ts';
import { showStep } from './step.ts';
import { bytes, shortId } from './table.ts';

interface Finding {
  readonly what: string;
  readonly kind: string;
  readonly why: string;
  readonly images: readonly string[];
  readonly containers: readonly string[];
}

const show = ({ what, kind, why, images, containers }: Finding): string => {
  const users = containers.length === 0 ? '' : `\n  containers that stand on it: ${containers.map(shortId).join(' ')}`;
  return `${kind}: ${what} of ${images.join(', ')}\n  ${why}${users}\n`;
};

/** Verifies images, all for none named; exit status 1 when something is damaged. */
export const verifyImages: Run = async ({ client, print, progress, failWith }, references) => {
  const findings: Finding[] = [];
  let looked = { images: 0, layers: 0, blobs: 0, bytes: '0' };
  for await (const { step, finding, result } of client.stream('VerifyImages', { references: named(references) })) {
    if (step) progress(showStep(step));
    if (finding) findings.push(finding);
    if (result) looked = result;
  }
  progress('');
  if (findings.some(({ kind }) => kind === 'damaged')) failWith(1);
  const { images, layers, blobs } = looked;
  const sum = `${images} images: ${layers} layers and ${blobs} blobs, ${bytes(Number(looked.bytes))} verified\n`;
  print({ ...looked, findings }, () => findings.map(show).join('') + sum);
};

/** Repairs what is damaged; exit status 1 when an image could not be repaired. */
export const repairImages: Run = async ({ client, print, progress, failWith }, references) => {
  const findings: Finding[] = [];
  const images: { image: string; outcome: string; why: string }[] = [];
  for await (const { step, finding, image } of client.stream('RepairImages', { references: named(references) })) {
    if (step) progress(showStep(step));
    if (finding) findings.push(finding);
    if (image) images.push(image);
  }
  progress('');
  if (images.some(({ outcome }) => outcome !== 'repaired')) failWith(1);
  const told = images.map(({ image, outcome, why }) => {
    if (outcome === 'repaired') return `${image} repaired\n`;
    if (outcome === 'kept') return `${image} could not be repaired and stays: ${why}\n`;
    return `${image} removed, as it could not be got again: ${why}\n  the next pull brings it\n`;
  });
  const nothing = findings.length === 0 && images.length === 0 ? 'nothing is damaged\n' : '';
  print({ findings, images }, () => findings.map(show).join('') + told.join('') + nothing);
};

const named = (references: readonly string[]): string[] => references.filter((one) => one !== '');
