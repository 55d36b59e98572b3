//! Whether pods can have user namespaces here: by making one, with the steps of a container up to its program, on the
//! file systems that real ones will be on. What kernels, file systems and security modules say of themselves is not
//! enough to know.

use crate::error::{Kind, StepError, StepResult, failed, io_failed};
use crate::handles::Handles;
use crate::ids::{IdMaps, IdRange};
use crate::init;
use crate::report::{self, Received, Report};
use crate::request::{Overlay, Request};
use crate::users::{self, Users, Wanted};
use podwright_sys::buffer::SharedNote;
use podwright_sys::clone::{self, Forked};
use podwright_sys::signal;
use rustix::fs::{Mode, OFlags};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde_json::{Value, json};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::Path;
use std::time::Duration;

/// The directory that is made, and removed again, in both places.
const DIRECTORY: &str = "user-namespaces-probe";

/// Ids of the host that nobody has.
const IDS: IdRange = IdRange { inside: 0, outside: 0x7000_0000, count: 65_536 };

/// How long the set-up may take.
const LIMIT: Duration = Duration::from_secs(10);

/// Where the node keeps what containers are made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// Layers and writable layers.
    pub store: String,
    /// Files of pods.
    pub state: String,
}

/// What was found.
#[derive(Debug)]
pub struct Found {
    /// Pods with a network of their own.
    pub pods: StepResult<()>,
    /// Pods with the host's network.
    pub host_network: StepResult<()>,
}

/// Finds out. For a process with one thread and the host's namespaces; its ipc and uts namespaces are others afterwards.
pub fn run(places: &Places) -> Found {
    let pods = attempt(places, true);
    let host_network = match &pods {
        Ok(()) => attempt(places, false),
        Err(error) => Err(error.clone()),
    };
    Found { pods, host_network }
}

fn attempt(places: &Places, own_network: bool) -> StepResult<()> {
    let (store, state) = (Scratch::make(&places.store)?, Scratch::make(&places.state)?);
    let file = "/proc/self/ns/net";
    let host: OwnedFd = rustix::fs::open(file, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).map_err(failed(
        "open the network namespace",
        "open",
        file,
    ))?;
    let rehearsed = rehearse(&store, &state, own_network);
    move_into_link_name_space(host.as_fd(), Some(LinkNameSpaceType::Network)).map_err(failed(
        "return to the host's network",
        "setns",
        "",
    ))?;
    rehearsed
}

/// A container that is made and not started.
fn rehearse(store: &Scratch, state: &Scratch, own_network: bool) -> StepResult<()> {
    let overlay = Overlay {
        lower: vec![store.add("lower")?],
        upper: store.add("upper")?,
        work: store.add("work")?,
        options: Vec::new(),
        label: String::new(),
    };
    let made_inside = format!("{}/probe", overlay.upper);
    let maps = IdMaps { uids: IDS, gids: IDS };
    let request =
        Request { bundle: state.add("bundle")?, overlay: Some(overlay), ids: Some(maps), ..Request::default() };
    let hosts = format!("{}/hosts", request.bundle);
    let spec = spec(&hosts, own_network).to_string();
    for (path, text) in [(&hosts, ""), (&format!("{}/config.json", request.bundle), &spec)] {
        std::fs::write(path, text).map_err(io_failed("write", "write", path))?;
    }
    let made = users::make(&Wanted { maps, net: own_network, ipc: true, uts: true, sysctls: &[] })?;
    for (kind, namespace) in &made.owned {
        move_into_link_name_space(namespace.as_fd(), Some(*kind)).map_err(failed(
            "enter the namespaces",
            "setns",
            "",
        ))?;
    }
    set_up(&request, &Users { namespace: made.user.as_fd(), maps })?;
    let owner = std::fs::metadata(&made_inside).map_err(io_failed("look at", "stat", &made_inside))?.uid();
    if owner == 0 {
        return Ok(());
    }
    let why = format!("what root made in it belongs to {owner} on disk");
    Err(StepError::without_call(Kind::Unsupported, "map ids of the root filesystem", "", &why))
}

fn set_up(request: &Request, users: &Users<'_>) -> StepResult<()> {
    let note = SharedNote::new()?;
    let (ours, theirs) = report::pair()?;
    let Forked::Parent(mut pid) = clone::fork(0, None)? else {
        drop(ours);
        let mut handles = Handles::new(theirs.as_fd());
        handles.users = Some(*users);
        init::run(request, &handles, true, &note);
    };
    drop(theirs);
    rustix::net::sockopt::set_socket_timeout(&ours, rustix::net::sockopt::Timeout::Recv, Some(LIMIT))
        .map_err(failed("try a container", "setsockopt", ""))?;
    let ended = loop {
        match report::receive(&ours, true) {
            Ok(Received::Message(Report::Process { pid: child, .. }, _)) => pid = child,
            Ok(Received::Message(Report::Ready { .. }, _)) => break Ok(()),
            Ok(Received::Message(Report::Failed(error), _)) | Err(error) => break Err(error),
            Ok(Received::Message(..)) => {}
            Ok(Received::End) => break Err(stopped("it ended")),
            Ok(Received::Nothing) => break Err(stopped(&format!("it did not get done with: {}", note.read()))),
        }
    };
    // our child, not reaped: it waits for a start that does not come
    let _ = signal::send(pid, 9);
    ended
}

fn stopped(why: &str) -> StepError {
    StepError::without_call(Kind::Internal, "try a container", "", why)
}

fn spec(hosts: &str, own_network: bool) -> Value {
    let ids = json!([{"containerID": IDS.inside, "hostID": IDS.outside, "size": IDS.count}]);
    let mount = |destination: &str, kind: &str, options: &[&str]| json!({"destination": destination, "type": kind, "source": kind, "options": options});
    let sys = if own_network {
        mount("/sys", "sysfs", &["nosuid", "noexec", "nodev", "ro"])
    } else {
        json!({"destination": "/sys", "type": "bind", "source": "/sys",
               "options": ["bind", "rprivate", "nosuid", "noexec", "nodev", "ro"]})
    };
    json!({
        "process": {"args": ["true"], "cwd": "/probe"},
        "mounts": [
            mount("/proc", "proc", &["nosuid", "noexec", "nodev"]),
            mount("/dev", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
            mount("/dev/pts", "devpts", &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]),
            mount("/dev/mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
            sys,
            mount("/sys/fs/cgroup", "cgroup", &["nosuid", "noexec", "nodev", "ro"]),
            {"destination": "/etc/hosts", "type": "bind", "source": hosts, "options": ["bind", "rprivate"],
             "uidMappings": ids, "gidMappings": ids},
        ],
        "linux": {
            "namespaces": [{"type": "mount"}, {"type": "pid"}, {"type": "cgroup"}, {"type": "user"}],
            "uidMappings": ids, "gidMappings": ids,
            "maskedPaths": ["/proc/kcore"], "readonlyPaths": ["/proc/sys"],
        }
    })
}

/// A directory of the probe, removed when it is dropped.
struct Scratch(String);

impl Scratch {
    /// One that an earlier probe was killed over goes first.
    fn make(above: &str) -> StepResult<Self> {
        let scratch = Self(format!("{above}/{DIRECTORY}"));
        if Path::new(&scratch.0).exists() {
            std::fs::remove_dir_all(&scratch.0).map_err(io_failed("clear", "unlink", &scratch.0))?;
        }
        std::fs::DirBuilder::new().mode(0o700).create(&scratch.0).map_err(io_failed("make", "mkdir", &scratch.0))?;
        Ok(scratch)
    }

    fn add(&self, name: &str) -> StepResult<String> {
        let path = format!("{}/{name}", self.0);
        std::fs::DirBuilder::new().mode(0o755).create(&path).map_err(io_failed("make", "mkdir", &path))?;
        Ok(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed now, the next probe removes.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
