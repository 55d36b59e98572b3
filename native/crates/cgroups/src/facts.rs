//! Where a cgroup's files are: what the monitor needs to place, watch and kill its processes.

use crate::detect::Layout;
use crate::file;
use std::path::Path;

/// Where a process is put (`CgroupPlace` of monitor.proto).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "camelCase", deny_unknown_fields))]
pub struct Place {
    /// The v2 directory for CLONE_INTO_CGROUP, on hybrid hosts the unified tree's; empty: none.
    pub unified_dir: String,
    /// v1 `tasks` files into which the process writes "0" itself.
    pub v1_tasks: Vec<String>,
}

/// A cgroup as the monitor needs it (`CgroupFacts` of monitor.proto). Absolute paths; empty: none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "camelCase", deny_unknown_fields))]
pub struct Facts {
    /// Where processes are put.
    pub place: Place,
    /// `cgroup.kill`; empty on pure v1 and before Linux 5.14.
    pub kill_file: String,
    /// The v1 freezer directory; empty on v2.
    pub freezer_dir: String,
    /// v2 `memory.events.local` or `memory.events`, or v1 `memory.oom_control`.
    pub memory_events: String,
    /// A directory whose `cgroup.procs` lists every process.
    pub procs_dir: String,
    /// The v1 devices directory; empty where devices are ruled by BPF.
    pub devices_v1_dir: String,
    /// The v2 directory the device program is attached to; empty where v1 rules devices.
    pub devices_v2_dir: String,
}

/// The facts of the cgroup at `path`, which must exist.
pub fn facts(layout: &Layout, path: &str) -> Facts {
    let unified = layout.unified_dir(path);
    let freezer = layout.v1_dir("freezer", path);
    let devices = layout.v1_dir("devices", path);
    let memory = layout.v1_dir("memory", path);
    let kill = unified.as_deref().filter(|dir| file::exists(dir, "cgroup.kill"));
    let memory_events = match (&memory, &unified) {
        (Some(dir), _) => text(&dir.join("memory.oom_control")),
        (None, Some(dir)) if file::exists(dir, "memory.events.local") => text(&dir.join("memory.events.local")),
        (None, Some(dir)) if file::exists(dir, "memory.events") => text(&dir.join("memory.events")),
        _ => String::new(),
    };
    let procs = unified.clone().or_else(|| memory.clone()).or_else(|| layout.v1_dirs(path).into_iter().next());
    Facts {
        place: Place {
            unified_dir: unified.as_deref().map(text).unwrap_or_default(),
            v1_tasks: layout.v1_dirs(path).iter().map(|dir| text(&dir.join("tasks"))).collect(),
        },
        kill_file: kill.map(|dir| text(&dir.join("cgroup.kill"))).unwrap_or_default(),
        freezer_dir: freezer.as_deref().map(text).unwrap_or_default(),
        memory_events,
        procs_dir: procs.as_deref().map(text).unwrap_or_default(),
        devices_v2_dir: if devices.is_none() {
            unified.as_deref().map(text).unwrap_or_default()
        } else {
            String::new()
        },
        devices_v1_dir: devices.as_deref().map(text).unwrap_or_default(),
    }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
