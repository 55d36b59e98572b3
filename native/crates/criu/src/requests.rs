//! What criu is asked. PURE.

use crate::layout;
use crate::mounts::External;
use crate::rpc::{ExternalMount, InheritFd, Kind, Options, Request};

/// Levels of criu's log: 4 says why something failed.
const LOG_LEVEL: i32 = 4;

/// Bytes of the largest file that is open and has no name: it goes into the images.
const GHOST_LIMIT: u32 = 256 << 20;

/// What the caller may choose.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Choices {
    /// TCP connections are captured; otherwise one that is open makes criu refuse.
    pub tcp_established: bool,
    /// TCP connections are brought back closed.
    pub tcp_close: bool,
    /// Unix sockets may have a peer outside of the container.
    pub external_unix_sockets: bool,
    /// File locks are captured.
    pub file_locks: bool,
}

/// Descriptors of directories, in the process that made the socket to criu.
#[derive(Debug, Clone, Copy)]
pub struct Directories {
    /// For the images.
    pub images: i32,
    /// For the log and the figures.
    pub work: i32,
}

fn options(at: Directories, log: &str, choices: Choices) -> Options {
    Options {
        images_dir_fd: at.images,
        work_dir_fd: Some(at.work),
        log_level: Some(LOG_LEVEL),
        log_file: Some(log.into()),
        tcp_established: Some(choices.tcp_established),
        file_locks: Some(choices.file_locks),
        ext_unix_sk: Some(choices.external_unix_sockets),
        ghost_limit: Some(GHOST_LIMIT),
        // cgroups are made by the daemon, and criu runs in the one that its processes shall be in
        manage_cgroups: Some(true),
        manage_cgroups_mode: Some(0),
        ext_sharing: Some(true),
        ext_masters: Some(true),
        orphan_pts_master: Some(true),
        ..Options::default()
    }
}

/// A dump of the tree below `pid`, which lives on. `freezer`: its cgroup's directory, frozen before and after.
pub fn dump(pid: i32, freezer: &str, at: Directories, external: &[External], choices: Choices) -> Request {
    let ext_mnt = external.iter().map(|e| ExternalMount { key: e.path.clone(), value: e.name.clone() }).collect();
    let opts = Options {
        pid: Some(pid),
        leave_running: Some(true),
        freeze_cgroup: (!freezer.is_empty()).then(|| freezer.into()),
        ext_mnt,
        ..options(at, layout::LOG, choices)
    };
    Request { kind: Kind::Dump.into(), opts: Some(opts), notify_success: None }
}

/// A restore as child of criu's parent, on the root mounted at `root`. `sources`: where each external mount comes from,
/// by its name in the images. `streams`: files of the images and the descriptors that take their places.
pub fn restore(
    root: &str,
    at: Directories,
    sources: &[(String, String)],
    streams: &[(String, i32)],
    choices: Choices,
) -> Request {
    let ext_mnt = sources.iter().map(|(name, from)| ExternalMount { key: name.clone(), value: from.clone() }).collect();
    let opts = Options {
        root: Some(root.into()),
        rst_sibling: Some(true),
        notify_scripts: Some(true),
        tcp_close: Some(choices.tcp_close),
        inherit_fd: streams.iter().map(|(key, fd)| InheritFd { key: key.clone(), fd: *fd }).collect(),
        ext_mnt,
        ..options(at, layout::RESTORE_LOG, choices)
    };
    Request { kind: Kind::Restore.into(), opts: Some(opts), notify_success: None }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const AT: Directories = Directories { images: 7, work: 8 };

    #[test]
    fn a_dump_leaves_the_tree_running_and_frozen() {
        let external = [External { name: "podwright-0".into(), path: "/data".into() }];
        let request =
            dump(42, "/sys/fs/cgroup/x", AT, &external, Choices { tcp_established: true, ..Choices::default() });
        let opts = request.opts.unwrap();
        assert_eq!(
            (opts.pid, opts.leave_running, opts.images_dir_fd, opts.work_dir_fd),
            (Some(42), Some(true), 7, Some(8))
        );
        assert_eq!(opts.freeze_cgroup.as_deref(), Some("/sys/fs/cgroup/x"));
        assert_eq!(opts.ext_mnt, [ExternalMount { key: "/data".into(), value: "podwright-0".into() }]);
        assert_eq!((opts.tcp_established, opts.file_locks, opts.notify_scripts), (Some(true), Some(false), None));
        assert_eq!(dump(1, "", AT, &[], Choices::default()).opts.unwrap().freeze_cgroup, None);
    }

    #[test]
    fn a_restore_makes_a_sibling_and_tells_its_stages() {
        let sources = [("podwright-0".into(), "/b/0".into())];
        let streams = [("pipe:[5]".into(), 9)];
        let opts = restore("/b/root", AT, &sources, &streams, Choices::default()).opts.unwrap();
        assert_eq!(
            (opts.rst_sibling, opts.notify_scripts, opts.root.as_deref()),
            (Some(true), Some(true), Some("/b/root"))
        );
        assert_eq!(opts.inherit_fd, [InheritFd { key: "pipe:[5]".into(), fd: 9 }]);
        assert_eq!(opts.ext_mnt, [ExternalMount { key: "podwright-0".into(), value: "/b/0".into() }]);
    }
}
