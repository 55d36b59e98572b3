// Another service for images: found wherever a kubelet has settings.
import test from 'ava';
import type { KubeletPointer } from '../../../src/node/journal.ts';
import { imageEndpoints } from '../../../src/node/kubelet-images.ts';

const theirs = 'unix:///run/stargz/stargz.sock';
const other = 'unix:///run/other.sock';
const yaml = `kind: K\nimageServiceEndpoint: ${theirs}\n`;
const flag = `--image-service-endpoint=${theirs}`;

const config: KubeletPointer = { form: 'config', file: '/var/lib/kubelet/config.yaml' };
const env: KubeletPointer = { form: 'env', file: '/opt/kubelet.env' };
const dropIn: KubeletPointer = { form: 'drop-in', file: '/etc/kubernetes/kubelet.d/90-podwright.conf' };
const kubelet = ['kubelet', '--config', config.file, '--config-dir=/etc/kubelet.d'];

const cases: readonly (readonly [
  name: string,
  pointer: KubeletPointer,
  files: Readonly<Record<string, string>>,
  found: readonly string[],
  lines?: readonly (readonly string[])[],
])[] = [
  ['nowhere', config, {}, []],
  ['its configuration', config, { [config.file]: yaml }, [config.file]],
  ['its configuration, empty', config, { [config.file]: 'imageServiceEndpoint: ""\n' }, []],
  ['its file of flags', env, { [env.file]: `KUBELET_EXTRA_ARGS="${flag}"` }, [env.file]],
  [
    'the files of kubeadm and packages, whatever the pointer is',
    config,
    { '/var/lib/kubelet/kubeadm-flags.env': `KUBELET_KUBEADM_ARGS="${flag}"`, '/etc/sysconfig/kubelet': `A=${flag}` },
    ['/var/lib/kubelet/kubeadm-flags.env', '/etc/sysconfig/kubelet'],
  ],
  ['a configuration where the pointer is a file of flags', env, { [config.file]: yaml }, [config.file], [kubelet]],
  ['one that is not the running kubelet’s', env, { [config.file]: yaml }, []],
  [
    'drop-ins of the running kubelet',
    config,
    { '/etc/kubelet.d/10.conf': yaml, '/etc/kubelet.d/notes.txt': yaml },
    ['/etc/kubelet.d/10.conf'],
    [kubelet],
  ],
  ['a comment in a file of flags', env, { [env.file]: `# KUBELET_EXTRA_ARGS="${flag}"\n  #${flag}\nA=1\n` }, []],
  [
    'drop-ins in directories of that, with a slash at its end',
    config,
    { '/etc/kubelet.d/site/10.conf': yaml },
    ['/etc/kubelet.d/site/10.conf'],
    [
      ['kubelet', '--config-dir=/etc/kubelet.d/'],
      ['kubelet', '--config', config.file, '--config-dir=/etc/kubelet.d/'],
    ],
  ],
  [
    'beside a drop-in in a directory of those of the running kubelet',
    { form: 'config', file: '/etc/kubelet.d/site/10.conf' },
    { '/etc/kubelet.d/20.conf': yaml },
    ['/etc/kubelet.d/20.conf'],
    [kubelet, ['kubelet', '--config=/other.yaml']],
  ],
  [
    'drop-ins beside ours',
    dropIn,
    { '/etc/kubernetes/kubelet.d/10.conf': yaml },
    ['/etc/kubernetes/kubelet.d/10.conf'],
  ],
  ['its command line', config, {}, ['the command line of the kubelet'], [[...kubelet, flag]]],
  ['its command line, two words', config, {}, ['the command line of the kubelet'], [[...kubelet, ...flag.split('=')]]],
  [
    'its command line, from a file that is known',
    config,
    { '/etc/default/kubelet': `KUBELET_EXTRA_ARGS=${flag}` },
    ['/etc/default/kubelet'],
    [[...kubelet, flag]],
  ],
  [
    'the command line of the right one of two',
    config,
    {},
    ['the command line of the kubelet'],
    [
      ['kubelet', '--config=/other.yaml', `--image-service-endpoint=${other}`],
      [...kubelet, flag],
    ],
  ],
  [
    'neither of two that may be it',
    env,
    {},
    [],
    [
      [...kubelet, flag],
      ['kubelet', flag],
    ],
  ],
];
for (const [name, pointer, files, found, lines = []] of cases)
  test(`looked for: ${name}`, (t) => {
    const filesBelow = (dir: string): string[] =>
      Object.keys(files)
        .filter((file) => file.startsWith(`${dir}/`))
        .toSorted();
    const all = imageEndpoints(pointer, { kubelets: () => lines, read: (file) => files[file] ?? null, filesBelow });
    t.deepEqual(
      all,
      found.map((place) => ({ place, endpoint: theirs })),
    );
  });
