import test from 'ava';
import type { ContainerConfig } from '../../../src/container/container.ts';
import {
  crioAnnotation,
  writableCgroup,
  writableCgroupAnnotation as key,
} from '../../../src/container/writable-cgroup.ts';
import { Failure } from '../../../src/lib/failure.ts';
import type { Sandbox } from '../../../src/sandbox/sandbox.ts';
import { buildMounts } from '../../../src/oci/mounts.ts';

interface Asked {
  readonly pod?: Record<string, string>;
  readonly own?: Record<string, string>;
  readonly refusal?: string;
  readonly handler?: string;
}

const writable = ({ pod = {}, own = {}, refusal, handler }: Asked): boolean =>
  writableCgroup(
    { metadata: { name: 'app', attempt: 0 }, annotations: own } as unknown as ContainerConfig,
    {
      identity: { config: { annotations: pod }, runtime: handler ? {} : null, runtimeHandler: handler ?? '' },
    } as unknown as Sandbox,
    refusal ?? null,
  );

test('the annotation nearest to the container counts', (t) => {
  t.false(writable({}));
  t.true(writable({ pod: { [key]: 'true' } }));
  t.true(writable({ own: { [key]: 'true' } }));
  t.true(writable({ pod: { [crioAnnotation]: 'true' } }));
  t.false(writable({ pod: { [crioAnnotation]: 'true', [key]: 'false' } }));
  t.true(writable({ pod: { [key]: 'false', [`${key}/app`]: 'true' } }));
  t.false(writable({ pod: { [key]: 'false', [`${key}/other`]: 'true' } }));
  t.false(writable({ pod: { [`${key}/app`]: 'true' }, own: { [key]: 'false' } }));
});

test('what is neither true nor false is refused by name, and where it cannot be says why', (t) => {
  const kind = (asked: Asked, message: RegExp): string =>
    (t.throws(() => writable(asked), { instanceOf: Failure, message }) as Failure).kind;
  t.is(kind({ pod: { [key]: 'yes' } }, /annotation podwright\.writable-cgroup is "yes"/), 'invalid-argument');
  t.is(kind({ pod: { [crioAnnotation]: '' } }, /cgroup2-mount-hierarchy-rw is ""/), 'invalid-argument');
  t.is(kind({ pod: { [key]: 'true' }, refusal: 'not here' }, /not here/), 'failed-precondition');
  t.is(kind({ pod: { [key]: 'true' }, handler: 'kata' }, /runtime handler kata/), 'failed-precondition');
  t.false(writable({ refusal: 'not here' }), 'who does not ask is not refused');
});

test('the cgroups of such a container are mounted to be written', (t) => {
  const input = {
    privileged: false,
    readonlyRootfs: false,
    podShm: true,
    files: { hosts: '/h', hostname: '/n', resolvConf: '/r' },
    hostNetwork: false,
    ids: null,
    mounts: [],
  };
  const access = (writableCgroup: boolean, privileged = false): string[] =>
    buildMounts({ ...input, writableCgroup, privileged })
      .filter(({ destination }) => destination.startsWith('/sys'))
      .map(({ destination, options }) => `${destination} ${options.at(-1)}`);
  t.deepEqual(access(false), ['/sys ro', '/sys/fs/cgroup ro']);
  t.deepEqual(access(true), ['/sys ro', '/sys/fs/cgroup rw']);
  t.deepEqual(access(false, true), ['/sys rw', '/sys/fs/cgroup rw']);
});
