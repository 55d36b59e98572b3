// The network of pods on our own bridge: addresses, pod to pod, out through NAT, host ports, names.
import { createSocket } from 'node:dgram';
import { existsSync, readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import test from 'ava';
import { endsWithoutResidue, freePort, useDaemon } from '../helpers/daemon.ts';
import { ask, makeOutside, type Outside } from '../helpers/outside.ts';
import { fails, podConfig, podIp, pull, runPod, scripted, shell, start, type Pod } from '../helpers/pods.ts';
import { until } from '../helpers/until.ts';

const daemon = useDaemon(test);
let world: Outside;
let pod: Pod;
let ip: string;
let id: string;

/** Serves: TCP 8080 tells who asks, UDP 5353 the same. */
const server =
  'udpsvd 0.0.0.0 5353 sh -c "echo \\$UDPREMOTEADDR" & exec tcpsvd 0.0.0.0 8080 sh -c "echo \\$TCPREMOTEADDR"';

/** The answer to a datagram: another one is sent when none comes in time. */
const answered = (send: () => Promise<string>): Promise<string> =>
  until('a datagram is answered', async () => (await send()) || null);

const withoutPort = (address: string): string => address.replace(/:\d+$/, '');

test.before('a pod that serves, and a world outside', async () => {
  await pull(daemon);
  world = await makeOutside();
  pod = await runPod(daemon);
  ip = await podIp(daemon, pod);
  id = await start(daemon, pod, scripted(server));
  await until('it serves', () => ask(ip, 8080).catch(() => null));
});

test.after.always('the world outside ends', () => world?.end());

test.serial('a pod has an address of the subnet and is reached from the host', async (t) => {
  t.true(ip.startsWith(daemon.gateway.replace(/\d+$/, '')), ip);
  t.is(withoutPort(await ask(ip, 8080)), daemon.gateway);
});

test.serial('inside are loopback and one interface with that address, and the default route', async (t) => {
  t.regex(await shell(daemon, id, 'ip -4 addr show lo'), /state UNKNOWN|<.*UP.*>[\s\S]*127\.0\.0\.1\/8/);
  t.true((await shell(daemon, id, 'ip -4 addr show eth0')).includes(`${ip}/24`));
  t.regex(
    await shell(daemon, id, 'ip route'),
    new RegExp(`default via ${daemon.gateway.replaceAll('.', '\\.')} dev eth0`),
  );
  // the kernel may put tunnel devices into every new network namespace (net.core.fb_tunnels_only_for_init_net)
  const devices = await shell(daemon, id, 'ls /sys/class/net | tr "\\n" " "');
  t.is(devices.replace(/ (sit0|tunl0|gre0|gretap0|erspan0|ip6tnl0|ip6gre0|ip_vti0|ip6_vti0)\b/g, ''), 'eth0 lo');
});

test.serial('pods reach each other by address, with their own', async (t) => {
  const other = await runPod(daemon);
  const client = await start(daemon, other, scripted('sleep 3600'));
  t.is(withoutPort(await shell(daemon, client, `nc -w 20 ${ip} 8080 < /dev/null`)), await podIp(daemon, other));
  t.is(await shell(daemon, client, `ping -c 1 -W 20 ${ip} > /dev/null && echo pong`), 'pong');
  await daemon.removePod(other.id);
});

test.serial("the world outside sees the host's address: traffic that leaves is masqueraded", async (t) => {
  await world.serve('tcp', 9000);
  await world.serve('udp', 9001);
  t.is(withoutPort(await shell(daemon, id, `nc -w 20 ${world.ip} 9000 < /dev/null`)), world.hostIp);
  t.is(withoutPort(await answered(() => shell(daemon, id, `echo hi | nc -u -w 2 ${world.ip} 9001`))), world.hostIp);
  t.regex(await shell(daemon, id, `ping -c 1 -W 20 ${world.ip}`), / 0% packet loss/);
});

test.serial(
  'host ports of TCP and UDP lead to the pod, from outside and from localhost, and end with it',
  async (t) => {
    const [tcp, udp, local] = [await freePort(), await freePort(), await freePort()];
    const wish = {
      port_mappings: [
        { protocol: 'TCP', container_port: 8080, host_port: tcp },
        { protocol: 'UDP', container_port: 5353, host_port: udp },
        { protocol: 'TCP', container_port: 8080, host_port: local, host_ip: '127.0.0.1' },
        { protocol: 'TCP', container_port: 8080, host_port: 0 },
      ],
    } as const;
    const other = await runPod(daemon, wish as never);
    await start(daemon, other, scripted(server));
    const address = await podIp(daemon, other);
    await until('it serves', () => ask(address, 8080).catch(() => null));
    const outsideIn = (port: number): Promise<string> => world.sh(`$B nc -w 15 ${world.hostIp} ${port} < /dev/null`);
    t.is(withoutPort(await outsideIn(tcp)), world.ip, 'the source is kept');
    t.truthy(await ask('127.0.0.1', tcp));
    t.truthy(await ask(world.hostIp, tcp));
    t.truthy(await ask('127.0.0.1', local));
    await t.throwsAsync(outsideIn(local));
    t.truthy(await shell(daemon, id, `nc -w 20 ${daemon.gateway} ${tcp} < /dev/null`), 'from another pod');
    t.truthy(await askUdp(world.hostIp, udp));
    t.is(withoutPort(await answered(() => world.sh(`echo hi | $B nc -u -w 2 ${world.hostIp} ${udp}`))), world.ip);
    await daemon.runtime.StopPodSandbox({ pod_sandbox_id: other.id });
    await t.throwsAsync(ask('127.0.0.1', tcp));
    await daemon.runtime.RemovePodSandbox({ pod_sandbox_id: other.id });
  },
);

test.serial('a host port that another pod has is refused with its name, and free once that has stopped', async (t) => {
  const port = await freePort();
  const wish = (host_ip: string, protocol: 'TCP' | 'UDP' = 'TCP') => ({
    port_mappings: [{ protocol, container_port: 8080, host_port: port, host_ip }],
  });
  const first = await runPod(daemon, wish('127.0.0.1'));
  for (const host_ip of ['127.0.0.1', '0.0.0.0', '']) {
    await fails(t, daemon.runtime.RunPodSandbox({ config: podConfig(daemon, wish(host_ip)) }), {
      code: 'FAILED_PRECONDITION',
      message: new RegExp(`host port ${port}/tcp is taken by pod test/${first.config.metadata?.name} .*${first.id}`),
    });
  }
  const beside = [await runPod(daemon, wish('127.0.0.2')), await runPod(daemon, wish('127.0.0.1', 'UDP'))];
  await daemon.crash();
  await fails(t, daemon.runtime.RunPodSandbox({ config: podConfig(daemon, wish('127.0.0.1')) }), {
    code: 'FAILED_PRECONDITION',
    message: /is taken by pod/,
  });
  await daemon.runtime.StopPodSandbox({ pod_sandbox_id: first.id });
  const second = await runPod(daemon, wish('127.0.0.1'));
  for (const pod of [first, second, ...beside]) await daemon.removePod(pod.id);
});

/** Sends datagrams until one is answered. */
async function askUdp(host: string, port: number): Promise<string> {
  const socket = createSocket('udp4');
  let answer: string | null = null;
  socket.on('message', (text) => (answer = text.toString()));
  try {
    return await until('a datagram is answered', () => {
      if (answer === null) socket.send('hi', port, host);
      return answer;
    });
  } finally {
    socket.close();
  }
}

test.serial("a pod's address is free again after its stop, and given to nobody before", async (t) => {
  const seen = new Set<string>();
  for (let n = 0; n < 5; n += 1) {
    const other = await runPod(daemon);
    seen.add(await podIp(daemon, other));
    await daemon.removePod(other.id);
  }
  t.false(seen.has(ip));
  t.is(seen.size, 5, 'the next free after the last given, as host-local does');
});

test.serial('resolv.conf is what dns_config says, hosts and hostname name the pod', async (t) => {
  const other = await runPod(daemon, {
    hostname: 'named',
    dns_config: { servers: ['10.96.0.10', '1.1.1.1'], searches: ['a.svc', 'b.svc'], options: ['ndots:5', 'timeout:2'] },
  });
  const inside = await start(daemon, other, scripted('sleep 3600'));
  const expected = 'search a.svc b.svc\nnameserver 10.96.0.10\nnameserver 1.1.1.1\noptions ndots:5 timeout:2';
  t.is(await shell(daemon, inside, 'cat /etc/resolv.conf'), expected);
  t.is(await shell(daemon, inside, 'hostname; cat /etc/hostname; echo $HOSTNAME'), 'named\nnamed\nnamed');
  const hosts = await shell(daemon, inside, 'cat /etc/hosts');
  t.regex(hosts, /^127\.0\.0\.1\s+localhost/m);
  t.regex(hosts, new RegExp(`^${(await podIp(daemon, other)).replaceAll('.', '\\.')}\\s+named$`, 'm'));
  await daemon.removePod(other.id);
  t.is(
    await shell(daemon, id, 'cat /etc/resolv.conf'),
    readFileSync('/etc/resolv.conf', 'utf8').trim(),
    "without one, the host's",
  );
});

test.serial("a pod of the host's network has the host's interfaces and name, and no address of its own", async (t) => {
  const host = { linux: { security_context: { namespace_options: { network: 'NODE' } } } } as const;
  const other = await runPod(daemon, { ...host, hostname: '' });
  const inside = await start(daemon, other, scripted('sleep 3600', host));
  t.is(await shell(daemon, inside, 'hostname'), hostname());
  t.true((await shell(daemon, inside, 'ls /sys/class/net')).split('\n').includes(daemon.bridge));
  const { status } = await daemon.runtime.PodSandboxStatus({ pod_sandbox_id: other.id });
  t.is(status?.network?.ip ?? '', '');
  t.is(status?.linux?.namespaces?.options?.network, 'NODE');
  t.is(withoutPort(await shell(daemon, inside, `nc -w 20 ${ip} 8080 < /dev/null`)), daemon.gateway);
  await daemon.removePod(other.id);
});

test.serial("sysctls of the pod's network are set in it alone", async (t) => {
  const name = 'net.ipv4.ip_local_port_range';
  const file = `/proc/sys/${name.replaceAll('.', '/')}`;
  const before = readFileSync(file, 'utf8');
  const other = await runPod(daemon, {
    linux: { sysctls: { [name]: '40000 40100', 'net/ipv4/ip_unprivileged_port_start': '81' } },
  });
  const inside = await start(daemon, other, scripted('sleep 3600'));
  t.is(await shell(daemon, inside, `cat ${file} /proc/sys/net/ipv4/ip_unprivileged_port_start`), '40000\t40100\n81');
  t.is(readFileSync(file, 'utf8'), before);
  await daemon.removePod(other.id);
  const node = { security_context: { namespace_options: { network: 'NODE' } }, sysctls: { [name]: '1 2' } } as const;
  await fails(t, daemon.runtime.RunPodSandbox({ config: podConfig(daemon, { linux: node }) }), {
    code: 'INVALID_ARGUMENT',
    message: /sysctls/,
  });
});

test.serial('one pod costs the host one mount and one interface', async (t) => {
  const mounts = (): string[] =>
    readFileSync('/proc/self/mountinfo', 'utf8')
      .split('\n')
      .map((line) => line.split(' ')[4] ?? '')
      .filter((point) => point.startsWith(`${daemon.dir}/`));
  const before = new Set(mounts());
  const added = (): string[] => mounts().filter((point) => !before.has(point));
  const other = await runPod(daemon);
  await start(daemon, other, scripted('sleep 3600'));
  t.true(added().length <= 1, 'ruling 3: the pin of its network namespace');
  t.true(existsSync(`/sys/class/net/pw${other.id.slice(0, 13)}`));
  await daemon.removePod(other.id);
  t.deepEqual(added(), []);
});

endsWithoutResidue(test, daemon);
