// PURE
// Takes apart what the addon says of cgroups' usage (StatsReader::usage of native/crates/cgroups).

/**
 * What CRI reports of a cgroup, as protobuf: the fields of ContainerStats (cpu, memory, swap, io) or of
 * LinuxPodSandboxStats (cpu, memory, process, io) that come from it. Empty: there is no such cgroup.
 */
export type EncodedUsage = Uint8Array;

/** `count` messages, each behind four bytes of its length. They share the memory of the answer. */
export function usageMessages(answer: ArrayBuffer, count: number): EncodedUsage[] {
  const lengths = new DataView(answer);
  let at = 0;
  return Array.from({ length: count }, () => {
    const from = at + 4;
    at = from + lengths.getUint32(at, true);
    return new Uint8Array(answer, from, at - from);
  });
}
