//! Projects of writable layers: each layer's directory is a project of its own, so that the file system counts what it
//! uses and holds it to a limit. Which projects are taken nobody writes down: one is free when nothing counts for it.

use crate::durable::error;
use podwright_sys::errno::{SysError, SysResult};
use podwright_sys::project_quota::{
    ProjectUse, limit_project, next_project, project_of, project_use, quota_state, set_project,
};
use rustix::fs::{self, Mode, OFlags};
use rustix::io::Errno;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// Numbers that may be given to writable layers.
#[derive(Debug, Clone, Copy)]
pub struct ProjectRange {
    /// The first one.
    pub first: u32,
    /// How many.
    pub count: u32,
}

/// What a file system has of project quota.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuotaSupport {
    /// Use is counted.
    pub counted: bool,
    /// Limits hold.
    pub enforced: bool,
    /// What is missing, for people; empty if nothing is.
    pub missing: String,
}

/// How many numbers after the one given last are looked at from here on.
static GIVEN: Mutex<u32> = Mutex::new(0);

/// Looks at the file system of a directory. One that cannot is no failure.
pub fn quota_support(dir: &Path) -> SysResult<QuotaSupport> {
    let fd = open(dir)?;
    let lacking = |missing: String| QuotaSupport { counted: false, enforced: false, missing };
    let state = match quota_state(&fd) {
        Ok(state) => state,
        Err(e) => return Ok(lacking(format!("the file system has no project quota ({})", e.reason()))),
    };
    if let Err(e) = project_of(&fd) {
        return Ok(lacking(format!("the file system has no projects ({})", e.reason())));
    }
    let missing = match (state.counted, state.enforced) {
        (_, true) => "",
        (true, false) => "project quota is counted but not enforced: mount the file system with prjquota",
        (false, false) => "project quota is off: mount the file system with prjquota",
    };
    Ok(QuotaSupport { counted: state.counted, enforced: state.enforced, missing: missing.to_owned() })
}

/// Makes the directory of a writable layer in a project that nothing counts for, and limits it (`None`: no limit). A
/// directory that is there keeps its project if it has one of the range. Returns the project.
///
/// # Errors
/// ENOSPC when every number of the range is taken.
pub fn make_project(dir: &Path, range: ProjectRange, limit_bytes: Option<u64>) -> SysResult<u32> {
    match fs::mkdir(dir, Mode::from_raw_mode(0o700)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(e) => return Err(error("make directory", "mkdir", e, dir)),
    }
    let fd = open(dir)?;
    let limit = limit_bytes.unwrap_or(0);
    let own = about(project_of(&fd), dir)?;
    if range.has(own) {
        about(limit_project(&fd, own, limit), dir)?;
        return Ok(own);
    }
    // one at a time: a number is taken only when the directory has it
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    for step in 0..range.count {
        let project = range.first + (*given + step) % range.count;
        let used = about(project_use(&fd, project), dir)?;
        if used.bytes > 0 || used.inodes > 0 {
            continue;
        }
        // first the limit: nothing is ever in the project without it
        about(limit_project(&fd, project, limit), dir)?;
        about(set_project(&fd, project), dir)?;
        *given = (*given + step + 1) % range.count;
        return Ok(project);
    }
    Err(error("find a free project for", "quotactl_fd", Errno::NOSPC, dir))
}

/// What a writable layer uses by the file system's own count; `None` if its directory has no project of the range.
pub fn project_usage(dir: &Path, range: ProjectRange) -> SysResult<Option<ProjectUse>> {
    let fd = open(dir)?;
    let project = about(project_of(&fd), dir)?;
    if range.has(project) { about(project_use(&fd, project), dir).map(Some) } else { Ok(None) }
}

/// Takes away the limits of projects of the range that nothing counts for any more. Returns how many.
pub fn forget_projects(dir: &Path, range: ProjectRange) -> SysResult<u32> {
    let fd = open(dir)?;
    let mut forgotten = 0;
    let mut from = range.first;
    while let Some(found) = about(next_project(&fd, from), dir)? {
        if !range.has(found.id) {
            break;
        }
        let given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
        // looked at again while nobody can be given it
        let now = about(project_use(&fd, found.id), dir)?;
        if now.inodes == 0 && now.bytes == 0 && now.limit_bytes > 0 {
            about(limit_project(&fd, found.id, 0), dir)?;
            forgotten += 1;
        }
        drop(given);
        from = found.id.saturating_add(1);
    }
    Ok(forgotten)
}

impl ProjectRange {
    fn has(self, project: u32) -> bool {
        project.checked_sub(self.first).is_some_and(|at| at < self.count)
    }
}

fn open(dir: &Path) -> SysResult<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    fs::open(dir, flags, Mode::empty()).map_err(|e| error("open", "open", e, dir))
}

/// The same result, its failure naming the directory.
fn about<T>(result: SysResult<T>, dir: &Path) -> SysResult<T> {
    result.map_err(|e| SysError { object: dir.to_string_lossy().into_owned(), ..e })
}
