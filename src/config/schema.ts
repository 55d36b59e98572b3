// PURE
// The only source of every setting: key, kind, default, doc line, whether it can change while running.
import { podMetricGroups } from './pod-metrics.ts';
import { choice, duration, flag, integer, list, path, size, text, ulimit, type Kind, type Ulimit } from './kinds.ts';
import { kubernetesSettings } from './kubernetes-settings.ts';
import { ownSettings } from './own-settings.ts';
import { runtimeHandlers } from './runtimes.ts';
import { type Setting, setting } from './setting.ts';

export type { Setting } from './setting.ts';

const address = text(/^$|^(\[[0-9a-f:]+\]|[^:\s]+):\d{1,5}$/i, '"host:port", "[v6 address]:port" or ""');
const requiredAddress = text(/^(\[[0-9a-f:]+\]|[^:\s]+):\d{1,5}$/i, '"host:port" or "[v6 address]:port"');
const subnet = text(/^(\d{1,3}\.){3}\d{1,3}\/([89]|1\d|2\d)$/, 'an IPv4 network such as "10.224.0.0/16"');
const interfaceName = text(/^[a-zA-Z0-9_.-]{1,15}$/, 'an interface name of at most 15 characters');
const sysctl = text(
  /^(net\.|kernel\.(shm|msg|sem)|fs\.mqueue\.)[\w./-]*=.+$/,
  'a parameter of the network or ipc namespace such as "net.ipv4.ping_group_range=0 65535"',
);
const capability = text(/^CAP_[A-Z_]+$/, 'a capability such as "CAP_CHOWN"');

const defaultCapabilities = [
  'CAP_CHOWN',
  'CAP_DAC_OVERRIDE',
  'CAP_FOWNER',
  'CAP_FSETID',
  'CAP_KILL',
  'CAP_MKNOD',
  'CAP_NET_BIND_SERVICE',
  'CAP_NET_RAW',
  'CAP_SETFCAP',
  'CAP_SETGID',
  'CAP_SETPCAP',
  'CAP_SETUID',
  'CAP_SYS_CHROOT',
  'CAP_AUDIT_WRITE',
] as const;

const defaultUlimits: readonly Ulimit[] = [{ name: 'nofile', soft: 1024, hard: 524_288 }];

/**
 * Sections of settings; the keys of `node` are written at the head of the file, without a section.
 * TOML names are these in snake case; the unit at the end of a duration's name is left out.
 */
export const schema = {
  node: {
    root: setting(path(), '/var/lib/podwright', {
      doc: 'Directory of what must survive a reboot: images, layers, records.',
      flag: 'root',
    }),
    state: setting(path(), '/run/podwright', { doc: 'Directory of what describes running processes.', flag: 'state' }),
    socket: setting(path(true), '', {
      doc: 'Unix socket on which the CRI is served.',
      flag: 'socket',
      derived: '`podwright.sock` in `state`',
    }),
    addon: setting(path(true), '', {
      doc: 'The native addon.',
      flag: 'addon',
      derived: '`addon.node` beside the program',
    }),
    monitor: setting(path(true), '', {
      doc: 'The program that watches over one pod.',
      flag: 'monitor',
      derived: '`podwright-monitor` beside the program',
    }),
    worker: setting(path(true), '', {
      doc: 'The program that pulls and frees in a process of its own, where `own.work_*` limits it.',
      flag: 'worker',
      derived: '`podwright-work.js` beside the program',
    }),
    runtimes: setting(
      runtimeHandlers,
      {},
      {
        doc: "Runtime handlers beside our own, each a table `[runtimes.<name>]` after all other keys without a section: any OCI runtime, such as runc, crun or gVisor's runsc.",
      },
    ),
  },
  grpc: {
    drainTimeoutMs: setting(duration, 5000, {
      doc: 'How long calls under way may go on when the daemon is told to stop.',
    }),
  },
  log: {
    level: setting(choice('debug', 'info', 'warn', 'error'), 'info', {
      doc: 'Least level that is logged.',
      flag: 'log-level',
      reloadable: true,
    }),
    format: setting(choice('auto', 'json', 'pretty'), 'auto', {
      doc: '`auto` is pretty on a terminal and JSON elsewhere.',
      flag: 'log-format',
    }),
  },
  metrics: {
    address: setting(address, '127.0.0.1:9464', {
      doc: 'Where /metrics is served over HTTP; empty for nowhere.',
      flag: 'metrics-address',
    }),
    socket: setting(path(true), '', {
      doc: 'Unix socket, for root alone, on which the same is served, whatever `address` is: `podwright metrics-relay` reads it, in a pod that has its directory alone mounted.',
      derived: '`metrics/metrics.sock` in `state`',
    }),
    podMetrics: setting(list(choice(...podMetricGroups), 'groups'), podMetricGroups, {
      doc: 'Groups of metrics that ListPodSandboxMetrics serves for the kubelet; `process` looks at every process of every container.',
    }),
  },
  streaming: {
    address: setting(requiredAddress, '127.0.0.1:0', {
      doc: 'Where exec, attach and port-forward are served; port 0 picks a free one. The kubelet connects to it, so loopback is enough, and whoever has the URL of a call needs nothing else.',
      flag: 'streaming-address',
    }),
    tls: setting(choice('off', 'self-signed', 'files'), 'off', {
      doc: '`self-signed` makes a key and a certificate at each start, `files` uses `cert_file` and `key_file`.',
      flag: 'streaming-tls',
    }),
    certFile: setting(path(true), '', {
      doc: 'Certificate chain in PEM; a changed file is read again, also at SIGHUP.',
    }),
    keyFile: setting(path(true), '', { doc: 'Private key in PEM of the certificate.' }),
    idleTimeoutMs: setting(duration, 4 * 3_600_000, {
      doc: 'How long a connection may be without a byte in either direction.',
    }),
    creationTimeoutMs: setting(duration, 30_000, {
      doc: 'How long a SPDY client may take to open the streams of its call.',
    }),
  },
  network: {
    default: setting(choice('none', 'bridge'), 'none', {
      doc: 'Pod network while `conf_dir` has no configuration: `none` leaves the node not ready, `bridge` uses a bridge of our own.',
      flag: 'network-default',
    }),
    bridge: setting(interfaceName, 'podwright0', { doc: 'Name of our own bridge.', flag: 'network-bridge' }),
    subnet: setting(subnet, '10.224.0.0/16', {
      doc: 'Addresses of pods on our own bridge; its first is the gateway.',
      flag: 'network-subnet',
    }),
    rules: setting(choice('auto', 'iptables', 'nftables'), 'auto', {
      doc: 'What makes the rules of our own bridges. `auto` is iptables, and nftables on a host that has only `nft`: a table of our own, which cannot overrule a firewall that drops what is forwarded.',
      flag: 'network-rules',
    }),
    confDir: setting(path(), '/etc/cni/net.d', {
      doc: 'Directory of CNI configurations; the first by name is used.',
      flag: 'cni-conf-dir',
    }),
    binDirs: setting(list(path(), 'absolute paths'), ['/opt/cni/bin', '/usr/lib/cni', '/usr/libexec/cni'], {
      doc: 'Directories of CNI plugins, tried in order.',
      flag: 'cni-bin-dirs',
    }),
    pluginTimeoutMs: setting(duration, 60_000, { doc: 'How long one CNI plugin may take.' }),
    cacheDir: setting(path(), '/var/lib/cni', {
      doc: 'Results of CNI plugins are kept in its `results`, as libcni does it: for other tools, and for DEL when our own record is lost.',
    }),
  },
  registry: {
    configPath: setting(path(), '/etc/podwright/certs.d', {
      doc: 'Directory of `<host>/hosts.toml` files: mirrors, certificates and plain HTTP by registry. Read at each pull.',
      flag: 'registry-config-path',
    }),
    registriesConf: setting(path(true), '/etc/podwright/registries.conf', {
      doc: 'A registries.conf, with its drop-ins in `<path>.d`: moved, mirrored, insecure and blocked names. It may be one that other tools use, such as `/etc/containers/registries.conf`. Read at each pull; need not exist.',
    }),
    authFiles: setting(list(path(), 'absolute paths'), [], {
      doc: "The node's own credentials: auth.json or Docker's config.json files, with credential helpers. Read when a registry asks for credentials and the caller gave none for it; the first file that has some counts.",
    }),
    maxParallelDownloads: setting(integer(1, 64), 4, { doc: 'Layers of one image that are downloaded at once.' }),
    stallTimeoutMs: setting(duration, 30_000, {
      doc: 'A download that brings no byte for this long is resumed or given up.',
    }),
  },
  image: {
    pinned: setting(list(text(/./, 'a reference'), 'references or patterns with *'), [], {
      doc: 'Images that are reported as pinned, so that the kubelet never removes them.',
      reloadable: true,
    }),
    keepBlobs: setting(flag, false, {
      doc: 'Keep the compressed layers after unpacking, to save or push them unchanged.',
    }),
    maxLayerBytes: setting(size, 64 * 2 ** 30, { doc: 'Largest unpacked layer.' }),
    maxEntries: setting(integer(1, 100_000_000), 1_000_000, { doc: 'Most files of one layer.' }),
    maxRatio: setting(integer(1, 1_000_000), 500, { doc: 'Most unpacked bytes for one compressed byte of a layer.' }),
  },
  verification: {
    policyFile: setting(path(true), '', {
      doc: 'Policy of images in the format of containers-policy.json(5), such as /etc/containers/policy.json; it holds for every namespace without a policy of its own. Empty: all images are accepted. Read at each use.',
      reloadable: true,
    }),
    policyDir: setting(path(true), '', {
      doc: 'Directory of `<namespace>.json`: policies in the same format for the pods of one namespace, in place of `policy_file`. Read at each use.',
      reloadable: true,
    }),
  },
  container: {
    defaultUlimits: setting(list(ulimit, 'limits such as "nofile=1024:524288"'), defaultUlimits, {
      doc: 'Resource limits of containers, soft and hard, by their getrlimit(2) names in lower case. Never taken from the daemon.',
    }),
    capabilities: setting(list(capability, 'capabilities such as "CAP_CHOWN"'), defaultCapabilities, {
      doc: 'Capabilities of a container that asks for no change.',
    }),
    seccompRoot: setting(path(), '/var/lib/kubelet/seccomp', {
      doc: 'Directory to which Localhost seccomp profiles are relative.',
    }),
    selinux: setting(choice('auto', 'off'), 'auto', {
      doc: 'SELinux contexts of containers (docs/selinux.md). auto: where the kernel has a policy loaded; off: the policy alone decides, and what pods ask for counts for nothing.',
    }),
    selinuxCategoryRange: setting(integer(3, 1024), 1024, {
      doc: "Categories, from c0 on, that pods' SELinux levels are made of, two for each pod.",
    }),
    defaultSysctls: setting(
      list(sysctl, 'parameters such as "net.core.somaxconn=1024"'),
      ['net.ipv4.ip_unprivileged_port_start=0', 'net.ipv4.ping_group_range=0 2147483647'],
      {
        doc: "Kernel parameters of each pod's own network and ipc namespaces, unless the pod sets them. As shipped, every user may listen on ports below 1024 of the pod, and ping (not in a user namespace).",
      },
    ),
    deviceOwnershipFromSecurityContext: setting(flag, false, {
      doc: "Give devices that a container asks for to its run_as_user and run_as_group, instead of the host node's owner.",
    }),
    privilegedWithoutHostDevices: setting(flag, false, {
      doc: "Give a privileged container only the devices that it asks for, instead of all of the host's.",
    }),
    cdiDirs: setting(list(path(), 'absolute paths'), ['/etc/cdi', '/var/run/cdi'], {
      doc: 'Directories of CDI specs; of devices with one name that of the last directory counts.',
      flag: 'cdi-spec-dirs',
    }),
    hooksDirs: setting(
      list(path(), 'absolute paths'),
      ['/usr/share/containers/oci/hooks.d', '/etc/containers/oci/hooks.d'],
      {
        doc: 'Directories of OCI hooks as podman and CRI-O have them (docs/devices.md); of files with one name that of the last directory counts. Read for each container. Empty: none but those of CDI devices and plugins are run.',
        flag: 'hooks-dirs',
      },
    ),
    baseRuntimeSpec: setting(path(true), '', {
      doc: "A config.json from which the specs of our own core's containers are made (docs/handlers.md); empty for none. Read at start.",
    }),
    writableLayerLimit: setting(size, 0, {
      doc: 'Bytes that the writable layer of a container may take, 0 for any number; annotations can only lower it. Needs a file system with project quota under `root`: without it containers fail to be made.',
      reloadable: true,
    }),
    volatileLayers: setting(flag, true, {
      doc: "Mount root file systems with overlayfs's `volatile`: a container's fsync(2) and its end do not wait for the disk. Its writable layer is not used again after a crash of the node either way.",
    }),
    firstProject: setting(integer(1, 4_294_901_760), 1_886_846_976, {
      doc: 'First of the 65,536 project numbers that writable layers are given where the file system has project quota.',
    }),
    maxLogLine: setting(integer(1024, 1_048_576), 16_384, {
      doc: 'Bytes after which a line of output is split into partial log lines.',
    }),
  },
  cgroup: {
    driver: setting(choice('auto', 'cgroupfs', 'systemd'), 'cgroupfs', {
      doc: 'Who makes cgroups; the kubelet is told by RuntimeConfig. auto: systemd where it is process 1 and the host has cgroup v2, else cgroupfs.',
    }),
    writable: setting(flag, false, {
      doc: 'Let containers divide their cgroup among cgroups of their own where the annotation "podwright.writable-cgroup" (or CRI-O\'s "io.kubernetes.cri-o.cgroup2-mount-hierarchy-rw") of their pod is "true". Their limits stay out of their reach. Needs cgroup v2; without this such pods are refused.',
    }),
  },
  own: ownSettings,
  checkpoint: {
    criu: setting(text(/^[^/\0]+$|^\//, 'a name or an absolute path'), 'criu', {
      doc: 'The criu program; a name is looked for in the usual directories. Without it there are no checkpoints.',
    }),
  },
  nri: {
    enable: setting(flag, false, {
      doc: "Let NRI plugins see and change pods and containers (docs/nri.md). Off unless asked for: the socket and the plugins are the whole node's, and another runtime on it may serve them.",
    }),
    socket: setting(path(), '/var/run/nri/nri.sock', {
      doc: 'Unix socket on which plugins that are started by others register.',
    }),
    disableConnections: setting(flag, false, {
      doc: 'Serve no socket: there are only the plugins of `plugin_path`.',
    }),
    pluginPath: setting(path(), '/opt/nri/plugins', {
      doc: 'Directory of plugins that the daemon starts: programs whose names are two digits, "-" and a name. They are asked in the order of the digits.',
    }),
    pluginConfigPath: setting(path(), '/etc/nri/conf.d', {
      doc: 'Directory of their configurations: `<digits>-<name>.conf`, else `<name>.conf`.',
    }),
    registrationTimeoutMs: setting(duration, 5000, { doc: 'How long a plugin may take to register.' }),
    requestTimeoutMs: setting(duration, 2000, {
      doc: 'How long a plugin may take to answer; one that does not is disconnected, and the call goes on without it.',
    }),
    maxPlugins: setting(integer(1, 1000), 64, { doc: 'Plugins that may be connected at a time.' }),
    validate: setting(flag, false, {
      doc: 'Check what plugins want against the `reject_...` and `required_plugins` settings, and the pod annotation "required-plugins.noderesource.dev".',
    }),
    rejectOciHookAdjustment: setting(flag, false, { doc: 'Refuse OCI hooks of plugins.' }),
    rejectRuntimeDefaultSeccompAdjustment: setting(flag, false, {
      doc: 'Refuse another seccomp policy in place of RuntimeDefault.',
    }),
    rejectUnconfinedSeccompAdjustment: setting(flag, false, {
      doc: 'Refuse a seccomp policy for a container that has none.',
    }),
    rejectCustomSeccompAdjustment: setting(flag, false, {
      doc: 'Refuse another seccomp policy in place of a Localhost profile.',
    }),
    rejectNamespaceAdjustment: setting(flag, false, { doc: 'Refuse other namespaces.' }),
    rejectSysctlAdjustment: setting(flag, false, { doc: 'Refuse kernel parameters of plugins.' }),
    requiredPlugins: setting(list(text(/./, 'a name'), 'names, with or without their digits'), [], {
      doc: 'Plugins without which no container is made, also none of static pods.',
    }),
    tolerateMissingPluginsAnnotation: setting(text(), '', {
      doc: 'Pod annotation by which a container is made without required plugins where it is "true"; empty: there is none.',
    }),
  },
  kubernetes: kubernetesSettings,
  trace: {
    keep: setting(integer(0, 100_000), 256, {
      doc: 'Calls whose stage times are kept in memory for `podwright trace`.',
    }),
  },
} as const satisfies Readonly<Record<string, Readonly<Record<string, Setting<unknown>>>>>;

type Schema = typeof schema;
type SliceOf<S> = { readonly [K in keyof S]: S[K] extends Setting<infer T> ? T : never };

/** Every setting with its value: each room is given its own section. */
export type Config = { readonly [S in keyof Schema]: SliceOf<Schema[S]> };

/** The name of a section in `Config`. */
export type Section = keyof Schema;

/** One setting with where it is. */
export interface Entry {
  readonly section: Section;
  /** Key in `Config`. */
  readonly key: string;
  /** "network.conf_dir", or "root" for a key without a section: what users write. */
  readonly name: string;
  readonly setting: Setting<unknown>;
}

const tomlKey = (key: string, kind: Kind<unknown>): string =>
  (kind === duration ? key.replace(/Ms$/, '') : key).replace(/[A-Z]/g, (c) => `_${c.toLowerCase()}`);

/** All settings, in the order of the schema. */
export const entries: readonly Entry[] = Object.entries(schema).flatMap(([section, settings]) =>
  Object.entries<Setting<unknown>>(settings).map(([key, one]) => ({
    section: section as Section,
    key,
    name: `${section === 'node' ? '' : `${section}.`}${tomlKey(key, one.kind)}`,
    setting: one,
  })),
);

/** The setting of a name as users write it. */
export const entryOf = (name: string): Entry | undefined => byName.get(name);
const byName = new Map(entries.map((entry) => [entry.name, entry]));
