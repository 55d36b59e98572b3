//! Many containers, memory, and hanging paths.
#![cfg(feature = "host-tests")]
#![allow(clippy::unwrap_used, missing_docs)]

mod rig;

use podwright_protocol::message::failure::Kind;
use podwright_protocol::message::request::Call;
use podwright_protocol::message::{LogTarget, RemoveContainer, ReopenLog, event};
use rig::fuse::Fuse;
use rig::{Rig, memory};
use std::time::{Duration, Instant};

#[test]
fn fifty_containers_in_one_sandbox() {
    let mut rig = Rig::ready();
    let before = rig.descriptors();
    let mut bundles = Vec::new();
    for n in 0..50 {
        let bundle = rig.script(&format!("echo {n}; while [ ! -e /dev/shm/go ]; do usleep 20000; done; exit {n}"));
        rig.run(&bundle);
        bundles.push(bundle);
    }
    // what it has for itself: the pages of its program are shared, and an unoptimised one has many
    assert!(memory(rig.hello.pid, "Anonymous:") < 1024);
    rig.exec(&bundles[0], &["touch", "/dev/shm/go"], |_| {}).unwrap();
    for (n, bundle) in bundles.iter().enumerate() {
        assert_eq!(rig.exit_of(&bundle.id).exit_code as usize, n);
        assert_eq!(bundle.log(), format!("stdout F {n}\n"));
        rig.client.call(Call::RemoveContainer(RemoveContainer { container_id: bundle.id.clone() })).unwrap();
    }
    rig.await_descriptors(before);
}

#[test]
fn an_idle_monitor_is_small() {
    let mut rig = Rig::ready();
    let bundle = rig.script("yes | head -c 3000000; sleep 100");
    rig.run(&bundle);
    rig.exec(&bundle, &["sh", "-c", "yes | head -c 1000000"], |_| {}).unwrap();
    // what it has for itself: the pages of its program are shared, and an unoptimised one has many
    let dirty = if cfg!(debug_assertions) { u64::MAX } else { 128 };
    let begin = Instant::now();
    // room is given back a while after the last use
    while memory(rig.hello.pid, "Anonymous:") >= 1024 || memory(rig.hello.pid, "Private_Dirty:") >= dirty {
        assert!(begin.elapsed() < Duration::from_secs(30), "{} kB", memory(rig.hello.pid, "Private_Dirty:"));
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn hanging_paths_hang_nobody_else() {
    let mut rig = Rig::ready();
    let hanging = Fuse::silent(rig.dir.join("hanging"));
    let other = rig.script("sleep 100");
    rig.run(&other);
    let inside = hanging.dir.join("below");
    let mut by_mount = rig.bundle(&["true"]);
    by_mount.mount("/data", &inside, &["rbind"]);
    let mut by_log = rig.bundle(&["true"]);
    by_log.request.log = Some(LogTarget { path: inside.join("0.log").to_str().unwrap().into(), max_line_bytes: 0 });
    let mut by_device = rig.bundle(&["true"]);
    let list = serde_json::json!([{"hostPath": inside, "containerPath": "/dev/x", "permissions": "rwm"}]);
    by_device.annotate("podwright.devices", &list.to_string());
    for (bundle, word) in
        [(&mut by_mount, "open mount source"), (&mut by_log, "open log"), (&mut by_device, "resolve device")]
    {
        bundle.request.deadline_ms = 10_000;
        let begin = Instant::now();
        std::fs::write(bundle.dir.join("config.json"), bundle.spec.to_string()).unwrap();
        let id = rig.client.send(Call::CreateContainer(bundle.request.clone())).unwrap();
        // meanwhile the others are served
        let quick = Instant::now();
        assert_eq!(rig.exec(&other, &["true"], |_| {}).unwrap().exit_code, 0);
        assert!(quick.elapsed() < Duration::from_millis(9900), "{:?}", quick.elapsed());
        let error = rig.client.wait(id).unwrap_err();
        let failure = error.failure().unwrap();
        assert_eq!(failure.kind(), Kind::DeadlineExceeded);
        assert!(failure.operation.starts_with(word) && failure.detail.contains("process "), "{}", failure.detail);
        assert!(begin.elapsed() < Duration::from_secs(30));
    }
    let error = rig.client.call(Call::ReopenLog(ReopenLog { container_id: by_log.id.clone() })).unwrap_err();
    assert_eq!(error.failure().unwrap().kind(), Kind::NotFound);
    drop(hanging);
}

#[test]
fn a_log_that_hangs_hangs_nobody() {
    let mut rig = Rig::ready();
    let slow = Fuse::until_write(rig.dir.join("slow"));
    let other = rig.script("sleep 100");
    rig.run(&other);
    let mut bundle = rig.script("yes 0123456789 | head -c 4000000; exit 6");
    bundle.request.log = Some(LogTarget { path: slow.dir.join("0.log").to_str().unwrap().into(), max_line_bytes: 0 });
    rig.run(&bundle);
    let begin = Instant::now();
    assert_eq!(rig.exec(&other, &["true"], |_| {}).unwrap().exit_code, 0);
    let exit = rig.exit_of(&bundle.id);
    assert!(begin.elapsed() < Duration::from_secs(30));
    assert!(exit.exit_code == 6 && exit.log_dropped_bytes > 1_000_000, "{exit:?}");
    assert!(rig.others.iter().any(|e| matches!(e, event::Event::LogTrouble(t) if t.container_id == bundle.id)));
    let next = rig.script("echo fine");
    assert_eq!(rig.output(&next), "fine\n");
    drop(slow);
}
