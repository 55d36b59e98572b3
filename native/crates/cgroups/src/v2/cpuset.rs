//! v2 `cpuset`: empty means the parent's.

use crate::error::Result;
use crate::file;
use crate::journal::Journal;
use crate::resources::Resources;
use std::path::Path;

const FILES: [&str; 2] = ["cpuset.cpus", "cpuset.mems"];

/// Writes CPUs and nodes.
pub fn set(journal: &mut Journal, dir: &Path, r: &Resources) -> Result<()> {
    for (file, list) in FILES.iter().zip([&r.cpuset_cpus, &r.cpuset_mems]) {
        if !list.is_empty() {
            journal.set(dir, file, list)?;
        }
    }
    Ok(())
}

/// Reads them back.
pub fn get(dir: &Path, r: &mut Resources) -> Result<()> {
    r.cpuset_cpus = file::read_if_exists(dir, FILES[0])?.unwrap_or_default();
    r.cpuset_mems = file::read_if_exists(dir, FILES[1])?.unwrap_or_default();
    Ok(())
}
