//! ExecSync in running containers.
#![cfg(feature = "host-tests")]
#![allow(clippy::unwrap_used, missing_docs)]

mod rig;

use podwright_protocol::message::failure::Kind;
use rig::Rig;
use rig::cgroups::Cgroup;
use std::time::{Duration, Instant};

#[test]
fn a_command_runs_beside_the_containers_own() {
    let mut rig = Rig::ready();
    let bundle = rig.script("echo x > /tmp/own; echo up; sleep 100");
    rig.run(&bundle);
    bundle.await_log("up");
    let reply = rig
        .exec(&bundle, &["sh", "-c", "cat /tmp/own; hostname; echo e >&2; ls /proc/self/fd; exit 7"], |_| {})
        .unwrap();
    assert_eq!((reply.exit_code, reply.timed_out, reply.truncated), (7, false, false));
    // 0 1 2 and the directory that ls reads
    assert_eq!(String::from_utf8(reply.stdout).unwrap(), "x\nrig\n0\n1\n2\n3\n");
    assert_eq!(reply.stderr, b"e\n");
    // it is a process of the container's pid namespace with a session of its own
    let reply =
        rig.exec(&bundle, &["sh", "-c", "cut -d' ' -f4,6 /proc/self/stat; grep -c . /proc/1/comm"], |_| {}).unwrap();
    assert_eq!(reply.exit_code, 0);
}

#[test]
fn what_is_missing_is_named() {
    let mut rig = Rig::ready();
    let bundle = rig.script("sleep 100");
    rig.run(&bundle);
    for (command, text) in [
        ("nosuch", "exec: \"nosuch\": executable file not found in $PATH"),
        ("/no/such", "exec: \"/no/such\": stat /no/such: no such file or directory"),
        ("/proc/self/exe", "exec: \"/proc/self/exe\": permission denied"),
    ] {
        let error = rig.exec(&bundle, &[command], |_| {}).unwrap_err();
        assert_eq!((error.to_string().as_str(), error.failure().unwrap().kind()), (text, Kind::Internal));
    }
}

#[test]
fn the_time_limit_kills_the_whole_tree() {
    for with_cgroup in [true, false] {
        let cgroup = Cgroup::make(&format!("tree-{with_cgroup}"));
        let mut rig = Rig::ready();
        let mut bundle = rig.script("sleep 100");
        let mut facts = cgroup.facts.clone();
        if !with_cgroup {
            facts.kill_file.clear();
        }
        bundle.request.cgroup = Some(facts);
        rig.run(&bundle);
        let begin = Instant::now();
        let script = "echo out; (setsid sh -c 'sleep 50 & sleep 51' &) ; sleep 52 & sleep 53";
        let reply = rig.exec(&bundle, &["sh", "-c", script], |r| r.timeout_ms = 3000).unwrap();
        assert!(reply.timed_out && begin.elapsed() < Duration::from_secs(25));
        assert_eq!(reply.stdout, b"out\n");
        let gone: &[&str] =
            if with_cgroup { &["sleep 50", "sleep 51", "sleep 52", "sleep 53"] } else { &["sleep 52", "sleep 53"] };
        let left = loop {
            let left = rig.exec(&bundle, &["sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '"], |_| {}).unwrap();
            let left = String::from_utf8(left.stdout).unwrap();
            // what was killed may take a moment to die
            if begin.elapsed() > Duration::from_secs(25) || !gone.iter().any(|one| left.contains(one)) {
                break left;
            }
        };
        assert!(left.contains("sleep 100") && !left.contains("sleep 52") && !left.contains("sleep 53"), "{left}");
        if with_cgroup {
            assert!(!left.contains("sleep 50") && !left.contains("sleep 51"), "{left}");
        }
    }
}

#[test]
fn descendants_that_live_on_do_not_hold_the_answer() {
    let cgroup = Cgroup::make("descendants");
    let mut rig = Rig::ready();
    let mut bundle = rig.script("sleep 100");
    bundle.request.cgroup = Some(cgroup.facts.clone());
    rig.run(&bundle);
    let begin = Instant::now();
    let reply = rig.exec(&bundle, &["sh", "-c", "echo here; sleep 60 &"], |r| r.drain_ms = 200).unwrap();
    assert!(begin.elapsed() >= Duration::from_millis(200) && begin.elapsed() < Duration::from_secs(30));
    assert_eq!((reply.exit_code, reply.stdout.as_slice()), (0, &b"here\n"[..]));
    // the descendant is in the container's cgroup now, and the exec's has gone
    let unified = std::path::PathBuf::from(&cgroup.facts.procs_dir);
    rig.until(|_| std::fs::read_dir(&unified).unwrap().all(|e| !e.unwrap().path().is_dir()));
    let procs = std::fs::read_to_string(unified.join("cgroup.procs")).unwrap();
    assert_eq!(procs.lines().count(), 2);
}

#[test]
fn big_output_is_cut_and_the_command_goes_on() {
    let mut rig = Rig::ready();
    let bundle = rig.script("sleep 100");
    rig.run(&bundle);
    let script = "yes 0123456789abcde | head -c 3000000; echo done > /tmp/done; exit 5";
    let reply = rig.exec(&bundle, &["sh", "-c", script], |r| r.max_output_bytes = 100_000).unwrap();
    assert_eq!((reply.exit_code, reply.truncated, reply.stdout.len()), (5, true, 100_000));
    let reply = rig.exec(&bundle, &["sh", "-c", "yes | head -c 16777216"], |r| r.max_output_bytes = 1 << 40).unwrap();
    assert_eq!((reply.exit_code, reply.stdout.len()), (0, 16 << 20));
}

#[test]
fn only_in_running_containers() {
    let mut rig = Rig::ready();
    let bundle = rig.script("exit 0");
    rig.create(&bundle).unwrap();
    let kind = |e: podwright_protocol::client::ClientError| e.failure().unwrap().kind();
    assert_eq!(kind(rig.exec(&bundle, &["true"], |_| {}).unwrap_err()), Kind::FailedPrecondition);
    rig.start_container(&bundle.id).unwrap();
    rig.exit_of(&bundle.id);
    assert_eq!(kind(rig.exec(&bundle, &["true"], |_| {}).unwrap_err()), Kind::FailedPrecondition);
    assert_eq!(kind(rig.exec(&bundle, &["true"], |r| r.container_id = "x".into()).unwrap_err()), Kind::NotFound);
}

#[test]
fn many_at_once_end_each_with_its_own_code() {
    let mut rig = Rig::ready();
    let bundle = rig.script("sleep 100");
    rig.run(&bundle);
    let mut ids = Vec::new();
    for code in 0..20 {
        let mut process = bundle.spec["process"].clone();
        process["args"] = serde_json::json!(["sh", "-c", format!("echo {code}; exit {code}")]);
        let request = podwright_protocol::message::ExecSync {
            container_id: bundle.id.clone(),
            process: process.to_string(),
            timeout_ms: 20_000,
            ..Default::default()
        };
        ids.push(rig.client.send(podwright_protocol::message::request::Call::ExecSync(request)).unwrap());
    }
    for (code, id) in ids.into_iter().enumerate() {
        let podwright_protocol::message::response::Result::ExecSync(reply) = rig.client.wait(id).unwrap() else {
            unreachable!()
        };
        assert_eq!((reply.exit_code as usize, reply.stdout), (code, format!("{code}\n").into_bytes()));
    }
}

#[test]
fn the_container_ending_ends_its_execs() {
    let mut rig = Rig::ready();
    let bundle = rig.script("while [ ! -e /tmp/go ]; do usleep 10000; done");
    rig.run(&bundle);
    let reply = rig.exec(&bundle, &["sh", "-c", "touch /tmp/go; sleep 50"], |_| {}).unwrap();
    assert_eq!((reply.exit_code, reply.timed_out), (137, false));
}
