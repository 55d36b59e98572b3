//! The unified cgroup of a hybrid host, which not every runtime joins: its processes are moved there.

use podwright_container::error::{StepResult, failed};
use podwright_container::place::Place;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// Where processes are moved to, opened while it is in sight: it may be hidden from the runtime.
#[derive(Debug)]
pub(crate) struct Unified {
    file: Option<OwnedFd>,
    beside: Option<PathBuf>,
}

impl Unified {
    /// Opens the `cgroup.procs` of a directory; an empty one is none.
    ///
    /// # Errors
    /// The errno of open.
    pub(crate) fn open(directory: &str) -> StepResult<Self> {
        if directory.is_empty() {
            return Ok(Self { file: None, beside: None });
        }
        let path = format!("{directory}/cgroup.procs");
        let file = rustix::fs::open(&path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty()).map_err(failed(
            "join the cgroup",
            "open",
            path,
        ))?;
        Ok(Self { file: Some(file), beside: None })
    }

    /// The same for a container's whole place: what is in its v1 cgroup is moved, too.
    ///
    /// # Errors
    /// As [`Unified::open`].
    pub(crate) fn of(place: &Place) -> StepResult<Self> {
        let beside =
            place.v1_tasks.first().and_then(|file| Path::new(file).parent()).map(|dir| dir.join("cgroup.procs"));
        Ok(Self { beside, ..Self::open(&place.unified_dir)? })
    }

    /// Moves a process, and all that are with it in the v1 cgroup. One that has ended need not move.
    ///
    /// # Errors
    /// The errno of write.
    pub(crate) fn take(&self, pid: i32) -> StepResult<()> {
        self.join(pid)?;
        self.take_others()
    }

    /// Moves all that are in the v1 cgroup.
    ///
    /// # Errors
    /// As [`Unified::take`].
    pub(crate) fn take_others(&self) -> StepResult<()> {
        let listed = self.beside.as_ref().and_then(|file| std::fs::read_to_string(file).ok()).unwrap_or_default();
        let others = listed.lines().filter_map(|line| line.parse().ok());
        others.into_iter().try_for_each(|other| self.join(other))
    }

    /// Moves a process and its descendants: what it forks after its own move is there already.
    ///
    /// # Errors
    /// As [`Unified::take`].
    pub(crate) fn take_tree(&self, pid: i32) -> StepResult<()> {
        self.join(pid)?;
        // one that has ended has no children any more, and one of several threads is seen by its main one
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        children.split_whitespace().filter_map(|word| word.parse().ok()).try_for_each(|child| self.take_tree(child))
    }

    fn join(&self, pid: i32) -> StepResult<()> {
        let Some(file) = &self.file else { return Ok(()) };
        match rustix::io::write(file, pid.to_string().as_bytes()) {
            Ok(_) | Err(Errno::SRCH) => Ok(()),
            Err(e) => Err(failed("join the cgroup", "write", pid.to_string())(e)),
        }
    }
}
