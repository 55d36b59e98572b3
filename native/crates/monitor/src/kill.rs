//! Ending processes by their cgroup, and naming those that will not end.

use podwright_container::cgroup::{self, KillTarget};
use podwright_protocol::message::CgroupFacts;
use podwright_sys::signal;
use podwright_sys::start_time::stat_field;
use std::path::Path;

/// Kills every process of a cgroup once, frozen ones too. What cannot be killed so is named later
/// by [`stuck`]; a group that has gone is empty.
pub(crate) fn kill_cgroup(facts: &CgroupFacts) {
    let target =
        KillTarget { kill_file: &facts.kill_file, freezer_dir: &facts.freezer_dir, procs_dir: &facts.procs_dir };
    if !facts.kill_file.is_empty() || !facts.procs_dir.is_empty() {
        let _ = cgroup::kill_once(target);
    }
    if !facts.kill_file.is_empty() {
        thaw(facts); // a frozen process of a v1 freezer takes no signal, not even this one
    }
}

/// Thaws a cgroup, so that its processes can act on signals. A group that is not frozen or has
/// gone stays as it is.
pub(crate) fn thaw(facts: &CgroupFacts) {
    if !facts.freezer_dir.is_empty() {
        let dir = Path::new(&facts.freezer_dir);
        if cgroup::is_frozen_v1(dir) {
            let _ = cgroup::thaw_v1(dir);
        }
    }
    if let Some(dir) = Path::new(&facts.kill_file).parent().filter(|_| !facts.kill_file.is_empty())
        && cgroup::is_frozen_v2(dir)
    {
        let _ = cgroup::thaw_v2(dir);
    }
}

/// Whether a cgroup is frozen: a process that joins it would not run.
pub(crate) fn is_frozen(facts: &CgroupFacts) -> bool {
    let v1 = !facts.freezer_dir.is_empty() && cgroup::is_frozen_v1(Path::new(&facts.freezer_dir));
    let v2 = Path::new(&facts.kill_file).parent().filter(|_| !facts.kill_file.is_empty());
    v1 || v2.is_some_and(|dir| cgroup::is_frozen_v2(dir) || cgroup::stands_still_v2(dir))
}

/// Sends a signal to every process of a cgroup.
pub(crate) fn signal_cgroup(facts: &CgroupFacts, number: i32) -> podwright_sys::errno::SysResult<()> {
    for pid in processes(facts) {
        match signal::send(pid, number) {
            Ok(()) => {}
            Err(e) if e.errno == rustix::io::Errno::SRCH.raw_os_error() => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// The processes of a cgroup; none when it is not known or has gone.
pub(crate) fn processes(facts: &CgroupFacts) -> Vec<i32> {
    if facts.procs_dir.is_empty() {
        return Vec::new();
    }
    cgroup::list(Path::new(&facts.procs_dir)).unwrap_or_default()
}

/// What is left in a cgroup, for people: "pid 12 (cat) D in nfs_wait".
pub(crate) fn stuck(facts: &CgroupFacts) -> Vec<String> {
    processes(facts).into_iter().filter_map(describe).take(16).collect()
}

fn describe(pid: i32) -> Option<String> {
    let line = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let name = line.get(line.find('(')? + 1..line.rfind(')')?)?;
    let state = stat_field(line.as_bytes(), 3)?;
    let place = std::fs::read_to_string(format!("/proc/{pid}/wchan")).unwrap_or_default();
    let place = if place.is_empty() || place == "0" { "unknown".to_owned() } else { place };
    Some(format!("pid {pid} ({name}) {state} in {place}"))
}
