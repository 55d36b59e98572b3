//! Limits of a cgroup as values.

use std::collections::BTreeMap;

/// Limits, in the units of the CRI's `LinuxContainerResources`.
///
/// In a request `None` (and the empty string, list or map) leaves the value alone. In an answer it
/// means that this host has no such value. -1 is "unlimited" in both.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "camelCase", deny_unknown_fields))]
pub struct Resources {
    /// Relative share of CPU time, 2 to 262144; 1024 is one part. v2 turns it into `cpu.weight`.
    pub cpu_shares: Option<i64>,
    /// CPU time per period, microseconds; -1 for no limit.
    pub cpu_quota: Option<i64>,
    /// The period, microseconds.
    pub cpu_period: Option<i64>,
    /// CPUs the group may run on, as a list such as "0-2,5".
    pub cpuset_cpus: String,
    /// Memory nodes, as a list.
    pub cpuset_mems: String,
    /// Memory limit, bytes.
    pub memory_limit_bytes: Option<i64>,
    /// Limit of memory and swap together, bytes.
    pub memory_swap_limit_bytes: Option<i64>,
    /// Limits of huge pages by size.
    pub hugepage_limits: Vec<HugepageLimit>,
    /// How many tasks may exist.
    pub pids_limit: Option<i64>,
    /// cgroup v2 files by name and what to write to them.
    pub unified: BTreeMap<String, String>,
}

/// The limit of one huge page size.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "camelCase", deny_unknown_fields))]
pub struct HugepageLimit {
    /// The size as the controller spells it: "2MB", "1GB".
    pub page_size: String,
    /// Bytes.
    pub limit: i64,
}
