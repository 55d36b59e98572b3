//! v1 `cpuset`: a new group has no CPUs and no memory nodes, and takes no process until it has.

use crate::error::Result;
use crate::file;
use crate::journal::Journal;
use crate::resources::Resources;
use std::path::Path;

const FILES: [&str; 2] = ["cpuset.cpus", "cpuset.mems"];

/// Gives every group between `root` (not included) and `dir` its parent's CPUs and nodes where it
/// has none.
pub fn inherit(root: &Path, dir: &Path) -> Result<()> {
    let Ok(below) = dir.strip_prefix(root) else { return Ok(()) };
    let mut parent = root.to_owned();
    for name in below {
        let child = parent.join(name);
        for file in FILES {
            if file::read(&child, file)?.is_empty() {
                file::write(&child, file, &file::read(&parent, file)?)?;
            }
        }
        parent = child;
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
