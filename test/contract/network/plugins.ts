// Plugins for a test host: scripts that note what they are given, and the real ones that are on this machine.
import { chmodSync, existsSync, mkdirSync, readFileSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { Host } from './host.ts';

const cache =
  process.env['PODWRIGHT_TESTKIT_CACHE'] ??
  join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'podwright-testkit');

/** Where real plugins may be: the newest, built by the test kit, and Debian's. */
export const pluginDirs = { newest: join(cache, 'bin/cni'), debian: '/usr/lib/cni' } as const;

/** A directory that has all of these plugins; the newest first; null when there is none. */
export const dirWith = (...types: readonly string[]): string | null =>
  Object.values(pluginDirs).find((dir) => types.every((type) => existsSync(join(dir, type)))) ?? null;

/** Makes real plugins available to a host. */
export function installPlugins(h: Host, dir: string, types: readonly string[]): void {
  for (const type of types) symlinkSync(join(dir, type), join(h.dirs.bin, type));
}

// tells what it was given in calls/<number>; behaves as files beside it say
const script = `#!/bin/bash
dir=$(dirname "$0"); me=$(basename "$0")
input=$(cat)
if [ "$CNI_COMMAND" = VERSION ]; then
  [ -e "$dir/$me.versions" ] || exit 1
  printf '{"cniVersion":"1.0.0","supportedVersions":%s}' "$(cat "$dir/$me.versions")"; exit 0
fi
n=$(ls "$dir/calls" | wc -l)
printf '{"plugin":"%s","command":"%s","netns":"%s","args":"%s","input":%s}' "$me" "$CNI_COMMAND" "$CNI_NETNS" "$CNI_ARGS" "$input" > "$dir/calls/$(printf %03d "$n")"
[ -e "$dir/$me.$CNI_COMMAND.script" ] && . "$dir/$me.$CNI_COMMAND.script"
if [ -e "$dir/$me.$CNI_COMMAND.error" ]; then cat "$dir/$me.$CNI_COMMAND.error"; exit 1; fi
[ "$CNI_COMMAND" = ADD ] && [ -e "$dir/$me.result" ] && cat "$dir/$me.result"
exit 0
`;

/** One call of a script. */
export interface Given {
  readonly plugin: string;
  readonly command: string;
  readonly netns: string;
  readonly args: string;
  readonly input: Record<string, unknown>;
}

/** Scripts of these names; `put` writes a file beside them that says what they do. */
export function fakePlugins(
  h: Host,
  ...names: string[]
): { calls: () => Given[]; put: (file: string, text: string) => void } {
  const put = (file: string, text: string): void => writeFileSync(join(h.dirs.bin, file), text);
  const dir = join(h.dirs.bin, 'calls');
  mkdirSync(dir, { recursive: true });
  for (const name of names) {
    put(name, script);
    chmodSync(join(h.dirs.bin, name), 0o755);
  }
  const calls = (): Given[] =>
    readdirSync(dir)
      .sort()
      .map((name) => JSON.parse(readFileSync(join(dir, name), 'utf8')) as Given);
  return { calls, put };
}

/** Puts the configuration of a host in place. */
export const conflist = (h: Host, config: Record<string, unknown>): void =>
  writeFileSync(
    join(h.dirs.conf, '10-test.conflist'),
    JSON.stringify({ cniVersion: '1.0.0', name: 'test', ...config }),
  );

/** A result that a script may print. */
export const someResult = {
  cniVersion: '1.0.0',
  interfaces: [{ name: 'eth0', sandbox: '/n' }],
  ips: [{ address: '10.9.9.9/24', interface: 0 }],
};
