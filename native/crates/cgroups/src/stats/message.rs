//! Usage as CRI's messages have it. They are asked for every few seconds and never the same: made here, they
//! cost a tenth of what they cost in the daemon. Field numbers are those of `proto/runtime/v1/api.proto`; what the
//! kernel does not say is left out.

use super::wire::Wire;
use super::{Pressure, Psi, PsiLine, Stats};

/// What is told of a cgroup beside what was read just now.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Told {
    /// Unix nanoseconds of the reading.
    pub(super) timestamp_ns: u64,
    /// Cores in use since the reading before, in billionths.
    pub(super) nano_cores: Option<u64>,
}

/// The fields of ContainerStats that come from its cgroup: cpu, memory, swap, io.
pub(super) fn container(to: &mut Wire, stats: &Stats, told: Told) {
    cpu(to, 2, stats, told);
    memory(to, 3, stats, told);
    if let Some(memory) = &stats.memory
        && let Some(usage) = memory.swap_usage
    {
        to.message(5, |m| {
            m.count(1, told.timestamp_ns);
            m.wrapped_if(2, memory.swap_limit.map(|limit| limit.saturating_sub(usage)));
            m.wrapped(3, usage);
        });
    }
    io(to, 6, stats, told);
}

/// The fields of LinuxPodSandboxStats that come from its cgroup: cpu, memory, process, io.
pub(super) fn pod(to: &mut Wire, stats: &Stats, told: Told) {
    cpu(to, 1, stats, told);
    memory(to, 2, stats, told);
    if let Some(pids) = &stats.pids {
        to.message(4, |m| {
            m.count(1, told.timestamp_ns);
            m.wrapped(2, pids.current);
        });
    }
    io(to, 6, stats, told);
}

fn cpu(to: &mut Wire, field: u8, stats: &Stats, told: Told) {
    let Some(cpu) = &stats.cpu else { return };
    to.message(field, |m| {
        m.count(1, told.timestamp_ns);
        m.wrapped(2, cpu.usage_ns);
        m.wrapped_if(3, told.nano_cores);
        pressure(m, 4, stats, |psi| &psi.cpu);
    });
}

fn memory(to: &mut Wire, field: u8, stats: &Stats, told: Told) {
    let Some(memory) = &stats.memory else { return };
    to.message(field, |m| {
        m.count(1, told.timestamp_ns);
        m.wrapped(2, memory.working_set);
        m.wrapped_if(3, memory.available);
        m.wrapped(4, memory.usage);
        m.wrapped(5, memory.rss);
        m.wrapped(6, memory.page_faults);
        m.wrapped(7, memory.major_page_faults);
        pressure(m, 8, stats, |psi| &psi.memory);
    });
}

fn io(to: &mut Wire, field: u8, stats: &Stats, told: Told) {
    if stats.psi.is_some() {
        to.message(field, |m| {
            m.count(1, told.timestamp_ns);
            pressure(m, 2, stats, |psi| &psi.io);
        });
    }
}

/// PsiStats.
fn pressure(to: &mut Wire, field: u8, stats: &Stats, of: impl Fn(&Pressure) -> &Psi) {
    if let Some(psi) = &stats.psi {
        let psi = of(psi);
        to.message(field, |m| {
            m.message(1, |m| line(m, &psi.full));
            m.message(2, |m| line(m, &psi.some));
        });
    }
}

/// PsiData: its total is in nanoseconds, the kernel's in microseconds.
fn line(to: &mut Wire, line: &PsiLine) {
    to.count(1, line.total_us.wrapping_mul(1000));
    to.double(2, line.avg10);
    to.double(3, line.avg60);
    to.double(4, line.avg300);
}
