//! What the monitor does with a container's cgroup, as the cgroups crate does it.

use std::path::Path;

pub use podwright_cgroups::freeze::{thaw_v1, thaw_v2};
pub use podwright_cgroups::kill::{KillTarget, kill_once};
pub use podwright_cgroups::oom::kills;
pub use podwright_cgroups::procs::list;

/// Whether the v1 freezer cgroup at `dir` is frozen or about to be.
pub fn is_frozen_v1(dir: &Path) -> bool {
    std::fs::read_to_string(dir.join("freezer.state")).is_ok_and(|state| state.trim() != "THAWED")
}

/// Whether the v2 cgroup at `dir` has been told to freeze.
pub fn is_frozen_v2(dir: &Path) -> bool {
    std::fs::read_to_string(dir.join("cgroup.freeze")).is_ok_and(|state| state.trim() == "1")
}

/// Whether the processes of the v2 cgroup at `dir` are frozen: by its own file or that of a group above.
pub fn stands_still_v2(dir: &Path) -> bool {
    std::fs::read_to_string(dir.join("cgroup.events")).is_ok_and(|text| text.lines().any(|line| line == "frozen 1"))
}
