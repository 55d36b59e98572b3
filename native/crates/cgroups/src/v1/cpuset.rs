//! v1 `cpuset`: a new group has no CPUs and no memory nodes, and takes no process until it has.

use crate::error::Result;
use crate::file;
use crate::journal::Journal;
use crate::resources::Resources;
use std::path::Path;

const FILES: [&str; 2] = ["cpuset.cpus", "cpuset.mems"];

/// Gives `dir` its parent's CPUs and nodes where it has none; the parents below `root` before it.
pub fn inherit(root: &Path, dir: &Path) -> Result<()> {
    let Some(parent) = dir.parent().filter(|_| dir != root) else { return Ok(()) };
    let mut parents_have = false;
    for file in FILES {
        if !file::read(dir, file)?.is_empty() {
            continue;
        }
        if !parents_have {
            inherit(root, parent)?;
            parents_have = true;
        }
        file::write(dir, file, &file::read(parent, file)?)?;
    }
    Ok(())
}

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
    r.cpuset_cpus = file::read(dir, FILES[0])?;
    r.cpuset_mems = file::read(dir, FILES[1])?;
    Ok(())
}
