//! What runs in cgroups, told by /proc: processes, threads, what they hold open, what they do.
//! A process that ends while it is looked at is left out. Nothing here waits for a file system: only
//! names of descriptors are read, never what they lead to.

use crate::detect::{Layout, check_path};
use crate::error::Result;
use crate::group;
use podwright_sys::limits::open_files_limit;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, RawDir, fstat, openat, readlinkat, statat};
use rustix::path::Arg;
use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

#[cfg(feature = "serde")]
use serde::Serialize;

/// Descriptors of one process that are looked at one by one; of more, sockets are not counted.
const MOST_DESCRIPTORS: u64 = 16_384;

/// Enough of a stat file for the name (at most 64 bytes) and what stands before and behind it.
const STAT_BYTES: usize = 256;

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
            look(pid, &mut found);
        }
        found.open_files_limit = (*main > 0).then(|| open_files_limit(*main)).flatten();
        all.push(found);
    }
    Ok(all)
}

fn look(pid: i32, found: &mut Tasks) {
    let opened = open(CWD, Path::new(&format!("/proc/{pid}")), OFlags::PATH);
    let Some(process) = opened else { return };
    // the directory's links are one for each thread and two of its own: with one thread its name is known
    let Ok(threads) = statat(&process, "task", AtFlags::empty()) else { return };
    found.processes += 1;
    if threads.st_nlink == 3 {
        thread(&process, &pid.to_string(), found);
    } else if let Some(dir) = open(&process, "task", OFlags::RDONLY) {
        each(&dir, |tid| thread(&process, &tid.to_string_lossy(), found));
    }
    descriptors(&process, found);
}

fn thread(process: &OwnedFd, tid: &str, found: &mut Tasks) {
    let mut stat = [0; STAT_BYTES];
    let Ok(file) = openat(process, format!("task/{tid}/stat"), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()) else {
        return;
    };
    if let Ok(length) = rustix::io::read(&file, &mut stat)
        && let Some(state) = state(&stat[..length])
    {
        found.states.count(state);
    }
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

fn descriptors(process: &OwnedFd, found: &mut Tasks) {
    let Some(fds) = open(process, "fd", OFlags::RDONLY) else { return };
    // Since Linux 6.2 the directory's size is the number of its entries.
    let counted = fstat(&fds).ok().and_then(|s| u64::try_from(s.st_size).ok());
    if let Some(many) = counted.filter(|n| *n > MOST_DESCRIPTORS) {
        found.descriptors += many;
        found.sockets = None;
        return;
    }
    let (mut all, mut sockets, mut room) = (0, 0, Vec::new());
    each(&fds, |name| {
        all += 1;
        if all > MOST_DESCRIPTORS {
            return;
        }
        if let Ok(link) = readlinkat(&fds, name, std::mem::take(&mut room)) {
            sockets += u64::from(link.as_bytes().starts_with(b"socket:"));
            room = link.into_bytes();
            room.clear();
        }
    });
    found.descriptors += all;
    found.sockets = found.sockets.filter(|_| all <= MOST_DESCRIPTORS).map(|before| before + sockets);
}

/// `None` when it is gone.
fn open(below: impl AsFd, path: impl Arg, how: OFlags) -> Option<OwnedFd> {
    openat(below, path, how | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).ok()
}

/// Calls with each name of a directory; one that goes meanwhile ends early.
fn each(dir: &OwnedFd, mut with: impl FnMut(&CStr)) {
    let mut buffer = [MaybeUninit::uninit(); 2048];
    let mut entries = RawDir::new(dir, &mut buffer);
    while let Some(Ok(entry)) = entries.next() {
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            with(entry.file_name());
        }
    }
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
    fn this_process_is_found() {
        let mut found = Tasks { sockets: Some(0), ..Tasks::default() };
        let pair = std::os::unix::net::UnixStream::pair();
        look(std::process::id() as i32, &mut found);
        assert!(pair.is_ok() && found.processes == 1 && found.descriptors >= 5, "{found:?}");
        assert!(found.sockets >= Some(2) && found.states.running + found.states.sleeping >= 1, "{found:?}");
    }
}
