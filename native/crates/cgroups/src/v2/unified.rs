//! The CRI's `unified` map: cgroup v2 files by name.

use crate::error::{CgroupError, Result};
use crate::file::{self, errno};
use crate::journal::Journal;
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

/// Writes each value to its file.
pub fn set(journal: &mut Journal, dir: &Path, map: &BTreeMap<String, String>) -> Result<()> {
    for (key, value) in map {
        check(key)?;
        journal.set(dir, key, value).map_err(|e| match e.errno {
            errno::ENOENT => {
                CgroupError::UnifiedKey { key: key.clone(), reason: "no such file: unknown, or its controller is off" }
            }
            _ => e.into(),
        })?;
    }
    Ok(())
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
    if NOT_LIMITS.contains(&key) {
        return refuse("is not a limit");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn only_names_of_limits_pass() {
        for good in ["memory.min", "memory.oom.group", "hugetlb.2MB.max"] {
            assert!(check(good).is_ok(), "{good}");
        }
        for bad in ["", "..", ".", "../memory.max", "memory", "cgroup.procs", "a/b.c", "memory.max\0"] {
            assert!(check(bad).is_err(), "{bad:?}");
        }
    }
}
