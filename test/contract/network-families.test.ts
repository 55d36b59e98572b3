// Both families, and both makers of rules: dual stack natively, and a host whose rules are one table of nftables.
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import {
  ask,
  askOnce,
  askUdp,
  cannotRun,
  outside,
  serve,
  serveUdp,
  startHost,
  type Host,
  type Namespace,
} from './network/host.ts';

const real = cannotRun === null ? test : test.skip;
const title = (what: string): string => (cannotRun === null ? what : `${what} (${cannotRun})`);
const noNft = ((): string | null => {
  if (cannotRun !== null) return cannotRun;
  try {
    // what our rules need most of a kernel
    const chain = 'chain x { type nat hook prerouting priority -95; fib daddr type local accept; };';
    execFileSync('unshare', ['--net', 'nft', `table inet x { ${chain} }`], { stdio: 'ignore' });
    return null;
  } catch {
    return 'no nft, or a kernel without nf_tables, its nat chains or its fib';
  }
})();

const world6 = '2001:db8:113::2';
const host6 = '2001:db8:113::1';

/** A host with a dual-stack network, and a world of both families. */
async function dual(t: ExecutionContext, config: Parameters<typeof startHost>[0] = {}): Promise<[Host, Namespace]> {
  const h = await startHost({ default: 'none', ...config });
  t.teardown(h.end);
  const world = await outside(h);
  t.teardown(world.end);
  h.sh(`ip -6 addr add ${host6}/64 dev wire nodad; ip -6 route add default via ${world6}`);
  world.sh(`ip -6 addr add ${world6}/64 dev wire nodad`);
  const ipam = {
    type: 'host-local',
    dataDir: h.dirs.allocations,
    ranges: [[{ subnet: '10.63.0.0/24' }], [{ subnet: 'fd00:63::/64' }]],
  };
  const bridge = { type: 'bridge', bridge: 'cnidual0', isDefaultGateway: true, ipMasq: true, hairpinMode: true, ipam };
  const plugins = [bridge, { type: 'portmap', capabilities: { portMappings: true } }];
  writeFileSync(join(h.dirs.conf, '10.conflist'), JSON.stringify({ cniVersion: '1.0.0', name: 'dual', plugins }));
  await h.call('start');
  t.like((await h.call('status')).config, { driver: 'bridge' });
  return [h, world];
}

const port = (hostPort: number, hostIp = '', protocol: 'tcp' | 'udp' = 'tcp') => ({
  protocol,
  containerPort: protocol === 'udp' ? 53 : 80,
  hostPort,
  hostIp,
});

for (const rules of ['iptables', 'nftables'] as const) {
  const why = rules === 'nftables' ? noNft : cannotRun;
  (why === null ? test : test.skip)(`both families by ${rules}${why === null ? '' : ` (${why})`}`, async (t) => {
    t.timeout(120_000);
    const [h, world] = await dual(t, { rules });
    const [pod, other] = [await h.newPod(), await h.newPod()];
    await h.attach(other);
    const ports = [
      port(8080),
      port(8081, '127.0.0.1'),
      port(8082, '203.0.113.1'),
      port(8083, host6),
      port(8084, '0.0.0.0'),
      port(8053, '', 'udp'),
    ];
    const { ips } = await h.attach(pod, { portMappings: ports });
    t.deepEqual(ips, ['10.63.0.3', 'fd00:63::3']);
    t.is(pod.sh('ip -6 addr show dev eth0 tentative'), '', 'no address waits for duplicate address detection');
    await serve(pod, '::', 80);
    await serveUdp(pod, '0.0.0.0', 53);
    await serve(world, '::', 7000);
    await serve(h, '127.0.0.1', 9000);
    const seen = async (from: Namespace, address: string, at: number): Promise<string> =>
      (await ask(from, address, at)).replace('::ffff:', '');
    t.is(await seen(pod, '203.0.113.2', 7000), 'hello 203.0.113.1', 'masqueraded');
    t.is(await seen(pod, world6, 7000), `hello ${host6}`);
    t.is(await seen(other, '10.63.0.3', 80), 'hello 10.63.0.2', 'not within the subnet');
    t.is(await seen(other, 'fd00:63::3', 80), 'hello fd00:63::2');
    t.is(await seen(h, '127.0.0.1', 8080), 'hello 10.63.0.1');
    t.is(await seen(h, '203.0.113.1', 8080), 'hello 203.0.113.1');
    t.is(await seen(world, '203.0.113.1', 8080), 'hello 203.0.113.2');
    t.is(await seen(world, host6, 8080), `hello ${world6}`);
    t.is(await seen(h, host6, 8080), `hello ${host6}`);
    t.is(await seen(pod, '203.0.113.1', 8080), 'hello 10.63.0.1', 'hairpin');
    t.is(await seen(pod, host6, 8080), 'hello fd00:63::1', 'hairpin');
    t.is(await seen(other, '203.0.113.1', 8080), 'hello 10.63.0.1');
    t.is(await seen(other, host6, 8080), 'hello fd00:63::1');
    t.is(await seen(h, '127.0.0.1', 8081), 'hello 10.63.0.1');
    t.is(await askOnce(world, '203.0.113.1', 8081), '', 'published on 127.0.0.1 only');
    t.is(await seen(world, '203.0.113.1', 8082), 'hello 203.0.113.2');
    t.is(await askOnce(h, '127.0.0.1', 8082), '');
    t.is(await seen(world, host6, 8083), `hello ${world6}`);
    t.is(await askOnce(world, '203.0.113.1', 8083), '', 'an IPv6 address is of IPv6');
    t.is(await seen(world, '203.0.113.1', 8084), 'hello 203.0.113.2');
    t.is(await askOnce(world, host6, 8084), '', '0.0.0.0 is of IPv4');
    t.is(await askUdp(world, '203.0.113.1', 8053), 'hello 203.0.113.2');
    // CVE-2020-8558: the bridge is open to 127.0.0.0/8, and shut again
    other.sh('echo 1 > /proc/sys/net/ipv4/conf/eth0/route_localnet; ip addr del 127.0.0.1/8 dev lo');
    other.sh('ip route add 127.0.0.0/8 via 10.63.0.1 src 10.63.0.2');
    t.is(await askOnce(other, '127.0.0.1', 9000), '');

    await h.restart();
    await h.call('collect', [pod.id, other.id]);
    t.is(await seen(world, '203.0.113.1', 8080), 'hello 203.0.113.2', 'a repair keeps what pods have');
    h.sh(`rm -r ${join(h.root, 'sandboxes', pod.id)}`);
    await h.restart();
    await h.call('collect', [other.id]);
    t.is(await askOnce(world, host6, 8080), '', 'what nobody has is collected');
    const all = (): string => h.sh('nft list ruleset 2>/dev/null; iptables-save; ip6tables-save');
    t.notRegex(all(), new RegExp(pod.id));
    t.is(/table inet PW-cnidual0/.test(all()), rules === 'nftables');
    await h.call('detach', other.id, other.netns);
    await h.call('shutdown', { removeAll: true });
    t.notRegex(all(), /PW-/);
  });
}

real(title('a UDP client over IPv6 that never stops is led to the new pod'), async (t) => {
  t.timeout(120_000);
  const [h, world] = await dual(t);
  // a client that keeps its port, talking to a port that nobody serves yet
  const client = `const s = require('node:dgram').createSocket('udp6');
    s.on('message', (m) => { console.log(String(m).trim()); process.exit(); }); s.on('error', () => {});
    s.bind(5555, () => setInterval(() => s.send('hi', 8053, '${host6}'), 20));
    setTimeout(() => { console.log('nothing'); process.exit(); }, +process.argv[1])`;
  const listen = (ms: number): string => world.sh(`${process.execPath} -e "${client}" ${ms}`).trim();
  t.is(listen(300), 'nothing');
  for (const round of ['first', 'second']) {
    const pod = await h.newPod();
    await h.attach(pod, { portMappings: [port(8053, '', 'udp')] });
    await serveUdp(pod, '::', 53);
    t.is(listen(18_000), `hello ${world6}`, round);
    await h.call('detach', pod.id, null);
  }
});

real(title('a pod that says it is a router does not become the one of the host'), async (t) => {
  const [h] = await dual(t);
  const pod = await h.newPod();
  await h.attach(pod);
  t.is(h.sh('cat /proc/sys/net/ipv6/conf/cnidual0/accept_ra').trim(), '0');
});
