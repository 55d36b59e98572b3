//! What is given up while it is at work: a creation by a runtime, hooks that somebody waits for.
#![cfg(feature = "host-tests")]
#![allow(clippy::unwrap_used, missing_docs)]

mod rig;

use podwright_protocol::message::failure::Kind;
use podwright_protocol::message::request::Call;
use podwright_protocol::message::{CreateContainer, ExternalRuntime, Hooks, RemoveContainer, StopContainer};
use rig::bundle::Bundle;
use rig::{Rig, alive};
use serde_json::json;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// A program in place of a runtime: `create` does what `script` says, all else succeeds.
fn runtime(rig: &Rig, script: &str) -> ExternalRuntime {
    let path = rig.dir.join("runtime");
    let text = format!("#!/bin/sh\ncase \"$*\" in *' create '*) ;; *) exit 0 ;; esac\n{script}\n");
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    let text = |path: PathBuf| path.to_str().unwrap().to_owned();
    ExternalRuntime { path: text(path), root: text(rig.dir.join("state")), ..ExternalRuntime::default() }
}

/// The pid that a script wrote, once it is there.
fn pid_in(rig: &Rig, file: &Path) -> i32 {
    let read = || std::fs::read_to_string(file).ok()?.strip_suffix('\n')?.parse().ok();
    rig.until(|_| read().is_some());
    read().unwrap()
}

/// Begins a creation that the runtime does not get done, and stops it when its script has written a pid.
fn stop_while_creating(rig: &mut Rig, bundle: &Bundle, file: &Path) -> (i32, Kind) {
    std::fs::write(bundle.dir.join("config.json"), bundle.spec.to_string()).unwrap();
    let created = rig.client.send(Call::CreateContainer(bundle.request.clone())).unwrap();
    let pid = pid_in(rig, file);
    let stop = StopContainer { container_id: bundle.id.clone(), signal: 15, timeout_ms: 0 };
    let stopped = rig.client.send(Call::StopContainer(stop)).unwrap();
    let kind = rig.client.wait(created).unwrap_err().failure().unwrap().kind();
    // it ends with the container, which is forgotten
    rig.client.wait(stopped).unwrap();
    (pid, kind)
}

#[test]
fn with_a_terminal_too_a_runtime_that_is_given_up_dies_with_what_it_started() {
    let mut rig = Rig::ready();
    let file = rig.dir.join("started");
    let script = format!("sleep 300 &\necho $! > {}\nwait", file.display());
    let mut bundle = rig.bundle(&["sh"]);
    bundle.spec["process"]["terminal"] = json!(true);
    let external = Some(runtime(&rig, &script));
    bundle.request = CreateContainer { external, terminal: true, ..bundle.request };
    let (pid, _) = stop_while_creating(&mut rig, &bundle, &file);
    rig.until(|_| !alive(pid));
}

#[test]
fn who_makes_a_container_and_does_not_heed_its_stop_is_killed() {
    let mut rig = Rig::ready();
    let file = rig.dir.join("halted");
    let script = format!("kill -STOP $PPID\necho $PPID > {}\nexec sleep 300", file.display());
    let mut bundle = rig.bundle(&["true"]);
    let external = Some(runtime(&rig, &script));
    bundle.request = CreateContainer { external, deadline_ms: 100_000, ..bundle.request };
    let (pid, kind) = stop_while_creating(&mut rig, &bundle, &file);
    assert_eq!(kind, Kind::Internal, "not for the time it took");
    rig.until(|_| !alive(pid));
}

#[test]
fn a_removal_does_not_wait_for_the_last_hooks_of_a_failed_creation_for_ever() {
    let mut rig = Rig::ready();
    let file = rig.dir.join("hook");
    let hook = |script: String| json!([{"path": "/bin/sh", "args": ["sh", "-c", script]}]);
    let mut bundle = rig.bundle(&["true"]);
    bundle.spec["hooks"] = json!({
        "createRuntime": hook("exec sleep 900".into()),
        "poststop": hook(format!("echo $$ > {}; exec sleep 900", file.display())),
    });
    let runtime_pid = std::process::id().try_into().unwrap();
    let hooks = Some(Hooks { create: true, started: false, stopped: true, runtime_pid });
    bundle.request = CreateContainer { hooks, deadline_ms: 5000, ..bundle.request };
    let failed = rig.create(&bundle).unwrap_err();
    assert_eq!(failed.failure().unwrap().kind(), Kind::DeadlineExceeded);
    // nobody waits for it so far
    let pid = pid_in(&rig, &file);
    rig.client.call(Call::RemoveContainer(RemoveContainer { container_id: bundle.id.clone() })).unwrap();
    rig.until(|_| !alive(pid));
}
