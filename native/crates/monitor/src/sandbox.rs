//! The sandbox: its namespaces, its pin, its /dev/shm, its pause process.

use crate::reply::{Answer, failure, sys_failure};
use crate::server::Monitor;
use podwright_container::error::StepError;
use podwright_container::pause::{self, Pause};
use podwright_container::place::Place;
use podwright_container::shared_mount::SharedMount;
use podwright_container::sysctl;
use podwright_protocol::message::failure::Kind;
use podwright_protocol::message::{
    CgroupPlace, CreateSandbox, CreateSandboxReply, Failure, NamespaceMode, Sysctl, response,
};
use podwright_sys::errno::SysError;
use podwright_sys::namespace;
use rustix::fs::{Mode, OFlags};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, UnmountFlags, fsconfig_create, fsconfig_set_string, fsmount, fsopen,
    mount_bind, unmount,
};

/// Size of /dev/shm when the request names none.
const SHM_BYTES: u64 = 64 * 1024 * 1024;

/// What CreateSandbox made.
#[derive(Debug)]
pub(crate) struct Sandbox {
    /// The request, to tell a repetition from a contradiction.
    request: CreateSandbox,
    /// A detached tmpfs; none when the host's ipc namespace is used.
    pub(crate) shm: Option<SharedMount>,
    /// The shared pid namespace's init; none when pids are not shared.
    pub(crate) pause: Option<Pause>,
}

impl Sandbox {
    /// The pause process's pid, 0 for none.
    pub(crate) fn pause_pid(&self) -> i32 {
        self.pause.as_ref().map_or(0, |p| p.pid)
    }

    /// Takes the network namespace's pin away; a pin that has gone is no error.
    pub(crate) fn unpin(&self) {
        unpin(&self.request.netns_pin);
    }

    fn reply(&self) -> Answer {
        let notes = self.pause.as_ref().map(|p| p.notes.clone()).unwrap_or_default();
        Ok(response::Result::CreateSandbox(CreateSandboxReply { pause_pid: self.pause_pid(), notes }))
    }
}

/// The place in the container crate's form.
pub(crate) fn place(place: Option<&CgroupPlace>) -> Place {
    let place = place.cloned().unwrap_or_default();
    Place { unified_dir: place.unified_dir, v1_tasks: place.v1_tasks }
}

/// A failed step in the protocol's form.
pub(crate) fn step_failure(error: &StepError) -> Box<Failure> {
    use podwright_container::error::Kind as StepKind;
    let kind = match error.kind {
        StepKind::Internal => crate::reply::kind_of(error.errno),
        StepKind::Invalid => Kind::Invalid,
        StepKind::Unsupported => Kind::Unsupported,
        StepKind::ImageVolume => Kind::ImageVolume,
    };
    Box::new(Failure {
        kind: kind.into(),
        operation: error.operation.clone(),
        syscall: error.syscall.clone(),
        errno: error.errno,
        object: error.object.clone(),
        detail: error.detail.clone(),
    })
}

impl Monitor {
    /// Makes the namespaces; the same request again is answered with what there is.
    pub(crate) fn create_sandbox(&mut self, request: CreateSandbox) -> Answer {
        if let Some(sandbox) = &self.sandbox {
            if sandbox.request == request {
                return sandbox.reply();
            }
            let text = "the sandbox exists with another configuration";
            return Err(failure(Kind::FailedPrecondition, "create the sandbox", &self.id, text));
        }
        if request.sandbox_id != self.id {
            let text = format!("this is the monitor of sandbox {}", self.id);
            return Err(failure(Kind::Invalid, "create the sandbox", &request.sandbox_id, text));
        }
        let sandbox = make(request)?;
        let reply = sandbox.reply();
        self.sandbox = Some(sandbox);
        reply
    }
}

fn make(request: CreateSandbox) -> Result<Sandbox, Box<Failure>> {
    check(&request)?;
    let own = |mode: NamespaceMode, flag: i32| if mode == NamespaceMode::Pod { flag } else { 0 };
    let flags = own(request.net(), namespace::NETWORK)
        | own(request.ipc(), namespace::IPC)
        | own(request.uts(), namespace::UTS);
    if flags != 0 {
        namespace::unshare(flags).map_err(|e| sys_failure(&e))?;
    }
    if !request.hostname.is_empty() && request.uts() == NamespaceMode::Pod {
        rustix::system::sethostname(request.hostname.as_bytes())
            .map_err(|e| call_failure("set the hostname", "sethostname", e, &request.hostname))?;
    }
    for Sysctl { name, value } in &request.sysctls {
        sysctl::write(name, value).map_err(|e| step_failure(&e))?;
    }
    let shm = if request.ipc() == NamespaceMode::Pod { Some(shm(request.shm_bytes)?) } else { None };
    let pause = match request.pid() {
        NamespaceMode::Pod => {
            let place = place(request.pause_cgroup.as_ref());
            Some(pause::start(&place, request.oom_score_adj).map_err(|e| step_failure(&e))?)
        }
        _ => None,
    };
    if !request.netns_pin.is_empty() {
        // last: what failed before leaves nothing on the host
        pin(&request.netns_pin)?;
    }
    Ok(Sandbox { request, shm, pause })
}

/// What contradicts itself. PURE.
fn check(request: &CreateSandbox) -> Result<(), Box<Failure>> {
    let invalid = |object: &str, text: &str| Err(failure(Kind::Invalid, "create the sandbox", object, text));
    for (name, mode) in [("net", request.net()), ("ipc", request.ipc()), ("uts", request.uts())] {
        if mode == NamespaceMode::Container {
            return invalid(name, &format!("a {name} namespace belongs to the pod or to the node"));
        }
    }
    if !request.netns_pin.is_empty() && request.net() != NamespaceMode::Pod {
        return invalid(&request.netns_pin, "the host's network namespace is not pinned");
    }
    if request.hostname.len() > 64 {
        return invalid(&request.hostname, "a hostname has at most 64 bytes");
    }
    let own = |mode: NamespaceMode| mode == NamespaceMode::Pod;
    request.sysctls.iter().try_for_each(|sysctl| {
        sysctl::check(&sysctl.name, own(request.net()), own(request.ipc())).map_err(|e| step_failure(&e))
    })
}

fn call_failure(operation: &'static str, syscall: &'static str, e: rustix::io::Errno, object: &str) -> Box<Failure> {
    sys_failure(&SysError::new(operation, syscall, e.raw_os_error(), object))
}

/// A tmpfs that is mounted nowhere: each container gets a clone of it.
fn shm(bytes: u64) -> Result<SharedMount, Box<Failure>> {
    let failed = |syscall: &'static str| move |e| call_failure("make the pod's /dev/shm", syscall, e, "tmpfs");
    let size = if bytes == 0 { SHM_BYTES } else { bytes }.to_string();
    let context = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC).map_err(failed("fsopen"))?;
    for (key, value) in [("size", size.as_str()), ("mode", "1777")] {
        fsconfig_set_string(&context, key, value).map_err(failed("fsconfig"))?;
    }
    fsconfig_create(&context).map_err(failed("fsconfig"))?;
    let attributes =
        MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    let mount = fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes).map_err(failed("fsmount"))?;
    SharedMount::new(mount).map_err(|e| step_failure(&e))
}

/// Binds the network namespace on a file, which it makes; a pin left by an earlier life goes first.
fn pin(path: &str) -> Result<(), Box<Failure>> {
    unpin(path);
    let flags = OFlags::RDONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty())
        .map_err(|e| call_failure("make the network namespace's pin", "open", e, path))?;
    mount_bind("/proc/self/ns/net", path).map_err(|e| {
        unpin(path);
        call_failure("pin the network namespace", "mount", e, path)
    })
}

fn unpin(path: &str) {
    if path.is_empty() {
        return;
    }
    // Several pins may lie on one another when an earlier monitor was killed at a bad moment.
    while unmount(path, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW).is_ok() {}
    let _ = rustix::fs::unlink(path);
}
