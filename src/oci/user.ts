// PURE
// Who a container's process is: CRI's wishes, the image's user, /etc/passwd and /etc/group.
import { failedPrecondition, invalidArgument } from '../lib/failure.ts';

/** What was asked for (CRI LinuxContainerSecurityContext). */
export interface UserRequest {
  readonly runAsUser: number | null;
  readonly runAsUsername: string;
  readonly runAsGroup: number | null;
  readonly supplementalGroups: readonly number[];
  readonly policy: 'merge' | 'strict';
  /** image-spec config `User`: "", "uid", "name", "uid:gid", "name:group". */
  readonly imageUser: string;
}

/** The files of the image's root file system; null where there is none. */
export interface UserFiles {
  readonly passwd: string | null;
  readonly group: string | null;
}

/** The answer, as the kernel will show it. */
export interface ResolvedUser {
  readonly uid: number;
  readonly gid: number;
  /** Primary gid first, no duplicates. */
  readonly groups: readonly number[];
  readonly home: string;
}

interface Passwd {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
}

const id = /^\d{1,10}$/;
const largestId = 0xffff_fffe;

function number(text: string): number | null {
  if (!id.test(text)) return null;
  const value = Number(text);
  return value <= largestId ? value : null;
}

function* lines(text: string | null): Generator<string[]> {
  for (const line of (text ?? '').split('\n')) {
    if (line !== '' && !line.startsWith('#')) yield line.split(':');
  }
}

function findPasswd(text: string | null, match: (entry: Passwd) => boolean): Passwd | null {
  for (const [name, , uidText, gidText, , home] of lines(text)) {
    const uid = number(uidText ?? '');
    const gid = number(gidText ?? '');
    if (name === undefined || uid === null || gid === null) continue;
    const entry = { name, uid, gid, home: home ?? '' };
    if (match(entry)) return entry;
  }
  return null;
}

function groupByName(text: string | null, wanted: string): number | null {
  for (const [name, , gid] of lines(text)) if (name === wanted) return number(gid ?? '');
  return null;
}

/** The groups of /etc/group that list the user by name (initgroups(3)). */
function groupsOf(text: string | null, user: string): number[] {
  const found: number[] = [];
  for (const [, , gidText, members] of lines(text)) {
    const gid = number(gidText ?? '');
    if (gid !== null && (members ?? '').split(',').includes(user)) found.push(gid);
  }
  return found;
}

interface Named {
  readonly uid: number;
  readonly entry: Passwd | null;
}

function lookUp(user: string, files: UserFiles): Named {
  const uid = number(user);
  if (uid !== null) return { uid, entry: findPasswd(files.passwd, (e) => e.uid === uid) };
  const entry = findPasswd(files.passwd, (e) => e.name === user);
  if (!entry) throw failedPrecondition(`user ${user} is not in the image's /etc/passwd`);
  return { uid: entry.uid, entry };
}

function lookUpGroup(group: string, files: UserFiles): number {
  const gid = number(group) ?? groupByName(files.group, group);
  if (gid === null) throw failedPrecondition(`group ${group} is not in the image's /etc/group`);
  return gid;
}

/** Resolves the user. A name that the image does not know fails; a number always goes. */
export function resolveUser(request: UserRequest, files: UserFiles): ResolvedUser {
  const { runAsUser, runAsUsername, runAsGroup, imageUser } = request;
  if (runAsUser !== null && runAsUsername !== '') {
    throw invalidArgument('linux.security_context: run_as_user and run_as_username exclude each other');
  }
  const asked = runAsUser !== null || runAsUsername !== '';
  if (runAsGroup !== null && !asked) {
    throw invalidArgument('linux.security_context.run_as_group needs run_as_user or run_as_username');
  }
  const [imageName = '', imageGroup = ''] = imageUser.split(':', 2);
  const name = runAsUser !== null ? String(runAsUser) : runAsUsername !== '' ? runAsUsername : imageName;
  const { uid, entry } = lookUp(name === '' ? '0' : name, files);
  const ownGroup = asked || imageGroup === '' ? (entry?.gid ?? 0) : lookUpGroup(imageGroup, files);
  const gid = runAsGroup ?? ownGroup;
  const merged = request.policy === 'merge' && entry ? groupsOf(files.group, entry.name) : [];
  const groups = [...new Set([gid, ...merged, ...request.supplementalGroups])];
  return { uid, gid, groups, home: entry && entry.home !== '' ? entry.home : '/' };
}
