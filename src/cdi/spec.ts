// PURE
// A CDI spec: reading and checking the document of a file (Container Device Interface, SPEC.md and schema.json).
import { parse } from 'yaml';
import { hookKind, hookMembers, variable } from '../oci/hook-document.ts';
import {
  anything,
  DocumentError,
  list,
  maybe,
  name,
  object,
  path,
  type Read,
  text,
  uint32,
  wrong,
} from '../lib/document.ts';
import { isDevice, isKind } from './names.ts';

const oneOf =
  (pattern: RegExp, what: string): Read<string> =>
  (value, at) => {
    const found = text(value ?? '', at);
    return pattern.test(found) ? found : wrong(at, `${JSON.stringify(found)} is not ${what}`);
  };

/** `containerEdits`: what is done to a container. */
const edits = object({
  env: list(variable),
  deviceNodes: list(
    object({
      path,
      /** Where the node is on the host; the same path when absent. */
      hostPath: maybe(path),
      type: oneOf(/^[bcup]?$/, 'a device type: b, c, u or p'),
      major: maybe(uint32),
      minor: maybe(uint32),
      fileMode: maybe(uint32),
      permissions: oneOf(/^[rwm]{0,3}$/, 'made of r, w and m'),
      uid: maybe(uint32),
      gid: maybe(uint32),
    }),
  ),
  mounts: list(object({ hostPath: name, containerPath: path, type: maybe(text), options: list(name) })),
  hooks: list(object({ hookName: hookKind, ...hookMembers })),
  additionalGids: list(uint32),
  intelRdt: anything,
  netDevices: list(anything),
});

/** What a spec does to a container. */
export type ContainerEdits = ReturnType<typeof edits>;

const noEdits = edits({}, '');
const editsOrNone: Read<ContainerEdits> = (value, at) => maybe(edits)(value, at) ?? noEdits;

const document = object({
  cdiVersion: oneOf(/^v?(0\.[1-8]\.\d+|1\.\d+\.\d+)$/, 'a version that is known here'),
  kind: (value, at) => (isKind(text(value, at)) ? text(value, at) : wrong(at, 'is not "vendor/class"')),
  annotations: anything,
  devices: list(
    object({
      name: (value, at) => (isDevice(text(value, at)) ? text(value, at) : wrong(at, 'is not a device name')),
      annotations: anything,
      containerEdits: editsOrNone,
    }),
  ),
  containerEdits: editsOrNone,
});

/** A spec as a file has it. */
export interface CdiSpec {
  /** The file. */
  readonly path: string;
  readonly kind: string;
  /** For every container that has one of the devices. */
  readonly edits: ContainerEdits;
  readonly devices: ReadonlyMap<string, ContainerEdits>;
}

/** A file of a spec directory. */
export interface CdiFile {
  readonly path: string;
  /** Its directory's place among the directories: of equal devices that of the last directory counts. */
  readonly priority: number;
  /** Its contents, or why they could not be had. */
  readonly content: { readonly text: string } | { readonly why: string };
}

/** Reads a spec; the answer is a text where it is none: why. JSON is YAML, so both are read alike. */
export function parseSpec({ path: file, content }: CdiFile): CdiSpec | string {
  if ('why' in content) return content.why;
  try {
    const read = document(parse(content.text, { schema: 'core', maxAliasCount: 100, logLevel: 'error' }), '');
    const devices = new Map<string, ContainerEdits>();
    for (const [at, { name: device, containerEdits }] of read.devices.entries()) {
      if (devices.has(device)) wrong(`devices[${at}].name`, `${device} is there twice`);
      devices.set(device, containerEdits);
    }
    return { path: file, kind: read.kind, edits: read.containerEdits, devices };
  } catch (error) {
    if (error instanceof DocumentError) return error.message;
    // the parser's own words, without the lines of the file that follow them
    return `it is neither JSON nor YAML: ${(error as Error).message.split('\n')[0]}`;
  }
}
