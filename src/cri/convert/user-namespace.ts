// PURE
// User namespaces and the ids of mounts: requests to domain values, domain values to answers.
import type { IdMapping, NamespaceOptions, UserNamespace } from '../../sandbox/sandbox.ts';
import type { IDMapping, IDMapping__Output } from '../../proto/generated/cri/runtime/v1/IDMapping.ts';
import type {
  UserNamespace as UserNamespaceMessage,
  UserNamespace__Output,
} from '../../proto/generated/cri/runtime/v1/UserNamespace.ts';
import { refuse } from './fields.ts';

/** Ids are below 2^32 - 1, which means "leave as it is" to chown(2). */
const endOfIds = 0xffff_ffff;

/** The mapping of a list that must have exactly one, from id 0 on. */
function decodeMapping(field: string, list: readonly IDMapping__Output[]): IdMapping {
  const [mapping, second] = list;
  if (mapping === undefined) return refuse(field, 'is empty');
  if (second !== undefined) return refuse(field, `has ${list.length} mappings: only one is possible`);
  const { container_id: containerId, host_id: hostId, length } = mapping;
  if (length === 0) return refuse(`${field}[0].length`, 'is 0');
  if (containerId !== 0) return refuse(`${field}[0].container_id`, `is ${containerId}: id 0 must be mapped`);
  for (const [member, first] of [
    ['container_id', containerId],
    ['host_id', hostId],
  ] as const) {
    if (first + length > endOfIds) refuse(`${field}[0].${member}`, `and length end above the largest id`);
  }
  return { containerId, hostId, length };
}

type Field = { readonly uids: string; readonly gids: string };

function decodeMaps(
  field: Field,
  uids: readonly IDMapping__Output[],
  gids: readonly IDMapping__Output[],
): UserNamespace {
  const maps = { uids: decodeMapping(field.uids, uids), gids: decodeMapping(field.gids, gids) };
  if (maps.uids.length !== maps.gids.length) {
    refuse(`${field.gids}[0].length`, `is ${maps.gids.length}, but that of user ids is ${maps.uids.length}`);
  }
  return maps;
}

/** userns_options; an absent message says nothing. */
export function decodeUserNamespace(
  field: string,
  from: UserNamespace__Output | null,
): Pick<NamespaceOptions, 'userns'> {
  if (from === null) return {};
  const { mode, uids, gids } = from;
  if (mode === 'POD') return { userns: decodeMaps({ uids: `${field}.uids`, gids: `${field}.gids` }, uids, gids) };
  if (mode !== 'NODE') return refuse(`${field}.mode`, `${mode} is not possible: only POD and NODE`);
  if (uids.length > 0) refuse(`${field}.uids`, 'are set, but mode is NODE');
  if (gids.length > 0) refuse(`${field}.gids`, 'are set, but mode is NODE');
  return { userns: null };
}

const encodeMapping = ({ containerId, hostId, length }: IdMapping): IDMapping[] => [
  { container_id: containerId, host_id: hostId, length },
];

/** userns_options of an answer: what the sandbox has, NODE where nothing was said. */
export const encodeUserNamespace = (from: UserNamespace | null): UserNamespaceMessage =>
  from === null ? { mode: 'NODE' } : { mode: 'POD', uids: encodeMapping(from.uids), gids: encodeMapping(from.gids) };

/** uidMappings and gidMappings of a mount; neither: nothing. */
export function decodeMountIds(
  field: string,
  from: { readonly uidMappings: readonly IDMapping__Output[]; readonly gidMappings: readonly IDMapping__Output[] },
): { readonly ids?: UserNamespace } {
  const { uidMappings, gidMappings } = from;
  if (uidMappings.length === 0 && gidMappings.length === 0) return {};
  return { ids: decodeMaps({ uids: `${field}.uidMappings`, gids: `${field}.gidMappings` }, uidMappings, gidMappings) };
}

/** The same of an answer. */
export const encodeMountIds = (ids: UserNamespace | undefined) =>
  ids === undefined ? {} : { uidMappings: encodeMapping(ids.uids), gidMappings: encodeMapping(ids.gids) };
