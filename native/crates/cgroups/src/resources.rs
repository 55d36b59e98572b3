//! Limits of a cgroup as values.

use crate::error::{CgroupError, Result};
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

impl Resources {
    /// Refuses values no kernel gives a meaning; what depends on the kernel is left to it.
    pub fn check(&self) -> Result<()> {
        let refuse = |field, value: &dyn std::fmt::Display, reason| {
            Err(CgroupError::Value { field, value: value.to_string(), reason })
        };
        let numbers = [
            ("cpu_shares", self.cpu_shares, 0),
            ("cpu_quota", self.cpu_quota, -1),
            ("cpu_period", self.cpu_period, 1),
            ("memory_limit_in_bytes", self.memory_limit_bytes, -1),
            ("memory_swap_limit_in_bytes", self.memory_swap_limit_bytes, -1),
            ("pids_limit", self.pids_limit, -1),
        ];
        for (field, value, least) in numbers {
            if let Some(value) = value.filter(|v| *v < least) {
                return refuse(field, &value, "is too small");
            }
        }
        if self.memory_limit_bytes == Some(0) {
            return refuse("memory_limit_in_bytes", &0, "leaves no memory at all");
        }
        for (field, list) in [("cpuset_cpus", &self.cpuset_cpus), ("cpuset_mems", &self.cpuset_mems)] {
            if !list.bytes().all(|b| b.is_ascii_digit() || matches!(b, b',' | b'-' | b':' | b'/')) {
                return refuse(field, list, "is not a list of numbers and ranges");
            }
        }
        for huge in &self.hugepage_limits {
            if !is_page_size(&huge.page_size) {
                return refuse("hugepage_limits", &huge.page_size, "is not a page size such as 2MB");
            }
            if huge.limit < -1 {
                return refuse("hugepage_limits", &huge.limit, "is too small");
            }
        }
        Ok(())
    }

    /// Whether huge pages are to be granted: a limit of 0 holds without a controller as well.
    pub fn wants_hugepages(&self) -> bool {
        self.hugepage_limits.iter().any(|h| h.limit != 0)
    }
}

/// "2MB", "1GB", "64KB": it becomes part of a file name.
fn is_page_size(text: &str) -> bool {
    let digits = text.trim_end_matches("KB").trim_end_matches("MB").trim_end_matches("GB");
    digits.len() + 2 == text.len() && !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
}

/// A limit as cgroup v2 writes it: "max" for none.
pub(crate) fn max_or(value: i64) -> String {
    if value < 0 { "max".into() } else { value.to_string() }
}

/// A limit as a cgroup file prints it: "max" and -1 are -1. v1 prints "no memory limit" as the
/// largest number of whole pages, close to 2^63.
pub(crate) fn parse_limit(text: &str) -> Option<i64> {
    match text.trim() {
        "max" | "-1" => Some(-1),
        number => {
            let value: u64 = number.parse().ok()?;
            Some(if value >= 1 << 62 { -1 } else { value as i64 })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(change: impl FnOnce(&mut Resources)) -> Resources {
        let mut r = Resources::default();
        change(&mut r);
        r
    }

    #[test]
    fn meaningless_values_are_refused() {
        assert!(with(|_| ()).check().is_ok());
        assert!(with(|r| r.memory_limit_bytes = Some(-1)).check().is_ok());
        assert!(with(|r| r.memory_limit_bytes = Some(0)).check().is_err());
        assert!(with(|r| r.memory_swap_limit_bytes = Some(-2)).check().is_err());
        assert!(with(|r| r.cpu_period = Some(0)).check().is_err());
        assert!(with(|r| r.cpuset_cpus = "0-1,4".into()).check().is_ok());
        assert!(with(|r| r.cpuset_cpus = "0 \n".into()).check().is_err());
        for (size, good) in [
            ("2MB", true),
            ("1GB", true),
            ("64KB", true),
            ("", false),
            ("MB", false),
            ("2", false),
            ("../2MB", false),
            ("2MBMB", false),
        ] {
            let r = with(|r| r.hugepage_limits = vec![HugepageLimit { page_size: size.into(), limit: 0 }]);
            assert_eq!(r.check().is_ok(), good, "{size}");
        }
    }

    #[test]
    fn limits_are_read_in_every_spelling() {
        assert_eq!(parse_limit("max"), Some(-1));
        assert_eq!(parse_limit("-1"), Some(-1));
        assert_eq!(parse_limit("9223372036854771712"), Some(-1));
        assert_eq!(parse_limit("4096\n"), Some(4096));
        assert_eq!(parse_limit("x"), None);
    }
}
