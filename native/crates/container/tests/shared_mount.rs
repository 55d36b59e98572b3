//! Mounts that several containers get copies of, the old way too.
#![allow(clippy::unwrap_used, missing_docs)]

use podwright_container::shared_mount::SharedMount;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen};
use std::os::fd::{AsRawFd, OwnedFd};

fn tmpfs() -> OwnedFd {
    let context = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC).unwrap();
    fsconfig_create(&context).unwrap();
    fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty()).unwrap()
}

/// The name of a file in a detached mount, as this process can open it.
fn inside(mount: &OwnedFd, name: &str) -> String {
    format!("/proc/self/fd/{}/{name}", mount.as_raw_fd())
}

// One test: entering mount namespaces is for processes with one thread, and so is this.
fn copies_share_their_files() {
    let mounts = || std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    for held in [false, true] {
        // what is the host's may change meanwhile, but not each time
        let unchanged = (0..10).any(|_| {
            let before = mounts();
            let shared = if held { SharedMount::hold(tmpfs()).unwrap() } else { SharedMount::new(tmpfs()).unwrap() };
            let _copies = (shared.borrow().copy().unwrap(), shared.borrow().copy().unwrap());
            mounts() == before
        });
        assert!(unchanged, "held: {held}");
        let shared = if held { SharedMount::hold(tmpfs()).unwrap() } else { SharedMount::new(tmpfs()).unwrap() };
        let (one, two) = (shared.borrow().copy().unwrap(), shared.borrow().copy().unwrap());
        std::fs::write(inside(&one, "x"), "shared").unwrap();
        assert_eq!(std::fs::read_to_string(inside(&two, "x")).unwrap(), "shared", "held: {held}");
    }
}

fn main() {
    copies_share_their_files();
    println!("test copies_share_their_files ... ok");
}
