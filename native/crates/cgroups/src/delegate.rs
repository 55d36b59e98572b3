//! A cgroup that a container may divide as it likes (cgroups(7), "Cgroups delegation"): one of its own below the one that
//! has its limits, so that limits stay out of its reach whatever the unified tree is mounted with. It is the root of the
//! container's cgroup namespace.

use crate::detect::{Layout, Version, check_path};
use crate::error::{CgroupError, Result};
use crate::facts::Facts;
use crate::file::{self, errno};
use crate::v2::subtree;
use podwright_sys::errno::SysError;
use std::path::PathBuf;

/// Name of the delegated cgroup.
pub const PAYLOAD: &str = "payload";

/// What the owner of a delegated cgroup may do at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "camelCase", deny_unknown_fields))]
pub struct Bounds {
    /// How many cgroups it may make, at all depths (`cgroup.max.descendants`).
    pub max_descendants: u32,
}

/// Makes the delegated cgroup below the one of `facts`, which has been made for nobody else, and answers where processes
/// are put and how their ends by the OOM killer are seen then.
pub fn make(layout: &Layout, path: &str, bounds: Bounds, facts: Facts) -> Result<Facts> {
    let dir = own_dir(layout, path)?;
    let payload = dir.join(PAYLOAD);
    std::fs::create_dir(&payload)
        .map_err(|e| SysError::from_io("create cgroup", "mkdir", &e, payload.to_string_lossy()))?;
    file::write(&payload, "cgroup.max.descendants", &bounds.max_descendants.to_string())?;
    let mut facts = facts;
    facts.place.unified_dir = payload.to_string_lossy().into_owned();
    // its processes are in cgroups below: only the hierarchical count has them
    if let Some(all) = facts.memory_events.strip_suffix(".local") {
        facts.memory_events = all.to_owned();
    }
    Ok(facts)
}

/// Hands the controllers on, once `pid` is there: systemd takes a process into a scope only as long as no controller is
/// handed on, and takes it out of the delegated cgroup on the way.
pub fn settle(layout: &Layout, path: &str, pid: i32) -> Result<()> {
    let dir = own_dir(layout, path)?;
    match file::write(&dir.join(PAYLOAD), "cgroup.procs", &pid.to_string()) {
        // it has ended meanwhile, and with it its scope
        Err(e) if [errno::ESRCH, errno::ENOENT, errno::ENODEV].contains(&e.errno) => return Ok(()),
        other => other?,
    }
    subtree::enable(&dir, &subtree::CONTROLLERS);
    Ok(())
}

fn own_dir(layout: &Layout, path: &str) -> Result<PathBuf> {
    check_path(path)?;
    match (layout.version, layout.unified_dir(path)) {
        (Version::V2, Some(dir)) => Ok(dir),
        _ => {
            Err(CgroupError::NoCgroups("a cgroup can be handed on only where all controllers are in the unified tree"))
        }
    }
}
