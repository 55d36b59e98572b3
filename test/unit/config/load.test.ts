import test from 'ava';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadConfig, reloadConfig, type Invocation } from '../../../src/config/load.ts';
import type { Config } from '../../../src/config/schema.ts';
import { version } from '../../../src/config/version.ts';
import { Failure } from '../../../src/lib/failure.ts';

const programDirectory = '/opt/podwright';

function directory(files: Readonly<Record<string, string>>): {
  config: string;
  path: (name: string) => string;
  remove: () => void;
} {
  const base = mkdtempSync(join(tmpdir(), 'podwright-config-'));
  mkdirSync(join(base, 'conf.d'));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(base, name), text);
  return {
    config: join(base, 'config.toml'),
    path: (name) => join(base, name),
    remove: () => rmSync(base, { recursive: true }),
  };
}

const run = (...argv: readonly string[]): Invocation => loadConfig({ argv, programDirectory });

function served(...argv: readonly string[]): Config {
  const invocation = run(...argv);
  if (invocation.action !== 'serve') throw new Error(`expected to serve, got ${invocation.text}`);
  return invocation.config;
}

test('no file and no flag: the documented defaults', (t) => {
  const none = directory({ 'config.toml': '' });
  t.teardown(none.remove);
  const config = served('--config', none.config);
  t.deepEqual(config.node, {
    root: '/var/lib/podwright',
    runtimes: {},
    state: '/run/podwright',
    socket: '/run/podwright/podwright.sock',
    addon: '/opt/podwright/addon.node',
    monitor: '/opt/podwright/podwright-monitor',
    worker: '/opt/podwright/podwright-work.js',
  });
  t.is(config.metrics.address, '127.0.0.1:9464');
  t.is(config.network.default, 'none');
  t.is(config.network.confDir, '/etc/cni/net.d');
  t.deepEqual(config.network.binDirs, ['/opt/cni/bin', '/usr/lib/cni', '/usr/libexec/cni']);
  t.is(config.registry.configPath, '/etc/podwright/certs.d');
  t.is(config.container.seccompRoot, '/var/lib/kubelet/seccomp');
  t.deepEqual(config.container.defaultUlimits, [{ name: 'nofile', soft: 1024, hard: 524_288 }]);
  t.true(Object.isFrozen(config) && Object.isFrozen(config.network) && Object.isFrozen(config.network.binDirs));
});

test('drop-ins follow the file in name order, flags come last', (t) => {
  const files = directory({
    'config.toml': 'state = "/tmp/a"\n[log]\nlevel = "warn"\n[network]\nbridge = "one"\nsubnet = "10.1.0.0/16"\n',
    'conf.d/20-b.toml': '[network]\nbridge = "three"\n',
    'conf.d/10-a.toml': '[network]\nbridge = "two"\nsubnet = "10.2.0.0/16"\n',
    'conf.d/readme.txt': 'not = toml = at all',
  });
  t.teardown(files.remove);
  const config = served('--config', files.config, '--log-level', 'debug', '--set', 'image.pinned=a,b');
  t.is(config.network.bridge, 'three');
  t.is(config.network.subnet, '10.2.0.0/16');
  t.is(config.log.level, 'debug');
  t.is(config.node.socket, '/tmp/a/podwright.sock');
  t.deepEqual(config.image.pinned, ['a', 'b']);
});

const mistakes: readonly (readonly [title: string, toml: string, message: RegExp])[] = [
  ['unknown key', '[network]\nconf_dirs = "/x"', /: unknown key network\.conf_dirs, did you mean network\.conf_dir\?$/],
  ['unknown section', '[netwrok]\nbridge = "x"', /: unknown key netwrok\.bridge, did you mean network\.bridge\?$/],
  ['camel case', '[network]\nconfDir = "/x"', /did you mean network\.conf_dir\?/],
  ['section as a key', 'network = 3', /: network is a section: \[network\]$/],
  [
    'wrong type',
    '[network]\nbridge = 3',
    /config\.toml: network\.bridge must be an interface name of at most 15 characters, not 3$/,
  ],
  ['wrong word', '[log]\nlevel = "loud"', /log\.level must be one of "debug", "info", "warn", "error", not "loud"$/],
  ['relative path', 'root = "here"', /: root must be an absolute path, not "here"$/],
  [
    'bad item',
    '[network]\nbin_dirs = ["/a", 3]',
    /network\.bin_dirs must be a list of absolute paths, not the list \["\/a",3\]$/,
  ],
  ['bad duration', '[registry]\nstall_timeout = 30', /registry\.stall_timeout must be a duration such as .*, not 30$/],
  ['table for a value', '[log.level]\na = 1', /log\.level must be one of .*, not a table$/],
  ['not TOML', 'root = \n', /config\.toml:1:\d+: /],
  [
    'soft above hard',
    '[container]\ndefault_ulimits = ["nofile=9:3"]',
    /container\.default_ulimits must be a list of limits/,
  ],
];
for (const [title, toml, message] of mistakes) {
  test(`refused: ${title}`, (t) => {
    const files = directory({ 'config.toml': toml });
    t.teardown(files.remove);
    const error = t.throws(() => run('--config', files.config), { instanceOf: Failure, message });
    t.is(error.kind, 'invalid-argument');
  });
}

test('refused on the command line', (t) => {
  t.throws(() => run('--rot', '/x'), { message: /unknown option '--rot'/ });
  t.throws(() => run('serve'), { message: /too many arguments/ });
  t.throws(() => run('--set', 'log.level'), { message: 'the command line: --set wants key=value, not "log.level"' });
  t.throws(() => run('--set', 'log.lvel=info'), {
    message: 'the command line: unknown key log.lvel, did you mean log.level?',
  });
  t.throws(() => run('--log-level', 'loud'), { message: /^the command line: log\.level must be one of/ });
  t.throws(() => run('--config', '/nonexistent/config.toml'), { message: /configuration file .* does not exist/ });
});

test('--check names what it read, --version and --help answer', (t) => {
  const files = directory({ 'config.toml': '', 'conf.d/a.toml': '' });
  t.teardown(files.remove);
  t.deepEqual(run('--check', '--config', files.config), {
    action: 'print',
    text: `configuration is right: ${files.config}, ${files.path('conf.d/a.toml')}\n`,
  });
  t.deepEqual(run('--version'), { action: 'print', text: `${version}\n` });
  const help = run('--help');
  t.regex(help.action === 'print' ? help.text : '', /--network-default <value>/);
});

test('--print-config prints a file that means the same', (t) => {
  const flags = ['--state', '/tmp/s', '--set', 'image.max_layer_bytes=3000', '--set', 'registry.stall_timeout=90s'];
  const printed = run(...flags, '--print-config');
  const files = directory({ 'config.toml': printed.action === 'print' ? printed.text : '' });
  t.teardown(files.remove);
  t.deepEqual(served('--config', files.config), served(...flags));
});

test('a reload takes reloadable keys and refuses the rest as a whole', (t) => {
  const files = directory({ 'config.toml': '[log]\nlevel = "info"\n' });
  t.teardown(files.remove);
  const inputs = { argv: ['--config', files.config], programDirectory };
  const running = served(...inputs.argv);
  writeFileSync(files.config, '[log]\nlevel = "debug"\n');
  const { config, changed } = reloadConfig(inputs, running);
  t.is(config.log.level, 'debug');
  t.deepEqual(changed, ['log.level']);
  writeFileSync(files.config, '[log]\nlevel = "debug"\n[network]\nbridge = "other"\n');
  const error = t.throws(() => reloadConfig(inputs, running), { message: /needs a restart: network\.bridge changed$/ });
  t.is((error as Failure).kind, 'failed-precondition');
});

test('runtime handlers are tables, put together from all files', (t) => {
  const files = directory({
    'config.toml': '[runtimes.runc]\npath = "/usr/bin/runc"\n',
    'conf.d/gvisor.toml':
      '[runtimes.gvisor]\npath = "/opt/runsc"\nargs = ["--platform=kvm"]\n[runtimes.runc]\npath = "/opt/runc"\nhide_unified_cgroup = true\n',
  });
  t.teardown(files.remove);
  t.deepEqual(served('--config', files.config).node.runtimes, {
    runc: {
      path: '/opt/runc',
      args: [],
      type: 'oci',
      hideUnifiedCgroup: true,
      writableLayerLimit: 0,
      baseRuntimeSpec: '',
    },
    gvisor: {
      path: '/opt/runsc',
      args: ['--platform=kvm'],
      type: 'runsc',
      hideUnifiedCgroup: false,
      writableLayerLimit: 0,
      baseRuntimeSpec: '',
    },
  });
});
