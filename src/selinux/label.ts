// PURE
// SELinux contexts as values, and which one a pod or container gets by what it asks for (selinux(8)).
// This room decides contexts. Must not apply one: monitors, init and other runtimes do.

/** A context. `level` is "" where the policy has no levels. */
export interface Label {
  readonly user: string;
  readonly role: string;
  readonly type: string;
  readonly level: string;
}

/** CRI SELinuxOption: each part "" when it is not asked for. */
export type LabelWish = Label;

/** The contexts of a pod or container: of its processes, and of what is mounted for them. "" is the policy's own choice. */
export interface Labels {
  readonly process: string;
  readonly mount: string;
}

/** No context at all. */
export const noLabels: Labels = { process: '', mount: '' };

/** A context from its text; null for what is none. The level is all that follows the third colon. */
export function parseLabel(text: string): Label | null {
  const [, user, role, type, level = ''] = /^([\w.-]+):([\w.-]+):([\w.-]+)(?::([\w.,:-]+))?$/.exec(text) ?? [];
  return user === undefined || role === undefined || type === undefined ? null : { user, role, type, level };
}

/** A context as text. */
export const formatLabel = ({ user, role, type, level }: Label): string =>
  [user, role, type, ...(level === '' ? [] : [level])].join(':');

/** Whether anything is asked for. */
export const asksForAny = (wish: LabelWish | null): wish is LabelWish =>
  wish !== null && [wish.user, wish.role, wish.type, wish.level].some((part) => part !== '');

/**
 * Contexts with the parts that are asked for in place of what there is. Only the level counts for files: their user,
 * role and type are the policy's for containers' files, whatever the process is.
 */
export function withWish(base: { readonly process: Label; readonly file: Label }, wish: LabelWish | null): Labels {
  const { process, file } = base;
  const over = (part: keyof Label): string => wish?.[part] || process[part];
  const level = wish?.level || null;
  return {
    process: formatLabel({ user: over('user'), role: over('role'), type: over('type'), level: over('level') }),
    mount: formatLabel({ ...file, level: level ?? file.level }),
  };
}
