// The rooms of src/ and who may import whom. This file is the table's source; docs/architecture.md explains it.
// Run: node hack/check-rooms.mjs. Prints every arrow that breaks a rule, and fails if there is one.
import { readFileSync, readdirSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { pathToFileURL } from 'node:url';

/** Floors from the ground up. A room imports from floors below its own, and from itself. */
export const floors = [
  ['lib'],
  ['oci', 'cdi', 'oci-hooks', 'config', 'native', 'paths.ts', 'proto', 'files'],
  [
    'state',
    'cgroup',
    'storage',
    'registry',
    'network',
    'monitor',
    'seccomp',
    'apparmor',
    'selinux',
    'events',
    'metrics',
    'trace',
    'verification',
    'apiserver',
    'release',
    'work',
    'log.ts',
  ],
  ['sandbox', 'container', 'image', 'stats'],
  ['cri', 'streaming', 'recovery', 'kube', 'admin', 'relay', 'installer', 'nri'],
  ['main.ts', 'daemon.ts', 'daemon', 'cli', 'node'],
];

/** Arrows inside one floor that are allowed: exact files, as seen from the importing room or file. */
const sideways = [
  // nouns see each other's types, and a sandbox takes its containers down with it
  { from: /^(container|image|stats)\//, to: /^sandbox\/sandbox\.ts$/ },
  { from: /^(sandbox|image|stats)\//, to: /^container\/container\.ts$/ },
  { from: /^(sandbox|container|stats)\//, to: /^image\/image\.ts$/ },
  { from: /^sandbox\/teardown\.ts$/, to: /^container\/teardown\.ts$/ },
  { from: /^paths\.ts$/, to: /^config\// },
  { from: /^(cdi|oci-hooks)\//, to: /^oci\/(types|hook-document)\.ts$/ },
  // a base spec is checked with the configuration that names it
  { from: /^config\/base-specs\.ts$/, to: /^oci\/base-spec\.ts$/ },
  { from: /^main\.ts$/, to: /^daemon(\.ts|\/)/ },
  { from: /^daemon(\.ts|\/)/, to: /^daemon\// },
  // the tool changes its own host, and talks to runtimes by its one client
  { from: /^cli\/node[\w-]*\.ts$/, to: /^node\// },
  { from: /^node\//, to: /^cli\/client\.ts$/ },
];

/** Arrows down that are not allowed all the same. */
const refused = [
  {
    from: /^(?!(registry\/credential-helper|verification\/verifier|nri\/launch)\.ts$)/,
    to: /^lib\/own-group\.ts$/,
    why: 'only credential helpers, verifiers and plugins are run by the daemon itself',
  },
  {
    from: /^(?!(main|daemon)\.ts$|daemon\/|native\/|state\/|cgroup\/|storage\/|registry\/|network\/|monitor\/|seccomp\/|work\/|recovery\/observe\.ts$)/,
    to: /^native\//,
    why: 'only the hands (floor 2) and recovery/observe.ts call the addon',
  },
  {
    from: /^cli\/(?!node|(metrics-relay|installer)\.ts$)/,
    to: /^(?!cli\/|config\/|proto\/|lib\/)/,
    why: 'the command line tool speaks gRPC only',
  },
  {
    from: /^cli\/node/,
    to: /^(?!cli\/|config\/|proto\/|lib\/|node\/|release\/)/,
    why: 'commands on the host go through node/',
  },
  {
    from: /^cli\/installer\.ts$/,
    to: /^(?!cli\/|config\/|lib\/|installer\/installer\.ts$)/,
    why: 'the command of the pods of the chart starts them and nothing else',
  },
  {
    from: /^installer\//,
    to: /^(?!installer\/|apiserver\/|release\/|files\/|lib\/)/,
    why: 'on the host the installer runs programs of the release, which may be of another version',
  },
  {
    from: /^node\//,
    to: /^(?!node\/|apiserver\/|release\/|files\/|config\/|proto\/|lib\/|paths\.ts$|cli\/client\.ts$|state\/record(-writer)?\.ts$)/,
    why: 'a change of the host is no part of the daemon',
  },
  {
    from: /^cli\/metrics-relay\.ts$/,
    to: /^(?!cli\/|config\/|lib\/|relay\/relay\.ts$)/,
    why: 'the one command that serves starts the relay and nothing else',
  },
];

/** Modules of Node and packages, and where alone they may appear. */
const outside = [
  {
    module: /^node:fs(\/|$)/,
    rooms:
      /^(files|state|storage|network|monitor|seccomp)\/|^(apparmor|selinux)\/kernel\.ts$|^registry\/hosts\.ts$|^verification\/(policy-files|verifier)\.ts$|^recovery\/observe\.ts$|^config\/(load|base-specs)\.ts$|^apiserver\/(kubeconfig|in-cluster)\.ts$|^(cli\/|work\/)?main\.ts$|^release\/(stage|tree)\.ts$|^installer\/(put-text|host|processes|pod|installer)\.ts$|^node\/(?!journal\.ts|plan\.ts|transaction\.ts)/,
  },
  {
    module: /^node:child_process$/,
    rooms:
      /^network\/cni\/|^apparmor\/kernel\.ts$|^lib\/own-group\.ts$|^node\/programs\.ts$|^installer\/host\.ts$|^work\/start\.ts$/,
  },
  { module: /^pino(-pretty)?$/, rooms: /^log\.ts$/ },
  { module: /^prom-client$/, rooms: /^metrics\// },
  { module: /^@opentelemetry\//, rooms: /^trace\/otel\.ts$/ },
  { module: /^@kubernetes\/client-node$/, rooms: /^(kube|apiserver)\// },
  { module: /^commander$/, rooms: /^(cli|config)\// },
  { module: /^yaml$/, rooms: /^(cdi|apiserver|nri)\// },
  { module: /^smol-toml$/, rooms: /^(config|registry)\// },
  { module: /^@grpc\/grpc-js$/, rooms: /^(cri|admin|cli|proto)\/|^daemon(\.ts|\/)/ },
];

// What a file marked PURE must not touch: the clock, chance, the outside.
const impureModules =
  /^node:(fs|net|http|https|http2|tls|dgram|dns|child_process|worker_threads|os|timers|process|cluster)(\/|$)/;
const impureCalls = [
  [/\bDate\.now\s*\(/, 'Date.now()'],
  [/\bnew Date\s*\(\s*\)/, 'new Date()'],
  [/\bperformance\.now\s*\(/, 'performance.now()'],
  [/\bMath\.random\s*\(/, 'Math.random()'],
  [/\brandom(Bytes|UUID|Int|FillSync)\s*\(/, 'randomness'],
  [/\bprocess\.(?!versions)[a-z]/, 'process'],
  [/\bset(Timeout|Interval|Immediate)\s*\(/, 'timers'],
];

const spaces = (text) => text.replace(/[^\n]/g, ' ');

/** The room of a file, from its path below src/. */
const roomOf = (file) => (file.includes('/') ? file.slice(0, file.indexOf('/')) : file);
const floorOf = (file) => floors.findIndex((rooms) => rooms.includes(roomOf(file)));

/**
 * Source with comments blanked, and the same with string contents blanked as well; lines stay where they are.
 * Enough of a lexer for formatted TypeScript: strings, templates, comments, regular expressions after an operator.
 */
function blank(source) {
  const token =
    /\/\/[^\n]*|\/\*[\s\S]*?\*\/|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\[\s\S]|[^`\\])*`|(?<=[=(,:[!&|?{};\n]\s*|return\s+)\/(?![/*])(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n])+\/[a-z]*/g;
  const code = source.replace(token, (text) => (text.startsWith('//') || text.startsWith('/*') ? spaces(text) : text));
  const bare = source.replace(token, (text) => (text.startsWith('`') ? text.replace(/[^\n$]/g, ' ') : spaces(text)));
  return { code, bare };
}

/** What a file imports: [specifier, line, whether only types are]. */
export function importsOf(source) {
  const { code } = blank(source);
  const found = [];
  const pattern =
    /^\s*(?:import|export)\b[^'";=]*?\bfrom\s*(['"])([^'"]+)\1|^\s*import\s*(['"])([^'"]+)\3|\bimport\s*\(\s*(['"])([^'"]+)\5/gm;
  for (const match of code.matchAll(pattern)) {
    const specifier = match[2] ?? match[4] ?? match[6];
    const line = code.slice(0, match.index + match[0].length).split('\n').length;
    found.push([specifier, line, /^\s*(import|export)\s+type\b/.test(match[0])]);
  }
  return found;
}

const isPure = (source) => /^\/\/ PURE\b/m.test(source.split('\n').slice(0, 5).join('\n'));
const isGenerated = (file) => file.startsWith('proto/generated/');

/** Checks files given as path below src/ → source; answers one sentence for each broken rule. */
export function checkRooms(files) {
  const complaints = [];
  const arrows = new Map();
  for (const [file, source] of files) {
    if (isGenerated(file)) continue;
    const complain = (line, text) => complaints.push(`src/${file}:${line}: ${text}`);
    if (floorOf(file) < 0) complain(1, `${roomOf(file)} is not a room (hack/check-rooms.mjs has the table)`);
    if (/(^|\/)index\.ts$/.test(file)) complain(1, 'no index.ts: import the file you use');
    const targets = [];
    for (const [specifier, line, typesOnly] of importsOf(source)) {
      const target = specifier.startsWith('.') ? normalize(join(dirname(file), specifier)) : null;
      if (target !== null && files.has(target)) targets.push(target);
      const problem = target === null ? foreign(file, specifier, source) : arrow(file, target, files);
      if (problem) complain(line, problem);
      else if (target !== null && !typesOnly && isImpure(file, target, files))
        complain(line, `a PURE file imports ${target}, which is not`);
    }
    arrows.set(file, targets);
    if (isPure(source)) checkPure(source, complain);
  }
  return [...complaints, ...cycles(arrows)];
}

function arrow(file, target, files) {
  if (target.startsWith('..')) return target === '../package.json' ? null : `${target} is outside src/`;
  if (!files.has(target)) return target.endsWith('.json') ? null : `${target} is not there`;
  const ban = refused.find(({ from, to }) => from.test(file) && to.test(target));
  if (ban) return `imports ${target}: ${ban.why}`;
  if (roomOf(file) === roomOf(target) || floorOf(target) < floorOf(file)) return null;
  if (sideways.some(({ from, to }) => from.test(file) && to.test(target))) return null;
  const way = floorOf(target) > floorOf(file) ? 'up' : 'sideways';
  return `imports ${way}: ${target} (floor ${floorOf(target)}) from floor ${floorOf(file)}`;
}

// Types are erased, so a PURE file may name those of any file below it.
function isImpure(file, target, files) {
  if (!files.has(target) || !isPure(files.get(file)) || isGenerated(target)) return false;
  return !isPure(files.get(target)) && roomOf(target) !== 'lib';
}

function foreign(file, specifier, source) {
  if (isPure(source) && impureModules.test(specifier)) return `a PURE file imports ${specifier}`;
  const rule = outside.find(({ module }) => module.test(specifier));
  return rule && !rule.rooms.test(file) ? `${specifier} has no place here` : null;
}

function checkPure(source, complain) {
  const { bare } = blank(source);
  for (const [pattern, name] of impureCalls) {
    const at = bare.search(pattern);
    if (at >= 0) complain(bare.slice(0, at).split('\n').length, `a PURE file uses ${name}`);
  }
}

/** Every cycle of files, once. */
function cycles(arrows) {
  const found = [];
  const state = new Map();
  const trail = [];
  const visit = (file) => {
    state.set(file, 'open');
    trail.push(file);
    for (const target of arrows.get(file) ?? []) {
      if (state.get(target) === 'open') {
        found.push(`cycle: ${[...trail.slice(trail.indexOf(target)), target].map((one) => `src/${one}`).join(' → ')}`);
      } else if (!state.has(target)) visit(target);
    }
    trail.pop();
    state.set(file, 'done');
  };
  for (const file of arrows.keys()) if (!state.has(file)) visit(file);
  return found;
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const names = readdirSync('src', { recursive: true }).filter((name) => name.endsWith('.ts'));
  const complaints = checkRooms(new Map(names.sort().map((name) => [name, readFileSync(join('src', name), 'utf8')])));
  for (const complaint of complaints) console.error(complaint);
  console.log(`rooms: ${names.length} files, ${complaints.length} broken rules`);
  process.exitCode = complaints.length === 0 ? 0 : 1;
}
