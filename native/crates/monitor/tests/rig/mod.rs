//! Starts real monitors for tests and takes everything away again.
#![allow(dead_code, clippy::unwrap_used, missing_docs, unreachable_pub)]

pub mod bundle;
pub mod cgroups;
pub mod fuse;
pub mod streams;
pub mod users;

use podwright_protocol::client::Client;
use podwright_protocol::message::request::Call;
use podwright_protocol::message::{CreateSandbox, ExitFact, HelloReply, NamespaceMode, Shutdown, event};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

static NEXT: AtomicU32 = AtomicU32::new(1);

/// A monitor with its directory under $TMPDIR, or /tmp; both go when it is dropped.
pub struct Rig {
    pub id: String,
    pub dir: PathBuf,
    pub client: Client,
    pub hello: HelloReply,
    pub bundles: u32,
    pub exits: Vec<ExitFact>,
    pub others: Vec<event::Event>,
}

impl Rig {
    pub fn start() -> Self {
        let id = format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let dir = std::env::temp_dir().join(format!("podwright-rig-{id}"));
        std::fs::create_dir_all(&dir).unwrap();
        let socket = dir.join("monitor.sock");
        let status = Command::new(env!("CARGO_BIN_EXE_podwright-monitor"))
            .args(["serve", "--id", &id, "--socket", socket.to_str().unwrap()])
            .status()
            .unwrap();
        assert!(status.success());
        let (client, hello) = Client::open(&socket).unwrap();
        Self { id, dir, client, hello, bundles: 0, exits: Vec::new(), others: Vec::new() }
    }

    /// A monitor whose sandbox is made.
    pub fn ready() -> Self {
        Self::ready_with(|_| {})
    }

    /// The same with a changed request.
    pub fn ready_with(change: impl FnOnce(&mut CreateSandbox)) -> Self {
        let mut rig = Self::start();
        let mut request = rig.sandbox();
        change(&mut request);
        rig.client.call(Call::CreateSandbox(request)).unwrap();
        rig
    }

    /// Loses the connection, as a daemon does that is killed, and makes another.
    pub fn reconnect(&mut self) {
        (self.client, self.hello) = Client::open(&self.socket()).unwrap();
    }

    /// The monitor's private memory in KiB.
    pub fn heap(&self) -> u64 {
        memory(self.hello.pid, "Private_Dirty:")
    }

    /// Waits until something is so.
    pub fn until(&self, so: impl Fn(&Self) -> bool) {
        for _ in 0..1000 {
            if so(self) {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        panic!("it does not come");
    }

    /// Waits until the monitor has no more than so many descriptors open.
    pub fn await_descriptors(&self, most: usize) {
        self.until(|rig| rig.descriptors() <= most);
    }

    /// How many descriptors the monitor has open.
    pub fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.hello.pid)).unwrap().count()
    }

    pub fn socket(&self) -> PathBuf {
        self.dir.join("monitor.sock")
    }

    pub fn pin(&self) -> PathBuf {
        self.dir.join("netns")
    }

    /// A request for the pod's own namespaces, pids apart.
    pub fn sandbox(&self) -> CreateSandbox {
        CreateSandbox {
            sandbox_id: self.id.clone(),
            net: NamespaceMode::Pod.into(),
            ipc: NamespaceMode::Pod.into(),
            uts: NamespaceMode::Pod.into(),
            pid: NamespaceMode::Container.into(),
            netns_pin: self.pin().to_str().unwrap().into(),
            hostname: "rig".into(),
            ..CreateSandbox::default()
        }
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        // A test may have ended the monitor already.
        let _ = Client::open(&self.socket()).and_then(|(mut c, _)| c.call(Call::Shutdown(Shutdown {})));
        let gone = std::fs::remove_dir_all(&self.dir);
        if !std::thread::panicking() {
            gone.unwrap();
            assert!(!mounts().contains(&format!("podwright-rig-{}/", self.id)), "mounts are left");
        }
    }
}

/// A field of a process's smaps_rollup in KiB.
pub fn memory(pid: i32, field: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let line = text.lines().find(|l| l.starts_with(field)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// User and system time of a process in ticks of 10 ms.
pub fn cpu(pid: i32) -> u64 {
    let line = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<u64> =
        line.rsplit(')').next().unwrap().split_whitespace().skip(11).take(2).map(|f| f.parse().unwrap()).collect();
    fields.iter().sum()
}

/// The host's mounts as text.
pub fn mounts() -> String {
    std::fs::read_to_string("/proc/self/mountinfo").unwrap()
}

/// Whether a process runs (one that nobody has reaped yet does not).
pub fn alive(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with(" Z"))
}
