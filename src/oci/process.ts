// PURE
// Command line, working directory and limits of a container's process.
import { invalidArgument } from '../lib/failure.ts';
import type { OciImageConfig, OciRlimit } from './types.ts';

/** `command` replaces Entrypoint and drops Cmd; `args` alone replaces Cmd (CRI ContainerConfig.command). */
export function buildArgs(command: readonly string[], args: readonly string[], image: OciImageConfig): string[] {
  const line =
    command.length > 0 ? [...command, ...args] : [...image.entrypoint, ...(args.length > 0 ? args : image.cmd)];
  if (line.length === 0) throw invalidArgument('no command specified: neither the config nor the image has one');
  return line;
}

/** CRI's working directory, else the image's, else "/"; a relative one counts from "/". */
export function buildCwd(container: string, image: string): string {
  const cwd = container !== '' ? container : image;
  if (cwd === '') return '/';
  return cwd.startsWith('/') ? cwd : `/${cwd}`;
}

/** Resource limits by name ("nofile") from config, as the spec spells them ("RLIMIT_NOFILE"). */
export function buildRlimits(
  limits: Readonly<Record<string, { readonly soft: number; readonly hard: number }>>,
): OciRlimit[] {
  return Object.entries(limits).map(([name, { soft, hard }]) => ({ type: `RLIMIT_${name.toUpperCase()}`, soft, hard }));
}
