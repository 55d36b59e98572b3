//! A stack of layer directories seen as overlayfs would merge them: for looking things up without a mount.

use crate::error::printable;
use crate::overlay::{is_opaque, is_whiteout, open_dir, stat_name};
use podwright_sys::errno::{SysError, SysResult};
use rustix::fs::{self, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::rc::Rc;

/// Links followed in one path, as the kernel's limit (path_resolution(7)).
const MAX_LINKS: usize = 40;

/// A merged directory: the directories it is made of, topmost first.
pub(crate) type Merged = Vec<Rc<OwnedFd>>;

/// What a name is in a merged directory.
pub(crate) enum Found {
    /// A directory, merged.
    Directory(Merged),
    /// Anything else: the directory that has it, and its stat.
    Other(Rc<OwnedFd>, Stat),
}

/// Opens layer directories, topmost first.
pub(crate) fn open_layers<P: AsRef<Path>>(layers: &[P]) -> SysResult<Merged> {
    let open = |layer: &P| {
        let layer = layer.as_ref();
        fs::open(layer, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
            .map(Rc::new)
            .map_err(|e| SysError::new("open layer", "open", e.raw_os_error(), layer.to_string_lossy()))
    };
    layers.iter().map(open).collect()
}

/// Looks one name up, never through a link.
pub(crate) fn look_up(dirs: &Merged, name: &[u8]) -> SysResult<Option<Found>> {
    let mut merged = Merged::new();
    for dir in dirs {
        let stat = match stat_name(dir, name) {
            Ok(None) => continue,
            Ok(Some(stat)) => stat,
            Err(e) => return Err(failed("look up", "fstatat", e, name)),
        };
        if is_whiteout(&stat) {
            break;
        }
        if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            if merged.is_empty() {
                return Ok(Some(Found::Other(Rc::clone(dir), stat)));
            }
            break;
        }
        let fd = open_dir(dir, name).map_err(|e| failed("look up", "openat", e, name))?;
        let opaque = is_opaque(&fd)?;
        merged.push(Rc::new(fd));
        if opaque {
            break;
        }
    }
    Ok(if merged.is_empty() { None } else { Some(Found::Directory(merged)) })
}

/// Resolves a path inside the merged tree, links followed and clamped to its root, the last one too.
pub(crate) fn resolve(layers: &Merged, path: &[u8]) -> SysResult<Option<(Found, Vec<u8>)>> {
    let mut todo: VecDeque<Vec<u8>> = path.split(|&b| b == b'/').map(<[u8]>::to_vec).collect();
    let mut stack: Vec<Merged> = Vec::new();
    let mut links = 0;
    while let Some(name) = todo.pop_front() {
        match name.as_slice() {
            b"" | b"." => continue,
            b".." => {
                stack.pop();
                continue;
            }
            _ => {}
        }
        match look_up(stack.last().unwrap_or(layers), &name)? {
            None => return Ok(None),
            Some(Found::Directory(merged)) => stack.push(merged),
            Some(Found::Other(dir, stat)) if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink => {
                links += 1;
                if links > MAX_LINKS {
                    return Err(failed("look up", "readlinkat", Errno::LOOP, path));
                }
                let target = fs::readlinkat(&dir, name.as_slice(), Vec::new())
                    .map_err(|e| failed("look up", "readlinkat", e, &name))?;
                if target.as_bytes().starts_with(b"/") {
                    stack.clear();
                }
                for part in target.as_bytes().split(|&b| b == b'/').rev() {
                    todo.push_front(part.to_vec());
                }
            }
            Some(other) => {
                let rest = todo.iter().any(|part| !matches!(part.as_slice(), b"" | b"."));
                return Ok(if rest { None } else { Some((other, name)) });
            }
        }
    }
    let here = stack.pop().unwrap_or_else(|| layers.clone());
    Ok(Some((Found::Directory(here), Vec::new())))
}

pub(crate) fn failed(operation: &'static str, syscall: &'static str, errno: Errno, path: &[u8]) -> SysError {
    SysError::new(operation, syscall, errno.raw_os_error(), printable(path))
}
