import test from 'ava';
import type { IndexEntry } from '../../../src/registry/manifest.ts';
import { choosePlatform, platformOf, platformText } from '../../../src/registry/platform.ts';

const entry = (text: string): IndexEntry => {
  const [os = '', architecture = '', variant = ''] = text.split('/');
  const platform = text === '-' ? null : { os, architecture, variant };
  return { mediaType: 'm', digest: `sha256:${text}` as IndexEntry['digest'], size: 1, platform, annotations: {} };
};
const choose = (host: string, list: string): string => {
  const [os = '', architecture = '', variant = ''] = host.split('/');
  return choosePlatform({ os, architecture, variant }, list.split(' ').map(entry))
    .map((e) => (e.platform === null ? '-' : platformText(e.platform)))
    .join(' ');
};

for (const [host, list, chosen] of [
  ['linux/amd64', 'linux/arm64 linux/amd64 windows/amd64', 'linux/amd64'],
  ['linux/amd64', 'linux/386 linux/amd64', 'linux/amd64 linux/386'],
  ['linux/amd64', 'linux/amd64/v3 linux/amd64', 'linux/amd64'],
  ['linux/amd64', 'linux/amd64/v1', 'linux/amd64/v1'],
  [
    'linux/amd64/v3',
    'linux/amd64 linux/amd64/v4 linux/amd64/v2 linux/amd64/v3',
    'linux/amd64/v3 linux/amd64/v2 linux/amd64',
  ],
  ['linux/amd64', 'linux/x86_64', 'linux/x86_64'],
  ['linux/arm64/v8', 'linux/arm/v7 linux/arm64 linux/arm64/v8', 'linux/arm64/v8 linux/arm64 linux/arm/v7'],
  ['linux/arm64/v8', 'linux/aarch64', 'linux/aarch64'],
  ['linux/arm64/v8', 'linux/arm64/v9', ''],
  ['linux/arm/v7', 'linux/arm/v8 linux/arm/v6 linux/arm/v7 linux/arm', 'linux/arm/v7 linux/arm/v6 linux/arm'],
  ['linux/arm/v6', 'linux/arm/v7 linux/arm/v5', 'linux/arm/v5'],
  ['linux/amd64', 'unknown/unknown linux/amd64', 'linux/amd64'],
  ['linux/amd64', '- linux/amd64', 'linux/amd64 -'],
  ['linux/amd64', '-', '-'],
  ['linux/riscv64', 'linux/riscv64 linux/amd64', 'linux/riscv64'],
  ['linux/s390x', 'linux/amd64', ''],
] as const) {
  test(`${host} from ${list}`, (t) => t.is(choose(host, list), chosen));
}

test('of equals the first', (t) => {
  const entries = [entry('linux/amd64'), { ...entry('linux/amd64'), size: 2 }];
  t.is(choosePlatform(platformOf('x64'), entries)[0]?.size, 1);
});

test('names of Node', (t) => {
  t.is(platformText(platformOf('x64')), 'linux/amd64');
  t.is(platformText(platformOf('arm64')), 'linux/arm64/v8');
  t.is(platformText(platformOf('mips')), 'linux/mips');
});
