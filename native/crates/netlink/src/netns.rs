//! Work inside a pod's network namespace. Namespaces belong to threads (setns(2)): the thread that
//! enters one is made for it and ends with it, never a thread of somebody's pool.

use crate::error::{NetlinkError, NetlinkResult};
use podwright_sys::errno::SysError;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;

/// Moves the calling thread into the network namespace pinned at `path`.
pub(crate) fn enter(path: &Path) -> NetlinkResult<()> {
    let operation = "enter a network namespace";
    let object = path.display().to_string();
    let file = File::open(path).map_err(|error| SysError::from_io(operation, "open", &error, object.clone()))?;
    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
        .map_err(|errno| SysError::new(operation, "setns", errno.raw_os_error(), object).into())
}

/// The network namespace of the calling thread. `/proc/self/ns` would be the main thread's.
pub(crate) fn current() -> NetlinkResult<File> {
    let path = "/proc/thread-self/ns/net";
    File::open(path).map_err(|error| SysError::from_io("open a network namespace", "open", &error, path).into())
}

/// Runs `work` in the namespace pinned at `path`, on a thread of its own that ends afterwards.
pub fn inside<T: Send>(path: &Path, work: impl FnOnce() -> NetlinkResult<T> + Send) -> NetlinkResult<T> {
    throwaway(|| {
        enter(path)?;
        work()
    })
}

/// Runs `work` on a thread of its own that ends afterwards: what it enters, nobody else is in.
pub(crate) fn throwaway<T: Send>(work: impl FnOnce() -> NetlinkResult<T> + Send) -> NetlinkResult<T> {
    let operation = "work in a network namespace";
    let dead = |reason: &str| NetlinkError::Thread { operation, reason: reason.to_owned() };
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("podwright-netns".into());
        match thread.spawn_scoped(scope, work) {
            Ok(handle) => handle.join().unwrap_or_else(|_| Err(dead("the thread panicked"))),
            Err(error) => Err(SysError::from_io(operation, "clone", &error, "").into()),
        }
    })
}
