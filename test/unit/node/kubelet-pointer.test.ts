import test from 'ava';
import type { KubeletPointer, Side } from '../../../src/node/journal.ts';
import { pointerOf, readEndpoint, textFor, withEndpoint } from '../../../src/node/kubelet-pointer.ts';

const ours = 'unix:///run/podwright/podwright.sock';
const theirs = 'unix:///run/containerd/containerd.sock';

const yaml = `apiVersion: kubelet.config.k8s.io/v1beta1
# the runtime
containerRuntimeEndpoint: ${theirs}  # as kubeadm has it
memorySwap:
  containerRuntimeEndpoint: not this one
kind: KubeletConfiguration
`;

const files: readonly (readonly [string, 'config' | 'env', string, string | null])[] = [
  ['YAML', 'config', yaml, theirs],
  ['YAML in quotes', 'config', `kind: K\ncontainerRuntimeEndpoint: "${theirs}"\n`, theirs],
  ['YAML without the key', 'config', 'kind: KubeletConfiguration', null],
  ['YAML with an empty key', 'config', 'kind: K\ncontainerRuntimeEndpoint: ""\n', null],
  ['JSON', 'config', JSON.stringify({ kind: 'K', containerRuntimeEndpoint: theirs }), theirs],
  ['JSON without the key', 'config', '{"kind": "K"}', null],
  [
    "kubeadm's flags",
    'env',
    `KUBELET_KUBEADM_ARGS="--container-runtime-endpoint=${theirs} --pod-infra-container-image=pause:3.10"\n`,
    theirs,
  ],
  ['flags with another separator', 'env', `KUBELET_EXTRA_ARGS=--v=2 --container-runtime-endpoint ${theirs}\n`, theirs],
  ['flags without it', 'env', `# mine\nKUBELET_EXTRA_ARGS="--v=2"\nOTHER=1\n`, null],
  [
    'flags after a comment that has one',
    'env',
    `# KUBELET_EXTRA_ARGS="--container-runtime-endpoint=unix:///old"\nKUBELET_EXTRA_ARGS="--v=2"\n`,
    null,
  ],
  ['flags that are empty', 'env', 'KUBELET_EXTRA_ARGS=\n', null],
  ['an empty file of flags', 'env', '', null],
];
for (const [name, form, text, endpoint] of files)
  test(`${name}: read, changed, and as it was again`, (t) => {
    const pointer = { form, file: 'f' };
    t.is(readEndpoint(form, text), endpoint);
    const changed = withEndpoint(pointer, text, ours);
    t.is(readEndpoint(form, changed), ours);
    t.is(withEndpoint(pointer, changed, ours), changed, 'twice is once');
    const back = withEndpoint(pointer, changed, endpoint);
    t.is(readEndpoint(form, back), endpoint);
    const lines = (one: string): readonly string[] =>
      one.split('\n').filter((line) => !/runtime-?endpoint/i.test(line));
    if (form === 'config' && !text.startsWith('{'))
      t.deepEqual(lines(changed ?? '').filter(Boolean), lines(text).filter(Boolean), 'the rest stays');
  });

const podwright: Side = { type: 'podwright', release: '/r', version: '1', endpoint: ours, config: null };
const dropInOfOthers = `kind: KubeletConfiguration\nmaxPods: 30\n`;
const wholes: readonly (readonly [string, KubeletPointer['form'], string | null])[] = [
  ...files.map(([name, form, text]) => [name, form, text] as const),
  ['no file of flags', 'env', null],
  ['no drop-in', 'drop-in', null],
  ['a drop-in with keys of others', 'drop-in', dropInOfOthers],
  ['JSON on one line', 'config', `{"kind":"K","containerRuntimeEndpoint":"${theirs}","maxPods":30}`],
];
for (const [name, form, text] of wholes)
  test(`${name}: on the way back the file is what it was, to the byte`, (t) => {
    const pointer = { form, file: 'f' };
    const from: Side = {
      type: 'runtime',
      endpoint: theirs,
      name: 'containerd',
      version: '2',
      pointer: readEndpoint(form, text),
      pointerText: text,
    };
    const there = textFor(pointer, text, { from, to: podwright, side: podwright });
    t.is(readEndpoint(form, there), ours);
    t.is(textFor(pointer, there, { from, to: podwright, side: from }), text, 'walked back');
    t.is(textFor(pointer, there, { from: podwright, to: from, side: from }), text, 'reverted');
    t.is(textFor(pointer, text, { from: podwright, to: from, side: from }), text, 'twice is once');
  });

test('what others have changed meanwhile stays', (t) => {
  const pointer = { form: 'config', file: 'f' } as const;
  const about = { type: 'runtime', endpoint: theirs, name: 'containerd', version: '2', pointer: theirs } as const;
  const from: Side = { ...about, pointerText: yaml };
  const there = `${textFor(pointer, yaml, { from, to: podwright, side: podwright })}maxPods: 30\n`;
  const back = textFor(pointer, there, { from: podwright, to: from, side: from }) ?? '';
  t.is(readEndpoint('config', back), theirs);
  t.regex(back, /^maxPods: 30$/m);
  t.is(
    textFor(pointer, there, { from: podwright, to: about, side: about }),
    back,
    'as with a journal that has no text',
  );
});

test('keys of others in a drop-in count on podwright too', (t) => {
  const pointer = { form: 'drop-in', file: 'f' } as const;
  t.is(withEndpoint(pointer, dropInOfOthers, ours), `${dropInOfOthers}containerRuntimeEndpoint: ${ours}\n`);
});

test('other lines of a YAML file stay as they are', (t) => {
  const changed = withEndpoint({ form: 'config', file: 'f' }, yaml, ours) ?? '';
  t.is(changed, yaml.replace(`${theirs}  # as kubeadm has it`, ours));
});

test('a drop-in is written and taken away whole', (t) => {
  const pointer = { form: 'drop-in', file: '/etc/kubernetes/kubelet.d/90-podwright.conf' } as const;
  const text = withEndpoint(pointer, null, ours) ?? '';
  t.regex(text, /^kind: KubeletConfiguration$/m);
  t.is(readEndpoint('drop-in', text), ours);
  t.is(withEndpoint(pointer, text, null), null);
});

test('a file without a place for it is refused', (t) => {
  t.throws(() => withEndpoint({ form: 'config', file: '/c' }, null, ours), { message: /\/c is not there/ });
  t.throws(() => withEndpoint({ form: 'env', file: '/e' }, 'A=1\n', ours), {
    message: /\/e has no KUBELET_KUBEADM_ARGS/,
  });
});

test("the running kubelet's command line says where its setting is", (t) => {
  const none = { envFile: () => null, dropIn: () => null };
  t.deepEqual(pointerOf(['kubelet', '--config=/c.yaml'], none), { form: 'config', file: '/c.yaml' });
  t.deepEqual(pointerOf(['kubelet', '--v', '2', '--config', '/c.yaml'], none), { form: 'config', file: '/c.yaml' });
  const flags = ['kubelet', '--config=/c.yaml', `--container-runtime-endpoint=${theirs}`];
  t.deepEqual(pointerOf(flags, { ...none, envFile: (endpoint) => (endpoint === theirs ? '/env' : null) }), {
    form: 'env',
    file: '/env',
  });
  const inDir = { ...none, dropIn: (dir: string) => (dir === '/d' ? '/d/20.conf' : null) };
  t.deepEqual(pointerOf(['kubelet', '--config=/c.yaml', '--config-dir', '/d'], inDir), {
    form: 'config',
    file: '/d/20.conf',
  });
  t.deepEqual(pointerOf(['kubelet', '--config=/c.yaml', '--config-dir=/e'], inDir), {
    form: 'config',
    file: '/c.yaml',
  });
  t.regex(JSON.stringify(pointerOf(flags, none)), /--kubelet-env/);
  t.regex(JSON.stringify(pointerOf(['kubelet'], none)), /started without --config/);
});
