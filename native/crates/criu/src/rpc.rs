//! criu's own protocol (rpc.proto of criu 3.17, proto2) as far as it is used: one message each way is one packet of
//! a SOCK_SEQPACKET socket. Field numbers are criu's; what is left out here is unset there.

use prost::Message;

/// `criu_req_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub enum Kind {
    /// An answer to what was no request.
    Empty = 0,
    /// Capture.
    Dump = 1,
    /// Bring back.
    Restore = 2,
    /// A stage is reached: the other side waits for an answer.
    Notify = 6,
}

/// `ext_mount_map`: a mount that is not criu's to make. At a dump: mount point and name, at a restore: name and source.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct ExternalMount {
    /// Mount point, or name.
    #[prost(string, required, tag = "1")]
    pub key: String,
    /// Name, or source.
    #[prost(string, required, tag = "2")]
    pub value: String,
}

/// `inherit_fd`: a descriptor of criu that takes the place of a file of the images.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct InheritFd {
    /// The file as /proc/PID/fd showed it, `pipe:[4711]`.
    #[prost(string, required, tag = "1")]
    pub key: String,
    /// The descriptor.
    #[prost(int32, required, tag = "2")]
    pub fd: i32,
}

/// `criu_opts`.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Options {
    /// Descriptor of the images' directory, in the process that made the socket.
    #[prost(int32, required, tag = "1")]
    pub images_dir_fd: i32,
    /// Root of the tree to dump.
    #[prost(int32, optional, tag = "2")]
    pub pid: Option<i32>,
    /// The dumped tree goes on.
    #[prost(bool, optional, tag = "3")]
    pub leave_running: Option<bool>,
    /// Unix sockets with a peer outside of the tree are allowed.
    #[prost(bool, optional, tag = "4")]
    pub ext_unix_sk: Option<bool>,
    /// TCP connections are captured and brought back.
    #[prost(bool, optional, tag = "5")]
    pub tcp_established: Option<bool>,
    /// File locks are captured and brought back.
    #[prost(bool, optional, tag = "8")]
    pub file_locks: Option<bool>,
    /// 0 to 4.
    #[prost(int32, optional, tag = "9")]
    pub log_level: Option<i32>,
    /// A name in the working directory.
    #[prost(string, optional, tag = "10")]
    pub log_file: Option<String>,
    /// Stages are told, and answered, at a restore.
    #[prost(bool, optional, tag = "12")]
    pub notify_scripts: Option<bool>,
    /// Root file system of what is restored, a mount point.
    #[prost(string, optional, tag = "13")]
    pub root: Option<String>,
    /// Descriptor of the directory for the log and statistics.
    #[prost(int32, optional, tag = "17")]
    pub work_dir_fd: Option<i32>,
    /// Mounts that are not criu's to make.
    #[prost(message, repeated, tag = "23")]
    pub ext_mnt: Vec<ExternalMount>,
    /// Whether cgroups are looked at.
    #[prost(bool, optional, tag = "24")]
    pub manage_cgroups: Option<bool>,
    /// What is restored is the child of criu's parent.
    #[prost(bool, optional, tag = "26")]
    pub rst_sibling: Option<bool>,
    /// Descriptors handed over.
    #[prost(message, repeated, tag = "27")]
    pub inherit_fd: Vec<InheritFd>,
    /// Mounts may share their mounts with the host's.
    #[prost(bool, optional, tag = "29")]
    pub ext_sharing: Option<bool>,
    /// Mounts may receive mounts of the host's.
    #[prost(bool, optional, tag = "30")]
    pub ext_masters: Option<bool>,
    /// What is done with cgroups; 0: nothing.
    #[prost(int32, optional, tag = "34")]
    pub manage_cgroups_mode: Option<i32>,
    /// Bytes of the largest file that is open and has no name.
    #[prost(uint32, optional, tag = "35")]
    pub ghost_limit: Option<u32>,
    /// Freezer directory of the tree's cgroup: frozen there before, it is frozen again after.
    #[prost(string, optional, tag = "44")]
    pub freeze_cgroup: Option<String>,
    /// Seconds that collecting the tree may take.
    #[prost(uint32, optional, tag = "45")]
    pub timeout: Option<u32>,
    /// Terminals whose master is outside of the tree: at a restore the master is sent with a notification.
    #[prost(bool, optional, tag = "50")]
    pub orphan_pts_master: Option<bool>,
    /// TCP connections are brought back closed.
    #[prost(bool, optional, tag = "52")]
    pub tcp_close: Option<bool>,
}

/// `criu_req`.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Request {
    /// What is asked for.
    #[prost(enumeration = "Kind", required, tag = "1")]
    pub kind: i32,
    /// How.
    #[prost(message, optional, tag = "2")]
    pub opts: Option<Options>,
    /// The answer to a notification: go on.
    #[prost(bool, optional, tag = "3")]
    pub notify_success: Option<bool>,
}

/// `criu_restore_resp`.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct Restored {
    /// The root of the tree.
    #[prost(int32, required, tag = "1")]
    pub pid: i32,
}

/// `criu_notify`.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Notify {
    /// The stage.
    #[prost(string, optional, tag = "1")]
    pub script: Option<String>,
    /// The root of the tree, from the stage on at which there is one.
    #[prost(int32, optional, tag = "2")]
    pub pid: Option<i32>,
}

/// `criu_resp`.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Response {
    /// What it answers.
    #[prost(enumeration = "Kind", required, tag = "1")]
    pub kind: i32,
    /// Whether it was done.
    #[prost(bool, required, tag = "2")]
    pub success: bool,
    /// Of a restore.
    #[prost(message, optional, tag = "4")]
    pub restore: Option<Restored>,
    /// Of a stage.
    #[prost(message, optional, tag = "5")]
    pub notify: Option<Notify>,
    /// An errno.
    #[prost(int32, optional, tag = "7")]
    pub cr_errno: Option<i32>,
    /// In words.
    #[prost(string, optional, tag = "9")]
    pub cr_errmsg: Option<String>,
}

/// The answer to a notification.
pub fn go_on() -> Vec<u8> {
    let request = Request { kind: Kind::Notify.into(), opts: None, notify_success: Some(true) };
    request.encode_to_vec()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_as_criu_writes_them() {
        // protoc --encode=criu_req rpc.proto
        assert_eq!(go_on(), [0x08, 6, 0x18, 1]);
        let bytes = [
            0x08, 6, 0x10, 1, 0x2a, 16, 0x0a, 12, b'p', b'o', b's', b't', b'-', b'r', b'e', b's', b't', b'o', b'r',
            b'e', 0x10, 42,
        ];
        let response = Response::decode(bytes.as_slice()).unwrap();
        let notify = response.notify.unwrap();
        assert_eq!((notify.script.as_deref(), notify.pid), (Some("post-restore"), Some(42)));
    }
}
