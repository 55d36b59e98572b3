import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { ask, askOnce, cannotRun, outside, serve, serveUdp, startHost, textOf, type Host } from './network/host.ts';

const real = cannotRun === null ? test : test.skip;
const title = (what: string): string => (cannotRun === null ? what : `${what} (${cannotRun})`);

/** A host port for each of several pods: two pods cannot have the same. */
const hostPort = (at: number) =>
  ({ portMappings: [{ protocol: 'tcp', containerPort: 80, hostPort: 8080 + at, hostIp: '' }] }) as const;

async function host(t: ExecutionContext, config: Parameters<typeof startHost>[0] = {}): Promise<Host> {
  const made = await startHost(config);
  t.teardown(made.end);
  await made.call('start');
  return made;
}

real(title('pods reach their gateway, each other and, masqueraded, the world'), async (t) => {
  const h = await host(t);
  h.sh('iptables -P FORWARD DROP; iptables -A FORWARD -j REJECT');
  const world = await outside(h);
  t.teardown(world.end);
  const [one, two] = [await h.newPod(), await h.newPod()];
  const first = await h.attach(one);
  const second = await h.attach(two);
  t.deepEqual(first, { ips: ['10.213.7.2'], interface: 'eth0', hostInterface: `pw${one.id.slice(0, 13)}` });
  t.deepEqual(second.ips, ['10.213.7.3']);

  await serve(h, '10.213.7.1', 7001);
  await serve(two, '0.0.0.0', 7002);
  await serve(world, '0.0.0.0', 7003);
  await serve(one, '127.0.0.1', 7004);
  t.is(await ask(one, '10.213.7.1', 7001), 'hello 10.213.7.2');
  t.is(await ask(one, '10.213.7.3', 7002), 'hello 10.213.7.2');
  t.is(await ask(h, '10.213.7.3', 7002), 'hello 10.213.7.1');
  t.is(await ask(one, '203.0.113.2', 7003), 'hello 203.0.113.1');
  t.is(await ask(one, '127.0.0.1', 7004), 'hello 127.0.0.1', 'loopback is up');

  const [stats] = await h.call('interfaceStats', one.id);
  t.is(stats?.name, 'eth0');
  t.true((stats?.rxBytes ?? 0) > 0 && (stats?.txPackets ?? 0) > 0);
  t.deepEqual(await h.call('status').then(({ ready, reason }) => ({ ready, reason })), { ready: true, reason: '' });
});

real(title('host ports lead to the pod from everywhere they should'), async (t) => {
  const h = await host(t);
  const world = await outside(h);
  t.teardown(world.end);
  const [pod, other] = [await h.newPod(), await h.newPod()];
  const mapping = { containerPort: 80, hostIp: '' };
  await h.attach(other);
  await h.attach(pod, {
    portMappings: [
      { ...mapping, protocol: 'tcp', hostPort: 8080 },
      { ...mapping, protocol: 'tcp', hostPort: 8081, hostIp: '127.0.0.1' },
      { ...mapping, protocol: 'tcp', hostPort: 8082, hostIp: '203.0.113.1' },
      { ...mapping, protocol: 'sctp', hostPort: 8083 },
      { ...mapping, protocol: 'tcp', hostPort: 0 },
    ],
  });
  await serve(pod, '0.0.0.0', 80);
  t.is(await ask(h, '127.0.0.1', 8080), 'hello 10.213.7.1', 'localhost');
  t.is(await ask(h, '203.0.113.1', 8080), 'hello 203.0.113.1', 'the host by its own address');
  t.is(await ask(world, '203.0.113.1', 8080), 'hello 203.0.113.2', 'the world, with its own address');
  t.is(await ask(other, '203.0.113.1', 8080), 'hello 10.213.7.1', 'another pod');
  t.is(await ask(other, '10.213.7.1', 8080), 'hello 10.213.7.1', 'another pod by the gateway');
  t.is(await ask(pod, '203.0.113.1', 8080), 'hello 10.213.7.1', 'hairpin');
  t.is(await ask(h, '127.0.0.1', 8081), 'hello 10.213.7.1');
  t.is(await askOnce(world, '203.0.113.1', 8081), '', 'published on 127.0.0.1 only');
  t.is(await ask(world, '203.0.113.1', 8082), 'hello 203.0.113.2');
  t.is(await askOnce(h, '127.0.0.1', 8082), '', 'published on 203.0.113.1 only');
  t.regex(h.sh('iptables-save -t nat'), /-p sctp .*--dport 8083 .*podwright:/);

  await h.call('detach', pod.id, pod.netns);
  t.is(await askOnce(h, '127.0.0.1', 8080), '');
  t.notRegex(h.sh('iptables-save'), new RegExp(pod.id));
});

real(title("a pod cannot reach what listens on the host's 127.0.0.1"), async (t) => {
  const h = await host(t);
  const pod = await h.newPod();
  // the first host port opens the bridge to 127.0.0.0/8 (route_localnet): CVE-2020-8558
  await h.attach(pod, { portMappings: [{ protocol: 'tcp', containerPort: 80, hostPort: 8080, hostIp: '' }] });
  await serve(h, '127.0.0.1', 9000);
  await serve(h, '10.213.7.1', 9001);
  pod.sh('echo 1 > /proc/sys/net/ipv4/conf/eth0/route_localnet; ip addr del 127.0.0.1/8 dev lo');
  pod.sh('ip route add 127.0.0.0/8 via 10.213.7.1 src 10.213.7.2');
  t.is(await ask(pod, '10.213.7.1', 9001), 'hello 10.213.7.2', 'the way is open');
  t.is(await askOnce(pod, '127.0.0.1', 9000), '');
});

real(title('a UDP client that never stops is led to the new pod'), async (t) => {
  const h = await host(t);
  const world = await outside(h);
  t.teardown(world.end);
  // a client that keeps its port, talking to a port that nobody serves yet
  const client = `const s = require('node:dgram').createSocket('udp4'); 
    s.on('message', (m) => { console.log(String(m).trim()); process.exit(); }); s.on('error', () => {});
    s.bind(5555, () => setInterval(() => s.send('hi', 8053, '203.0.113.1'), 20));
    setTimeout(() => { console.log('nothing'); process.exit(); }, +process.argv[1])`;
  const listen = (ms: number): Promise<string> =>
    new Promise((done) => {
      const run = `${process.execPath} -e "${client}" ${ms}`;
      setImmediate(() => done(world.sh(run).trim()));
    });
  t.is(await listen(300), 'nothing');
  const portMappings = [{ protocol: 'udp', containerPort: 53, hostPort: 8053, hostIp: '' }] as const;
  for (const round of ['first', 'second']) {
    const pod = await h.newPod();
    await h.attach(pod, { portMappings });
    await serveUdp(pod, '0.0.0.0', 53);
    t.is(await listen(20_000), 'hello 203.0.113.2', round);
    await h.call('detach', pod.id, null);
  }
});

real(title('detach leaves nothing, is idempotent, and works without netns and after a restart'), async (t) => {
  const h = await host(t);
  const empty = h.residue().length;
  const pods = [await h.newPod(), await h.newPod(), await h.newPod()];
  for (const [at, pod] of pods.entries()) await h.attach(pod, hostPort(at));
  const [one, two, three] = pods as [(typeof pods)[0], (typeof pods)[0], (typeof pods)[0]];
  await h.call('detach', one.id, one.netns);
  await h.call('detach', one.id, one.netns);
  two.end();
  await h.call('detach', two.id, null);
  await h.restart();
  t.deepEqual(
    (await h.call('attachments')).map(({ sandboxId, ips }) => ({ sandboxId, ips })),
    [{ sandboxId: three.id, ips: ['10.213.7.4'] }],
  );
  t.true((await h.call('interfaceStats', three.id)).length === 1);
  await h.call('detach', three.id, three.netns);
  t.is(h.residue().length, empty, h.residue().join('\n'));
  await h.call('shutdown', { removeAll: true });
  t.deepEqual(h.residue(), []);
  await h.call('detach', 'f'.repeat(64), null);
  t.is(await h.call('owedReleases'), 0);
});

real(title('what dead sandboxes have is collected, by id; the living keep theirs'), async (t) => {
  const h = await host(t);
  const [lost, forgotten, alive] = [await h.newPod(), await h.newPod(), await h.newPod()];
  for (const [at, pod] of [lost, forgotten, alive].entries()) await h.attach(pod, hostPort(at));
  // one with its record, one whose directory is gone: only names and marks on the host tell
  h.sh(`rm -r ${join(h.root, 'sandboxes', forgotten.id)}`);
  h.sh('iptables -t nat -F POSTROUTING; iptables -F FORWARD');
  await h.restart();
  await h.call('collect', [alive.id]);
  const left = h.residue().join('\n');
  for (const pod of [lost, forgotten]) {
    t.notRegex(left, new RegExp(pod.id));
    t.notRegex(left, new RegExp(`pw${pod.id.slice(0, 13)}`));
  }
  t.regex(left, new RegExp(`podwright:${alive.id}`));
  t.regex(left, new RegExp(`-A POSTROUTING -j PW-${h.bridge}-POSTROUTING`), 'flushed jumps are back');
  t.deepEqual(
    readdirSync(join(h.dirs.allocations, h.bridge)).filter((name) => name.startsWith('10.')),
    ['10.213.7.4'],
  );
});

real(title('attach again answers the same and repairs; a removed bridge comes back'), async (t) => {
  const h = await host(t);
  const pod = await h.newPod();
  const first = await h.attach(pod);
  pod.sh('ip route del default');
  t.deepEqual(await h.attach(pod), first);
  t.regex(pod.sh('ip route'), /default via 10\.213\.7\.1/);
  h.sh(`ip link del ${h.bridge}`);
  const next = await h.newPod();
  await h.attach(next);
  await serve(next, '0.0.0.0', 80);
  t.is(await ask(h, '10.213.7.3', 80), 'hello 10.213.7.1');
});

real(title('ten at once get ten addresses, an exhausted subnet says so'), async (t) => {
  const h = await host(t, { subnet: '10.213.9.0/28' });
  const pods = await Promise.all(Array.from({ length: 13 }, () => h.newPod()));
  const start = performance.now();
  const all = await Promise.all(pods.slice(0, 10).map((pod) => h.attach(pod)));
  t.log(`ten attaches at once: ${(performance.now() - start).toFixed(1)} ms`);
  t.is(new Set(all.flatMap(({ ips }) => ips)).size, 10);
  for (const pod of pods.slice(10)) await h.attach(pod);
  const late = await h.newPod();
  await t.throwsAsync(h.attach(late), { message: /^resource-exhausted: .*10\.213\.9\.0\/28/ });
  await h.call('detach', late.id, null);
  await h.call('detach', pods[4]?.id ?? '', null);
  t.is((await h.attach(late)).ips.length, 1);
});

real(title('a configuration dropped in is taken without a restart; before that the node is not ready'), async (t) => {
  const h = await host(t, { default: 'none' });
  const before = await h.call('status');
  t.false(before.ready);
  t.is(before.reason, 'NetworkPluginNotReady');
  const pod = await h.newPod();
  await t.throwsAsync(h.attach(pod), { message: /^failed-precondition: .*no CNI configuration/ });
  const conflist = {
    cniVersion: '1.0.0',
    name: 'two',
    plugins: [
      {
        type: 'bridge',
        bridge: 'cnitest0',
        isGateway: true,
        ipMasq: true,
        hairpinMode: true,
        ipam: {
          type: 'host-local',
          dataDir: h.dirs.allocations,
          ranges: [[{ subnet: '10.213.8.0/24' }], [{ subnet: 'fd00:213:8::/64' }]],
          routes: [{ dst: '0.0.0.0/0' }, { dst: '::/0' }],
        },
      },
      { type: 'portmap', capabilities: { portMappings: true } },
    ],
  };
  writeFileSync(join(h.dirs.conf, '10-two.conflist'), JSON.stringify(conflist));
  const after = await h.call('status');
  t.true(after.ready, after.message);
  t.like(after.config, { driver: 'bridge', bridge: 'cnitest0', name: 'two' });
  const portMappings = [{ protocol: 'tcp', containerPort: 80, hostPort: 8080, hostIp: '' }] as const;
  t.deepEqual((await h.attach(pod, { portMappings })).ips, ['10.213.8.2', 'fd00:213:8::2']);
  t.is(textOf(h, 'networks', 'two', '10.213.8.2'), `${pod.id}\r\neth0`);
  t.is(textOf(h, 'networks', 'two', 'last_reserved_ip.1'), 'fd00:213:8::2');
  await serve(pod, '::', 80);
  t.is(await ask(h, 'fd00:213:8::2', 80), 'hello fd00:213:8::1');
  t.is(await ask(h, '127.0.0.1', 8080), 'hello ::ffff:10.213.8.1');
  t.regex(h.sh('ip6tables-save -t nat'), /fd00:213:8::\/64 -j MASQUERADE/);
  await h.call('detach', pod.id, pod.netns);
  await h.call('shutdown', { removeAll: true });
  t.deepEqual(h.residue(), []);
});

real(title('forty pods one after the other leave what one leaves'), async (t) => {
  const h = await host(t, { subnet: '10.213.0.0/16' });
  const first = await h.newPod();
  await h.attach(first);
  await h.call('detach', first.id, first.netns);
  first.end();
  const before = h.residue().length;
  const [attach, detach]: [number[], number[]] = [[], []];
  for (let round = 0; round < 40; round += 1) {
    const pod = await h.newPod();
    await h.attach(pod);
    attach.push(h.lastMs());
    await h.call('detach', pod.id, pod.netns);
    detach.push(h.lastMs());
    pod.end();
  }
  const middle = (times: number[]): string => {
    const sorted = times.toSorted((a, b) => a - b);
    return `min ${sorted[0]?.toFixed(2)}, median ${sorted[20]?.toFixed(2)} ms`;
  };
  t.log(`attach ${middle(attach)}; detach ${middle(detach)}`);
  t.is(h.residue().length, before, h.residue().join('\n'));
});
