//! A directory of its own for a test under /tmp, and unpacking into it. Must leave nothing behind.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part")]

use podwright_rootfs::{AppliedLayer, Limits, UnpackError, apply_layer};
use rustix::fs::{Mode, OFlags};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

pub const LIMITS: Limits = Limits {
    max_entries: 10_000,
    max_bytes: 1 << 30,
    max_ratio: 100,
    max_depth: 64,
    max_path_bytes: 4000,
    max_xattr_bytes: 64 << 10,
};

/// A directory removed at the end.
pub struct Scratch {
    pub root: PathBuf,
}

impl Scratch {
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("podwright-rootfs-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let root = std::env::temp_dir().join(name);
        std::fs::create_dir(&root).expect("make scratch");
        Self { root }
    }

    pub fn make(&self, name: &str) -> PathBuf {
        let dir = self.root.join(name);
        std::fs::create_dir_all(&dir).expect("mkdir");
        dir
    }

    /// Unpacks into `<root>/<name>`.
    pub fn apply_with(&self, name: &str, tar: &[u8], limits: &Limits) -> Result<AppliedLayer, UnpackError> {
        let dir = self.make(name);
        let fd =
            rustix::fs::open(&dir, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).expect("open");
        apply_layer(tar, fd, limits)
    }

    pub fn apply(&self, tar: &[u8]) -> Result<AppliedLayer, UnpackError> {
        self.apply_with("diff", tar, &LIMITS)
    }

    pub fn diff(&self) -> PathBuf {
        self.root.join("diff")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        podwright_rootfs::remove_now(&self.root).expect("remove scratch");
    }
}

pub fn mode(path: &Path) -> u32 {
    std::fs::symlink_metadata(path).expect("stat").mode() & 0o7777
}

pub fn is_whiteout(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    let stat = std::fs::symlink_metadata(path).expect("stat");
    stat.file_type().is_char_device() && stat.rdev() == 0
}

pub fn is_opaque(path: &Path) -> bool {
    let mut value = [0_u8; 8];
    matches!(rustix::fs::getxattr(path, "trusted.overlay.opaque", &mut value[..]), Ok(1) if value[0] == b'y')
}

/// Everything below a directory, relative, sorted.
pub fn listing(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut todo = vec![dir.to_owned()];
    while let Some(here) = todo.pop() {
        for entry in std::fs::read_dir(&here).expect("list") {
            let entry = entry.expect("entry");
            if entry.file_type().expect("type").is_dir() {
                todo.push(entry.path());
            }
            found.push(entry.path().strip_prefix(dir).expect("below").to_string_lossy().into_owned());
        }
    }
    found.sort();
    found
}
