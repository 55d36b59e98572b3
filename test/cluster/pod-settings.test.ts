// What a pod is given beside its containers: networks, names, users, namespaces, profiles.
import test from 'ava';
import { container, scripted, useCluster } from '../helpers/cluster.ts';
import { ask } from '../helpers/outside.ts';

const cluster = useCluster(test);

/** Serves one line over TCP. */
const serving = (port: number, line: string): string => `exec nc -lk -p ${port} -e echo ${line}`;

test.serial('pods reach each other and the host by address', async (t) => {
  const server = await cluster.readyPod({
    containers: [scripted(serving(7000, 'here'), { readinessProbe: { tcpSocket: { port: 7000 }, periodSeconds: 1 } })],
  });
  const { status } = await cluster.read(server);
  const address = status?.podIP ?? '';
  t.is(await ask(address, 7000), 'here');
  const client = await cluster.readyPod();
  t.is(await cluster.sh(client, `nc ${address} 7000 < /dev/null`), 'here');
  t.regex(await cluster.sh(client, `nc -w 5 ${cluster.where.NODE_IP} 10250 < /dev/null && echo open`), /open/);
});

test.serial('a hostPort leads to its pod from the host’s addresses', async (t) => {
  const name = await cluster.readyPod({
    containers: [
      scripted(serving(7000, 'inside'), {
        ports: [{ containerPort: 7000, hostPort: 17123 }],
        readinessProbe: { tcpSocket: { port: 7000 }, periodSeconds: 1 },
      }),
    ],
  });
  t.is(await ask(cluster.where.NODE_IP, 17123), 'inside');
  t.is(await ask('127.0.0.1', 17123), 'inside');
  await cluster.remove(name);
  await t.throwsAsync(ask(cluster.where.NODE_IP, 17123));
});

test.serial('a pod in the host’s network has its addresses and its name', async (t) => {
  const name = await cluster.readyPod({
    hostNetwork: true,
    containers: [
      scripted(serving(17124, 'host'), { readinessProbe: { tcpSocket: { port: 17124 }, periodSeconds: 1 } }),
    ],
  });
  const { status } = await cluster.read(name);
  t.is(status?.podIP, cluster.where.NODE_IP);
  t.is(await ask('127.0.0.1', 17124), 'host');
});

test.serial('names: hostname, subdomain, aliases, and a DNS of the pod’s own', async (t) => {
  const name = await cluster.readyPod({
    hostname: 'own',
    subdomain: 'sub',
    hostAliases: [{ ip: '192.0.2.7', hostnames: ['seven'] }],
    dnsPolicy: 'None',
    dnsConfig: { nameservers: ['192.0.2.53'], searches: ['example.test'], options: [{ name: 'ndots', value: '3' }] },
  });
  t.is(await cluster.sh(name, 'hostname'), 'own');
  t.regex(await cluster.sh(name, 'cat /etc/hosts'), /192\.0\.2\.7\s+seven/);
  const resolv = await cluster.sh(name, 'cat /etc/resolv.conf');
  t.regex(resolv, /nameserver 192\.0\.2\.53/);
  t.regex(resolv, /search example\.test/);
  t.regex(resolv, /options ndots:3/);
});

test.serial('a shared process namespace shows each container the others', async (t) => {
  const name = await cluster.readyPod({
    shareProcessNamespace: true,
    containers: [container(), scripted('exec sleep 7200', { name: 'other' })],
  });
  t.regex(await cluster.sh(name, 'ps', 'main'), /sleep 7200/);
});

test.serial('a pod in a user namespace: root inside, nobody outside, its volumes its own', async (t) => {
  const name = await cluster.readyPod({
    hostUsers: false,
    volumes: [
      { name: 'box', emptyDir: {} },
      { name: 'names', downwardAPI: { items: [{ path: 'name', fieldRef: { fieldPath: 'metadata.name' } }] } },
    ],
    containers: [
      container({
        volumeMounts: [
          { name: 'box', mountPath: '/box' },
          { name: 'names', mountPath: '/names' },
        ],
      }),
    ],
  });
  const [inside, outside, length] = (await cluster.sh(name, 'cat /proc/self/uid_map')).split(/\s+/).map(Number);
  t.is(inside, 0);
  t.true((outside ?? 0) >= 65536);
  t.is(length, 65536);
  t.is(await cluster.sh(name, 'id -u; echo x > /box/f; stat -c %u /box/f; cat /names/name'), `0\n0\n${name}`);
  t.is((await cluster.read(name)).spec?.hostUsers, false);
});

test.serial('users, groups, capabilities and a read-only root', async (t) => {
  const name = await cluster.readyPod({
    securityContext: {
      runAsUser: 1001,
      runAsGroup: 2002,
      supplementalGroups: [3003],
      seccompProfile: { type: 'RuntimeDefault' },
    },
    containers: [
      container({
        securityContext: {
          readOnlyRootFilesystem: true,
          allowPrivilegeEscalation: false,
          capabilities: { drop: ['ALL'] },
        },
      }),
    ],
  });
  t.is(
    await cluster.sh(name, 'id -u; id -g; id -G; touch /new 2> /dev/null || echo read-only'),
    '1001\n2002\n2002 3003\nread-only',
  );
  const status = await cluster.sh(name, 'cat /proc/1/status');
  t.regex(status, /CapBnd:\s+0+\n/);
  t.regex(status, /NoNewPrivs:\s+1\n/);
  t.regex(status, /Seccomp:\s+2\n/);
  const { status: seen } = await cluster.read(name);
  t.deepEqual(seen?.containerStatuses?.[0]?.user?.linux?.supplementalGroups, [2002, 3003]);
});

test.serial('an image that runs as root is refused where it must not', async (t) => {
  const name = await cluster.pod({ containers: [container({ securityContext: { runAsNonRoot: true } })] });
  const { status } = await cluster.podThat(
    name,
    'is refused',
    (pod) => pod.status?.containerStatuses?.[0]?.state?.waiting?.reason === 'CreateContainerConfigError',
  );
  t.regex(status?.containerStatuses?.[0]?.state?.waiting?.message ?? '', /runAsNonRoot/);
});

test.serial('parameters of the kernel that the pod sets are its own', async (t) => {
  const name = await cluster.readyPod({
    securityContext: { sysctls: [{ name: 'net.ipv4.ip_local_port_range', value: '20000 21000' }] },
  });
  t.is(await cluster.sh(name, 'cat /proc/sys/net/ipv4/ip_local_port_range | tr "\\t" " "'), '20000 21000');
});

test.serial('a privileged container sees the host’s devices', async (t) => {
  const name = await cluster.readyPod({ containers: [container({ securityContext: { privileged: true } })] });
  t.regex(await cluster.sh(name, 'ls /dev; grep CapEff /proc/self/status'), /kmsg[\s\S]*CapEff:\s+0*[1-9a-f]/);
});
