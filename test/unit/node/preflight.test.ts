// What the preflight refuses. One test after the other: they write into the same releases.
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { readText } from '../../../src/node/files.ts';
import { newJournal, type Settings, type Side } from '../../../src/node/journal.ts';
import { preflight } from '../../../src/node/preflight.ts';

const work = mkdtempSync('/tmp/pwu-preflight-');
test.after.always(() => rmSync(work, { recursive: true }));

const never = new AbortController().signal;

/** podwrightd as far as it answers --print-config: its defaults, overlaid by what its file says. */
const printConfig = async (argv: readonly string[]): Promise<string> => {
  const text = readText(argv[argv.indexOf('--config') + 1] ?? '') ?? '';
  const value = (key: string, fallback: string): string =>
    `${key} = "${new RegExp(`^${key} = "(.*)"$`, 'm').exec(text)?.[1] ?? fallback}"\n`;
  const head = value('root', join(work, 'root')) + value('state', '/run/pw') + value('socket', '/run/pw/pw.sock');
  return `${head}[metrics]\naddress = ""\n`;
};

function release(version: string): Side {
  const dir = join(work, 'releases', version);
  mkdirSync(dir, { recursive: true });
  const range = { oldest: 1, newest: 1 };
  const arch = process.arch === 'x64' ? 'amd64' : process.arch;
  const text = { version, arch, records: range, monitorProtocol: range, files: [{ path: 'self', link: '.' }] };
  writeFileSync(join(dir, 'RELEASE.json'), JSON.stringify(text));
  rmSync(join(dir, 'self'), { force: true });
  symlinkSync('.', join(dir, 'self'));
  return { type: 'podwright', release: dir, version, endpoint: 'unix:///run/pw/pw.sock', config: null };
}

const settings: Settings = {
  prefix: work,
  configDir: join(work, 'etc'),
  configFile: join(work, 'etc/conf.d/50.toml'),
  linkDir: null,
  daemon: { by: 'self', log: join(work, 'log') },
  kubelet: null,
  kubernetes: null,
  graceMs: 1,
  timeoutMs: 1,
  freeBytes: 0,
};

const ports = {
  run: (argv: readonly string[]): Promise<string> =>
    argv.includes('--config') ? withDropIns(argv[argv.indexOf('--config') + 1] ?? '') : printConfig(argv),
  version: async () => ({ name: 'containerd', version: '2' }),
  isCordoned: null,
  kubelet: { kubelets: () => [], read: readText, filesBelow: () => [] },
};
const withDropIns = async (config: string): Promise<string> => {
  const joined = join(work, 'joined.toml');
  const drop = readText(join(config, '../conf.d/50.toml')) ?? '';
  writeFileSync(joined, `${drop}\n${readText(config) ?? ''}`);
  return printConfig(['--config', joined]);
};

test.serial('an upgrade does not move what live pods lie in', async (t) => {
  const upgrade = (config: string | null) => {
    const to = { ...release('1.1.0'), config } as Side;
    const begun = { id: 'x', kind: 'upgrade', from: release('1.0.0'), to, settings } as const;
    return preflight(ports, newJournal({ ...begun, bootId: 'b', now: 'n', previous: null }), never);
  };
  mkdirSync(join(work, 'etc'));
  writeFileSync(join(work, 'etc/config.toml'), '');
  await upgrade(null);
  await upgrade('log_level = "debug"');
  for (const [key, path] of [
    ['root', '/elsewhere'],
    ['state', '/run/other'],
    ['socket', '/run/other.sock'],
  ])
    await t.throwsAsync(upgrade(`${key} = "${path}"`), {
      message: new RegExp(`^${key} would move from .* to ${path} .*: revert or uninstall first`),
    });
});

for (const kind of ['upgrade', 'revert'] as const)
  test.serial(`a release farther than the next is refused before the ${kind}`, async (t) => {
    const [low, high] = [release('1.0.0'), release('1.2.0')];
    const [from, to] = kind === 'upgrade' ? [low, high] : [high, low];
    const begun = { id: 'x', kind, from, to, settings } as const;
    const asked = preflight(ports, newJournal({ ...begun, bootId: 'b', now: 'n', previous: null }), never);
    await t.throwsAsync(asked, {
      message: /takes over from the releases next to it, and 1\.[02]\.0 is not one of them/,
    });
  });

test.serial("a kubelet whose images come from another runtime's socket is not moved", async (t) => {
  const file = join(work, 'kubelet');
  const moved = (form: 'config' | 'env', text: string) => {
    writeFileSync(file, text);
    const kubelet = { form, file, control: { by: 'systemd', unit: 'k' }, healthUrl: '' } as const;
    const from: Side = { type: 'runtime', endpoint: 'unix:///old', name: '', version: '', pointer: null };
    const begun = { id: 'x', kind: 'switch', from, to: release('1.0.0'), settings: { ...settings, kubelet } } as const;
    const free = {
      ...ports,
      version: async (at: string) => {
        if (at !== 'unix:///old') throw new Error('nobody listens');
        return { name: 'containerd', version: '2' };
      },
    };
    return preflight(free, newJournal({ ...begun, bootId: 'b', now: 'n', previous: null }), never);
  };
  const refused = {
    message: /pull its images at unix:\/\/\/old: take imageServiceEndpoint, or --image-service-endpoint, out of it/,
  };
  await t.throwsAsync(moved('config', 'kind: K\nimageServiceEndpoint: "unix:///old"  # as before\n'), refused);
  await t.throwsAsync(moved('config', '{"imageServiceEndpoint": "unix:///old"}'), refused);
  await t.throwsAsync(moved('env', 'KUBELET_EXTRA_ARGS="--image-service-endpoint=unix:///old"'), refused);
  const { from } = await moved('config', 'kind: K\nimageServiceEndpoint: ""\n');
  t.like(from, { pointer: null, pointerText: 'kind: K\nimageServiceEndpoint: ""\n' }, 'what the way back brings again');
  await moved('config', 'kind: K\nimageServiceEndpoint: unix:///run/pw/pw.sock\n');
});

test.serial('a release that is not whole is refused, with what is wrong', async (t) => {
  const to = release('1.3.0') as Extract<Side, { readonly type: 'podwright' }>;
  rmSync(join(to.release, 'self'));
  const begun = { id: 'x', kind: 'install', from: { type: 'none' }, to, settings } as const;
  await t.throwsAsync(preflight(ports, newJournal({ ...begun, bootId: 'b', now: 'n', previous: null }), never), {
    message: /1\.3\.0 is not whole: self is not there$/,
  });
});
