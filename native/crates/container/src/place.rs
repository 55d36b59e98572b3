//! Where a process is put: its cgroups, its score for the OOM killer, what it inherits.

use crate::error::{StepResult, failed, io_failed};
use podwright_sys::clone::{self, Forked};
use podwright_sys::errno::SysResult;
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::process::{DumpableBehavior, Uid};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

pub use podwright_cgroups::Place;

/// Forks, the child born in the place's v2 directory where that works, otherwise moving there
/// itself (the caller's child must call [`enter`], with what this answers, before anything else).
///
/// # Errors
/// The fork's.
pub fn fork_into(place: &Place, flags: u64) -> SysResult<(Forked, bool)> {
    if let Some(dir) = open_dir(&place.unified_dir)
        && let Ok(forked) = clone::fork(flags, Some(dir.as_fd()))
    {
        return Ok((forked, true));
    }
    Ok((clone::fork(flags, None)?, false))
}

fn open_dir(path: &str) -> Option<OwnedFd> {
    if path.is_empty() {
        return None;
    }
    rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).ok()
}

/// Puts the calling process where it belongs. `born_there`: it is in the v2 directory already.
///
/// # Errors
/// The cgroup file that could not be written.
pub fn enter(place: &Place, born_there: bool) -> StepResult<()> {
    if !born_there && !place.unified_dir.is_empty() {
        let file = format!("{}/cgroup.procs", place.unified_dir);
        std::fs::write(&file, "0").map_err(io_failed("join the cgroup", "write", &file))?;
    }
    for file in &place.v1_tasks {
        std::fs::write(file, "0").map_err(io_failed("join the cgroup", "write", file))?;
    }
    Ok(())
}

/// As [`enter`], for a process that joins the container of `pid`: one that has divided its cgroup among cgroups of
/// its own (systemd does) takes no process into it any more. Then the place is beside the container's process.
///
/// # Errors
/// The cgroup file that could not be written.
pub fn enter_beside(place: &Place, born_there: bool, pid: i32) -> StepResult<()> {
    let busy = rustix::io::Errno::BUSY.raw_os_error();
    match enter(place, born_there) {
        Err(refused) if refused.errno == busy => {
            let file = format!("/proc/{pid}/cgroup");
            let text = std::fs::read_to_string(&file).map_err(io_failed("read", "read", &file))?;
            let Some(unified_dir) = beside(&place.unified_dir, &text) else { return Err(refused) };
            enter(&Place { unified_dir, ..place.clone() }, false)
        }
        done => done,
    }
}

/// The v2 directory of the process whose /proc/PID/cgroup has this `text`, when it is below `dir`. PURE.
fn beside(dir: &str, text: &str) -> Option<String> {
    let own = text.lines().find_map(|line| line.strip_prefix("0::"))?;
    // the longest way down to the process that the directory ends with is the directory's own path
    let cut = own.char_indices().rev().find(|(at, c)| *c == '/' && *at > 0 && dir.ends_with(&own[..*at]))?.0;
    Some(format!("{dir}{}", &own[cut..]))
}

/// Gives the v2 cgroup to a user of the host: what the kernel lists as safe to give, so limits stay ours.
///
/// # Errors
/// The failing call.
pub(crate) fn give_cgroup(place: &Place, uid: u32) -> StepResult<()> {
    let Some(dir) = open_dir(&place.unified_dir) else { return Ok(()) };
    let list = "/sys/kernel/cgroup/delegate";
    let names = std::fs::read_to_string(list).map_err(io_failed("read", "read", list))?;
    for name in std::iter::once(".").chain(names.lines()) {
        match rustix::fs::chownat(&dir, name, Some(Uid::from_raw(uid)), None, AtFlags::empty()) {
            // files of controllers that are off are not there
            Ok(()) | Err(rustix::io::Errno::NOENT) => {}
            Err(e) => return Err(failed("give the cgroup away", "fchownat", name)(e)),
        }
    }
    Ok(())
}

/// Makes the process worthless to whoever can see it: not dumpable, no descriptor but the
/// standard streams and `keep` (ruling 7).
///
/// # Errors
/// The errno of prctl or close_range.
pub fn strip(keep: &[BorrowedFd<'_>]) -> StepResult<()> {
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(failed(
        "make the process not dumpable",
        "prctl",
        "",
    ))?;
    clone::close_all_but(keep)?;
    Ok(())
}

/// Sets the process's OOM score adjustment. Without CAP_SYS_RESOURCE it cannot go below what was
/// inherited: then it stays at that, and the answer says so.
///
/// # Errors
/// The errno of the write, other than the refusal.
pub fn set_oom_score_adj(wanted: i32) -> StepResult<Option<String>> {
    const FILE: &str = "/proc/self/oom_score_adj";
    let write = |value: i32| std::fs::write(FILE, value.to_string());
    match write(wanted) {
        Ok(()) => Ok(None),
        Err(e) if e.kind() == std::io::ErrorKind::PermissionDenied => {
            let text = std::fs::read_to_string(FILE).map_err(io_failed("read", "read", FILE))?;
            let current: i32 = text.trim().parse().unwrap_or(0);
            Ok(Some(format!("oom_score_adj {wanted} clamped to {current}: no CAP_SYS_RESOURCE")))
        }
        Err(e) => Err(io_failed("set", "write", FILE)(e)),
    }
}

#[cfg(test)]
mod tests {
    use super::beside;

    #[test]
    fn the_place_beside_a_process_is_below_its_container() {
        let dir = "/sys/fs/cgroup/podwright/pods/a/b";
        for (text, found) in [
            ("0::/podwright/pods/a/b/init.scope\n", Some("/sys/fs/cgroup/podwright/pods/a/b/init.scope")),
            ("4:memory:/x\n0::/podwright/pods/a/b/x/y", Some("/sys/fs/cgroup/podwright/pods/a/b/x/y")),
            ("0::/podwright/pods/a/b\n", None),
            ("0::/elsewhere/b2\n", None),
            ("0::/\n", None),
            ("4:memory:/podwright/pods/a/b/c\n", None),
        ] {
            assert_eq!(beside(dir, text).as_deref(), found, "{text}");
        }
    }
}
