// The host's processes, as a pod with the host's process ids sees them.
// Must not change any, or take a container's for one of the host.
import { open, readdir, readFile, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { failedPrecondition, unavailable } from '../lib/failure.ts';

/** A file or link of a process; "" when it has ended meanwhile, or may not be looked at. */
const orNothing = (text: Promise<string>): Promise<string> => text.catch(() => '');

/** Ids of the processes that share the process ids of this one, which are the host's; in order. */
async function ownPids(proc: string): Promise<readonly number[]> {
  const own = await readlink(join(proc, 'self/ns/pid'));
  const pids = (await readdir(proc)).filter((one) => /^\d+$/.test(one)).map(Number);
  const spaces = await Promise.all(pids.map((pid) => orNothing(readlink(join(proc, `${pid}`, 'ns/pid')))));
  return pids.filter((_, at) => spaces[at] === own).sort((a, b) => a - b);
}

/** Cgroups that kubelets make for pods; in a cgroup namespace only the pod's own directory may be seen of the path. */
const podCgroup = /kubepods|\bpod[0-9a-f]{8}[0-9a-f_-]{24,28}(\.slice)?(\/|$)/m;

/** Whether a process is seen to be a pod's: it has our mounts, or a pod's cgroup. */
async function isOfPod(proc: string, pid: number): Promise<boolean> {
  const place = join(proc, `${pid}`);
  const [own, mounts, host, cgroup] = await Promise.all([
    orNothing(readlink(join(proc, 'self/ns/mnt'))),
    orNothing(readlink(join(place, 'ns/mnt'))),
    orNothing(readlink(join(proc, '1/ns/mnt'))),
    orNothing(readFile(join(place, 'cgroup'), 'utf8')),
  ]);
  if (mounts !== '' && mounts === host) return false;
  return (mounts !== '' && mounts === own) || podCgroup.test(cgroup);
}

/**
 * The process of the host with a name, as the kernel cuts it; 1 for no name. One of a pod is never taken, for its
 * namespaces would be entered with all that the installer may; without one, or with several, an unavailable or
 * failed-precondition Failure.
 */
export async function processNamed(name: string, proc = '/proc'): Promise<number> {
  if (name === '') return 1;
  const found: number[] = [];
  for (const pid of await ownPids(proc)) {
    const comm = await orNothing(readFile(join(proc, `${pid}`, 'comm'), 'utf8'));
    if (comm.trim() === name.slice(0, 15) && !(await isOfPod(proc, pid))) found.push(pid);
  }
  const [pid] = found;
  if (pid === undefined) throw unavailable(`find the host's namespaces: no process ${name} of the host runs`);
  if (found.length > 1)
    throw failedPrecondition(`find the host's namespaces: processes ${found.join(', ')} are all called ${name}`);
  return pid;
}

/** Whether a command of podwright that changes the host's node runs, also before it has begun a journal. */
export async function changeRuns(journalDir: string, proc = '/proc'): Promise<boolean> {
  for (const pid of await ownPids(proc)) {
    const words = (await orNothing(readFile(join(proc, `${pid}`, 'cmdline'), 'utf8'))).split('\0');
    if (!words.includes(`--journal-dir=${journalDir}`) || words.includes('status') || words.includes('installer'))
      continue;
    if (!(await isOfPod(proc, pid))) return true;
  }
  return false;
}

/** The last line with anything in it of a log's last 4 KiB; "" without a log. */
export async function lastLine(path: string): Promise<string> {
  const file = await open(path, 'r').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null;
    throw error;
  });
  if (file === null) return '';
  try {
    const { size } = await file.stat();
    const { buffer, bytesRead } = await file.read(Buffer.alloc(4096), 0, 4096, Math.max(0, size - 4096));
    const lines = buffer.subarray(0, bytesRead).toString('utf8').split('\n');
    return lines.findLast((line) => line.trim() !== '')?.trim() ?? '';
  } finally {
    await file.close();
  }
}
