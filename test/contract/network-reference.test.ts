// The reference plugins executed for real, the newest and Debian's, each in a chain that pods use: what it promises
// is there after ADD, CHECK is content, and DEL leaves nothing.
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { ask, cannotRun, outside, serve, startHost, type Host, type Namespace, type Pod } from './network/host.ts';
import { conflist, installPlugins, pluginDirs } from './network/plugins.ts';

type Plain = Record<string, unknown>;

/** A host with its world, and a pod that was connected. */
interface Scene {
  readonly t: ExecutionContext;
  readonly h: Host;
  readonly world: Namespace;
  readonly pod: Pod;
  readonly ips: readonly string[];
}

interface Case {
  readonly types: readonly string[];
  /** A kind of interface that the kernel must have. */
  readonly kernel?: string;
  readonly plugins: (h: Host) => readonly Plain[];
  readonly annotations?: Readonly<Record<string, string>>;
  /** Keys of the list itself. */
  readonly list?: Plain;
  readonly seen: (scene: Scene) => Promise<void> | void;
  /** What DEL must have taken away. */
  readonly gone?: (scene: Scene) => void;
}

const hostLocal = (h: Host, subnet = '10.62.0.0/24', more: Plain = {}): Plain => ({
  type: 'host-local',
  dataDir: h.dirs.allocations,
  ranges: [[{ subnet }]],
  routes: [{ dst: '0.0.0.0/0' }],
  ...more,
});
const bridge = (h: Host, more: Plain = {}): Plain => ({
  type: 'bridge',
  bridge: 'cniref0',
  isGateway: true,
  ipMasq: true,
  ipam: hostLocal(h),
  ...more,
});
const parented = (type: string): Plain => ({
  type,
  master: 'wire',
  mode: type === 'ipvlan' ? 'l2' : 'bridge',
  ipam: { type: 'static', addresses: [{ address: '203.0.113.77/24' }] },
});
const onTheWire = async ({ t, world, pod, ips }: Scene): Promise<void> => {
  t.deepEqual(ips, ['203.0.113.77']);
  await serve(world, '0.0.0.0', 7000);
  t.is(await ask(pod, '203.0.113.2', 7000), 'hello 203.0.113.77');
};
const rules = (h: Host): string => h.sh('iptables-save');
const ports = (h: Host): string => h.sh('ip -o link show master cniref0').trim();

const cases: Readonly<Record<string, Case>> = {
  ptp: {
    types: ['ptp', 'host-local'],
    plugins: (h) => [{ type: 'ptp', ipMasq: true, mtu: 1380, ipam: hostLocal(h, '10.62.1.0/24') }],
    seen: async ({ t, h, world, pod, ips }) => {
      t.regex(pod.sh('ip link show eth0'), /mtu 1380/);
      await serve(pod, '0.0.0.0', 80);
      t.is(await ask(h, ips[0] ?? '', 80), 'hello 10.62.1.1');
      await serve(world, '0.0.0.0', 7000);
      t.is(await ask(pod, '203.0.113.2', 7000), 'hello 203.0.113.1', 'masqueraded');
    },
    gone: ({ t, h, ips }) => {
      t.notRegex(h.sh('ip route'), new RegExp(ips[0] ?? ''));
      t.notRegex(rules(h), new RegExp(ips[0] ?? ''));
    },
  },
  'macvlan and static addresses': {
    types: ['macvlan', 'static'],
    kernel: 'macvlan',
    plugins: () => [parented('macvlan')],
    seen: onTheWire,
  },
  'ipvlan and static addresses': {
    types: ['ipvlan', 'static'],
    kernel: 'ipvlan',
    plugins: () => [parented('ipvlan')],
    seen: onTheWire,
  },
  "bandwidth, by the kubelet's annotations": {
    types: ['bridge', 'host-local', 'bandwidth'],
    kernel: 'ifb',
    plugins: (h) => [bridge(h), { type: 'bandwidth', capabilities: { bandwidth: true } }],
    annotations: { 'kubernetes.io/ingress-bandwidth': '8M', 'kubernetes.io/egress-bandwidth': '16M' },
    seen: ({ t, h }) => {
      const qdiscs = h.sh('tc qdisc show');
      t.regex(qdiscs, /rate 8Mbit/);
      t.regex(qdiscs, /rate 16Mbit/);
    },
    gone: ({ t, h }) => t.notRegex(h.sh('tc qdisc show'), /Mbit/),
  },
  'tuning: a sysctl, and the hardware address that the pod asks for': {
    types: ['bridge', 'host-local', 'tuning'],
    plugins: (h) => [
      bridge(h),
      { type: 'tuning', capabilities: { mac: true }, sysctl: { 'net.core.somaxconn': '777' } },
    ],
    annotations: { 'podwright.io/mac-address': '0a:58:0a:3e:00:99' },
    seen: ({ t, pod }) => {
      t.is(pod.sh('cat /proc/sys/net/core/somaxconn').trim(), '777');
      t.regex(pod.sh('ip link show eth0'), /0a:58:0a:3e:00:99/);
    },
  },
  'an address that the pod asks for': {
    types: ['bridge', 'host-local'],
    plugins: (h) => [{ ...bridge(h), capabilities: { ips: true } }],
    annotations: { 'podwright.io/ip-addresses': '10.62.0.33' },
    seen: ({ t, ips }) => void t.deepEqual(ips, ['10.62.0.33']),
  },
  'firewall: a pod is let through a FORWARD that drops': {
    types: ['bridge', 'host-local', 'firewall'],
    plugins: (h) => [bridge(h), { type: 'firewall', backend: 'iptables' }],
    seen: async ({ t, h, world, pod, ips }) => {
      h.sh('iptables -P FORWARD DROP');
      t.regex(rules(h), new RegExp(`-A CNI-FORWARD -s ${ips[0]}/32 -j ACCEPT`));
      await serve(world, '0.0.0.0', 7000);
      t.is(await ask(pod, '203.0.113.2', 7000), 'hello 203.0.113.1');
    },
    gone: ({ t, h, ips }) => t.notRegex(rules(h), new RegExp(`${ips[0]}/32`)),
  },
  'sbr: routes by source': {
    types: ['bridge', 'host-local', 'sbr'],
    plugins: (h) => [bridge(h), { type: 'sbr' }],
    list: { disableCheck: true }, // it takes away a route that bridge then misses
    seen: ({ t, pod, ips }) => void t.regex(pod.sh('ip rule'), new RegExp(`from ${ips[0]} lookup`)),
  },
  vrf: {
    types: ['bridge', 'host-local', 'vrf'],
    kernel: 'vrf table 10',
    plugins: (h) => [bridge(h), { type: 'vrf', vrfname: 'blue' }],
    seen: ({ t, pod }) => void t.regex(pod.sh('ip link show eth0'), /master blue/),
  },
  'a third one of a chain, a script that adds a route': {
    types: ['bridge', 'host-local', 'portmap'],
    plugins: (h) => {
      const file = join(h.dirs.bin, 'acme-route');
      writeFileSync(file, thirdParty);
      chmodSync(file, 0o755);
      const capabilities = { portMappings: true, 'io.kubernetes.cri.pod-annotations': true };
      return [bridge(h), { type: 'portmap', capabilities }, { type: 'acme-route', to: '192.0.2.0/24' }];
    },
    seen: ({ t, h, pod, ips }) => {
      t.regex(pod.sh('ip route'), /192\.0\.2\.0\/24 dev eth0/);
      t.regex(readFileSync(join(h.dirs.bin, 'seen'), 'utf8'), new RegExp(ips[0] ?? ''), 'it had the result so far');
    },
    gone: ({ t, h }) => t.is(readFileSync(join(h.dirs.bin, 'deleted'), 'utf8').trim(), 'eth0'),
  },
};

const thirdParty = `#!/bin/sh
input=$(cat)
dir=$(dirname "$0")
# the rest of the input, from the previous result's brace on: what a script without a JSON parser does
previous=$(printf %s "$input" | sed -n 's/.*"prevResult":\\(.*\\)}$/\\1/p')
case $CNI_COMMAND in
  ADD) printf %s "$previous" > "$dir/seen"; nsenter --net="$CNI_NETNS" ip route add 192.0.2.0/24 dev "$CNI_IFNAME" && printf %s "$previous" ;;
  DEL) echo "$CNI_IFNAME" > "$dir/deleted" ;;
  CHECK) nsenter --net="$CNI_NETNS" ip route | grep -q 192.0.2.0/24 || { echo '{"code":100,"msg":"the route is gone"}'; exit 1; } ;;
  VERSION) echo '{"cniVersion":"1.0.0","supportedVersions":["0.4.0","1.0.0","1.1.0"]}' ;;
esac
`;

function kernelHas(kind: string): boolean {
  const make = `ip link add p0 type veth peer name p1 && ip link add link p0 name x0 type ${kind}`;
  try {
    execFileSync('unshare', ['--net', 'sh', '-c', make], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

function whyNot(dir: string, { types, kernel }: Case): string | null {
  if (cannotRun !== null) return cannotRun;
  const missing = types.find((type) => !existsSync(join(dir, type)));
  if (missing !== undefined) return `no ${missing} in ${dir}: run hack/testkit/install.sh cni, or install Debian's`;
  return kernel === undefined || kernelHas(kernel) ? null : `this kernel has no ${kernel.split(' ')[0]}`;
}

for (const [whose, dir] of Object.entries(pluginDirs)) {
  for (const [what, of] of Object.entries(cases)) {
    const why = whyNot(dir, of);
    const real = why === null ? test.serial : test.serial.skip;
    real(`${whose}: ${what}${why === null ? '' : ` (${why})`}`, async (t) => {
      t.timeout(120_000);
      const h = await startHost({ default: 'none', pluginTimeoutMs: 60_000 });
      t.teardown(h.end);
      installPlugins(h, dir, of.types);
      const world = await outside(h);
      t.teardown(world.end);
      // a key that says nothing keeps the configuration with its plugins
      const plugins = of.plugins(h).map((plugin) => ({ ...plugin, note: 'none' }));
      conflist(h, { cniVersions: ['0.4.0', '1.0.0', '1.1.0'], plugins, ...of.list });
      await h.call('start');
      const { ready, message, config } = await h.call('status');
      t.true(ready, message);
      t.is((config as Plain)['driver'], 'plugins');
      const pod = await h.newPod();
      const { ips } = await h.attach(pod, { annotations: of.annotations ?? {} });
      const cached = JSON.parse(readFileSync(join(h.root, 'cache', 'results', `test-${pod.id}-eth0`), 'utf8')) as Plain;
      const { cniVersion } = JSON.parse(Buffer.from(String(cached['config']), 'base64').toString()) as Plain;
      t.true(whose === 'newest' ? cniVersion === '1.1.0' : cniVersion !== '0.4.0', `spoken: ${String(cniVersion)}`);
      const scene = { t, h, world, pod, ips };
      await of.seen(scene);
      await h.call('check', pod.id);
      await h.call('collect', [pod.id]);
      await h.call('detach', pod.id, pod.netns);
      await h.call('detach', pod.id, pod.netns);
      of.gone?.(scene);
      if (of.types.includes('bridge')) t.is(ports(h), '', 'no port is left');
      const held = existsSync(h.dirs.allocations) ? readdirSync(h.dirs.allocations, { recursive: true }) : [];
      t.deepEqual(
        held.map(String).filter((name) => /\/10\./.test(name)),
        [],
      );
      t.deepEqual(readdirSync(join(h.root, 'cache', 'results')), []);
      t.is(await h.call('owedReleases'), 0);
    });
  }
}
