// A SELinux policy of our own for a throw-away machine: small enough to read, with types for containers and the levels
// that keep pods apart. Everything is allowed but for one rule: a container_t reads and writes only files of its level.
import { execFileSync } from 'node:child_process';
import { appendFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const numbers = Array.from({ length: 1024 }, (_, n) => `c${n}`);
const sids =
  'kernel security unlabeled fs file file_labels init any_socket port netif netmsg node igmp_packet icmp_socket tcp_socket sysctl_modprobe sysctl sysctl_fs sysctl_kernel sysctl_net sysctl_net_unix sysctl_vm sysctl_dev kmod policy scmp_packet devnull'.split(
    ' ',
  );
const types = ['kernel_t', 'container_t', 'other_t', 'container_file_t', 'plain_file_t'];
const process =
  'fork transition sigchld sigkill sigstop signull signal ptrace getsched setsched getsession getpgid setpgid getcap setcap share getattr setexec setfscreate noatsecure siginh setrlimit rlimitinh dyntransition setcurrent execmem execstack execheap setkeycreate setsockcreate getrlimit';
const file =
  'ioctl read write create getattr setattr lock relabelfrom relabelto append map unlink link rename execute quotaon mounton audit_access open execmod watch watch_mount watch_sb watch_with_perm watch_reads execute_no_trans entrypoint add_name remove_name reparent search rmdir';
/** What can be relabelled: the kernel does so only with classes that the policy names. */
const inodes = ['file', 'dir', 'lnk_file', 'chr_file', 'blk_file', 'sock_file', 'fifo_file'];

/** Its source (secilc(8)); classes that it does not name are allowed everything. */
export const policySource = `
(handleunknown allow)
(mls true)
(policycap open_perms)
(policycap nnp_nosuid_transition)
(class process (${process}))
(class process2 (nnp_transition nosuid_transition))
${inodes.map((kind) => `(class ${kind} (${file}))`).join('\n')}
(classorder (process process2 ${inodes.join(' ')}))
(sensitivity s0)
(sensitivityorder (s0))
${numbers.map((c) => `(category ${c})`).join('\n')}
(categoryorder (${numbers.join(' ')}))
(sensitivitycategory s0 (range c0 c1023))
(level low (s0))
(level high (s0 (range c0 c1023)))
(levelrange lowlow (low low))
(levelrange lowhigh (low high))
(user system_u)
(role system_r)
(role object_r)
(userrole system_u system_r)
(userrole system_u object_r)
(userlevel system_u low)
(userrange system_u lowhigh)
${types.map((type) => `(type ${type})\n(roletype system_r ${type})\n(roletype object_r ${type})`).join('\n')}
(typeattribute everything)
(typeattributeset everything (all))
(allow everything everything (process (all)))
(allow everything everything (process2 (all)))
${inodes.map((kind) => `(allow everything everything (${kind} (all)))`).join('\n')}
(mlsconstrain (file (read write append)) (or (neq t1 container_t) (or (neq t2 container_file_t) (dom l1 l2))))
${sids.map((sid) => `(sid ${sid})\n(sidcontext ${sid} (system_u system_r ${sid === 'unlabeled' ? 'plain_file_t' : 'kernel_t'} lowlow))`).join('\n')}
(sidorder (${sids.join(' ')}))
(fsuse xattr ext4 (system_u object_r plain_file_t lowlow))
${['tmpfs', 'devpts', 'mqueue', 'shm', 'hugetlbfs', 'overlay'].map((kind) => `(fsuse trans ${kind} (system_u object_r plain_file_t lowlow))`).join('\n')}
${['pipefs', 'sockfs'].map((kind) => `(fsuse task ${kind} (system_u object_r plain_file_t lowlow))`).join('\n')}
${['proc', 'sysfs', 'selinuxfs', 'cgroup', 'cgroup2', 'rootfs'].map((kind) => `(genfscon ${kind} "/" (system_u object_r plain_file_t lowlow))`).join('\n')}
`;

/** Compiles it in a directory, loads it into the kernel, and names its contexts of containers where runtimes look. */
export function loadPolicy(dir: string): void {
  const [source, binary] = [join(dir, 'policy.cil'), join(dir, 'policy.bin')];
  writeFileSync(source, policySource);
  execFileSync('secilc', ['-M', 'true', '-c', '33', '-o', binary, '-f', '/dev/null', source], { stdio: 'pipe' });
  const mounted = readFileSync('/proc/mounts', 'utf8').includes(' /sys/fs/selinux ');
  if (!mounted) execFileSync('mount', ['-t', 'selinuxfs', 'selinuxfs', '/sys/fs/selinux']);
  writeFileSync('/sys/fs/selinux/load', readFileSync(binary)); // one write is one policy
  const contexts = '/etc/selinux/test/contexts';
  mkdirSync(contexts, { recursive: true });
  appendFileSync('/etc/selinux/config', '\nSELINUX=enforcing\nSELINUXTYPE=test\n');
  writeFileSync(
    join(contexts, 'lxc_contexts'),
    'process = "system_u:system_r:container_t:s0"\nfile = "system_u:object_r:container_file_t:s0"\n',
  );
  writeFileSync('/sys/fs/selinux/enforce', '1');
}
