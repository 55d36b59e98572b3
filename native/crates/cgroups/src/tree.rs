//! The directories of a cgroup: made in every hierarchy, removed from every hierarchy.

use crate::detect::{Layout, check_path};
use crate::error::Result;
use crate::file::errno;
use crate::procs;
use crate::{v1, v2};
use podwright_sys::errno::{SysError, SysResult};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long an rmdir is tried again while the kernel still counts a process that was killed: on a machine that
/// is busy, or under a small cpu.max, it takes its time to end.
const BUSY_LIMIT: Duration = Duration::from_secs(5);

/// Directories one call made, in the order they were made.
#[derive(Debug, Default)]
pub(crate) struct Made(Vec<PathBuf>);

impl Made {
    /// Whether everything was there already.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Removes them again, last first. One that others use by now stays.
    pub(crate) fn unmake(self) {
        for dir in self.0.iter().rev() {
            let _in_use = std::fs::remove_dir(dir);
        }
    }
}

/// Makes `path` in every hierarchy, with `controllers` switched on in the unified tree.
pub(crate) fn make(layout: &Layout, path: &str, controllers: &[&str]) -> Result<Made> {
    let mut made = Made::default();
    match make_all(layout, path, controllers, &mut made) {
        Ok(()) => Ok(made),
        Err(e) => {
            made.unmake();
            Err(e)
        }
    }
}

fn make_all(layout: &Layout, path: &str, controllers: &[&str], made: &mut Made) -> Result<()> {
    check_path(path)?;
    for hierarchy in &layout.v1 {
        let dir = crate::detect::below(&hierarchy.mount, path);
        // Its parent is nearly always there.
        match mkdir(&dir, made) {
            Err(e) if e.errno == errno::ENOENT => make_below(&hierarchy.mount, &dir, made, |_| ())?,
            other => other?,
        }
        if hierarchy.controllers.iter().any(|c| c == "cpuset") {
            v1::cpuset::inherit(&hierarchy.mount, &dir)?;
        }
    }
    if let (Some(root), Some(dir)) = (&layout.unified, layout.unified_dir(path)) {
        make_below(root, &dir, made, |parent| v2::subtree::enable(parent, controllers))?;
    }
    Ok(())
}

/// mkdir of `dir` and its missing parents below `root`; `before` is shown each parent from the root
/// down. A parent that another call removes meanwhile is made again.
fn make_below(root: &Path, dir: &Path, made: &mut Made, before: impl Fn(&Path)) -> SysResult<()> {
    let steps: Vec<&Path> = dir.ancestors().take_while(|d| *d != root).collect();
    let mut tries = 3;
    'again: loop {
        for step in steps.iter().rev() {
            before(step.parent().unwrap_or(root));
            match mkdir(step, made) {
                Err(e) if e.errno == errno::ENOENT && tries > 1 => {
                    tries -= 1;
                    continue 'again;
                }
                other => other?,
            }
        }
        return Ok(());
    }
}

/// mkdir of one directory; one that is there is fine.
fn mkdir(dir: &Path, made: &mut Made) -> SysResult<()> {
    match std::fs::create_dir(dir) {
        Ok(()) => made.0.push(dir.to_path_buf()),
        Err(e) if e.raw_os_error() == Some(errno::EEXIST) => {}
        Err(e) => return Err(SysError::from_io("create cgroup", "mkdir", &e, dir.to_string_lossy())),
    }
    Ok(())
}

/// Removes `path` and everything below it from every hierarchy; goes on after a failure and
/// reports the first. Its parent stays.
pub(crate) fn remove(layout: &Layout, path: &str) -> Result<()> {
    check_path(path)?;
    let end = Instant::now() + BUSY_LIMIT;
    let mut first = Ok(());
    for dir in layout.v1_dirs(path).iter().chain(layout.unified_dir(path).iter()) {
        let removed = remove_below(dir, end);
        if first.is_ok() {
            first = removed;
        }
    }
    Ok(first?)
}

fn remove_below(dir: &Path, end: Instant) -> SysResult<()> {
    let mut pause = Duration::from_micros(500);
    loop {
        match std::fs::remove_dir(dir) {
            Ok(()) => return Ok(()),
            Err(e) if e.raw_os_error() == Some(errno::ENOENT) => return Ok(()),
            Err(e) if e.raw_os_error() == Some(errno::EBUSY) => {
                let children = procs::children(dir)?;
                for child in &children {
                    remove_below(child, end)?;
                }
                if children.is_empty() {
                    if Instant::now() >= end {
                        return Err(SysError::from_io("remove cgroup", "rmdir", &e, dir.to_string_lossy()));
                    }
                    std::thread::sleep(pause);
                    pause = (pause * 2).min(Duration::from_millis(20));
                }
            }
            Err(e) => return Err(SysError::from_io("remove cgroup", "rmdir", &e, dir.to_string_lossy())),
        }
    }
}
