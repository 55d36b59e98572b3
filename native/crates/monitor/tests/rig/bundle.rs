//! Bundles with a busybox root, and the calls that run them.

use super::Rig;
use podwright_protocol::client::ClientError;
use podwright_protocol::message::request::Call;
use podwright_protocol::message::{
    CgroupFacts, CreateContainer, CreateContainerReply, ExecSync, ExecSyncReply, ExitFact, LogTarget, NamespaceMode,
    Overlay, StartContainer, event, response,
};
use serde_json::{Value, json};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A container to be: its bundle on disk, and the request for it.
pub struct Bundle {
    pub id: String,
    pub dir: PathBuf,
    pub spec: Value,
    pub request: CreateContainer,
}

/// Makes a root filesystem with busybox and its links at `dir`.
pub fn busybox_root(dir: &Path) {
    for sub in ["bin", "etc", "tmp", "proc", "sys", "dev", "root"] {
        std::fs::create_dir_all(dir.join(sub)).unwrap();
    }
    std::fs::copy("/bin/busybox", dir.join("bin/busybox")).unwrap();
    for name in [
        "sh", "echo", "cat", "ls", "sleep", "true", "false", "id", "mount", "grep", "stat", "touch", "mkdir", "kill",
        "ps", "readlink", "dd", "head", "test", "env", "pwd", "umount", "tail", "wc", "seq", "yes", "rm", "setsid",
        "hostname", "mknod", "od", "tty", "stty", "sed", "ln", "chmod", "awk", "nc", "ip", "tr", "usleep", "find",
        "cut", "sync", "uniq",
    ] {
        symlink("busybox", dir.join("bin").join(name)).unwrap();
    }
    std::fs::write(dir.join("etc/passwd"), "root:x:0:0::/root:/bin/sh\n").unwrap();
}

/// The names of the capabilities containers usually have.
pub fn usual_capabilities() -> Value {
    json!([
        "CAP_CHOWN",
        "CAP_DAC_OVERRIDE",
        "CAP_FSETID",
        "CAP_FOWNER",
        "CAP_MKNOD",
        "CAP_NET_RAW",
        "CAP_SETGID",
        "CAP_SETUID",
        "CAP_SETFCAP",
        "CAP_SETPCAP",
        "CAP_NET_BIND_SERVICE",
        "CAP_SYS_CHROOT",
        "CAP_KILL",
        "CAP_AUDIT_WRITE"
    ])
}

/// A spec like the one a kubelet's container gets.
pub fn usual_spec(args: &[&str]) -> Value {
    let caps = usual_capabilities();
    let mount = |destination: &str, kind: &str, options: &[&str]| json!({"destination": destination, "type": kind, "source": kind, "options": options});
    json!({
        "ociVersion": "1.2.0",
        "root": {"path": "rootfs"},
        "process": {
            "args": args, "cwd": "/", "env": ["PATH=/bin", "HOME=/root"], "user": {"uid": 0, "gid": 0},
            "noNewPrivileges": true,
            "capabilities": {"bounding": caps, "effective": caps, "permitted": caps}
        },
        "mounts": [
            mount("/proc", "proc", &["nosuid", "noexec", "nodev"]),
            mount("/dev", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
            mount("/dev/pts", "devpts", &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]),
            mount("/dev/mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
            mount("/dev/shm", "podwright-shm", &["nosuid", "noexec", "nodev"]),
            mount("/sys", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
            mount("/sys/fs/cgroup", "cgroup", &["nosuid", "noexec", "nodev", "relatime", "ro"]),
        ],
        "linux": {
            "namespaces": [{"type": "mount"}, {"type": "cgroup"}, {"type": "pid"}],
            "maskedPaths": ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware", "/proc/scsi"],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
        }
    })
}

impl Rig {
    /// A bundle in the rig's directory whose process is `args`.
    pub fn bundle(&mut self, args: &[&str]) -> Bundle {
        self.bundles += 1;
        let id = format!("c{}-{}", self.bundles, self.id);
        let dir = self.dir.join(&id);
        for sub in ["rootfs", "upper", "work"] {
            std::fs::create_dir_all(dir.join(sub)).unwrap();
        }
        let lower = self.dir.join("busybox");
        if !lower.exists() {
            busybox_root(&lower);
        }
        let text = |path: PathBuf| path.to_str().unwrap().to_owned();
        let request = CreateContainer {
            container_id: id.clone(),
            bundle: text(dir.clone()),
            overlay: Some(Overlay {
                lower: vec![text(lower)],
                upper: text(dir.join("upper")),
                work: text(dir.join("work")),
                options: vec!["index=off".into()],
            }),
            cgroup: Some(CgroupFacts::default()),
            log: Some(LogTarget { path: text(dir.join("logs/0.log")), max_line_bytes: 0 }),
            exit_file: text(dir.join("exit.json")),
            pid: NamespaceMode::Container.into(),
            shm: true,
            ..CreateContainer::default()
        };
        Bundle { id, dir, spec: usual_spec(args), request }
    }

    /// A shell script as a bundle.
    pub fn script(&mut self, text: &str) -> Bundle {
        self.bundle(&["sh", "-c", text])
    }

    pub fn create(&mut self, bundle: &Bundle) -> Result<CreateContainerReply, ClientError> {
        std::fs::write(bundle.dir.join("config.json"), bundle.spec.to_string()).unwrap();
        match self.client.call(Call::CreateContainer(bundle.request.clone()))? {
            response::Result::CreateContainer(reply) => Ok(reply),
            other => panic!("{other:?}"),
        }
    }

    pub fn start_container(&mut self, id: &str) -> Result<i32, ClientError> {
        match self.client.call(Call::StartContainer(StartContainer { container_id: id.into() }))? {
            response::Result::StartContainer(reply) => Ok(reply.pid),
            other => panic!("{other:?}"),
        }
    }

    /// Creates and starts; the pid.
    pub fn run(&mut self, bundle: &Bundle) -> i32 {
        self.create(bundle).unwrap();
        self.start_container(&bundle.id).unwrap()
    }

    /// Waits for the exit event of a container.
    pub fn exit_of(&mut self, id: &str) -> ExitFact {
        let end = Instant::now() + Duration::from_secs(20);
        while Instant::now() < end {
            if let Some(at) = self.exits.iter().position(|e| e.container_id == id) {
                return self.exits.remove(at);
            }
            match self.client.event(Duration::from_millis(200)).unwrap().and_then(|e| e.event) {
                Some(event::Event::Exit(fact)) => self.exits.push(fact),
                Some(other) => self.others.push(other),
                None => {}
            }
        }
        panic!("no exit of {id}");
    }

    /// Runs to the end: the exit and what was logged, without times.
    pub fn finish(&mut self, bundle: &Bundle) -> (ExitFact, String) {
        self.run(bundle);
        let exit = self.exit_of(&bundle.id);
        (exit, bundle.log())
    }

    /// Runs a script to the end and gives its standard output.
    pub fn output(&mut self, bundle: &Bundle) -> String {
        let (exit, log) = self.finish(bundle);
        assert_eq!(exit.exit_code, 0, "{log}");
        log.lines().filter_map(|l| l.strip_prefix("stdout F ")).map(|l| format!("{l}\n")).collect()
    }

    pub fn exec(
        &mut self,
        bundle: &Bundle,
        args: &[&str],
        change: impl FnOnce(&mut ExecSync),
    ) -> Result<ExecSyncReply, ClientError> {
        let mut process = bundle.spec["process"].clone();
        process["args"] = json!(args);
        process["terminal"] = json!(false);
        let mut request = ExecSync {
            container_id: bundle.id.clone(),
            process: process.to_string(),
            timeout_ms: 20_000,
            max_output_bytes: 1 << 20,
            drain_ms: 500,
            ..ExecSync::default()
        };
        change(&mut request);
        match self.client.call(Call::ExecSync(request))? {
            response::Result::ExecSync(reply) => Ok(reply),
            other => panic!("{other:?}"),
        }
    }
}

impl Bundle {
    /// The log without its times: `stdout F text` per line.
    pub fn log(&self) -> String {
        let path = self.request.log.as_ref().unwrap().path.clone();
        let text = String::from_utf8(std::fs::read(path).unwrap()).unwrap();
        text.lines().map(|l| format!("{}\n", l.get(31..).unwrap_or(l))).collect()
    }

    /// Waits until a text is in the log.
    pub fn await_log(&self, text: &str) {
        for _ in 0..3000 {
            if self.request.log.as_ref().is_some_and(|l| Path::new(&l.path).exists()) && self.log().contains(text) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("{text:?} was not logged: {}", self.log());
    }

    pub fn mount(&mut self, destination: &str, source: &Path, options: &[&str]) {
        let mount = json!({"destination": destination, "type": "bind", "source": source, "options": options});
        self.spec["mounts"].as_array_mut().unwrap().push(mount);
    }

    pub fn annotate(&mut self, key: &str, value: &str) {
        self.spec["annotations"][key] = json!(value);
    }

    /// What the exit file holds.
    pub fn exit_file(&self) -> Value {
        serde_json::from_str(&std::fs::read_to_string(self.dir.join("exit.json")).unwrap()).unwrap()
    }
}
