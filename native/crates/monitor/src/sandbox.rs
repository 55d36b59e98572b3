//! The sandbox: its namespaces, its pin, its /dev/shm, its pause process.

use crate::reply::{Answer, failure, sys_failure};
use crate::server::Monitor;
use podwright_container::error::StepError;
use podwright_container::ids::{IdMaps, IdRange};
use podwright_container::pause::{self, Pause};
use podwright_container::place::Place;
use podwright_container::shared_mount::SharedMount;
use podwright_container::sysctl;
use podwright_container::users::{self, Users, Wanted};
use podwright_protocol::message::failure::Kind;
use podwright_protocol::message::{
    CgroupPlace, CreateSandbox, CreateSandboxReply, Failure, IdMapping, NamespaceMode, Sysctl, response,
};
use podwright_sys::errno::SysError;
use podwright_sys::namespace;
use rustix::fs::{Mode, OFlags};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, UnmountFlags, fsconfig_create, fsconfig_set_string, fsmount, fsopen,
    mount_bind, unmount,
};
use std::os::fd::{AsFd, OwnedFd};

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
    /// The pod's user namespace and its ids; none when it is the host's.
    user: Option<(OwnedFd, IdMaps)>,
}

impl Sandbox {
    /// The pause process's pid, 0 for none.
    pub(crate) fn pause_pid(&self) -> i32 {
        self.pause.as_ref().map_or(0, |p| p.pid)
    }

    /// The pod's user namespace, if it has one.
    pub(crate) fn users(&self) -> Option<Users<'_>> {
        self.user.as_ref().map(|(namespace, maps)| Users { namespace: namespace.as_fd(), maps: *maps })
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
        StepKind::Refused => Kind::FailedPrecondition,
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
    let user = match id_maps(&request) {
        Some(maps) => Some((owned_namespaces(&request, maps)?, maps)),
        None => {
            own_namespaces(&request)?;
            None
        }
    };
    let mut sandbox = Sandbox { request, shm: None, pause: None, user };
    let request = &sandbox.request;
    if !request.hostname.is_empty() && own(request.uts()) {
        rustix::system::sethostname(request.hostname.as_bytes())
            .map_err(|e| call_failure("set the hostname", "sethostname", e, &request.hostname))?;
    }
    if own(request.ipc()) {
        sandbox.shm = Some(shm(request, sandbox.users())?);
    }
    if own(request.pid()) {
        let place = place(request.pause_cgroup.as_ref());
        let pause = pause::start(&place, request.oom_score_adj, sandbox.users());
        sandbox.pause = Some(pause.map_err(|e| step_failure(&e))?);
    }
    if !sandbox.request.netns_pin.is_empty() {
        // last: what failed before leaves nothing on the host
        pin(&sandbox.request.netns_pin)?;
    }
    Ok(sandbox)
}

fn own(mode: NamespaceMode) -> bool {
    mode == NamespaceMode::Pod
}

/// The monitor's own namespaces become the pod's.
fn own_namespaces(request: &CreateSandbox) -> Result<(), Box<Failure>> {
    let kinds = [(request.net(), namespace::NETWORK), (request.ipc(), namespace::IPC), (request.uts(), namespace::UTS)];
    let flags = kinds.iter().filter(|(mode, _)| own(*mode)).fold(0, |all, (_, flag)| all | flag);
    if flags != 0 {
        namespace::unshare(flags).map_err(|e| sys_failure(&e))?;
    }
    for Sysctl { name, value } in &request.sysctls {
        sysctl::write(name, value).map_err(|e| step_failure(&e))?;
    }
    Ok(())
}

/// The same with namespaces that belong to a user namespace, which the monitor itself does not enter.
fn owned_namespaces(request: &CreateSandbox, maps: IdMaps) -> Result<OwnedFd, Box<Failure>> {
    let sysctls: Vec<(String, String)> = request.sysctls.iter().map(|s| (s.name.clone(), s.value.clone())).collect();
    let (net, ipc, uts) = (own(request.net()), own(request.ipc()), own(request.uts()));
    let made = users::make(&Wanted { maps, net, ipc, uts, sysctls: &sysctls }).map_err(|e| step_failure(&e))?;
    for (kind, namespace) in &made.owned {
        rustix::thread::move_into_link_name_space(namespace.as_fd(), Some(*kind))
            .map_err(|e| call_failure("enter the pod's namespaces", "setns", e, ""))?;
    }
    Ok(made.user)
}

fn id_maps(request: &CreateSandbox) -> Option<IdMaps> {
    let range = |mapping: Option<IdMapping>| {
        let mapping = mapping.unwrap_or_default();
        IdRange { inside: mapping.inside, outside: mapping.outside, count: mapping.count }
    };
    request.user.map(|user| IdMaps { uids: range(user.uids), gids: range(user.gids) })
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
    if let Some(maps) = id_maps(request) {
        maps.check().map_err(|e| step_failure(&e))?;
        // /proc shows a pid namespace, and /dev/mqueue an ipc namespace, only to its owner's root
        for (name, mode) in [("pid", request.pid()), ("ipc", request.ipc())] {
            if mode == NamespaceMode::Node {
                return invalid(name, &format!("the host's {name} namespace is not for a pod with a user namespace"));
            }
        }
    }
    request.sysctls.iter().try_for_each(|sysctl| {
        sysctl::check(&sysctl.name, own(request.net()), own(request.ipc())).map_err(|e| step_failure(&e))
    })
}

fn call_failure(operation: &'static str, syscall: &'static str, e: rustix::io::Errno, object: &str) -> Box<Failure> {
    sys_failure(&SysError::new(operation, syscall, e.raw_os_error(), object))
}

/// A tmpfs that is mounted nowhere: each container gets a clone of it.
fn shm(request: &CreateSandbox, users: Option<Users<'_>>) -> Result<SharedMount, Box<Failure>> {
    let failed = |syscall: &'static str| move |e| call_failure("make the pod's /dev/shm", syscall, e, "tmpfs");
    let size = if request.shm_bytes == 0 { SHM_BYTES } else { request.shm_bytes }.to_string();
    let context = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC).map_err(failed("fsopen"))?;
    let (uid, gid) = users.map_or(Ok((0, 0)), |u| u.outside(0, 0)).map_err(|e| step_failure(&e))?;
    let options = [("size", size), ("mode", "1777".into()), ("uid", uid.to_string()), ("gid", gid.to_string())];
    let label = Some(("context", request.mount_label.clone())).filter(|(_, label)| !label.is_empty());
    for (key, value) in options.iter().chain(&label) {
        fsconfig_set_string(&context, *key, value.as_str()).map_err(failed("fsconfig"))?;
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
