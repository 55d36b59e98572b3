//! Device nodes: finding those that were asked for on the host, making them in the root.

use crate::error::{StepError, StepResult, failed, io_failed};
use crate::mounts::attach_at;
use crate::paths::{self, Missing};
use crate::report::FoundDevice;
use crate::sources::clone_tree;
use crate::spec::{Device, RequestedDevice};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, chmod, chownat, fstat, mknodat, symlinkat};
use rustix::io::Errno;
use rustix::process::{Gid, Uid};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// A device on the host: how it is reported and how it is made.
#[derive(Debug)]
pub struct Found {
    /// What the monitor is told.
    pub report: FoundDevice,
    /// The node to make.
    pub node: Device,
    /// Where it is on the host.
    pub host: String,
    /// The host's node as a mount, where nodes cannot be made.
    pub taken: Option<OwnedFd>,
}

impl Found {
    /// Takes the host's node, to be bound later.
    ///
    /// # Errors
    /// The failing call.
    pub(crate) fn take(self) -> StepResult<Self> {
        Ok(Self { taken: Some(host_node(&self.host)?), ..self })
    }
}

/// Finds the device nodes of a request: the node itself, or all below a directory.
///
/// # Errors
/// The path is not there, or neither a device nor a directory.
pub fn find(request: &RequestedDevice) -> StepResult<Vec<Found>> {
    let path = &request.host_path;
    let stat = rustix::fs::stat(path).map_err(failed("resolve device", "stat", path))?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::CharacterDevice | FileType::BlockDevice => {
            Ok(vec![found(request, &stat, (path, &request.container_path))])
        }
        FileType::Directory => {
            let mut list = Vec::new();
            walk(request, path, &request.container_path, &mut list)?;
            Ok(list)
        }
        _ => Err(StepError::invalid("resolve device", path, "it is not a device node")),
    }
}

fn walk(request: &RequestedDevice, from: &str, to: &str, list: &mut Vec<Found>) -> StepResult<()> {
    let entries = std::fs::read_dir(from).map_err(io_failed("resolve devices below", "getdents64", from))?;
    for entry in entries {
        let entry = entry.map_err(io_failed("resolve devices below", "getdents64", from))?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        // what runc leaves out too: these are each container's own
        if matches!(&*name, "pts" | "shm" | "fd" | "mqueue" | ".lxc" | ".lxd-mounts" | ".udev" | "console") {
            continue;
        }
        let (from, to) = (format!("{from}/{name}"), format!("{to}/{name}"));
        let stat = match rustix::fs::lstat(&from) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => continue,
            Err(e) => return Err(failed("resolve device", "lstat", from)(e)),
        };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::CharacterDevice | FileType::BlockDevice => list.push(found(request, &stat, (&from, &to))),
            FileType::Directory => walk(request, &from, &to, list)?,
            _ => {}
        }
    }
    Ok(())
}

fn found(request: &RequestedDevice, stat: &Stat, (host, path): (&str, &str)) -> Found {
    let block = FileType::from_raw_mode(stat.st_mode) == FileType::BlockDevice;
    let (major, minor) = (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev));
    let access = if request.permissions.is_empty() { "rwm" } else { &request.permissions };
    let node = Device {
        path: path.into(),
        kind: if block { "b" } else { "c" }.into(),
        major,
        minor,
        file_mode: Some(request.file_mode.unwrap_or(stat.st_mode) & 0o7777),
        uid: request.uid.unwrap_or(stat.st_uid),
        gid: request.gid.unwrap_or(stat.st_gid),
    };
    let report = FoundDevice { path: path.into(), block, major, minor, access: access.into() };
    Found { report, node, host: host.into(), taken: None }
}

/// Makes a node in the root; where the kernel refuses that, the host's node at the path `host` is bound.
///
/// # Errors
/// The failing call.
pub(crate) fn make(root: BorrowedFd<'_>, device: &Device, host: &str) -> StepResult<()> {
    let path = crate::steps::clean(&device.path);
    let Some((above, name)) = path.rsplit_once('/').filter(|(_, name)| !name.is_empty()) else {
        return Err(StepError::invalid("make device", &device.path, "it has no name"));
    };
    let kind = match device.kind.as_str() {
        "c" | "u" => FileType::CharacterDevice,
        "b" => FileType::BlockDevice,
        "p" => FileType::Fifo,
        other => return Err(StepError::invalid("make device", &device.path, &format!("unknown type {other:?}"))),
    };
    let directory = paths::open_or_make(root, if above.is_empty() { "/" } else { above }, Missing::Directory)?;
    let mode = Mode::from_raw_mode(device.file_mode.unwrap_or(0o666));
    let number = rustix::fs::makedev(device.major, device.minor);
    match mknodat(&directory, name, kind, mode, number) {
        Ok(()) => {}
        Err(Errno::EXIST) => {
            rustix::fs::unlinkat(&directory, name, AtFlags::empty()).map_err(failed("replace", "unlinkat", &path))?;
            mknodat(&directory, name, kind, mode, number).map_err(failed("make device", "mknodat", &path))?;
        }
        Err(Errno::PERM) => return bind(root, &path, &host_node(host)?),
        Err(e) => return Err(failed("make device", "mknodat", path)(e)),
    }
    let node = made(&directory, name, (kind, number), &path)?;
    let (uid, gid) = (Uid::from_raw(device.uid), Gid::from_raw(device.gid));
    chownat(&node, "", Some(uid), Some(gid), AtFlags::EMPTY_PATH).map_err(failed("own device", "fchownat", &path))?;
    // after chown, which drops set-id bits, and free of the mask; what can be opened by its path only has no fchmod(2)
    let through = format!("/proc/self/fd/{}", node.as_raw_fd());
    chmod(through, mode).map_err(failed("set mode of device", "chmod", path))
}

/// The node that was made: its directory may be a volume that others change meanwhile, and a link that they put in its
/// place would lead to a file of the host.
fn made(directory: &OwnedFd, name: &str, (kind, number): (FileType, u64), path: &str) -> StepResult<OwnedFd> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let node = rustix::fs::openat(directory, name, flags, Mode::empty()).map_err(failed("look at", "openat", path))?;
    let stat = fstat(&node).map_err(failed("look at", "fstat", path))?;
    let is_it = FileType::from_raw_mode(stat.st_mode) == kind && (kind == FileType::Fifo || stat.st_rdev == number);
    if is_it { Ok(node) } else { Err(StepError::invalid("make device", path, "somebody else replaced it meanwhile")) }
}

/// Binds a taken node at a path of the root: for roots of user namespaces, who make no nodes. Owner and mode are the
/// host's.
///
/// # Errors
/// The failing call.
pub(crate) fn bind(root: BorrowedFd<'_>, path: &str, node: &OwnedFd) -> StepResult<()> {
    let path = crate::steps::clean(path);
    let at = paths::open_or_make(root, &path, Missing::File)?;
    attach_at(node.as_fd(), at.as_fd(), &path)
}

/// The host's node at a path, as a mount.
///
/// # Errors
/// The failing call.
pub(crate) fn host_node(path: &str) -> StepResult<OwnedFd> {
    let node = rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).map_err(failed(
        "open device",
        "open",
        path,
    ))?;
    clone_tree(node.as_fd(), false, path)
}

/// The links of /dev (runtime-spec, runtime-linux) and `ptmx` to the container's own.
///
/// # Errors
/// The failing call.
pub(crate) fn make_links(root: BorrowedFd<'_>) -> StepResult<()> {
    let dev = paths::open_or_make(root, "/dev", Missing::Directory)?;
    let links = [
        ("/proc/self/fd", "fd"),
        ("/proc/self/fd/0", "stdin"),
        ("/proc/self/fd/1", "stdout"),
        ("/proc/self/fd/2", "stderr"),
        ("/proc/kcore", "core"),
        ("pts/ptmx", "ptmx"),
    ];
    for (target, name) in links {
        match symlinkat(target, &dev, name) {
            Ok(()) => {}
            Err(Errno::EXIST) if name != "ptmx" => {}
            Err(Errno::EXIST) => {
                rustix::fs::unlinkat(&dev, name, AtFlags::empty()).map_err(failed(
                    "replace",
                    "unlinkat",
                    "/dev/ptmx",
                ))?;
                symlinkat(target, &dev, name).map_err(failed("link", "symlinkat", "/dev/ptmx"))?;
            }
            Err(e) => return Err(failed("link", "symlinkat", format!("/dev/{name}"))(e)),
        }
    }
    Ok(())
}
