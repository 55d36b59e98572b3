//! Usage of many cgroups in one call. Numbers are the kernel's; rates are made from them elsewhere.

mod batch;
pub(crate) mod files;
mod group;
mod message;
pub mod parse;
pub mod reader;
mod v1;
mod v2;
mod wire;

pub use group::Clock;
pub use reader::StatsReader;

#[cfg(feature = "serde")]
use serde::Serialize;

/// How much is read of a cgroup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// CPU time, memory with its faults, swap and what is available, pressure: the third of the files that CRI's
    /// ContainerStats needs.
    Container,
    /// Tasks too.
    Pod,
    /// Also peaks, limits, throttling, devices and huge pages.
    All,
}

/// Usage of a cgroup and everything below it. A part is `None` where this host does not count it.
#[derive(Debug, Clone, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(Serialize), serde(rename_all = "camelCase"))]
pub struct Stats {
    /// Unix time when the CPU time was read, nanoseconds; never the same twice.
    pub timestamp_ns: u64,
    /// CPU time.
    pub cpu: Option<Cpu>,
    /// Memory.
    pub memory: Option<Memory>,
    /// Tasks.
    pub pids: Option<Pids>,
    /// Block devices used so far.
    pub io: Vec<Io>,
    /// Pressure, from the unified tree.
    pub psi: Option<Pressure>,
    /// Huge pages by size.
    pub hugetlb: Vec<Hugetlb>,
}

/// CPU time since the cgroup was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Serialize), serde(rename_all = "camelCase"))]
pub struct Cpu {
    /// All, nanoseconds.
    pub usage_ns: u64,
    /// In user mode, nanoseconds.
    pub user_ns: u64,
    /// In the kernel, nanoseconds.
    pub system_ns: u64,
    /// What became of its quota; `None` without the cpu controller.
    pub quota: Option<Quota>,
}

/// Periods of a quota, and what was over it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Serialize), serde(rename_all = "camelCase"))]
pub struct Quota {
    /// Periods that passed.
    pub periods: u64,
    /// Those in which the quota was used up.
    pub throttled_periods: u64,
    /// Time spent waiting for the next one, nanoseconds.
    pub throttled_ns: u64,
    /// Periods in which saved up quota was used (Linux 5.14).
    pub burst_periods: Option<u64>,
    /// Time run on saved up quota, nanoseconds.
    pub burst_ns: Option<u64>,
}

/// Memory, bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Serialize), serde(rename_all = "camelCase"))]
pub struct Memory {
    /// All that is charged.
    pub usage: u64,
    /// `usage` less inactive file pages, at least 0.
    pub working_set: u64,
    /// Anonymous pages.
    pub rss: u64,
    /// File pages.
    pub cache: u64,
    /// File pages in somebody's address space.
    pub mapped_file: u64,
    /// File pages used lately.
    pub active_file: u64,
    /// File pages not used lately: the first to go.
    pub inactive_file: u64,
    /// Of the kernel on behalf of its processes (v1: kmem accounting; v2: Linux 5.18).
    pub kernel: Option<u64>,
    /// Page faults.
    pub page_faults: u64,
    /// Page faults that read from a disk.
    pub major_page_faults: u64,
    /// Page faults without those of cgroups below; v2 does not count them apart.
    pub own_page_faults: Option<u64>,
    /// The same of those that read from a disk.
    pub own_major_page_faults: Option<u64>,
    /// `limit` less `working_set`, at least 0; `None` without a limit.
    pub available: Option<u64>,
    /// The limit.
    pub limit: Option<u64>,
    /// The highest `usage` so far (v2: Linux 5.19).
    pub max_usage: Option<u64>,
    /// How often the limit was hit.
    pub failcnt: u64,
    /// Swap used.
    pub swap_usage: Option<u64>,
    /// Limit of swap alone.
    pub swap_limit: Option<u64>,
    /// Processes killed for lack of memory.
    pub oom_kills: u64,
}

/// Tasks (threads count).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Serialize), serde(rename_all = "camelCase"))]
pub struct Pids {
    /// How many there are.
    pub current: u64,
    /// How many there may be.
    pub limit: Option<u64>,
}

/// Transfers of one block device.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Serialize), serde(rename_all = "camelCase"))]
pub struct Io {
    /// The device's major number.
    pub major: u32,
    /// The device's minor number.
    pub minor: u32,
    /// Bytes read.
    pub read_bytes: u64,
    /// Bytes written.
    pub write_bytes: u64,
    /// Reads.
    pub read_ops: u64,
    /// Writes.
    pub write_ops: u64,
    /// What the io.cost controller counts; `None` where it is off.
    pub cost: Option<IoCost>,
}

/// Time by the io.cost controller (Documentation/admin-guide/cgroup-v2.rst, io.stat), microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Serialize), serde(rename_all = "camelCase"))]
pub struct IoCost {
    /// Device time used.
    pub usage_us: u64,
    /// Spent waiting for budget.
    pub wait_us: u64,
    /// Spent in debt.
    pub indebt_us: u64,
    /// Spent delayed to pay for it.
    pub indelay_us: u64,
}

/// Pressure stall information (Documentation/accounting/psi.rst).
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(Serialize), serde(rename_all = "camelCase"))]
pub struct Pressure {
    /// Waiting for a CPU.
    pub cpu: Psi,
    /// Waiting for memory.
    pub memory: Psi,
    /// Waiting for a device.
    pub io: Psi,
}

/// The two lines of a pressure file.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(Serialize), serde(rename_all = "camelCase"))]
pub struct Psi {
    /// Some task waited.
    pub some: PsiLine,
    /// All tasks waited at once.
    pub full: PsiLine,
}

/// One line of a pressure file.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(Serialize), serde(rename_all = "camelCase"))]
pub struct PsiLine {
    /// Percent of the last 10 s.
    pub avg10: f64,
    /// Percent of the last 60 s.
    pub avg60: f64,
    /// Percent of the last 300 s.
    pub avg300: f64,
    /// All time waited, microseconds.
    pub total_us: u64,
}

/// Huge pages of one size, bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Serialize), serde(rename_all = "camelCase"))]
pub struct Hugetlb {
    /// The size: "2MB".
    pub page_size: String,
    /// In use.
    pub usage: u64,
    /// The most ever in use; v2 does not count it.
    pub max_usage: Option<u64>,
    /// How often the limit was hit.
    pub failcnt: u64,
}

impl Memory {
    /// Fills in what follows from usage, limit and the inactive file pages.
    fn derive(&mut self) {
        self.working_set = self.usage.saturating_sub(self.inactive_file);
        self.available = self.limit.map(|limit| limit.saturating_sub(self.working_set));
    }
}
