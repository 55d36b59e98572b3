//! A cgroup below the container's for one exec, in the unified tree: what makes it possible to
//! kill all that the exec has started and nothing else. Without cgroup.kill the exec's
//! descendants are looked for by parent and session.

use crate::exec::kill_group;
use crate::kill::processes;
use podwright_protocol::message::CgroupFacts;
use podwright_sys::signal;
use podwright_sys::start_time::stat_field;
use std::path::Path;

/// The cgroup of an exec; without a directory where that cannot be.
#[derive(Debug, Clone)]
pub(crate) struct ExecCgroup {
    directory: Option<String>,
}

impl ExecCgroup {
    /// Makes it for the exec of this key. Where it cannot be made the exec runs in the container's; so does that of a
    /// container which rules cgroups of its own, or it would be outside of what the container sees.
    pub(crate) fn make(container: &CgroupFacts, key: u64) -> Self {
        let directory = above(container).map(|dir| format!("{dir}/exec-{key}"));
        Self { directory: directory.filter(|dir| std::fs::create_dir(dir).is_ok()) }
    }

    /// Where the exec's processes are; none: in the container's.
    pub(crate) fn directory(&self) -> Option<&str> {
        self.directory.as_deref()
    }

    /// Kills everything the exec has started; `pid` is its process, 0 after the end.
    pub(crate) fn kill(&self, container: &CgroupFacts, pid: i32) {
        let by_cgroup =
            self.directory.as_ref().is_some_and(|dir| std::fs::write(format!("{dir}/cgroup.kill"), "1").is_ok());
        kill_group(pid);
        if by_cgroup {
            crate::kill::thaw(container);
            return;
        }
        for descendant in descendants(container, pid) {
            // each may have ended since it was listed
            let _ = signal::send(descendant, 9);
        }
    }

    /// Takes an unused cgroup away.
    pub(crate) fn remove(&self) {
        if let Some(directory) = &self.directory {
            // one that cannot be removed is removed with the container's
            let _ = std::fs::remove_dir(directory);
        }
    }

    /// Takes the cgroup away; what the exec has left running moves to the container's. False when
    /// it has to be tried again because processes are still ending there.
    pub(crate) fn remove_or_empty(&self, container: Option<&CgroupFacts>) -> bool {
        let Some(directory) = &self.directory else { return true };
        if std::fs::remove_dir(directory).is_ok() || !Path::new(directory).exists() {
            return true;
        }
        let list = std::fs::read_to_string(format!("{directory}/cgroup.procs")).unwrap_or_default();
        if let Some(above) = container.and_then(|c| Path::new(&c.kill_file).parent()) {
            for pid in list.lines() {
                // one that is ending cannot move and need not
                let _ = std::fs::write(above.join("cgroup.procs"), pid);
            }
        }
        std::fs::remove_dir(directory).is_ok()
    }
}

/// The container's own directory; none without one, and where its processes are put below it. PURE.
fn above(container: &CgroupFacts) -> Option<&str> {
    let own = Path::new(&container.kill_file).parent().and_then(Path::to_str).filter(|dir| !dir.is_empty())?;
    let place = container.place.as_ref().map_or(own, |place| place.unified_dir.as_str());
    (place == own || place.is_empty()).then_some(own)
}

/// The processes of the container's cgroup that come from `pid`: by parents, or by its session.
fn descendants(container: &CgroupFacts, pid: i32) -> Vec<i32> {
    if pid <= 0 {
        return Vec::new();
    }
    let facts: Vec<(i32, i32, i32)> = processes(container)
        .into_iter()
        .filter_map(|process| {
            let line = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
            let number = |field| stat_field(line.as_bytes(), field).and_then(|text| text.parse::<i32>().ok());
            Some((process, number(4)?, number(6)?))
        })
        .collect();
    let mut found = vec![pid];
    let mut grown = true;
    while grown {
        grown = false;
        for (process, parent, session) in &facts {
            if !found.contains(process) && (*session == pid || found.contains(parent)) {
                found.push(*process);
                grown = true;
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::above;
    use podwright_protocol::message::{CgroupFacts, CgroupPlace};

    #[test]
    fn execs_have_a_cgroup_below_the_containers_unless_it_rules_its_own() {
        let facts = |kill: &str, place: &str| CgroupFacts {
            kill_file: kill.into(),
            place: Some(CgroupPlace { unified_dir: place.into(), v1_tasks: Vec::new() }),
            ..CgroupFacts::default()
        };
        assert_eq!(above(&facts("/cg/a/cgroup.kill", "/cg/a")), Some("/cg/a"));
        assert_eq!(above(&facts("/cg/a/cgroup.kill", "/cg/a/payload")), None);
        assert_eq!(above(&facts("", "/cg/a")), None);
    }
}
