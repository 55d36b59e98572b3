//! A shared pid namespace: what peers in it can see and get hold of.
#![cfg(feature = "host-tests")]
#![allow(clippy::unwrap_used, missing_docs)]

mod rig;

use podwright_protocol::message::NamespaceMode;
use rig::bundle::Bundle;
use rig::streams::tty_of;
use rig::{Rig, alive};
use serde_json::json;

fn shared(mut bundle: Bundle) -> Bundle {
    bundle.request.pid = NamespaceMode::Pod.into();
    bundle
}

/// A container that may trace everybody, sharing pids with its pod.
fn spy(rig: &mut Rig) -> Bundle {
    let mut bundle = shared(rig.script("sleep 1000"));
    let mut caps = rig::bundle::usual_capabilities();
    caps.as_array_mut().unwrap().extend([json!("CAP_SYS_PTRACE"), json!("CAP_DAC_READ_SEARCH")]);
    for set in ["bounding", "effective", "permitted"] {
        bundle.spec["process"]["capabilities"][set] = caps.clone();
    }
    bundle
}

fn pod() -> Rig {
    Rig::ready_with(|r| r.pid = NamespaceMode::Pod.into())
}

fn look(rig: &mut Rig, spy: &Bundle, script: &str) -> String {
    let reply = rig.exec(spy, &["sh", "-c", script], |_| {}).unwrap();
    String::from_utf8(reply.stdout).unwrap()
}

#[test]
fn containers_see_each_other_and_proc_is_the_pods() {
    let mut rig = pod();
    let one = shared(rig.script("exec sleep 1001"));
    let pid = rig.run(&one);
    assert!(alive(pid));
    let two = shared(rig.script("exec sleep 1002"));
    rig.run(&two);
    let spy = spy(&mut rig);
    rig.run(&spy);
    let seen = look(&mut rig, &spy, "cat /proc/[0-9]*/cmdline | tr '\\0' ' '");
    assert!(
        seen.contains("podwright-pause pause") && seen.contains("sleep 1001") && seen.contains("sleep 1002"),
        "{seen}"
    );
    assert_eq!(look(&mut rig, &spy, "cat /proc/1/comm; ls -d /proc/[0-9]* | wc -l").lines().count(), 2);
    // the host's processes are not there
    assert!(!look(&mut rig, &spy, "cat /proc/[0-9]*/comm").contains("podwright-mon"));
}

#[test]
fn the_end_of_one_is_not_the_end_of_the_other() {
    let mut rig = pod();
    let lasting = shared(rig.script("sleep 1000"));
    let pid = rig.run(&lasting);
    for n in 0..20 {
        let short = shared(rig.script(&format!("exit {n}")));
        let (exit, _) = rig.finish(&short);
        assert_eq!((exit.exit_code, exit.started), (n, true));
    }
    assert!(alive(pid));
}

#[test]
fn failures_after_the_go_are_told_here_too() {
    let mut rig = pod();
    for command in ["nosuch", "/proc/self/exe"] {
        let bundle = shared(rig.bundle(&[command]));
        rig.create(&bundle).unwrap();
        let error = rig.start_container(&bundle.id).unwrap_err();
        assert!(error.to_string().starts_with("exec: "), "{error}");
        assert_eq!(rig.exit_of(&bundle.id).exit_code, 128, "{command}");
    }
}

/// Everything of a process that could be a way to the host, tried on all processes but known ones.
const GRAB: &str = "for p in /proc/[0-9]*; do \
    name=$(cat $p/comm 2>/dev/null); case $name in sleep|sh|podwright-pause|cat|ls|readlink|head) continue;; esac; \
    [ -n \"$name\" ] || continue; echo \"found $name\"; \
    for f in exe cwd root; do readlink $p/$f && echo got-$f; done; \
    ls $p/fd/ 2>/dev/null && echo got-fd; cat $p/environ >/dev/null 2>&1 && echo got-environ; \
    head -c 1 $p/mem >/dev/null 2>&1 && echo got-mem; done";

#[test]
fn a_created_container_is_out_of_reach() {
    let mut rig = pod();
    let spy = spy(&mut rig);
    rig.run(&spy);
    let created = shared(rig.script("true"));
    rig.create(&created).unwrap();
    assert_eq!(look(&mut rig, &spy, GRAB), "");
    rig.start_container(&created.id).unwrap();
    rig.exit_of(&created.id);
}

#[test]
fn the_pause_offers_nothing() {
    let mut rig = pod();
    let spy = spy(&mut rig);
    rig.run(&spy);
    // its root is empty, and it has no file but /dev/null
    let seen = look(
        &mut rig,
        &spy,
        "ls /proc/1/root/ | wc -l; ls /proc/1/cwd/ | wc -l; for f in /proc/1/fd/*; do readlink $f; done",
    );
    assert_eq!(seen, "0\n0\n/dev/null\n/dev/null\n/dev/null\n");
    // its program cannot be changed through it
    let seen = look(
        &mut rig,
        &spy,
        "echo x 2>/dev/null > /proc/1/exe || echo refused; dd if=/dev/null of=/proc/1/exe 2>/dev/null || echo refused",
    );
    assert_eq!(seen, "refused\nrefused\n");
}

#[test]
fn starting_and_exec_leave_no_moment_to_reach_the_host() {
    let mut rig = pod();
    let mut spy = spy(&mut rig);
    // tries all the time to list the host's files through whatever appears
    let hunt = "while [ ! -e /tmp/stop ]; do for p in /proc/[0-9]*; do \
                [ -e $p/root/proc/1/root/etc/shadow ] || [ -e $p/root/usr/lib/os-release ] && echo caught $p >> /tmp/caught; \
                [ -e $p/cwd/usr/lib/os-release ] && echo caught $p >> /tmp/caught; done; done; sleep 1000";
    spy.spec["process"]["args"] = json!(["sh", "-c", hunt]);
    rig.run(&spy);
    let target = shared(rig.script("sleep 1000"));
    rig.run(&target);
    for _ in 0..100 {
        rig.exec(&target, &["true"], |_| {}).unwrap();
    }
    for n in 0..50 {
        let id = format!("t{n}");
        rig.begin(tty_of(&target, &id, &["true"])).unwrap();
        drop((rig.stdin(&id), rig.stdout(&id)));
        assert_eq!(rig.wait_exec(&id, 0).unwrap(), 0);
    }
    for _ in 0..30 {
        let short = shared(rig.script("true"));
        rig.finish(&short);
    }
    assert_eq!(look(&mut rig, &spy, "touch /tmp/stop; cat /tmp/caught 2>/dev/null"), "");
}
