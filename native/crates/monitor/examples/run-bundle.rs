//! Runs an OCI bundle through a real monitor, or measures how long that takes.
//!
//! `run-bundle MONITOR BUNDLE` runs it once, prints its output, ends with its exit code.
//! `run-bundle MONITOR BUNDLE --measure N` creates, starts and removes it N times, then execs
//! `/bin/true` N times in it; the bundle's process must run on for that (`sleep 1000`).
//! The spec's cgroup is made and removed, and its seccomp profile compiled, as the daemon would.

use podwright_cgroups::{Layout, group};
use podwright_protocol::client::{Client, ClientError};
use podwright_protocol::message::request::Call;
use podwright_protocol::message::{
    CgroupFacts, CgroupPlace, CreateContainer, CreateSandbox, ExecSync, HelloReply, LogTarget, NamespaceMode,
    RemoveContainer, Shutdown, StartContainer, event,
};
use podwright_seccomp::{Profile, compile};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome<ExitCode> {
    let args: Vec<String> = std::env::args().collect();
    let (Some(monitor), Some(bundle)) = (args.get(1), args.get(2)) else {
        return Err("usage: run-bundle MONITOR BUNDLE [--measure N]".into());
    };
    let times = match args.get(3).map(String::as_str) {
        Some("--measure") => args.get(4).ok_or("--measure needs a number")?.parse()?,
        _ => 0,
    };
    let mut session = Session::start(monitor, Path::new(bundle))?;
    let outcome = if times > 0 { session.measure(times).map(|()| 0) } else { session.run() };
    session.end()?;
    Ok(ExitCode::from(u8::try_from(outcome?).unwrap_or(255)))
}

struct Session {
    client: Client,
    hello: HelloReply,
    dir: PathBuf,
    bundle: PathBuf,
    spec: Value,
    cgroup: Option<Cgroup>,
}

/// The cgroup of the spec's `cgroupsPath`.
struct Cgroup {
    layout: Layout,
    path: String,
    facts: CgroupFacts,
}

impl Cgroup {
    fn make(spec: &Value) -> Outcome<Option<Self>> {
        let Some(path) = spec.pointer("/linux/cgroupsPath").and_then(Value::as_str) else { return Ok(None) };
        let layout = Layout::detect()?;
        let (found, _) = group::create(&layout, path, None)?;
        let place = CgroupPlace { unified_dir: found.place.unified_dir, v1_tasks: found.place.v1_tasks };
        let facts = CgroupFacts {
            place: Some(place),
            kill_file: found.kill_file,
            freezer_dir: found.freezer_dir,
            memory_events: found.memory_events,
            procs_dir: found.procs_dir,
            devices_v1_dir: found.devices_v1_dir,
            devices_v2_dir: found.devices_v2_dir,
        };
        Ok(Some(Self { layout, path: path.into(), facts }))
    }
}

impl Session {
    fn start(monitor: &str, bundle: &Path) -> Outcome<Self> {
        let bundle = bundle.canonicalize()?;
        let spec: Value = serde_json::from_slice(&std::fs::read(bundle.join("config.json"))?)?;
        let id = format!("run-bundle-{}", std::process::id());
        let dir = PathBuf::from(format!("/tmp/{id}"));
        std::fs::create_dir_all(&dir)?;
        let socket = dir.join("monitor.sock");
        let status = Command::new(monitor).args(["serve", "--id", &id, "--socket"]).arg(&socket).status()?;
        if !status.success() {
            return Err("the monitor does not start".into());
        }
        let (mut client, hello) = Client::open(&socket)?;
        let own = |kind: &str| {
            let list = spec.pointer("/linux/namespaces").and_then(Value::as_array);
            let has = list.is_some_and(|l| l.iter().any(|n| n["type"] == kind));
            if has { NamespaceMode::Pod.into() } else { NamespaceMode::Node.into() }
        };
        let sandbox = CreateSandbox {
            sandbox_id: id,
            net: own("network"),
            ipc: own("ipc"),
            uts: own("uts"),
            pid: NamespaceMode::Container.into(),
            hostname: spec["hostname"].as_str().unwrap_or_default().into(),
            ..CreateSandbox::default()
        };
        client.call(Call::CreateSandbox(sandbox))?;
        let cgroup = Cgroup::make(&spec)?;
        Ok(Self { client, hello, dir, bundle, spec, cgroup })
    }

    fn create(&mut self, id: &str) -> Outcome<()> {
        let filter = match self.spec.pointer("/linux/seccomp") {
            Some(profile) => Some(compile(&Profile::parse(&profile.to_string())?)?),
            None => None,
        };
        let namespaces = self.spec.pointer("/linux/namespaces").and_then(Value::as_array);
        let own_pids = namespaces.is_some_and(|l| l.iter().any(|n| n["type"] == "pid"));
        let text = |path: PathBuf| path.to_string_lossy().into_owned();
        let request = CreateContainer {
            container_id: id.into(),
            bundle: text(self.bundle.clone()),
            cgroup: Some(self.cgroup.as_ref().map(|c| c.facts.clone()).unwrap_or_default()),
            seccomp_bpf: filter.as_ref().map(podwright_seccomp::Program::bytes).unwrap_or_default(),
            seccomp_flags: filter.as_ref().map_or(0, |f| f.flags),
            log: Some(LogTarget { path: text(self.dir.join("log")), max_line_bytes: 0 }),
            terminal: self.spec.pointer("/process/terminal").and_then(Value::as_bool).unwrap_or(false),
            exit_file: text(self.dir.join("exit.json")),
            pid: if own_pids { NamespaceMode::Container } else { NamespaceMode::Node }.into(),
            ..CreateContainer::default()
        };
        self.client.call(Call::CreateContainer(request))?;
        Ok(())
    }

    fn start_container(&mut self, id: &str) -> Result<(), ClientError> {
        self.client.call(Call::StartContainer(StartContainer { container_id: id.into() })).map(|_| ())
    }

    fn run(&mut self) -> Outcome<i32> {
        self.create("one")?;
        self.start_container("one")?;
        loop {
            let Some(event) = self.client.event(Duration::from_secs(3600))? else { continue };
            if let Some(event::Event::Exit(exit)) = event.event {
                print!("{}", std::fs::read_to_string(self.dir.join("log"))?);
                return Ok(exit.exit_code);
            }
        }
    }

    fn measure(&mut self, times: u32) -> Outcome<()> {
        let memory = |when: &str, pid: i32| -> Outcome<()> {
            let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
            let wanted = ["Rss:", "Pss:", "Private_Clean:", "Private_Dirty:"];
            let lines = text.lines().filter(|l| wanted.iter().any(|w| l.starts_with(w)));
            let words: Vec<String> =
                lines.map(|l| l.split_whitespace().take(2).collect::<Vec<_>>().join(" ")).collect();
            println!("memory {when}, kB: {}", words.join(", "));
            Ok(())
        };
        let pid = self.hello.pid;
        memory("at the beginning", pid)?;
        let (mut created, mut started) = (Vec::new(), Vec::new());
        for n in 0..times {
            let id = format!("c{n}");
            let begin = Instant::now();
            self.create(&id)?;
            created.push(begin.elapsed());
            let begin = Instant::now();
            self.start_container(&id)?;
            started.push(begin.elapsed());
            self.client.call(Call::RemoveContainer(RemoveContainer { container_id: id }))?;
        }
        self.create("last")?;
        self.start_container("last")?;
        let mut execs = Vec::new();
        let mut process = self.spec["process"].clone();
        process["args"] = serde_json::json!(["/bin/true"]);
        process["terminal"] = Value::Bool(false);
        for _ in 0..times {
            let request = ExecSync { container_id: "last".into(), process: process.to_string(), ..ExecSync::default() };
            let begin = Instant::now();
            self.client.call(Call::ExecSync(request))?;
            execs.push(begin.elapsed());
        }
        for (name, list) in [("create", &mut created), ("start", &mut started), ("exec", &mut execs)] {
            list.sort();
            let at = |part: usize| list.get(list.len() * part / 100).map_or(0, Duration::as_micros);
            println!("{name}, µs: min {} p50 {} p90 {}", at(0), at(50), at(90));
        }
        std::thread::sleep(Duration::from_secs(3));
        memory("at the end, one container running", pid)
    }

    fn end(mut self) -> Outcome<()> {
        self.client.call(Call::Shutdown(Shutdown {}))?;
        if let Some(cgroup) = &self.cgroup {
            group::remove(&cgroup.layout, &cgroup.path)?;
        }
        std::fs::remove_dir_all(&self.dir)?;
        Ok(())
    }
}
