// SELinux contexts by what is asked for, levels that no two pods share, and what the kernel's files say.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import test from 'ava';
import { assert, configureGlobal, integer, property } from 'fast-check';
import { Failure } from '../../../src/lib/failure.ts';
import { selinuxKernel, type SelinuxKernel } from '../../../src/selinux/kernel.ts';
import { formatLabel, parseLabel, withWish } from '../../../src/selinux/label.ts';
import { freeLevel, levelCount, nthLevel, sameSpelling } from '../../../src/selinux/levels.ts';
import { createSelinux } from '../../../src/selinux/selinux.ts';

configureGlobal({ seed: 4711 }); // the same cases each time: other ones are the fuzzers' work

const nothing = { user: '', role: '', type: '', level: '' };
const id = 'a1b2c3d4e5f6'.padEnd(64, '0');
const containerT = 'system_u:system_r:container_t';
const fileT = 'system_u:object_r:container_file_t';

interface Host {
  readonly mode?: 'absent' | 'no-policy' | 'permissive' | 'enforcing';
  readonly levels?: boolean;
  readonly unknown?: RegExp;
  readonly process?: string;
  readonly file?: string;
  readonly setting?: 'auto' | 'off';
  readonly categoryRange?: number;
}

function room({ mode = 'enforcing', levels = true, unknown = /$^/, ...host }: Host = {}) {
  const kernel: SelinuxKernel = {
    mode: () => mode,
    levels: () => levels,
    knows: (label) => !unknown.test(label),
    defaults: () => ({ path: '/lxc', found: true, process: host.process ?? null, file: host.file ?? null }),
  };
  return createSelinux({ kernel, setting: host.setting ?? 'auto', categoryRange: host.categoryRange ?? 1024 });
}

const pod = { process: `${containerT}:s0:c3,c7`, mount: `${fileT}:s0:c3,c7` };
const wish = { options: null, podOptions: null, privileged: false, hostNamespaces: false };

test('contexts are read and written', (t) => {
  for (const text of ['u:r:t', 'u:r:t:s0', `${containerT}:s0:c1,c2`, 'u:r:t:s0-s0:c0.c1023'])
    t.is(formatLabel(parseLabel(text)!), text);
  t.is(parseLabel(`${containerT}:s0:c1,c2`)?.level, 's0:c1,c2');
  for (const text of ['', 'u', 'u:r', 'u:r:', 'u:r:t:', 'u:r:t:s0"', 'u:r:t s0', 'u:r:t\n'])
    t.is(parseLabel(text), null);
});

for (const [what, options, expected] of [
  ['nothing', null, [`${containerT}:s0`, `${fileT}:s0`]],
  ['a type', { type: 'spc_t' }, ['system_u:system_r:spc_t:s0', `${fileT}:s0`]],
  ['a level', { level: 's0:c1,c2' }, [`${containerT}:s0:c1,c2`, `${fileT}:s0:c1,c2`]],
  ['all', { user: 'u', role: 'r', type: 't', level: 's1' }, ['u:r:t:s1', `${fileT}:s1`]],
] as const) {
  test(`parts that are asked for count over the defaults: ${what}`, (t) => {
    const base = { process: parseLabel(`${containerT}:s0`)!, file: parseLabel(`${fileT}:s0`)! };
    const labels = withWish(base, options === null ? null : { ...nothing, ...options });
    t.deepEqual([labels.process, labels.mount], [...expected]);
  });
}

test('each pod has a level of its own, until there is none', (t) => {
  const used: string[] = [];
  for (let n = 0; n < levelCount(5); n += 1) used.push(freeLevel({ used, id, range: 5 }) ?? 'none');
  t.is(new Set(used).size, 10);
  t.deepEqual(used.toSorted(), Array.from({ length: 10 }, (_, n) => nthLevel(n)).toSorted());
  t.is(freeLevel({ used, id, range: 5 }), null);
  // one that is let go is found again, in whatever spelling the others stand
  const turned = used.slice(1).map((level) => level.replace(/(c\d+),(c\d+)/, '$2,$1'));
  t.is(freeLevel({ used: turned, id, range: 5 }), used[0] ?? null);
});

test('levels are two different categories within the range, and each number has another', (t) => {
  assert(
    property(integer({ min: 0, max: levelCount(1024) - 2 }), (n) => {
      const [, low, high] = /^s0:c(\d+),c(\d+)$/.exec(nthLevel(n)) ?? [];
      return Number(low) < Number(high) && Number(high) < 1024 && nthLevel(n) !== nthLevel(n + 1);
    }),
  );
  t.is(nthLevel(0), 's0:c0,c1');
  t.is(nthLevel(levelCount(1024) - 1), 's0:c1022,c1023');
  t.is(sameSpelling('s0:c9,c1,c9'), 's0:c1,c9');
  t.is(sameSpelling('s0:c0.c3'), 's0:c0.c3');
});

test('a pod gets the policy’s defaults and a level that nobody has', (t) => {
  const labels = room({ process: 'a:b:c:s0', file: 'd:e:f:s0' }).podLabels({ options: null, id, used: [] });
  t.regex(labels?.process ?? '', /^a:b:c:s0:c\d+,c\d+$/);
  t.is(labels?.mount, labels?.process.replace('a:b:c', 'd:e:f'));
  const next = room({ categoryRange: 3 }).podLabels({ options: null, id, used: ['s0:c0,c1', 's0:c2,c0'] });
  t.is(next?.process, `${containerT}:s0:c1,c2`);
  const full = () => room({ categoryRange: 3 }).podLabels({ options: null, id, used: [0, 1, 2].map(nthLevel) });
  t.is(t.throws(full, { instanceOf: Failure })?.kind, 'failed-precondition');
});

test('a pod that names its level has that, also one that another pod has', (t) => {
  const options = { ...nothing, level: 's0:c3,c7' };
  t.deepEqual(room().podLabels({ options, id, used: ['s0:c3,c7'] }), pod);
});

test('a policy without levels has none', (t) => {
  const selinux = room({ levels: false });
  const labels = selinux.podLabels({ options: { ...nothing, level: 's0:c1,c2' }, id, used: [] });
  t.deepEqual(labels, { process: containerT, mount: fileT });
  const own = selinux.containerLabels({ ...wish, options: { ...nothing, type: 'x', level: 's0' } }, labels);
  t.is(own.process, 'system_u:system_r:x');
});

for (const host of [{ mode: 'absent' }, { mode: 'no-policy' }, { setting: 'off' }] as const) {
  test(`without SELinux nothing is asked for: ${JSON.stringify(host)}`, (t) => {
    const selinux = room(host);
    t.is(selinux.podLabels({ options: { ...nothing, type: 't' }, id, used: [] }), null);
    t.deepEqual(selinux.containerLabels(wish, pod), { process: '', mount: '' });
    t.like(selinux.status(), { enabled: false, trouble: null });
  });
}

test('a context that the policy does not know is an error, unless nobody asked for it', (t) => {
  const selinux = room({ unknown: /container_t/ });
  t.is(selinux.status().trouble, `the loaded policy does not know ${containerT}:s0`);
  t.is(selinux.podLabels({ options: null, id, used: [] }), null);
  t.not(selinux.podLabels({ options: { ...nothing, type: 'mine_t' }, id, used: [] }), null);
  const strange = () =>
    room({ unknown: /strange/ }).containerLabels({ ...wish, options: { ...nothing, type: 'strange' } }, pod);
  const error = t.throws(strange, { instanceOf: Failure });
  t.is(error?.kind, 'invalid-argument');
  t.regex(error?.message ?? '', /selinux_options.*strange/);
});

for (const [what, asked, expected] of [
  ['nothing asked', {}, pod],
  ['a type', { options: { ...nothing, type: 'x_t' } }, { ...pod, process: 'system_u:system_r:x_t:s0:c3,c7' }],
  ['privileged', { privileged: true }, { ...pod, process: '' }],
  ['privileged and a type', { privileged: true, options: { ...nothing, type: 'x_t' } }, { ...pod, process: '' }],
  ['namespaces of the host', { hostNamespaces: true }, { process: '', mount: '' }],
  ['those, and the pod asked', { hostNamespaces: true, podOptions: { ...nothing, level: 's0:c3,c7' } }, pod],
  ['those, and asked itself', { hostNamespaces: true, options: { ...nothing, type: 'container_t' } }, pod],
] as const) {
  test(`a container's contexts: ${what}`, (t) => {
    t.deepEqual(room().containerLabels({ ...wish, ...asked }, pod), expected);
    t.deepEqual(room().containerLabels({ ...wish, ...asked }, null), { process: '', mount: '' });
  });
}

test('what the files of the kernel and the policy say', (t) => {
  const root = mkdtempSync(join(tmpdir(), 'podwright-selinux-'));
  t.teardown(() => rmSync(root, { recursive: true }));
  const put = (path: string, text: string): void => {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  };
  const kernel = selinuxKernel(root);
  t.is(kernel.mode(), 'absent');
  t.false(kernel.knows('u:r:t'));
  put('sys/fs/selinux/enforce', '0');
  put('proc/self/attr/current', 'kernel\0');
  t.is(kernel.mode(), 'no-policy');
  put('proc/self/attr/current', 'u:r:t:s0\0');
  t.is(kernel.mode(), 'permissive');
  put('sys/fs/selinux/enforce', '1');
  t.is(kernel.mode(), 'enforcing');
  put('sys/fs/selinux/mls', '0');
  t.false(kernel.levels());
  put('sys/fs/selinux/context', '');
  t.true(kernel.knows('u:r:t'));
  t.like(kernel.defaults(), { found: false, process: null });
  put('etc/selinux/config', '# comment\nSELINUX=enforcing\nSELINUXTYPE=mcs\n');
  put(
    'etc/selinux/mcs/contexts/lxc_contexts',
    'process = "system_u:system_r:c_t:s0"\nfile = system_u:object_r:f_t:s0\n',
  );
  const { path, ...found } = kernel.defaults();
  t.true(path.endsWith('/etc/selinux/mcs/contexts/lxc_contexts'));
  t.deepEqual(found, { found: true, process: 'system_u:system_r:c_t:s0', file: 'system_u:object_r:f_t:s0' });
});
