//! Ending every process of a cgroup: `cgroup.kill` where there is one, else freeze and SIGKILL.

use crate::error::{CgroupError, Result};
use crate::facts::Facts;
use crate::file::{self, errno};
use crate::{freeze, procs};
use podwright_sys::errno::{SysError, SysResult};
use rustix::process::{Pid, Signal, kill_process};
use std::path::Path;
use std::time::Duration;

/// What a kill needs of a cgroup; the fields are those of [`Facts`], empty for none.
#[derive(Debug, Clone, Copy)]
pub struct KillTarget<'a> {
    /// `cgroup.kill` of the unified tree (Linux 5.14).
    pub kill_file: &'a str,
    /// The v1 freezer directory.
    pub freezer_dir: &'a str,
    /// A directory whose `cgroup.procs` lists every process.
    pub procs_dir: &'a str,
}

impl<'a> From<&'a Facts> for KillTarget<'a> {
    fn from(f: &'a Facts) -> Self {
        Self { kill_file: &f.kill_file, freezer_dir: &f.freezer_dir, procs_dir: &f.procs_dir }
    }
}

/// Sends SIGKILL to every process once and does not wait. With `cgroup.kill` that is one write
/// and complete; without it the group is frozen for the round (at most 100 ms) so that nothing
/// forks past the signal, then thawed so that the signal is taken.
/// A group that does not exist has nothing to kill.
pub fn kill_once(target: KillTarget<'_>) -> SysResult<()> {
    if !target.kill_file.is_empty() {
        let path = Path::new(target.kill_file);
        let dir = path.parent().unwrap_or(Path::new("/"));
        return match file::write(dir, "cgroup.kill", "1") {
            Err(e) if e.errno == errno::ENODEV => Ok(()),
            // No such file: the group is gone, or the kernel is older than 5.14.
            Err(e) if e.errno == errno::ENOENT => kill_frozen(target),
            other => other,
        };
    }
    kill_frozen(target)
}

fn kill_frozen(target: KillTarget<'_>) -> SysResult<()> {
    let procs_dir = Path::new(target.procs_dir);
    let freezer = (!target.freezer_dir.is_empty()).then(|| Path::new(target.freezer_dir));
    if let Some(dir) = freezer {
        match freeze::freeze_v1(dir, Duration::from_millis(100)) {
            Ok(_) => {}
            Err(e) if e.errno == errno::ENOENT || e.errno == errno::ENODEV => {}
            Err(e) => return Err(e),
        }
    }
    let signalled = signal_all(procs_dir, Signal::KILL);
    // Thawed whatever happened: a frozen process does not take even SIGKILL on v1.
    if let Some(dir) = freezer {
        freeze::thaw_v1(dir)?;
    }
    signalled.map(|_| ())
}

/// Sends `signal` to every process of the group at `procs_dir` and below; answers how many were
/// reached. Processes that end meanwhile are no error.
pub fn signal_all(procs_dir: &Path, signal: Signal) -> SysResult<usize> {
    let mut reached = 0;
    for pid in procs::list(procs_dir)? {
        let Some(target) = Pid::from_raw(pid) else { continue };
        match kill_process(target, signal) {
            Ok(()) => reached += 1,
            Err(e) if e.raw_os_error() == errno::ESRCH => {}
            Err(e) => return Err(SysError::new("signal", "kill", e.raw_os_error(), format!("pid {pid}"))),
        }
    }
    Ok(reached)
}

/// Kills until no process is left, for at most `limit`.
pub fn kill_until_empty(target: KillTarget<'_>, limit: Duration) -> Result<()> {
    let dir = Path::new(target.procs_dir);
    let empty = freeze::until(limit, || {
        if procs::list(dir)?.is_empty() {
            return Ok(true);
        }
        kill_once(target)?;
        Ok(false)
    })?;
    if empty {
        return Ok(());
    }
    let mut pids = procs::list(dir)?;
    pids.truncate(16);
    if pids.is_empty() { Ok(()) } else { Err(CgroupError::StillPopulated { path: target.procs_dir.into(), pids }) }
}
