// Runs test suites one after the other and counts. Called by hack/test.sh, which has built everything.
// A suite is a directory of test/: its *.test.ts run by ava, its *.sh run one by one. The crates' tests
// go with unit (in the modules) and contract (in their tests/ directories, on the real kernel).
import { spawn } from 'node:child_process';
import { createWriteStream, existsSync, mkdirSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { emulated } from './arm64-crates.mjs';
import { machines, several, whyNoMachine } from './vm/suites.mjs';

const results = 'test-results';
const total = { passed: 0, failed: 0, skipped: 0 };
const say = (text) => process.stdout.write(`${text}\n`);

/** What failed, with what was said of it: told once more at the end, where it is not lost in what passed. */
const failures = [];
const linesOfFailure = 25;

/** Says that something failed, and keeps it for the end; answers what to call for each line that tells why. */
function fail(text) {
  const lines = [];
  failures.push({ text, lines });
  say(`FAILED  ${text}`);
  return (line) => {
    say(`        ${line}`);
    if (lines.length < linesOfFailure) lines.push(line);
  };
}

/** Milliseconds without a word after which a run of tests is ended: ava's own limit does not end a worker that hangs. */
const silenceLimit = 12 * 60_000;

/** Ends a run of ava and all it started when nothing has been heard of it for too long; answers what to call for each line. */
function watchSilence(child, recent) {
  let heard = performance.now();
  const timer = setInterval(() => {
    if (performance.now() - heard < silenceLimit) return;
    recent.push(`nothing was heard for ${silenceLimit / 60_000} minutes: ended`);
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
  }, 10_000);
  child.on('close', () => clearInterval(timer));
  return () => {
    heard = performance.now();
  };
}

/** Runs a program, keeps its output in test-results/, and hands every line to `onLine`; answers its exit status. */
function run(step, command, onLine) {
  const log = createWriteStream(join(results, `${step}.log`));
  const tests = command[0] === 'ava';
  const child = spawn(command[0], command.slice(1), { stdio: ['ignore', 'pipe', 'pipe'], detached: tests });
  const end = (signal) => {
    if (child.pid !== undefined) process.kill(-child.pid, signal);
    process.exit(130);
  };
  if (tests) for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, end);
  const recent = [];
  const heard = tests ? watchSilence(child, recent) : () => undefined;
  const read = (stream) => {
    createInterface({ input: stream }).on('line', (line) => {
      heard();
      log.write(`${line}\n`);
      recent.push(line);
      if (recent.length > 60) recent.shift();
      onLine(line);
    });
  };
  read(child.stdout);
  read(child.stderr);
  return new Promise((resolve) => {
    child.on('error', (error) => recent.push(error.message));
    child.on('close', () => ['SIGINT', 'SIGTERM'].forEach((name) => process.off(name, end)));
    child.on('close', (code, signal) => log.end(() => resolve({ ok: code === 0, status: signal ?? code, recent })));
  });
}

/** Runs one step and adds to the totals what its reader counted; a crash counts as one failure. Answers its exit status. */
async function step(name, command, reader) {
  const count = { passed: 0, failed: 0, skipped: 0 };
  const start = performance.now();
  const told = failures.length;
  say(`==== ${name}`);
  const { ok, status, recent } = await run(name.replaceAll(/[^a-z0-9-]+/gi, '-'), command, reader(count));
  if (ok && reader.single && count.passed + count.failed + count.skipped === 0) count.passed = 1;
  if (!ok && reader.forgives?.(status)) {
    Object.assign(count, { passed: 0, failed: 0, skipped: 0 });
    failures.length = told;
    say(`dropped ${name}: ended with ${status}; failures told above do not count`);
  } else if (!ok && (count.failed === 0 || failures.length === told)) {
    // a program that died in the middle has named a failure perhaps, but has not counted it
    count.failed ||= 1;
    const why = fail(`${name}: ended with ${status}; its last lines:`);
    for (const line of recent.slice(-linesOfFailure)) why(line);
  }
  for (const key of Object.keys(total)) total[key] += count[key];
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  say(`---- ${name}: ${sum(count)} in ${seconds} s`);
  return status;
}

const sum = ({ passed, failed, skipped }) =>
  `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`;

/**
 * Reads TAP as ava writes it: a failure's diagnosis is the indented block after its line. A skipped test
 * gives its reason in brackets at the end of its title, for ava has no other place for it.
 */
function tap(verbose) {
  return (count) => {
    let why = null;
    return (line) => {
      const [, not, title] = /^(not )?ok \d+ - (.*)$/.exec(line) ?? [];
      if (title === undefined) {
        // hooks and titles come as comments: they are in test-results only
        if (/^\s/.test(line)) why?.(line.trimEnd());
        return;
      }
      why = null;
      const [, skipped] = /^(.*?)\s+# (?:SKIP|TODO)\b/i.exec(title) ?? [];
      if (skipped !== undefined && !/(?:\(.+\)|\[.+\])$/.test(skipped)) {
        count.failed += 1;
        fail(`${skipped}: skipped without a reason in brackets at the end of its title`);
      } else if (skipped !== undefined) {
        count.skipped += 1;
        say(`skipped ${skipped}`);
      } else if (not) {
        count.failed += 1;
        why = fail(title);
      } else {
        count.passed += 1;
        if (verbose) say(`ok      ${title}`);
      }
    };
  };
}

/** As another reader, and says and adds up what tests of faults tell of steps that they broke at; `total` says the sum. */
function countingSteps(reader) {
  const sums = new Map();
  let verbs = 0;
  const counting = (count) => {
    const read = reader(count);
    return (line) => {
      read(line);
      const [, told, steps, counts] = /^\s*#\s*(.+: (\d+) steps; (.+))$/.exec(line) ?? [];
      if (counts === undefined) return;
      say(`        ${told}`);
      verbs += 1;
      for (const [, how, n] of `steps ${steps}, ${counts}`.matchAll(/([a-z ]+?) (\d+)(?:, |$)/g))
        sums.set(how, (sums.get(how) ?? 0) + Number(n));
    };
  };
  counting.total = () => {
    const { steps = 0, kill = 0, fail = 0, 'kill all': both = 0, ...rest } = Object.fromEntries(sums);
    const more = Object.entries(rest).map(([how, n]) => `; ${how}: ${n}`);
    say(
      `        ${verbs} verbs with ${steps} steps: daemon killed at ${kill}, daemon and monitors at ${both}, failed at ${fail}${more.join('')}`,
    );
  };
  return counting;
}

/** Reads the output of cargo test. */
function cargo(count) {
  let why = null;
  return (line) => {
    const [, passed, failed, ignored] = /^test result: .*? (\d+) passed; (\d+) failed; (\d+) ignored/.exec(line) ?? [];
    if (passed !== undefined) {
      count.passed += Number(passed);
      count.failed += Number(failed);
      count.skipped += Number(ignored);
      why = null;
      return;
    }
    const [, test, verdict] = /^test (\S+).* \.\.\. (FAILED|ignored.*)$/.exec(line) ?? [];
    if (verdict === 'FAILED') fail(test);
    else if (verdict !== undefined)
      say(`skipped ${test}: ${verdict.replace(/^ignored,?\s*/, '') || 'marked #[ignore]'}`);
    if (line === 'failures:') why ??= fail('of these crates, what was said:');
    if (why !== null) why(line);
    else if (/^(error|warning: unused)/.test(line)) say(`        ${line}`);
  };
}

/** Reads a script that ends with "N passed, N failed[, N skipped]"; one without such a line is a single test. */
function script(file) {
  const reader = (count) => {
    return (line) => {
      say(`        ${line}`);
      const [, passed, failed, skipped] = /^(?:\S+: )?(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$/.exec(line) ?? [];
      if (passed === undefined) return;
      Object.assign(count, { passed: Number(passed), failed: Number(failed), skipped: Number(skipped ?? 0) });
      if (count.skipped > 0) say(`skipped ${count.skipped} in ${file}: the reasons are above`);
    };
  };
  reader.single = true;
  return reader;
}

/** Crates that have tests for the real kernel, behind a feature. */
const hostTestCrates = () =>
  readdirSync('native/crates').filter((crate) =>
    /^host-tests\s*=/m.test(readFileSync(`native/crates/${crate}/Cargo.toml`, 'utf8')),
  );

const cargoTest = (...args) => [
  'cargo',
  'test',
  '--manifest-path',
  'native/Cargo.toml',
  '--locked',
  '--no-fail-fast',
  ...args,
];

const filesOf = (suite, ending) =>
  existsSync(`test/${suite}`)
    ? readdirSync(`test/${suite}`, { recursive: true, encoding: 'utf8' })
        .filter((name) => name.endsWith(ending))
        .map((name) => `test/${suite}/${name}`)
        .sort()
    : [];

async function runSuite(suite) {
  if (suite === 'unit') await step('unit: crates', cargoTest('--workspace', '--lib', '--bins'), cargo);
  // first of all: tests of crates need programs of the kit too
  if (needsKit.includes(suite) && !(await testKit())) return;
  if (suite === 'contract') await contractOfCrates();
  if (suite in machines) return onMachine(suite);
  if (suite === 'cluster') return onCluster();
  if (suite === 'arm64' && !(await madeForArm64())) return;
  const tests = filesOf(suite, '.test.ts');
  // all faults there are take as long as they may: what is left out then is told (test/faults/steps.ts)
  if (suite === 'faults' && process.env.FAULTS === 'all')
    process.env.FAULTS_UNTIL ??= String(Date.now() + faultsMinutes * 60_000);
  const alone = suite === 'unit' ? ['--timeout=3m'] : ['--serial', '--concurrency=1', '--timeout=10m'];
  const reader = suite === 'faults' ? countingSteps(tap(true)) : tap(suite !== 'unit');
  if (tests.length > 0) await step(suite, ['ava', '--tap', ...alone, ...tests], reader);
  reader.total?.();
  for (const file of filesOf(suite, '.sh')) await step(file, [file], script(file));
}

/** What is built for arm64 on another machine, and the crates' tests there, run by an emulator; false when there is nothing to go on with. */
async function madeForArm64() {
  if (process.arch === 'arm64') {
    skip('arm64', 'this machine is one: all other suites are for it');
    return false;
  }
  const before = total.failed;
  const lines = () => (line) => say(`        ${line}`);
  await step('arm64: tools', ['hack/bootstrap.sh', 'arm64'], lines);
  if (total.failed === before) await step('arm64: build', ['hack/build.sh', '--arch', 'arm64'], lines);
  if (total.failed > before) return false;
  for (const [name, what] of Object.entries(emulated.cannot)) skip(name, `under qemu-user: ${what}`);
  await step('arm64: crates', ['env', ...emulated.env, ...cargoTest(...emulated.tests)], cargo);
  return true;
}

/** Minutes after which a run of all faults breaks at no more steps: with what follows it stays below half an hour. */
const faultsMinutes = 26;

/** Milliseconds after which a machine that died is not tried once more. */
const againWithin = 300_000;

/** Runs a suite in a machine of hack/testbed: its tests in one, each of its scripts in a new one. */
async function onMachine(suite) {
  const { tool, options, env = {}, files, suites: parts = [], optional = false, without = {} } = machines[suite];
  const before = { ...total };
  if (tool !== undefined) {
    await step(`test kit: ${tool}`, ['hack/testkit/install.sh', tool], () => (line) => say(`        ${line}`));
    if (total.failed > before.failed) return;
  }
  if (optional) say(`==== ${suite}: a machine is made or found; the first takes some minutes`);
  const reason = optional ? whyNoMachine(options) : null;
  if (reason !== null) return skip(suite, reason);
  const all = (ending) => parts.flatMap((part) => filesOf(part, ending));
  const [tests, scripts] = [files ?? all('.test.ts'), all('.sh')].map((list) =>
    list.filter((file) => !(file in without)),
  );
  for (const [file, why] of Object.entries(without)) skip(file, why);
  if (tests.some((file) => file.endsWith('/differential.test.ts'))) {
    // made here: a compiler has no room in the machine
    const build = [
      'cargo',
      'build',
      '--manifest-path',
      'native/Cargo.toml',
      '-q',
      '--locked',
      '-p',
      'podwright-monitor',
    ];
    await step(
      `${suite}: programs of tests`,
      [...build, '--example', 'run-bundle'],
      () => (line) => say(`        ${line}`),
    );
    if (total.failed > before.failed) return;
  }
  const words = Object.entries(env).map(([name, value]) => `${name}=${value}`);
  const inside = (command) => ['hack/testbed', 'run', '--timeout', '0', ...options, '--', 'env', ...words, ...command];
  const ava = ['ava', '--tap', '--serial', '--concurrency=1', '--timeout=30m', ...tests];
  // where a machine is not a must, its own death is not the tests' failure
  const died = (status) => optional && status === 125;
  const reader = Object.assign(tap(true), { forgives: died });
  const begun = performance.now();
  if (died(await step(suite, inside(ava), reader))) {
    const soon = performance.now() - begun < againWithin;
    if (!soon) skip(suite, 'the machine died');
    else if (died(await step(`${suite} again`, inside(ava), reader))) skip(suite, 'the machine died twice');
  }
  for (const file of scripts) await step(`${suite}: ${file}`, inside([file]), script(file));
  const own = Object.fromEntries(Object.keys(total).map((key) => [key, total[key] - before[key]]));
  say(`==== ${suite}, ${words.join(' ') || 'no more settings'}: ${sum(own)}`);
}

/** Counts what is not run at all. */
function skip(what, reason) {
  total.skipped += 1;
  say(`skipped ${what} (${reason})`);
}

/** Tests that bring a cluster of their own up, for it does not begin with podwright. */
const ownCluster = /^test\/cluster\/from-containerd\//;

const clusterTest = (file) =>
  step(file, ['ava', '--tap', '--serial', '--concurrency=1', '--timeout=10m', file], tap(true));

/**
 * The tests of a Kubernetes node (hack/cluster); only by name, for the programs of Kubernetes are built first. The way up
 * and the way down, which fails when anything is left, are tests too. A cluster that runs already is not used.
 */
async function onCluster() {
  const before = total.failed;
  const lines = () => (line) => say(`        ${line}`);
  const files = filesOf('cluster', '.test.ts');
  const gated = ['ContainerStopSignals', 'VolumeBindMountOptions', 'UserNamespacesHostNetworkSupport'];
  const gates = gated.map((gate) => `${gate}=true`).join(',');
  const place = process.env['PODWRIGHT_CLUSTER_DIR'] || '/tmp/pwcluster';
  if (existsSync(place)) {
    total.failed += 1;
    return void fail(`cluster: one is there already, in ${place}: hack/cluster down first`);
  }
  await step('cluster: programs', ['hack/kubernetes/install.sh', 'all'], lines);
  if (total.failed > before) return;
  await step(
    'cluster: up',
    ['hack/cluster', 'up', '--new', '--feature-gates', gates],
    Object.assign(() => lines(), { single: true }),
  );
  if (total.failed === before) {
    for (const file of files.filter((one) => !ownCluster.test(one))) await clusterTest(file);
  }
  await step(
    'cluster: down',
    ['hack/cluster', 'down'],
    Object.assign(() => lines(), { single: true }),
  );
  if (!existsSync(place)) for (const file of files.filter((one) => ownCluster.test(one))) await clusterTest(file);
}

/** The monitor and its library are static programs: their tests run as they are shipped. */
const staticCrates = ['monitor', 'container'];

/** The crates' tests on the real kernel, one at a time: they share the kernel's tables. */
async function contractOfCrates() {
  const features = (crates) => crates.map((crate) => `podwright-${crate}/host-tests`).join(',');
  const [still, others] = [true, false].map((wish) =>
    hostTestCrates().filter((c) => staticCrates.includes(c) === wish),
  );
  const excluded = staticCrates.flatMap((crate) => ['--exclude', `podwright-${crate}`]);
  const tail = ['--test', '*', '--', '--test-threads=1'];
  await step('contract: crates', cargoTest('--workspace', ...excluded, '--features', features(others), ...tail), cargo);
  const target = `${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-unknown-linux-musl`;
  const packages = still.flatMap((crate) => ['-p', `podwright-${crate}`]);
  const args = [...packages, '--target', target, '--features', features(still), ...tail];
  await step('contract: monitor', cargoTest(...args), cargo);
}

/** Suites whose tests pull from the loopback registry. */
const needsKit = ['contract', 'system', 'faults', 'conformance', 'cluster', ...Object.keys(machines)];
let kit = null;

/** Builds the tools and images of the tests, once; a failure is the suite's that needs them first. */
const testKit = () => (kit ??= buildKit());

async function buildKit() {
  const before = total.failed;
  const progress = () => (line) => say(`        ${line}`);
  await step('test kit: tools', ['hack/testkit/install.sh'], progress);
  if (total.failed === before) await step('test kit: images', ['env', 'NO_BIG=1', 'hack/testkit/images.sh'], progress);
  return total.failed === before;
}

const suites = ['unit', 'contract', 'system', 'faults', 'conformance', 'cluster', 'arm64', ...Object.keys(machines)];
const wanted = process.argv.slice(2).flatMap((name) => several[name] ?? [name]);
const unknown = wanted.filter((suite) => !suites.includes(suite));
if (unknown.length > 0) {
  say(`no suite ${unknown.join(', ')}: there are ${[...suites, ...Object.keys(several)].join(', ')}`);
  process.exit(2);
}
if (wanted.some((suite) => suite !== 'unit') && process.getuid() !== 0) {
  say('these suites work on the real kernel and must run as root; hack/test.sh unit needs no root');
  process.exit(2);
}
mkdirSync(results, { recursive: true });
for (const suite of wanted) await runSuite(suite);
if (failures.length > 0) say('==== what failed, once more');
for (const [nth, { text, lines }] of failures.entries()) {
  say(`FAILED  ${text}`);
  if (nth < 5) for (const line of lines) say(`        ${line}`);
}
say(sum(total));
process.exitCode = total.failed > 0 || total.passed === 0 ? 1 : 0;
