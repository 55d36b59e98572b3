// What takes too long for every change: suites of hack/test.sh that run by name, soaks, long fuzzing, kills beside peers.

/** One of them. */
export interface Part {
  readonly name: string;
  /** What it is, for the page. */
  readonly what: string;
  /** Words of a command line, from the project's root. */
  readonly command: string;
  readonly env?: Readonly<Record<string, string>>;
}

const suite = (name: string, what: string): Part => ({ name, what, command: `hack/test.sh ${name}` });

/** In the order in which they run: what finds most in the least time first. */
export const parts: readonly Part[] = [
  {
    // as `npm run test:faults`: what half an hour is too short for on a busy machine is told
    ...suite('faults', 'the steps of every verb in each way, and all other faults'),
    env: { FAULTS: 'all' },
  },
  suite('vm-limits', 'limits that only a whole host has'),
  suite('vm-power', 'power cuts, disks that fail'),
  suite('vm-disk', 'project quota'),
  suite('vm-service', 'podwrightd as a unit of systemd'),
  suite('vm-selinux', 'SELinux'),
  suite('vm-checkpoint', 'checkpoints with criu'),
  suite('vm-qemu', 'cpuset, huge pages, io.weight'),
  suite('cluster', 'a Kubernetes node'),
  suite('arm64', 'the release for arm64, by emulation'),
  suite('vm-v2', 'system and conformance in cgroup v2, driver cgroupfs'),
  suite('vm-systemd', 'system and conformance in cgroup v2, driver systemd'),
  {
    name: 'soak',
    what: 'random verbs of many clients, the daemon killed every 30 s',
    command: 'hack/soak --operations 1000000000 --time 3600',
  },
  {
    name: 'soak-growth',
    what: 'the same of a daemon that lives, watched for growth',
    command: 'hack/soak --no-kill --operations 1000000000 --time 3600',
  },
  {
    name: 'soak-work',
    what: 'the same with a process for work',
    command:
      'hack/soak --no-kill --operations 1000000000 --time 1800 --set own.work_memory=1GiB -o docs/results/soak-work.md',
  },
  {
    name: 'fuzz',
    what: 'random requests, bytes, connections and frames',
    command: 'hack/fuzz --count 1000000 --time 1800',
  },
  { name: 'fuzz-targets', what: 'each parser under libFuzzer', command: 'hack/fuzz targets 300' },
  {
    name: 'kill',
    what: 'daemons killed in calls, beside peers',
    command: 'hack/kill --runtimes podwright,containerd,crio',
  },
];
