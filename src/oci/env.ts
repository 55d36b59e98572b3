// PURE
// The environment of a container's process.

export interface EnvInput {
  /** image-spec config `Env`: "KEY=value". */
  readonly image: readonly string[];
  /** CRI ContainerConfig.envs, which win over the image's. */
  readonly container: readonly { readonly key: string; readonly value: string }[];
  readonly hostname: string;
  readonly home: string;
  readonly tty: boolean;
}

/** The search path of an image that sets none. */
export const defaultPath = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** "KEY=value" lines: image first, then the runtime's, then the container's; a later one replaces in place. */
export function buildEnv(input: EnvInput): string[] {
  const order = new Map<string, string>();
  const put = (entry: string): void => {
    const at = entry.indexOf('=');
    if (at > 0) order.set(entry.slice(0, at), entry);
  };
  put(defaultPath);
  for (const entry of input.image) put(entry);
  if (input.tty && !order.has('TERM')) put('TERM=xterm');
  put(`HOSTNAME=${input.hostname}`);
  for (const { key, value } of input.container) put(`${key}=${value}`);
  if (!order.has('HOME')) put(`HOME=${input.home}`);
  return [...order.values()];
}
