// Volumes that the kubelet prepares and hands to the runtime as mounts.
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { V1Volume } from '@kubernetes/client-node';
import test from 'ava';
import { container, scripted, useCluster } from '../helpers/cluster.ts';
import { ref } from '../helpers/registry.ts';

const cluster = useCluster(test);
const shared = mkdtempSync('/tmp/pwcluster-host-');
test.after.always('the directory of the host is gone', () => rmSync(shared, { recursive: true, force: true }));

test.before('a ConfigMap and a Secret', () =>
  cluster.make(
    { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'config' }, data: { colour: 'blue', 'a.conf': 'one\n' } },
    { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'secret' }, stringData: { password: 'much' } },
  ),
);

/** A pod whose one container has the volumes at /v/<name>. */
const podWith = (volumes: V1Volume[], wish = {}): Promise<string> => {
  const volumeMounts = volumes.map(({ name }) => ({ name, mountPath: `/v/${name}` }));
  return cluster.readyPod({ volumes, containers: [container({ volumeMounts, ...wish })] });
};

test.serial('a ConfigMap is there as files and as environment, and its changes arrive', async (t) => {
  const env = [{ name: 'COLOUR', valueFrom: { configMapKeyRef: { name: 'config', key: 'colour' } } }];
  const name = await podWith([{ name: 'config', configMap: { name: 'config' } }], { env });
  t.is(await cluster.sh(name, 'cat /v/config/a.conf; echo $COLOUR'), 'one\nblue');
  t.is(await cluster.sh(name, 'touch /v/config/new 2> /dev/null || echo read-only'), 'read-only');
  t.is((await cluster.kubectl('patch', 'configmap', 'config', '-p', '{"data":{"a.conf":"two\\n"}}')).code, 0);
  // the kubelet looks again when a pod is annotated, not only once a minute
  await cluster.until('the change is there', async () => {
    await cluster.kubectl('annotate', 'pod', name, '--overwrite', `now=${Date.now()}`);
    return (await cluster.sh(name, 'cat /v/config/a.conf')) === 'two';
  });
  t.is((await cluster.kubectl('patch', 'configmap', 'config', '-p', '{"data":{"a.conf":"one\\n"}}')).code, 0);
});

test.serial('a Secret has the mode it should have, and lies in memory', async (t) => {
  const name = await podWith([{ name: 'secret', secret: { secretName: 'secret', defaultMode: 0o400 } }]);
  t.is(await cluster.sh(name, 'cat /v/secret/password; stat -L -c %a /v/secret/password'), 'much400');
  t.regex(await cluster.sh(name, 'grep " /v/secret " /proc/mounts'), /^tmpfs /);
});

test.serial('a projected volume: token, certificate, downward API and more in one place', async (t) => {
  const sources = [
    { serviceAccountToken: { path: 'token', expirationSeconds: 600 } },
    { configMap: { name: 'config', items: [{ key: 'colour', path: 'deep/colour' }] } },
    { secret: { name: 'secret' } },
    { downwardAPI: { items: [{ path: 'name', fieldRef: { fieldPath: 'metadata.name' } }] } },
  ];
  const name = await podWith([{ name: 'all', projected: { sources } }]);
  t.is(await cluster.sh(name, 'cd /v/all; cat deep/colour password name'), `bluemuch${name}`);
  t.regex(await cluster.sh(name, 'cat /v/all/token'), /^[\w-]+\.[\w-]+\.[\w-]+$/);
  t.regex(await cluster.sh(name, 'cat /var/run/secrets/kubernetes.io/serviceaccount/ca.crt'), /BEGIN CERTIFICATE/);
});

test.serial('an emptyDir is shared by the pod’s containers and belongs to its group', async (t) => {
  const volumeMounts = [{ name: 'box', mountPath: '/box' }];
  const name = await cluster.readyPod({
    securityContext: { fsGroup: 4321, runAsUser: 1234 },
    volumes: [{ name: 'box', emptyDir: {} }],
    containers: [container({ volumeMounts }), container({ name: 'other', volumeMounts })],
  });
  await cluster.sh(name, 'echo hello > /box/word', 'main');
  t.is(await cluster.sh(name, 'cat /box/word; stat -c "%u %g" /box/word', 'other'), 'hello\n1234 4321');
});

test.serial('an emptyDir in memory has the size that it should have', async (t) => {
  const name = await podWith([{ name: 'memory', emptyDir: { medium: 'Memory', sizeLimit: '8Mi' } }]);
  t.regex(await cluster.sh(name, 'grep " /v/memory " /proc/mounts'), /^tmpfs .*size=8192k/);
  t.regex(await cluster.sh(name, 'dd if=/dev/zero of=/v/memory/f bs=1M count=9 2>&1 || true'), /No space left/);
});

test.serial('hostPath: a directory, a file, one that is made, and one that must be there', async (t) => {
  writeFileSync(join(shared, 'file'), 'of the host\n');
  const name = await podWith([
    { name: 'dir', hostPath: { path: shared, type: 'Directory' } },
    { name: 'file', hostPath: { path: join(shared, 'file'), type: 'File' } },
    { name: 'new', hostPath: { path: join(shared, 'new'), type: 'DirectoryOrCreate' } },
  ]);
  t.is(await cluster.sh(name, 'cat /v/dir/file /v/file; echo back > /v/new/f'), 'of the host\nof the host');
  t.is(readFileSync(join(shared, 'new/f'), 'utf8'), 'back\n');
  const never = await cluster.pod({
    volumes: [{ name: 'gone', hostPath: { path: join(shared, 'gone'), type: 'Directory' } }],
    containers: [container({ volumeMounts: [{ name: 'gone', mountPath: '/gone' }] })],
  });
  await cluster.until('an event says that it is not there', async () => {
    const { stdout } = await cluster.kubectl(
      'get',
      'events',
      `--field-selector=involvedObject.name=${never}`,
      '-o',
      'jsonpath={.items[*].message}',
    );
    return /hostPath type check failed/.test(stdout);
  });
  t.false(existsSync(join(shared, 'gone')));
});

test.serial('sub paths: of a ConfigMap, and of a directory by a name made of the environment', async (t) => {
  mkdirSync(join(shared, 'sub'));
  writeFileSync(join(shared, 'sub/word'), 'sub\n');
  const name = await cluster.readyPod({
    volumes: [
      { name: 'config', configMap: { name: 'config' } },
      { name: 'dir', hostPath: { path: shared } },
    ],
    containers: [
      container({
        env: [{ name: 'PART', value: 'sub' }],
        volumeMounts: [
          { name: 'config', mountPath: '/etc/a.conf', subPath: 'a.conf' },
          { name: 'dir', mountPath: '/part', subPathExpr: '$(PART)' },
        ],
      }),
    ],
  });
  t.is(await cluster.sh(name, 'cat /etc/a.conf /part/word; ls /part'), 'one\nsub\nword');
});

test.serial('an image is a volume, read-only, whole and by sub path', async (t) => {
  const image = { reference: ref('podwright/demo'), pullPolicy: 'IfNotPresent' };
  const name = await cluster.readyPod({
    volumes: [{ name: 'image', image }],
    containers: [
      container({
        volumeMounts: [
          { name: 'image', mountPath: '/image' },
          { name: 'image', mountPath: '/part', subPath: 'etc' },
        ],
      }),
    ],
  });
  t.is(await cluster.sh(name, 'cmp /image/etc/passwd /part/passwd && echo same'), 'same');
  t.is(await cluster.sh(name, 'touch /image/new 2> /dev/null || echo read-only'), 'read-only');
});

test.serial('mounts follow the host’s where they are to, and a read-only mount is so below too', async (t) => {
  const volumeMounts = [{ name: 'dir', mountPath: '/dir', readOnly: true, recursiveReadOnly: 'Enabled' }];
  const name = await cluster.readyPod({
    volumes: [{ name: 'dir', hostPath: { path: shared } }],
    containers: [scripted('exec sleep 3600', { volumeMounts })],
  });
  t.is(await cluster.sh(name, 'touch /dir/new 2> /dev/null || echo read-only'), 'read-only');
  const { status } = await cluster.read(name);
  t.is(
    status?.containerStatuses?.[0]?.volumeMounts?.find(({ name: each }) => each === 'dir')?.recursiveReadOnly,
    'Enabled',
  );
});

test.serial('a pod whose emptyDir outgrows its size is evicted', async (t) => {
  const name = await cluster.pod({
    volumes: [{ name: 'box', emptyDir: { sizeLimit: '2Mi' } }],
    containers: [
      scripted('dd if=/dev/zero of=/box/f bs=1M count=8; exec sleep 3600', {
        volumeMounts: [{ name: 'box', mountPath: '/box' }],
      }),
    ],
  });
  const { status } = await cluster.podThat(name, 'is evicted', (pod) => pod.status?.phase === 'Failed');
  t.is(status?.reason, 'Evicted');
  t.regex(status?.message ?? '', /EmptyDir volume "box"/);
});

test.serial('a pod whose writable layer outgrows its limit is evicted', async (t) => {
  const name = await cluster.pod({
    containers: [
      scripted('dd if=/dev/zero of=/var/f bs=1M count=16; exec sleep 3600', {
        resources: { limits: { 'ephemeral-storage': '4Mi' } },
      }),
    ],
  });
  const { status } = await cluster.podThat(name, 'is evicted', (pod) => pod.status?.phase === 'Failed');
  t.is(status?.reason, 'Evicted');
  t.regex(status?.message ?? '', /ephemeral local storage usage|local ephemeral storage/);
});
