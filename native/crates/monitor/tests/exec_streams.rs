//! Exec with streams: pipes and terminals, half-close, exit codes, refusals.
#![cfg(feature = "host-tests")]
#![allow(clippy::unwrap_used, missing_docs)]

mod rig;

use podwright_protocol::message::failure::Kind;
use podwright_protocol::message::open_stream::Name;
use podwright_protocol::message::request::Call;
use podwright_protocol::message::{StopContainer, WaitExec};
use rig::Rig;
use rig::bundle::Bundle;
use rig::cgroups::Cgroup;
use rig::streams::{exec_of, rest, send_all, tty_of, until};
use std::io::Write;
use std::net::Shutdown;
use std::time::{Duration, Instant};

fn running() -> (Rig, Bundle) {
    let mut rig = Rig::ready();
    let bundle = rig.script("sleep 1000");
    rig.run(&bundle);
    (rig, bundle)
}

#[test]
fn bytes_go_both_ways_until_either_side_ends() {
    let (mut rig, bundle) = running();
    rig.begin(exec_of(&bundle, "e", &["sh", "-c", "tr a-z A-Z; echo done; echo err >&2; exit 7"])).unwrap();
    let (mut stdin, mut stdout, mut stderr) = (rig.stdin("e"), rig.stdout("e"), rig.stderr("e"));
    stdin.write_all(b"hello ").unwrap();
    stdin.write_all(b"world\n").unwrap();
    stdin.shutdown(Shutdown::Write).unwrap();
    assert_eq!((rest(&mut stdout).as_str(), rest(&mut stderr).as_str()), ("HELLO WORLD\ndone\n", "err\n"));
    assert_eq!(rig.wait_exec("e", 0).unwrap(), 7);
    let error = rig.wait_exec("e", 0).unwrap_err();
    assert_eq!(error.failure().unwrap().kind(), Kind::NotFound);
}

#[test]
fn codes_are_told_before_and_after_the_end() {
    let (mut rig, bundle) = running();
    for (n, (script, code)) in
        [("exit 0", 0), ("exit 3", 3), ("kill -9 $$", 137), ("kill -15 $$", 143)].iter().enumerate()
    {
        let id = format!("after-{n}");
        rig.begin(exec_of(&bundle, &id, &["sh", "-c", script])).unwrap();
        assert_eq!(rest(&mut rig.stdout(&id)), "");
        let (_stderr, _stdin) = (rig.stderr(&id), rig.stdin(&id));
        assert_eq!(rig.wait_exec(&id, 0).unwrap(), *code);
        let id = format!("before-{n}");
        let mut quiet = exec_of(&bundle, &id, &["sh", "-c", &format!("sleep 0.2; {script}")]);
        (quiet.stdin, quiet.stdout, quiet.stderr) = (false, false, false);
        rig.begin(quiet).unwrap();
        assert_eq!(rig.wait_exec(&id, 0).unwrap(), *code);
    }
}

#[test]
fn streams_that_nobody_wants_are_null_and_those_that_nobody_takes_wait() {
    let (mut rig, bundle) = running();
    let mut request = exec_of(
        &bundle,
        "e",
        &[
            "sh",
            "-c",
            "readlink /proc/self/fd/0; stat -L -c %d /dev/null /proc/self/fd/2 | uniq | wc -l; echo x; echo y >&2",
        ],
    );
    (request.stdin, request.stderr) = (false, false);
    rig.begin(request).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    // ended long ago, and nothing is lost
    let wait = rig.client.send(Call::WaitExec(WaitExec { exec_id: "e".into(), drain_ms: 0 })).unwrap();
    assert!(rig.try_stream("e", Name::Stderr).is_err());
    assert_eq!(rest(&mut rig.stdout("e")), "/dev/null\n1\nx\n");
    assert_eq!(rig.wait_code(wait).unwrap(), 0);
}

#[test]
fn a_terminal_is_the_containers_own_with_a_size_and_a_session() {
    let (mut rig, mut bundle) = running();
    bundle.spec["process"]["user"]["uid"] = serde_json::json!(1234);
    let script = "tty; stty size; stat -c %u $(tty); test -t 0 && test -t 1 && test -t 2 && echo all; \
                  trap 'stty size; exit 5' WINCH; echo >/dev/tty ready; while :; do sleep 0.1; done";
    rig.begin(tty_of(&bundle, "t", &["sh", "-c", script])).unwrap();
    let mut stdout = rig.stdout("t");
    let seen = until(&mut stdout, "ready\r\n");
    assert_eq!(seen, "/dev/pts/0\r\n31 101\r\n1234\r\nall\r\nready\r\n");
    rig.resize("", "t", 80, 24).unwrap();
    assert_eq!(rest(&mut stdout), "24 80\r\n");
    let _stdin = rig.stdin("t");
    assert_eq!(rig.wait_exec("t", 0).unwrap(), 5);
}

#[test]
fn a_terminals_input_is_echoed_interrupts_and_has_no_end() {
    let (mut rig, bundle) = running();
    rig.begin(tty_of(&bundle, "t", &["sh", "-c", "echo up; read a; echo got $a; sleep 50; exit 1"])).unwrap();
    let (mut stdin, mut stdout) = (rig.stdin("t"), rig.stdout("t"));
    until(&mut stdout, "up\r\n");
    stdin.write_all(b"abc\r").unwrap();
    assert_eq!(until(&mut stdout, "got abc\r\n"), "abc\r\ngot abc\r\n");
    stdin.write_all(b"\x03").unwrap(); // to the foreground group
    assert_eq!(rest(&mut stdout), "^C");
    assert_eq!(rig.wait_exec("t", 0).unwrap(), 130);
    // the end of the input is no hang-up
    rig.begin(tty_of(&bundle, "u", &["sh", "-c", "sleep 0.3; echo still; exit 4"])).unwrap();
    drop(rig.stdin("u"));
    assert_eq!(rest(&mut rig.stdout("u")), "still\r\n");
    assert_eq!(rig.wait_exec("u", 0).unwrap(), 4);
}

#[test]
fn what_cannot_be_run_is_told_and_leaves_nothing() {
    let (mut rig, bundle) = running();
    for (command, text) in [
        ("nosuch", "exec: \"nosuch\": executable file not found in $PATH"),
        ("/no/such", "exec: \"/no/such\": stat /no/such: no such file or directory"),
        ("/proc/self/exe", "exec: \"/proc/self/exe\": permission denied"),
    ] {
        for request in [exec_of(&bundle, "x", &[command]), tty_of(&bundle, "x", &[command])] {
            let error = rig.begin(request).unwrap_err();
            assert_eq!((error.to_string().as_str(), error.failure().unwrap().kind()), (text, Kind::Internal));
            assert!([2, 13].contains(&error.failure().unwrap().errno));
        }
    }
    assert_eq!(rig.wait_exec("x", 0).unwrap_err().failure().unwrap().kind(), Kind::NotFound);
}

#[test]
fn contradictions_and_wrong_states_are_refused() {
    let cgroup = Cgroup::make("refused");
    let mut rig = Rig::ready();
    let mut bundle = rig.script("trap '' TERM; echo up; while :; do sleep 0.1; done");
    bundle.request.cgroup = Some(cgroup.facts.clone());
    let kind = |r: Result<i32, podwright_protocol::client::ClientError>| {
        let error = r.unwrap_err();
        (error.failure().unwrap().kind(), error.to_string())
    };
    assert_eq!(kind(rig.begin(exec_of(&bundle, "a", &["true"]))).0, Kind::NotFound);
    rig.create(&bundle).unwrap();
    assert_eq!(kind(rig.begin(exec_of(&bundle, "a", &["true"]))).0, Kind::FailedPrecondition);
    rig.start_container(&bundle.id).unwrap();
    bundle.await_log("up");
    assert_eq!(kind(rig.begin(exec_of(&bundle, "", &["true"]))).0, Kind::Invalid);
    let mut both = tty_of(&bundle, "a", &["true"]);
    both.stderr = true;
    assert_eq!(kind(rig.begin(both)).0, Kind::Invalid);
    let mut wide = tty_of(&bundle, "a", &["true"]);
    wide.size.as_mut().unwrap().width = 65_536;
    assert_eq!(kind(rig.begin(wide)).0, Kind::Invalid);
    rig.begin(exec_of(&bundle, "a", &["sleep", "100"])).unwrap();
    assert_eq!(kind(rig.begin(exec_of(&bundle, "a", &["true"]))).0, Kind::FailedPrecondition);
    assert!(rig.resize("", "a", 80, 24).is_err() && rig.resize(&bundle.id, "", 80, 24).is_err());
    assert!(rig.resize("", "none", 80, 24).is_err());
    let _first = rig.stdout("a");
    let twice = rig.try_stream("a", Name::Stdout).unwrap_err();
    assert_eq!(twice.failure().unwrap().kind(), Kind::FailedPrecondition);
    assert_eq!(rig.try_stream("none", Name::Stdout).unwrap_err().failure().unwrap().kind(), Kind::NotFound);

    let freezer = cgroup.v1("freezer").join("freezer.state");
    std::fs::write(&freezer, "FROZEN").unwrap();
    let paused = kind(rig.begin(exec_of(&bundle, "p", &["true"])));
    assert_eq!((paused.0, paused.1.contains("is paused")), (Kind::FailedPrecondition, true), "{paused:?}");
    let error = rig.exec(&bundle, &["true"], |_| {}).unwrap_err();
    assert!(error.to_string().contains("is paused"));
    std::fs::write(&freezer, "THAWED").unwrap();

    let stop = StopContainer { container_id: bundle.id.clone(), signal: 15, timeout_ms: 5000 };
    let stop = rig.client.send(Call::StopContainer(stop)).unwrap();
    let stopping = kind(rig.begin(exec_of(&bundle, "s", &["true"])));
    assert_eq!((stopping.0, stopping.1.contains("is being stopped")), (Kind::FailedPrecondition, true), "{stopping:?}");
    // probes go on while a container has its grace
    assert_eq!(rig.exec(&bundle, &["true"], |_| {}).unwrap().exit_code, 0);
    rig.client.wait(stop).unwrap();
    assert_eq!(kind(rig.begin(exec_of(&bundle, "s", &["true"]))).0, Kind::FailedPrecondition);
    assert_eq!(rig.wait_exec("a", 100).unwrap(), 137);
}

#[test]
fn descendants_hold_the_output_only_so_long() {
    let (mut rig, bundle) = running();
    let begin = Instant::now();
    rig.begin(exec_of(&bundle, "e", &["sh", "-c", "echo here; sleep 60 & exit 2"])).unwrap();
    let (_stdin, mut stdout, mut stderr) = (rig.stdin("e"), rig.stdout("e"), rig.stderr("e"));
    assert_eq!(rig.wait_exec("e", 300).unwrap(), 2);
    assert!(begin.elapsed() >= Duration::from_millis(200) && begin.elapsed() < Duration::from_secs(30));
    assert_eq!((rest(&mut stdout).as_str(), rest(&mut stderr).as_str()), ("here\n", ""));
    // a slow reader still gets everything that was written before
    let script = "head -c 60000 /dev/zero | tr '\\0' x; sleep 60 & exit 3";
    rig.begin(exec_of(&bundle, "f", &["sh", "-c", script])).unwrap();
    let (_stdin, mut stdout, _stderr) = (rig.stdin("f"), rig.stdout("f"), rig.stderr("f"));
    let wait = rig.client.send(Call::WaitExec(WaitExec { exec_id: "f".into(), drain_ms: 100 })).unwrap();
    std::thread::sleep(Duration::from_millis(400));
    assert_eq!(rest(&mut stdout).len(), 60_000);
    assert_eq!(rig.wait_code(wait).unwrap(), 3);
}

#[test]
fn cancelled_execs_are_killed_with_all_they_started() {
    let cgroup = Cgroup::make("cancel");
    let mut rig = Rig::ready();
    let mut bundle = rig.script("sleep 1000");
    bundle.request.cgroup = Some(cgroup.facts.clone());
    rig.run(&bundle);
    let script = "(setsid sh -c 'sleep 500' &); echo up; touch /tmp/up; sleep 501";
    // an ExecSync
    let mut process = bundle.spec["process"].clone();
    process["args"] = serde_json::json!(["sh", "-c", script]);
    let request = podwright_protocol::message::ExecSync {
        container_id: bundle.id.clone(),
        exec_id: "sync".into(),
        process: process.to_string(),
        drain_ms: 10_000,
        ..Default::default()
    };
    let sync = rig.client.send(Call::ExecSync(request)).unwrap();
    rig.until(|_| bundle.dir.join("upper/tmp/up").exists());
    let begin = Instant::now();
    rig.cancel("sync").unwrap();
    let podwright_protocol::message::response::Result::ExecSync(reply) = rig.client.wait(sync).unwrap() else {
        unreachable!()
    };
    assert_eq!((reply.exit_code, reply.timed_out, reply.stdout.as_slice()), (137, false, &b"up\n"[..]));
    // an Exec
    rig.begin(exec_of(&bundle, "e", &["sh", "-c", script])).unwrap();
    let (_stdin, mut stdout, _stderr) = (rig.stdin("e"), rig.stdout("e"), rig.stderr("e"));
    until(&mut stdout, "up\n");
    rig.cancel("e").unwrap();
    assert_eq!((rig.wait_exec("e", 0).unwrap(), rest(&mut stdout).as_str()), (137, ""));
    assert!(begin.elapsed() < Duration::from_secs(30));
    let left = loop {
        let left = rig.exec(&bundle, &["sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '"], |_| {}).unwrap();
        let left = String::from_utf8(left.stdout).unwrap();
        // what was killed may take a moment to die
        if begin.elapsed() > Duration::from_secs(30) || !left.contains("sleep 50") {
            break left;
        }
    };
    assert!(left.contains("sleep 1000") && !left.contains("sleep 500") && !left.contains("sleep 501"), "{left}");
    // again, and of nothing, is nothing
    rig.cancel("e").unwrap();
    rig.cancel("none").unwrap();
    assert_eq!(rig.cancel("").unwrap_err().failure().unwrap().kind(), Kind::Invalid);
}

#[test]
fn input_may_come_before_its_answer() {
    let (mut rig, bundle) = running();
    rig.begin(exec_of(&bundle, "e", &["cat"])).unwrap();
    let mut stdin = rig.stdin("e");
    send_all(&mut stdin, b"early");
    assert_eq!(rest(&mut rig.stdout("e")), "early");
    drop(rig.stderr("e"));
    assert_eq!(rig.wait_exec("e", 0).unwrap(), 0);
}
