//! Making a cgroup in the unified tree with its controllers switched on from the root down.

use crate::file;
use std::path::Path;

/// Controllers a container is limited and measured by; the last three by `unified` alone.
pub const CONTROLLERS: [&str; 9] = ["cpu", "cpuset", "io", "memory", "pids", "hugetlb", "rdma", "misc", "dmem"];

/// Switches `wanted` on for the children of `dir`, as far as `dir` has them. Nobody is moved.
///
/// A controller that cannot be switched on (a parent with processes of its own, realtime tasks
/// outside the root for `cpu`) is left off: the limit that needs it then fails by name, and one
/// that is not asked for needs nothing.
pub fn enable(dir: &Path, wanted: &[&str]) {
    let words = |name| file::read(dir, name).unwrap_or_default();
    let (offered, enabled) = (words("cgroup.controllers"), words("cgroup.subtree_control"));
    let has = |list: &str, name: &str| list.split_whitespace().any(|w| w == name);
    let missing: Vec<String> =
        wanted.iter().filter(|c| has(&offered, c) && !has(&enabled, c)).map(|c| format!("+{c}")).collect();
    if missing.is_empty() || file::write(dir, "cgroup.subtree_control", &missing.join(" ")).is_ok() {
        return;
    }
    for one in missing {
        let _left_off = file::write(dir, "cgroup.subtree_control", &one);
    }
}
