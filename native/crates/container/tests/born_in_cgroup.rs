//! A process is born in its v2 cgroup where the kernel can (CLONE_INTO_CGROUP, Linux 5.7); the fallback would hide
//! that it no longer is.
#![allow(clippy::unwrap_used, missing_docs)]

use podwright_cgroups::Layout;
use podwright_container::place::{Place, fork_into};
use podwright_sys::clone::{Forked, exit_now};
use rustix::process::{Pid, WaitOptions, waitpid};
use std::path::{Path, PathBuf};

/// A cgroup of the test's own in the unified tree.
struct Own(PathBuf);

impl Drop for Own {
    fn drop(&mut self) {
        let removed = std::fs::remove_dir(&self.0);
        assert!(removed.is_ok() || std::thread::panicking(), "{removed:?}");
    }
}

/// Whether a child of these is said to be born there, and its cgroup in the unified tree, before it has done anything.
fn born(place: &Place) -> (bool, String) {
    let (end, held) = rustix::pipe::pipe().unwrap();
    let (forked, born_there) = fork_into(place, 0).unwrap();
    let Forked::Parent(pid) = forked else {
        drop(held);
        let _end = rustix::io::read(&end, &mut [0]);
        exit_now(0);
    };
    let text = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    drop(held);
    waitpid(Pid::from_raw(pid), WaitOptions::empty()).unwrap();
    (born_there, text.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or_default().to_owned())
}

// One test: forking is for processes with one thread, and so is this.
fn main() {
    let name = format!("podwright-born-{}", std::process::id());
    let Some(root) = Layout::detect().unwrap().unified.filter(|root| Path::new(root).is_dir()) else {
        println!("test a_process_is_born_in_its_cgroup ... ignored, this host has no unified tree");
        return;
    };
    let own = Own(root.join(&name));
    std::fs::create_dir(&own.0).unwrap();
    let place = |dir: &Path| Place { unified_dir: dir.to_string_lossy().into_owned(), v1_tasks: Vec::new() };
    let is_own = |path: &str| path.ends_with(&format!("/{name}"));
    let (born_there, path) = born(&place(&own.0));
    assert!(born_there && is_own(&path), "{born_there} {path}");
    // one that is not there: the child is told to move there itself
    let (born_there, path) = born(&place(&own.0.join("none")));
    assert!(!born_there && !is_own(&path), "{born_there} {path}");
    println!("test a_process_is_born_in_its_cgroup ... ok");
}
