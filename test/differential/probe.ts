// What a process looks at from inside a container, and what of it is compared. Some specs share namespaces with the
// host and give every capability: the script must not change anything but files of its own root and mounts.

const writable = [
  '/',
  '/tmp',
  '/home',
  '/dev',
  '/dev/shm',
  '/mnt',
  '/mnt/below',
  '/proc/sys/kernel',
  '/sys',
  '/sys/fs/cgroup',
  '/etc',
];
const readable = [
  '/etc/secret',
  '/proc/kcore',
  '/proc/keys',
  '/proc/timer_list',
  '/proc/sysrq-trigger',
  '/sys/firmware',
  '/proc/acpi',
  '/home',
  '/mnt',
];
const sysctls = [
  'kernel/hostname',
  'kernel/shmmax',
  'kernel/shm_rmid_forced',
  'kernel/msgmax',
  'net/ipv4/ip_forward',
  'net/ipv4/ip_unprivileged_port_start',
  'net/ipv4/ping_group_range',
  'net/core/somaxconn',
];

/** Runs under busybox's shell; a line `=== name` begins each part. Ends with code 7. */
export const probe = `
echo
part() { echo "=== $1"; }
show() { while IFS= read -r line || [ -n "$line" ]; do echo "$line"; done < "$1"; }
part status; show /proc/self/status
part mounts; show /proc/self/mountinfo
part cgroup; show /proc/self/cgroup
part limits; show /proc/self/limits
part environ; tr '\\0' '\\n' < /proc/$$/environ
part cwd; pwd; readlink /proc/$$/cwd
part oom; show /proc/self/oom_score_adj
part dev; ls -lnA /dev
part stat; show /proc/self/stat
part sysctl; for f in ${sysctls.join(' ')}; do echo "$f = $(cat /proc/sys/$f 2>&1)"; done
part fds; ls /proc/$$/fd
part hostname; hostname
part write; for p in ${writable.join(' ')}; do (: > $p/.written) 2> /dev/null; echo "$p $?"; rm -f $p/.written 2> /dev/null; done
part read; for p in ${readable.join(' ')}; do
  if [ -d $p ]; then echo "$p has $(ls $p 2> /dev/null | wc -l)"; else echo "$p $(head -c 4 $p 2>&1 < /dev/null | wc -c)"; fi
done
part can
mknod /tmp/node c 1 3 2> /dev/null; echo "mknod $?"
(: < /tmp/node) 2> /dev/null; echo "open null $?"
mknod /tmp/fuse c 10 229 2> /dev/null; echo "mknod fuse $?"
(: < /tmp/fuse) 2> /dev/null; echo "open fuse $?"
mount -t tmpfs none /home 2> /dev/null; echo "mount $?"
chroot /home /bin/true 2> /dev/null; echo "chroot $?"
mkdir /tmp/made 2> /dev/null; echo "mkdir $?"
(: > /tmp/umask) 2> /dev/null; stat -c 'mode %a' /tmp/umask 2> /dev/null
part terminal; for n in 0 1 2; do [ -t $n ]; echo "$n $?"; done; tty; stty size 2> /dev/null
part user; id; readlink /proc/$$/exe
exit 7
`;

/** What was seen, by name. */
export type Observations = ReadonlyMap<string, string>;

const statusFields =
  /^(Uid|Gid|Groups|Umask|NoNewPrivs|Seccomp|Seccomp_filters|SigBlk|SigIgn|SigPnd|ShdPnd|Cap\w+|NSpid|Threads|Cpus_allowed_list|Mems_allowed_list):\s*(.*)$/;

function mountLine(line: string): [string, string] {
  const [front = '', back = ''] = line.split(' - ');
  const [, , , root = '', point = '', options = '', ...tags] = front.split(' ');
  const [type = '', source = '', superOptions = ''] = back.split(' ');
  const shared = tags.map((tag) => tag.replace(/:.*/, '')).join('+');
  // where the root lies on its disk, and each runtime's own cgroup, are not what a container is
  const from = point === '/' || type.startsWith('cgroup') ? '' : root;
  const named = point === '/' || type.startsWith('cgroup') ? '' : source;
  return [point, [options.split(',').toSorted().join(), shared, type, named, from, superOptions].join(' ').trim()];
}

function devLine(line: string): [string, string] | null {
  const match = /^(\S{10})\s+\d+\s+(\d+)\s+(\d+)\s+(?:(\d+),\s+(\d+)|\d+)\s+\w+\s+\d+\s+\S+\s+(\S+)(?: -> (.*))?$/.exec(
    line,
  );
  if (!match) return null;
  const [, mode = '', uid, gid, major, minor, name = '', target] = match;
  return [name, [mode, uid, gid, major === undefined ? '' : `${major}:${minor}`, target ?? ''].join(' ').trim()];
}

/** Numbers of processes differ; what they mean to each other must not. */
function statLine(line: string): [string, string][] {
  const [pid, , , , group, session, terminal] = line.replace(/\(.*\)/, 'x').split(' ');
  return [
    ['leads its group', String(pid === group)],
    ['leads its session', String(pid === session)],
    ['has a controlling terminal', String(terminal !== '0')],
  ];
}

function pairs(part: string, lines: readonly string[]): [string, string][] {
  switch (part) {
    case 'status':
      return lines.flatMap((line) => {
        const [, field = '', value = ''] = statusFields.exec(line) ?? [];
        if (field === '') return [];
        // in the host's pid namespace the number is chance
        return [[field, field === 'NSpid' ? value.trim().replace(/\d{3,}/g, 'N') : value.trim()]];
      });
    case 'mounts':
      return lines.map(mountLine);
    case 'dev':
      return lines.flatMap((line) => [devLine(line) ?? []].filter((pair) => pair.length > 0) as [string, string][]);
    case 'stat':
      return lines.flatMap(statLine);
    case 'limits':
      return lines.slice(1).map((line) => [line.slice(0, 26).trim(), line.slice(26).replace(/\s+/g, ' ').trim()]);
    case 'sysctl':
      return lines.map((line) => line.split(' = ', 2) as [string, string]);
    case 'write':
    case 'read':
    case 'can':
      return lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), line.slice(line.lastIndexOf(' ') + 1)]);
    default:
      return [['', lines.join('\n')]];
  }
}

/** Reads the probe's output; a name that comes twice is counted. */
export function readProbe(output: string): Observations {
  const seen = new Map<string, string>();
  let part = '';
  let lines: string[] = [];
  const end = (): void => {
    if (part === '') return;
    for (const [name, value] of pairs(part, lines)) {
      const base = name === '' ? part : `${part} ${name}`;
      let key = base;
      for (let n = 2; seen.has(key); n += 1) key = `${base} (${n})`;
      seen.set(key, value);
    }
  };
  for (const line of output.replaceAll('\r\n', '\n').split('\n')) {
    if (!line.startsWith('=== ')) {
      lines.push(line);
      continue;
    }
    end();
    part = line.slice(4);
    lines = [];
  }
  if (lines.at(-1) === '') lines.pop();
  end();
  return seen;
}
