//! Bringing a container back: its writable layer from the checkpoint, then criu with what it needs.

use crate::capture::read_file;
use crate::error::{CriuError, CriuResult, failed};
use crate::layout;
use crate::mounts::{self, External};
use crate::program;
use crate::requests::{self, Choices, Directories};
use crate::session;
use podwright_rootfs::{Limits, apply_layer};
use rustix::fs::{Mode, OFlags, ResolveFlags};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// What a checkpoint of one's own making may hold: no bounds but the disk's.
const LIMITS: Limits = Limits {
    max_entries: u64::MAX,
    max_bytes: u64::MAX,
    max_ratio: u64::MAX,
    max_depth: 2048,
    max_path_bytes: 4095,
    max_xattr_bytes: 1 << 20,
};

/// Bytes of the small files of a checkpoint.
const SMALL: usize = 1 << 20;

/// A container's part of a checkpoint, open.
#[derive(Debug)]
pub struct Checkpoint {
    dir: OwnedFd,
    images: OwnedFd,
    external: Vec<External>,
    /// Files of the standard streams; empty for /dev/null.
    streams: [String; 3],
}

/// Where the root and the external mounts of a container are while it is brought back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ground {
    /// Its root file system, a mount point.
    pub root: String,
    /// Sources by the path they have in the container.
    pub sources: BTreeMap<String, String>,
}

/// The new standard streams.
#[derive(Debug, Clone, Copy)]
pub struct Streams<'a>(pub [Option<BorrowedFd<'a>>; 3]);

impl Checkpoint {
    /// Opens it. Nothing in it is changed.
    ///
    /// # Errors
    /// It is not there or not whole.
    pub fn open(path: &str) -> CriuResult<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = rustix::fs::open(path, flags, Mode::empty()).map_err(failed("open", "open", path))?;
        let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        let images = rustix::fs::openat2(&dir, layout::IMAGES, flags, Mode::empty(), beneath)
            .map_err(|e| damaged(layout::IMAGES, &e.to_string()))?;
        let text = |name: &str| read_file(dir.as_fd(), name, SMALL).map(|b| String::from_utf8_lossy(&b).into_owned());
        let external =
            mounts::decode(&text(layout::MOUNTS)?).ok_or_else(|| damaged(layout::MOUNTS, "is no list of mounts"))?;
        let streams =
            streams(&text(layout::STREAMS)?).ok_or_else(|| damaged(layout::STREAMS, "is no list of three streams"))?;
        Ok(Self { dir, images, external, streams })
    }

    /// Unpacks what the container had written into its new writable layer.
    ///
    /// # Errors
    /// The layer cannot be read or written.
    pub fn fill(&self, upper: &str) -> CriuResult<()> {
        unpack(self.dir.as_fd(), layout::DIFF, podwright_rootfs::archive::open_tree(upper)?)
    }

    /// Becomes criu, asked to restore. `talk` gets the other end of its socket. Answers only a failure.
    pub fn become_criu(
        &self,
        program: &str,
        work: BorrowedFd<'_>,
        ground: &Ground,
        streams: Streams<'_>,
        choices: Choices,
        talk: impl FnOnce(OwnedFd) -> CriuResult<()>,
    ) -> CriuError {
        let attempt = || -> CriuResult<CriuError> {
            let path = program::find(program)?;
            let (ours, theirs) = session::pair()?;
            let at = Directories { images: self.images.as_raw_fd(), work: work.as_raw_fd() };
            let request =
                requests::restore(&ground.root, at, &self.sources(ground)?, &self.inherited(streams), choices);
            session::send(ours.as_fd(), &request)?;
            talk(ours)?;
            let mut kept = vec![self.images.as_fd(), work];
            kept.extend(streams.0.iter().flatten());
            Ok(program::become_criu(&path, theirs.as_fd(), &kept))
        };
        match attempt() {
            Ok(error) | Err(error) => error,
        }
    }

    /// Where each external mount comes from; one below another is found in that.
    fn sources(&self, ground: &Ground) -> CriuResult<Vec<(String, String)>> {
        let source = |external: &External| {
            if mounts::is_null(external) {
                return Ok((external.name.clone(), mounts::NULL.to_owned()));
            }
            let at = ground.sources.iter().rev().find_map(|(target, from)| {
                let rest = external.path.strip_prefix(target.as_str())?;
                (rest.is_empty() || rest.starts_with('/')).then(|| format!("{from}{rest}"))
            });
            let missing =
                || damaged(layout::MOUNTS, &format!("has a mount at {} and the container has none", external.path));
            Ok((external.name.clone(), at.ok_or_else(missing)?))
        };
        self.external.iter().map(source).collect()
    }

    fn inherited(&self, streams: Streams<'_>) -> Vec<(String, i32)> {
        let both = self.streams.iter().zip(streams.0);
        both.filter_map(|(old, new)| Some((old.clone(), new.filter(|_| !old.is_empty())?.as_raw_fd()))).collect()
    }
}

/// Why criu did not restore: the last errors of its log in a bundle.
pub fn reason(bundle: &str) -> Option<String> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let dir = rustix::fs::open(bundle, flags, Mode::empty()).ok()?;
    crate::log::reason_in(dir.as_fd(), layout::RESTORE_LOG)
}

/// Unpacks a tar of a checkpoint into an empty open directory.
///
/// # Errors
/// It is missing, damaged, or does not fit.
pub fn unpack(dir: BorrowedFd<'_>, name: &str, into: OwnedFd) -> CriuResult<()> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    let tar = rustix::fs::openat2(dir, name, flags, Mode::empty(), beneath)
        .map_err(|e| damaged(name, &format!("cannot be opened: {e}")))?;
    let applied = apply_layer(BufReader::with_capacity(256 << 10, File::from(tar)), into, &LIMITS);
    match applied {
        Ok(_) => Ok(()),
        Err(podwright_rootfs::UnpackError::Disk(error)) => Err(error.into()),
        Err(error) => Err(damaged(name, &error.to_string())),
    }
}

fn damaged(name: &str, reason: &str) -> CriuError {
    CriuError::Damaged { name: name.into(), reason: reason.into() }
}

/// A JSON list of three strings without escapes: what a checkpoint of ours, or of runc's, has.
fn streams(json: &str) -> Option<[String; 3]> {
    let inner = json.trim().strip_prefix('[')?.strip_suffix(']')?;
    let one = |text: &str| {
        let name = text.trim().strip_prefix('"')?.strip_suffix('"')?;
        let plain = !name.contains(['"', '\\', '/']) && name.starts_with("pipe:[");
        match name {
            "/dev/null" => Some(String::new()),
            name if plain => Some(name.to_owned()),
            // something that is in the images: a file, a terminal
            _ => Some(String::new()),
        }
    };
    let list: Vec<String> = inner.split(',').map(one).collect::<Option<_>>()?;
    list.try_into().ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn checkpoint(external: &[(&str, &str)]) -> Checkpoint {
        let open = || rustix::fs::open("/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).unwrap();
        let external =
            external.iter().map(|(name, path)| External { name: (*name).into(), path: (*path).into() }).collect();
        Checkpoint {
            dir: open(),
            images: open(),
            external,
            streams: [String::new(), "pipe:[1]".into(), "pipe:[1]".into()],
        }
    }

    #[test]
    fn mounts_find_their_new_sources() {
        let sources = [("/data", "/b/0"), ("/data/deep", "/b/1")].map(|(a, b)| (a.to_owned(), b.to_owned())).into();
        let ground = Ground { root: "/b/root".into(), sources };
        let list = [
            ("podwright-0", "/data"),
            ("podwright-1", "/data/deep/er"),
            ("podwright-2", "/data/other"),
            ("podwright-null-3", "/proc/kcore"),
        ];
        let found = checkpoint(&list).sources(&ground).unwrap();
        let from: Vec<&str> = found.iter().map(|(_, from)| from.as_str()).collect();
        assert_eq!(from, ["/b/0", "/b/1/er", "/b/0/other", "/dev/null"]);
        let error = checkpoint(&[("podwright-0", "/database")]).sources(&ground).unwrap_err();
        assert!(error.to_string().contains("/database"), "{error}");
    }

    #[test]
    fn streams_are_read_back() {
        let streams = streams("[\"/dev/null\",\"pipe:[7]\", \"pipe:[8]\"]\n").unwrap();
        assert_eq!(streams, ["", "pipe:[7]", "pipe:[8]"].map(String::from));
        for bad in ["", "[]", "[\"a\",\"b\"]", "{\"a\":1}"] {
            assert_eq!(super::streams(bad), None, "{bad}");
        }
    }

    #[test]
    fn streams_that_shared_a_pipe_are_handed_over_by_it() {
        let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()).unwrap();
        let streams = Streams([None, Some(null.as_fd()), None]);
        assert_eq!(checkpoint(&[]).inherited(streams), [("pipe:[1]".to_owned(), null.as_raw_fd())]);
    }
}
