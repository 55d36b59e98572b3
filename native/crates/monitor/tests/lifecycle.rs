//! A container's life: create, start, log, exit.
#![cfg(feature = "host-tests")]
#![allow(clippy::unwrap_used, missing_docs)]

mod rig;

use podwright_protocol::message::failure::Kind;
use podwright_protocol::message::request::Call;
use podwright_protocol::message::{GetState, RemoveContainer, StopContainer, response};
use rig::{Rig, alive};
use serde_json::json;

#[test]
fn hello_world() {
    let mut rig = Rig::ready();
    let bundle = rig.script("echo hello; echo oops >&2; printf half");
    let created = rig.create(&bundle).unwrap();
    assert!(alive(created.pid) && created.start_time > 0);
    let pid = rig.start_container(&bundle.id).unwrap();
    assert_eq!(pid, created.pid);
    let exit = rig.exit_of(&bundle.id);
    assert_eq!((exit.exit_code, exit.signal, exit.started), (0, 0, true));
    let mut lines: Vec<String> = bundle.log().lines().map(str::to_owned).collect();
    lines.sort();
    assert_eq!(lines, ["stderr F oops", "stdout F half", "stdout F hello"]);
    let file = bundle.exit_file();
    assert_eq!(file["version"], 1);
    assert_eq!(file["containerId"], json!(bundle.id));
    assert_eq!(file["finishedAt"], json!(exit.finished_at.to_string()));
    let response::Result::State(state) = rig.client.call(Call::GetState(GetState {})).unwrap() else { unreachable!() };
    let fact = &state.containers[0];
    assert_eq!((fact.pid, fact.exit.as_ref()), (0, Some(&exit)));
    assert!(fact.created_at > 0 && fact.started_at > fact.created_at && exit.finished_at > fact.started_at);
}

#[test]
fn exit_codes_and_signals() {
    let mut rig = Rig::ready();
    for (text, code, signal) in
        [("exit 3", 3, 0), ("kill -SEGV $$; sleep 9", 139, 11), ("sh -c 'kill -9 $$'; exit $?", 137, 0)]
    {
        let mut bundle = rig.script(text);
        if signal != 0 {
            bundle.request.pid = podwright_protocol::message::NamespaceMode::Node.into();
        }
        let (exit, _) = rig.finish(&bundle);
        assert_eq!((exit.exit_code, exit.signal, exit.oom_killed), (code, signal, false), "{text}");
    }
}

#[test]
fn what_cannot_be_executed_is_named() {
    let mut rig = Rig::ready();
    let table = [
        (&["nosuch"][..], "exec: \"nosuch\": executable file not found in $PATH"),
        (&["/no/such"][..], "exec: \"/no/such\": stat /no/such: no such file or directory"),
        (&["/etc/passwd"][..], "exec: \"/etc/passwd\": permission denied"),
        (&["/proc/self/exe"][..], "exec: \"/proc/self/exe\": permission denied"),
    ];
    for (args, text) in table {
        let bundle = rig.bundle(args);
        rig.create(&bundle).unwrap();
        let error = rig.start_container(&bundle.id).unwrap_err();
        assert_eq!(error.to_string(), text);
        let exit = rig.exit_of(&bundle.id);
        assert_eq!((exit.exit_code, exit.started), (128, false), "{text}");
    }
}

#[test]
fn a_failed_creation_names_its_step_and_leaves_nothing() {
    let mut rig = Rig::ready();
    let mut bundle = rig.bundle(&["true"]);
    bundle.mount("/data", std::path::Path::new("/no/such/source"), &["rbind"]);
    let error = rig.create(&bundle).unwrap_err();
    let failure = error.failure().unwrap();
    assert_eq!((failure.operation.as_str(), failure.errno), ("open mount source", 2));
    assert_eq!(failure.object, "/no/such/source");
    // the same id again, now right
    bundle.spec["mounts"].as_array_mut().unwrap().pop();
    let (exit, _) = rig.finish(&bundle);
    assert_eq!(exit.exit_code, 0);
}

#[test]
fn wrong_orders_are_refused() {
    let mut rig = Rig::start();
    let bundle = rig.bundle(&["sleep", "100"]);
    let kind = |e: podwright_protocol::client::ClientError| e.failure().unwrap().kind();
    assert_eq!(kind(rig.create(&bundle).unwrap_err()), Kind::FailedPrecondition);
    let sandbox = rig.sandbox();
    rig.client.call(Call::CreateSandbox(sandbox)).unwrap();
    assert_eq!(kind(rig.start_container(&bundle.id).unwrap_err()), Kind::NotFound);
    rig.run(&bundle);
    assert_eq!(kind(rig.create(&bundle).unwrap_err()), Kind::FailedPrecondition);
    assert_eq!(kind(rig.start_container(&bundle.id).unwrap_err()), Kind::FailedPrecondition);
    let stop = StopContainer { container_id: "nobody".into(), signal: 15, timeout_ms: 0 };
    assert_eq!(kind(rig.client.call(Call::StopContainer(stop)).unwrap_err()), Kind::NotFound);
    rig.client.call(Call::RemoveContainer(RemoveContainer { container_id: bundle.id.clone() })).unwrap();
    assert_eq!(kind(rig.start_container(&bundle.id).unwrap_err()), Kind::NotFound);
}

#[test]
fn a_spec_that_asks_for_more_is_refused_by_name() {
    let mut rig = Rig::ready();
    for (pointer, value, name) in [
        ("/linux/timeOffsets", json!({"monotonic": {"secs": 1}}), "linux.timeOffsets"),
        ("/linux/personality", json!({"domain": "LINUX32"}), "linux.personality"),
    ] {
        let mut bundle = rig.bundle(&["true"]);
        let (above, key) = pointer.rsplit_once('/').unwrap();
        bundle.spec.pointer_mut(above).unwrap()[key] = value;
        let error = rig.create(&bundle).unwrap_err();
        let failure = error.failure().unwrap();
        assert_eq!((failure.kind(), failure.object.as_str()), (Kind::Unsupported, name));
    }
}
