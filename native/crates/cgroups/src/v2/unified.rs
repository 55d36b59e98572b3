//! The CRI's `unified` map: cgroup v2 files by name.

use crate::error::{CgroupError, Result};
use crate::file::{self, errno};
use crate::journal::{Journal, is_by_device};
use crate::v2::memory;
use podwright_sys::errno::SysError;
use std::collections::BTreeMap;
use std::path::Path;

/// Files that act on processes or on the tree instead of limiting: no business of a pod's spec.
const NOT_LIMITS: [&str; 7] = [
    "cgroup.procs",
    "cgroup.threads",
    "cgroup.kill",
    "cgroup.type",
    "cgroup.freeze",
    "cgroup.subtree_control",
    "memory.reclaim",
];

const PARTITION: &str = "cpuset.cpus.partition";

/// Writes each value to its file; a line a write where a file has one for each device.
pub fn set(journal: &mut Journal, path: &str, dir: &Path, map: &BTreeMap<String, String>) -> Result<()> {
    for (key, value) in map {
        check(key)?;
        if key == "memory.max" {
            memory::room_for(path, dir, value)?;
        }
        let whole = [value.as_str()];
        let lines: Vec<&str> =
            if is_by_device(key) { value.lines().filter(|l| !l.trim().is_empty()).collect() } else { whole.into() };
        for line in lines {
            journal.set(dir, key, line).map_err(|e| refused(key, e, dir.exists()))?;
        }
        if key == PARTITION {
            check_partition(dir)?;
        }
    }
    Ok(())
}

/// What the kernel's refusal says of a key. A cgroup that has gone says ENODEV of every file.
fn refused(key: &str, e: SysError, is_there: bool) -> CgroupError {
    let reason = match e.errno {
        errno::ENOENT => "no such file: unknown, or its controller is off",
        errno::ENODEV if is_there && is_by_device(key) => "names no device that has it (a partition has none)",
        errno::EOPNOTSUPP if is_by_device(key) => "names a device that does not support it",
        _ => return e.into(),
    };
    CgroupError::UnifiedKey { key: key.to_owned(), reason }
}

/// The kernel takes a partition that cannot be, and says so when it is read ("root invalid (...)").
fn check_partition(dir: &Path) -> Result<()> {
    let now = file::read(dir, PARTITION)?;
    if !now.contains("invalid") {
        return Ok(());
    }
    Err(CgroupError::Value { field: PARTITION, value: now, reason: "is what the kernel makes of it" })
}

/// Reads the files of `asked` back.
pub fn get(dir: &Path, asked: &BTreeMap<String, String>) -> Result<BTreeMap<String, String>> {
    let mut map = BTreeMap::new();
    for key in asked.keys() {
        check(key)?;
        if let Some(value) = file::read_if_exists(dir, key)? {
            map.insert(key.clone(), value);
        }
    }
    Ok(map)
}

/// Refuses what is not the name of a limit's file.
fn check(key: &str) -> Result<()> {
    let refuse = |reason| Err(CgroupError::UnifiedKey { key: key.to_owned(), reason });
    if key.is_empty() || key.contains('/') || key.contains('\0') {
        return refuse("is not a file name");
    }
    if !key.contains('.') || key.starts_with('.') {
        return refuse("is not the name of a cgroup file");
    }
    // a pressure file takes triggers, which end with the descriptor; a peak file is a measure
    if NOT_LIMITS.contains(&key) || key.ends_with(".pressure") || key.ends_with(".peak") {
        return refuse("is not a limit");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{check, errno, refused};
    use podwright_sys::errno::SysError;

    #[test]
    fn a_device_that_cannot_be_limited_is_the_callers_fault() {
        let told = |key, number, is_there| {
            let e = SysError::new("write", "write", number, key);
            refused(key, e, is_there).to_string()
        };
        for key in ["io.max", "io.latency", "rdma.max"] {
            let told = told(key, errno::ENODEV, true);
            assert!(told.starts_with(&format!("unified key \"{key}\": names no device")), "{told}");
        }
        assert!(told("io.cost.qos", errno::EOPNOTSUPP, true).contains("does not support it"));
        assert!(!told("io.max", errno::ENODEV, false).contains("unified key"), "its cgroup has gone");
        assert!(!told("pids.max", errno::ENODEV, true).contains("unified key"));
        assert!(!told("io.max", errno::EINVAL, true).contains("unified key"), "the value is in that message");
    }

    #[test]
    fn only_names_of_limits_pass() {
        for good in ["memory.min", "memory.oom.group", "hugetlb.2MB.max", "rdma.max", "misc.max", "cpu.max.burst"] {
            assert!(check(good).is_ok(), "{good}");
        }
        let names = ["", "..", ".", "../memory.max", "memory", "a/b.c", "memory.max\0"];
        for bad in names.into_iter().chain(["cgroup.procs", "memory.reclaim", "io.pressure", "memory.swap.peak"]) {
            assert!(check(bad).is_err(), "{bad:?}");
        }
    }
}
