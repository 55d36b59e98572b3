//! Size and room of a file system (statfs(2), statx(2), proc_pid_mountinfo(5)).

use crate::durable::error;
use podwright_sys::errno::{SysError, SysResult};
use rustix::fs::{self, AtFlags, CWD, StatxFlags};
use std::path::Path;

/// The file system under a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FsInfo {
    /// Where the mount that holds the path is mounted, in this mount namespace.
    pub mountpoint: String,
    /// All bytes.
    pub total_bytes: u64,
    /// Bytes an unprivileged process may still write.
    pub available_bytes: u64,
    /// All inodes; 0 where the file system makes them as needed.
    pub total_inodes: u64,
    /// Free inodes.
    pub free_inodes: u64,
    /// `major:minor` of its device.
    pub fs_id: String,
}

/// Looks at the file system under a path.
pub fn fs_info(path: &Path) -> SysResult<FsInfo> {
    let statx = fs::statx(CWD, path, AtFlags::empty(), StatxFlags::BASIC_STATS | StatxFlags::MNT_ID)
        .map_err(|e| error("look at the file system of", "statx", e, path))?;
    let statfs = fs::statfs(path).map_err(|e| error("look at the file system of", "statfs", e, path))?;
    let table = "/proc/self/mountinfo";
    let mounts = std::fs::read_to_string(table).map_err(|e| SysError::from_io("read", "read", &e, table))?;
    let block = u64::try_from(statfs.f_frsize).ok().filter(|&size| size > 0).unwrap_or(statfs.f_bsize.unsigned_abs());
    Ok(FsInfo {
        mountpoint: mountpoint(&mounts, statx.stx_mnt_id).unwrap_or_else(|| "/".to_owned()),
        total_bytes: statfs.f_blocks * block,
        available_bytes: statfs.f_bavail * block,
        total_inodes: statfs.f_files,
        free_inodes: statfs.f_ffree,
        fs_id: format!("{}:{}", statx.stx_dev_major, statx.stx_dev_minor),
    })
}

/// The mount point of a mount id: fields are `id parent major:minor root mountpoint ...`.
fn mountpoint(mounts: &str, id: u64) -> Option<String> {
    let id = id.to_string();
    let mut fields =
        mounts.lines().map(|line| line.split(' ')).find_map(|mut f| (f.next() == Some(&id)).then_some(f))?;
    fields.nth(3).map(unescape)
}

/// Space, tab, newline and backslash are written as three octal digits.
fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let digits = if *first == b'\\' { tail.get(..3) } else { None };
        let code = digits.and_then(|d| std::str::from_utf8(d).ok()).and_then(|d| u8::from_str_radix(d, 8).ok());
        bytes.push(code.unwrap_or(*first));
        rest = if code.is_some() { &tail[3..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_point_is_found_by_id_and_unescaped() {
        let table = "22 1 254:0 / / rw - ext4 /dev/vda rw\n230 22 0:33 / /mnt/a\\040b\\134 rw - tmpfs tmpfs rw\n";
        assert_eq!(mountpoint(table, 230).as_deref(), Some("/mnt/a b\\"));
        assert_eq!(mountpoint(table, 22).as_deref(), Some("/"));
        assert_eq!(mountpoint(table, 2), None);
    }

    #[test]
    fn the_file_system_of_proc_is_proc() {
        let info = fs_info(Path::new("/proc/self")).expect("info");
        assert_eq!(info.mountpoint, "/proc");
        assert!(fs_info(Path::new("/")).expect("info").total_bytes > 0);
    }
}
