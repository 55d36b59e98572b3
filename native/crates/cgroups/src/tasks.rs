//! What runs in cgroups, told by /proc: processes, threads, what they hold open, what they do.
//! A process that ends while it is looked at is left out. Nothing here waits for a file system: only
//! names of descriptors are read, never what they lead to.

use crate::detect::{Layout, check_path};
use crate::error::Result;
use crate::group;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, openat, readlinkat, statat};
use std::path::{Path, PathBuf};

#[cfg(feature = "serde")]
use serde::Serialize;

/// Descriptors of one process that are looked at one by one; of more, sockets are not counted.
const MOST_DESCRIPTORS: u64 = 16_384;

/// What runs in a cgroup and below it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Serialize), serde(rename_all = "camelCase"))]
pub struct Tasks {
    /// Processes.
    pub processes: u64,
    /// Open descriptors of all of them.
    pub descriptors: u64,
    /// Those that are sockets; `None` when a process has too many to look at.
    pub sockets: Option<u64>,
    /// Threads by what they do.
    pub states: States,
    /// Soft limit of open files of the main process; `None` when it is gone, or without a limit.
    pub open_files_limit: Option<u64>,
}

/// Threads by state (proc_pid_stat(5)).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Serialize), serde(rename_all = "camelCase"))]
pub struct States {
    /// R
    pub running: u64,
    /// S, I: wait for something and take signals.
    pub sleeping: u64,
    /// T, t
    pub stopped: u64,
    /// D
    pub uninterruptible: u64,
    /// Z, X: ended and not reaped.
    pub ended: u64,
}

/// What runs in each cgroup, in order. `main` has the main process of each, 0 for none.
pub fn tasks(layout: &Layout, paths: &[(String, i32)]) -> Result<Vec<Tasks>> {
    let mut all = Vec::with_capacity(paths.len());
    for (path, main) in paths {
        check_path(path)?;
        let mut found = Tasks { sockets: Some(0), ..Tasks::default() };
        for pid in group::procs(layout, path)? {
            look(Path::new(&format!("/proc/{pid}")), &mut found);
        }
        found.open_files_limit = (*main > 0).then(|| open_files_limit(*main)).flatten();
        all.push(found);
    }
    Ok(all)
}

fn look(process: &Path, found: &mut Tasks) {
    let Some(threads) = names(&process.join("task")) else { return };
    found.processes += 1;
    for thread in threads {
        if let Ok(stat) = std::fs::read(process.join("task").join(thread).join("stat"))
            && let Some(state) = state(&stat)
        {
            found.states.count(state);
        }
    }
    descriptors(process.join("fd"), found);
}

impl States {
    fn count(&mut self, state: u8) {
        *match state {
            b'R' => &mut self.running,
            b'T' | b't' => &mut self.stopped,
            b'D' => &mut self.uninterruptible,
            b'Z' | b'X' => &mut self.ended,
            _ => &mut self.sleeping,
        } += 1;
    }
}

/// The third field of a stat file: behind the name, which may hold anything.
fn state(stat: &[u8]) -> Option<u8> {
    let name_end = stat.iter().rposition(|b| *b == b')')?;
    stat.get(name_end + 2).copied()
}

fn descriptors(dir: PathBuf, found: &mut Tasks) {
    // Since Linux 6.2 the directory's size is the number of its entries.
    let counted = statat(CWD, &dir, AtFlags::empty()).ok().and_then(|s| u64::try_from(s.st_size).ok());
    if let Some(many) = counted.filter(|n| *n > MOST_DESCRIPTORS) {
        found.descriptors += many;
        found.sockets = None;
        return;
    }
    let Ok(fd) = openat(CWD, &dir, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()) else { return };
    let Some(entries) = names(&dir) else { return };
    found.descriptors += entries.len() as u64;
    if entries.len() as u64 > MOST_DESCRIPTORS {
        found.sockets = None;
    }
    let Some(sockets) = &mut found.sockets else { return };
    let mut room = Vec::new();
    for entry in entries {
        room.clear();
        if let Ok(link) = readlinkat(&fd, entry, room) {
            *sockets += u64::from(link.as_bytes().starts_with(b"socket:"));
            room = link.into_bytes();
        } else {
            room = Vec::new();
        }
    }
}

/// Names of a directory; `None` when it is gone.
fn names(dir: &Path) -> Option<Vec<std::ffi::OsString>> {
    let entries = std::fs::read_dir(dir).ok()?;
    Some(entries.map_while(|entry| entry.ok()).map(|entry| entry.file_name()).collect())
}

fn open_files_limit(pid: i32) -> Option<u64> {
    limit_of(&std::fs::read_to_string(format!("/proc/{pid}/limits")).ok()?)
}

/// The soft limit in the line "Max open files   1024   524288   files".
fn limit_of(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_stands_behind_the_name() {
        assert_eq!(state(b"12 (a) R 1 2"), Some(b'R'));
        assert_eq!(state(b"12 (a) ) D) S 1 2"), Some(b'S'));
        assert_eq!(state(b"12"), None);
    }

    #[test]
    fn limits_are_read() {
        let text = "Limit   Soft  Hard  Units\nMax cpu time unlimited unlimited seconds\nMax open files            1024   524288   files\n";
        assert_eq!(limit_of(text), Some(1024));
        assert_eq!(limit_of("Max open files  unlimited unlimited files\n"), None);
        assert_eq!(limit_of(""), None);
    }

    #[test]
    fn this_process_is_found() {
        let mut found = Tasks { sockets: Some(0), ..Tasks::default() };
        let pair = std::os::unix::net::UnixStream::pair();
        look(Path::new("/proc/self"), &mut found);
        assert!(pair.is_ok() && found.processes == 1 && found.descriptors >= 5, "{found:?}");
        assert!(found.sockets >= Some(2) && found.states.running + found.states.sleeping >= 1, "{found:?}");
        assert!(open_files_limit(std::process::id() as i32).is_none_or(|limit| limit > 0));
    }
}
