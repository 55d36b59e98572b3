// PURE
// Reads the config blob of an image (OCI image-spec config.md; Docker's is the same).
// Must not accept what it does not understand in the parts that containers use.
import { failedPrecondition } from '../lib/failure.ts';
import { type Digest, isDigest } from '../lib/id.ts';
import type { ImageConfig, Platform } from './image.ts';

/** What is used of a config blob. */
export interface ParsedConfig {
  readonly config: ImageConfig;
  readonly platform: Platform;
  /** Digests of the uncompressed layers, bottom first. */
  readonly diffIds: readonly Digest[];
}

type Json = Readonly<Record<string, unknown>>;

const isJson = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value);

/** Parses a config blob. `label` names the image in failures (failed-precondition). */
export function parseImageConfig(bytes: Uint8Array, label: string): ParsedConfig {
  const refuse = (why: string): never => {
    throw failedPrecondition(`config of ${label} is not usable: ${why}`);
  };
  const whole = parseJson(bytes, refuse);
  const rootfs = isJson(whole.rootfs) ? whole.rootfs : refuse('it has no rootfs');
  if (rootfs.type !== 'layers') refuse(`rootfs type ${JSON.stringify(rootfs.type)} is unknown`);
  const diffIds: unknown = rootfs.diff_ids ?? [];
  if (!Array.isArray(diffIds) || !diffIds.every((d) => typeof d === 'string' && isDigest(d))) {
    refuse('rootfs.diff_ids are not sha256 digests');
  }
  const inner = whole.config ?? {};
  if (!isJson(inner)) return refuse('"config" is not an object');
  return { config: readConfig(inner, refuse), platform: readPlatform(whole, refuse), diffIds: diffIds as Digest[] };
}

function parseJson(bytes: Uint8Array, refuse: (why: string) => never): Json {
  try {
    const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
    return isJson(value) ? value : refuse('it is not an object');
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof TypeError) return refuse('it is not JSON');
    throw error;
  }
}

function readConfig(json: Json, refuse: (why: string) => never): ImageConfig {
  const strings = (key: string): string[] => {
    const value = json[key] ?? [];
    if (Array.isArray(value) && value.every((v) => typeof v === 'string')) return value;
    return refuse(`${key} is not a list of strings`);
  };
  const string = (key: string): string => {
    const value = json[key] ?? '';
    return typeof value === 'string' ? value : refuse(`${key} is not a string`);
  };
  const keys = (key: string): string[] => {
    const value = json[key] ?? {};
    return isJson(value) ? Object.keys(value) : refuse(`${key} is not an object`);
  };
  const labels = json.Labels ?? {};
  if (!isJson(labels) || !Object.values(labels).every((v) => typeof v === 'string')) {
    return refuse('Labels is not a map of strings');
  }
  return {
    env: strings('Env'),
    entrypoint: strings('Entrypoint'),
    cmd: strings('Cmd'),
    workingDir: string('WorkingDir'),
    user: string('User'),
    stopSignal: string('StopSignal'),
    volumes: keys('Volumes'),
    labels: labels as Record<string, string>,
    exposedPorts: keys('ExposedPorts'),
  };
}

function readPlatform(json: Json, refuse: (why: string) => never): Platform {
  const part = (key: string): string => {
    const value = json[key] ?? '';
    return typeof value === 'string' ? value : refuse(`${key} is not a string`);
  };
  return { os: part('os'), architecture: part('architecture'), variant: part('variant') };
}
