//! Reading and writing cgroup interface files: each value in one system call.

use podwright_sys::errno::{SysError, SysResult};
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;

/// The content of `dir/name` without the final newline.
pub fn read(dir: &Path, name: &str) -> SysResult<String> {
    let path = dir.join(name);
    let mut text = String::new();
    File::open(&path)
        .and_then(|mut f| f.read_to_string(&mut text))
        .map_err(|e| SysError::from_io("read", "read", &e, path.to_string_lossy()))?;
    text.truncate(text.trim_end().len());
    Ok(text)
}

/// Like [`read`], `None` when the file does not exist.
pub fn read_if_exists(dir: &Path, name: &str) -> SysResult<Option<String>> {
    match read(dir, name) {
        Ok(text) => Ok(Some(text)),
        Err(e) if e.errno == errno::ENOENT => Ok(None),
        Err(e) => Err(e),
    }
}

/// Writes `value` into the existing file `dir/name` with one write(2).
pub fn write(dir: &Path, name: &str, value: &str) -> SysResult<()> {
    let path = dir.join(name);
    OpenOptions::new()
        .write(true)
        .open(&path)
        .and_then(|mut f| f.write_all(value.as_bytes()))
        .map_err(|e| SysError::from_io("write", "write", &e, format!("{value:?} to {}", path.display())))
}

/// Whether `dir/name` exists.
pub fn exists(dir: &Path, name: &str) -> bool {
    dir.join(name).exists()
}

/// The value of `key` in a "key value" per line file such as `memory.stat`.
pub fn keyed(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
}

/// Errno numbers this crate tells apart.
pub mod errno {
    pub use rustix::io::Errno;
    /// No such file: also a controller that is not enabled.
    pub const ENOENT: i32 = Errno::NOENT.raw_os_error();
    /// The cgroup of an open file was removed.
    pub const ENODEV: i32 = Errno::NODEV.raw_os_error();
    /// The process is gone.
    pub const ESRCH: i32 = Errno::SRCH.raw_os_error();
    /// Busy: processes or children are left, or memory cannot be reclaimed.
    pub const EBUSY: i32 = Errno::BUSY.raw_os_error();
    /// The kernel does not take this value.
    pub const EINVAL: i32 = Errno::INVAL.raw_os_error();
    /// Already there.
    pub const EEXIST: i32 = Errno::EXIST.raw_os_error();
    /// A device's driver does not support it.
    pub const EOPNOTSUPP: i32 = Errno::OPNOTSUPP.raw_os_error();
    /// Try again: what could be reclaimed did not suffice.
    pub const EAGAIN: i32 = Errno::AGAIN.raw_os_error();
}

#[cfg(test)]
mod tests {
    use super::keyed;

    #[test]
    fn keyed_values_match_whole_keys_only() {
        let text = "oom 3\noom_kill 7\noom_group_kill 1\n";
        assert_eq!(keyed(text, "oom_kill"), Some(7));
        assert_eq!(keyed(text, "oom"), Some(3));
        assert_eq!(keyed(text, "kill"), None);
    }
}
