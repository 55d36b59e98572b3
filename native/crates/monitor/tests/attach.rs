//! Attach: several readers and writers of a container, slow ones, lost ones, and the log beside them.
#![cfg(feature = "host-tests")]
#![allow(clippy::unwrap_used, missing_docs)]

mod rig;

use podwright_protocol::message::failure::Kind;
use podwright_protocol::message::open_stream::Name;
use rig::Rig;
use rig::streams::{rest, until};
use serde_json::json;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::time::{Duration, Instant};

#[test]
fn attachers_see_what_comes_from_now_on_and_the_end() {
    let mut rig = Rig::ready();
    let mut bundle = rig.script("echo before; read a; echo got $a; echo err >&2; read b; echo last $b; exit 3");
    bundle.request.stdin = true;
    rig.run(&bundle);
    bundle.await_log("before");
    assert!(!rig.attach(&bundle, "one", true).unwrap());
    assert!(!rig.attach(&bundle, "two", true).unwrap());
    let (mut in1, mut out1, mut err1) = (rig.stdin("one"), rig.stdout("one"), rig.stderr("one"));
    let (mut in2, mut out2, mut err2) = (rig.stdin("two"), rig.stdout("two"), rig.stderr("two"));
    in1.write_all(b"a\n").unwrap();
    assert_eq!(until(&mut out1, "got a\n"), "got a\n");
    assert_eq!(until(&mut out2, "got a\n"), "got a\n");
    // the first goes: the container and the second go on
    drop((in1, out1));
    assert_eq!(until(&mut err2, "err\n"), "err\n");
    in2.write_all(b"b\n").unwrap();
    assert_eq!(
        (rest(&mut out2).as_str(), rest(&mut err2).as_str(), rest(&mut err1).as_str()),
        ("last b\n", "", "err\n")
    );
    assert_eq!(rest(&mut in2), "");
    assert_eq!(rig.exit_of(&bundle.id).exit_code, 3);
    assert_eq!(bundle.log(), "stdout F before\nstdout F got a\nstderr F err\nstdout F last b\n");
    let error = rig.try_stream("two", Name::Stdout).unwrap_err();
    assert_eq!(error.failure().unwrap().kind(), Kind::NotFound);
}

#[test]
fn only_running_containers_and_only_once_by_a_name() {
    let mut rig = Rig::ready();
    let bundle = rig.script("while [ ! -e /tmp/go ]; do usleep 10000; done");
    let kind = |r: Result<bool, podwright_protocol::client::ClientError>| r.unwrap_err().failure().unwrap().kind();
    assert_eq!(kind(rig.attach(&bundle, "a", false)), Kind::NotFound);
    rig.create(&bundle).unwrap();
    assert_eq!(kind(rig.attach(&bundle, "a", false)), Kind::FailedPrecondition);
    rig.start_container(&bundle.id).unwrap();
    assert_eq!(kind(rig.attach(&bundle, "", false)), Kind::Invalid);
    rig.attach(&bundle, "a", false).unwrap();
    assert_eq!(kind(rig.attach(&bundle, "a", false)), Kind::FailedPrecondition);
    assert_eq!(rig.try_stream("a", Name::Stdin).unwrap_err().failure().unwrap().kind(), Kind::FailedPrecondition);
    rig.exec(&bundle, &["touch", "/tmp/go"], |_| {}).unwrap();
    rig.exit_of(&bundle.id);
    assert_eq!(kind(rig.attach(&bundle, "b", false)), Kind::FailedPrecondition);
    // taken only after the end: the end is all there is
    assert_eq!(rest(&mut rig.stdout("a")), "");
}

#[test]
fn input_ends_with_the_first_attacher_only_when_asked_for() {
    for (once, tail) in [(true, "end\n"), (false, "second\nend\n")] {
        let mut rig = Rig::ready();
        let mut bundle = rig.script("cat; echo end");
        (bundle.request.stdin, bundle.request.stdin_once) = (true, once);
        rig.run(&bundle);
        rig.attach(&bundle, "one", true).unwrap();
        let (mut stdin, mut stdout, _stderr) = (rig.stdin("one"), rig.stdout("one"), rig.stderr("one"));
        stdin.write_all(b"first\n").unwrap();
        assert_eq!(until(&mut stdout, "first\n"), "first\n");
        rig.attach(&bundle, "two", true).unwrap();
        let (mut later, mut out2, _err2) = (rig.stdin("two"), rig.stdout("two"), rig.stderr("two"));
        stdin.shutdown(Shutdown::Write).unwrap();
        if !once {
            later.write_all(b"second\n").unwrap();
            until(&mut out2, "second\n");
            // nobody is attached, and the input is still open
            drop((stdin, later));
            std::thread::sleep(Duration::from_millis(200));
            assert!(rig.exits.is_empty() && rig.client.event(Duration::from_millis(1)).unwrap().is_none());
            rig.client.call(kill(&bundle.id)).unwrap();
            assert_eq!(rig.exit_of(&bundle.id).exit_code, 137);
            continue;
        }
        assert_eq!(rest(&mut stdout), tail);
        let _ = later.write_all(b"nobody reads this\n");
        assert_eq!(rig.exit_of(&bundle.id).exit_code, 0);
    }
}

fn kill(id: &str) -> podwright_protocol::message::request::Call {
    podwright_protocol::message::request::Call::SignalContainer(podwright_protocol::message::SignalContainer {
        container_id: id.into(),
        signal: 9,
        all: false,
    })
}

#[test]
fn input_of_a_container_without_one_goes_nowhere() {
    let mut rig = Rig::ready();
    let bundle = rig.script("while [ ! -e /tmp/go ]; do usleep 10000; done; echo x");
    rig.run(&bundle);
    rig.attach(&bundle, "a", true).unwrap();
    let (mut stdin, mut stdout, _stderr) = (rig.stdin("a"), rig.stdout("a"), rig.stderr("a"));
    stdin.write_all(&vec![b'x'; 1_000_000]).unwrap();
    rig.exec(&bundle, &["touch", "/tmp/go"], |_| {}).unwrap();
    assert_eq!(rest(&mut stdout), "x\n");
}

#[test]
fn a_terminal_is_shared_and_resized() {
    let mut rig = Rig::ready();
    let mut bundle = rig
        .script("trap 'stty size' WINCH; echo up; while [ ! -e /tmp/go ]; do sleep 0.05; done; read a; echo got $a; stat -c %t,%T /dev/console; sleep 0.2; exit 2");
    bundle.spec["process"]["terminal"] = json!(true);
    (bundle.request.terminal, bundle.request.stdin, bundle.request.stdin_once) = (true, true, true);
    rig.run(&bundle);
    bundle.await_log("up");
    assert!(rig.attach(&bundle, "a", true).unwrap());
    let (mut stdin, mut stdout) = (rig.stdin("a"), rig.stdout("a"));
    rig.resize(&bundle.id, "", 90, 40).unwrap();
    assert_eq!(until(&mut stdout, "40 90\r\n"), "40 90\r\n");
    // who goes leaves the terminal as it is
    drop((stdin, stdout));
    rig.exec(&bundle, &["touch", "/tmp/go"], |_| {}).unwrap();
    rig.attach(&bundle, "b", true).unwrap();
    (stdin, stdout) = (rig.stdin("b"), rig.stdout("b"));
    stdin.write_all(b"x\r").unwrap();
    let text = rest(&mut stdout);
    assert!(text.starts_with("x\r\ngot x\r\n88,0\r\n"), "{text:?}");
    assert_eq!(rig.exit_of(&bundle.id).exit_code, 2);
    assert!(rig.resize(&bundle.id, "", 90, 40).is_err());
}

#[test]
fn a_stalled_reader_is_detached_and_nothing_of_the_log_is_lost() {
    let mut rig = Rig::ready();
    let lines = 400_000;
    let mut bundle = rig.script(&format!("read a; seq 1 {lines}; echo done; read b"));
    bundle.request.stdin = true;
    rig.run(&bundle);
    for id in ["one", "two", "stalled"] {
        rig.attach(&bundle, id, id == "one").unwrap();
    }
    let mut stdin = rig.stdin("one");
    let readers: Vec<_> = ["one", "two"].iter().map(|id| (rig.stdout(id), rig.stderr(id))).collect();
    let (stalled, stalled_err) = (rig.stdout("stalled"), rig.stderr("stalled"));
    let before = rig.heap();
    let begin = Instant::now();
    stdin.write_all(b"go\n").unwrap();
    let mut results = Vec::new();
    for (mut stdout, _stderr) in readers {
        results.push(std::thread::spawn(move || until(&mut stdout, "done\n")));
    }
    std::thread::sleep(Duration::from_millis(1500));
    // held back by the stalled one, if this test was not stopped itself until that is given up, and nothing grows
    let held = !bundle.log().contains("done");
    assert!(held || begin.elapsed() > Duration::from_secs(4));
    assert!(rig.heap() < before + 256, "{} {before}", rig.heap());
    let expected: String = (1..=lines).map(|n| format!("{n}\n")).collect::<String>() + "done\n";
    for result in results {
        assert!(result.join().unwrap() == expected);
    }
    assert!(begin.elapsed() > Duration::from_secs(4), "{:?}", begin.elapsed());
    // what it had been sent, then the end
    let (mut stalled, mut stalled_err) = (stalled, stalled_err);
    let seen = rest(&mut stalled);
    assert!(expected.starts_with(&seen) && seen.len() < 1_000_000);
    assert_eq!(rest(&mut stalled_err), "");
    stdin.write_all(b"end\n").unwrap();
    rig.exit_of(&bundle.id);
    assert_eq!(
        bundle.log().lines().map(|l| l.strip_prefix("stdout F ").unwrap()).collect::<Vec<_>>().join("\n") + "\n",
        expected
    );
}

#[test]
fn a_reader_that_takes_a_little_now_and_then_is_detached_too() {
    let mut rig = Rig::ready();
    let lines = 400_000;
    let mut bundle = rig.script(&format!("read a; seq 1 {lines}; echo done; read b"));
    bundle.request.stdin = true;
    rig.run(&bundle);
    rig.attach(&bundle, "a", true).unwrap();
    rig.attach(&bundle, "slow", false).unwrap();
    let (mut stdin, mut stdout, _stderr) = (rig.stdin("a"), rig.stdout("a"), rig.stderr("a"));
    let (mut slow, _slow_err) = (rig.stdout("slow"), rig.stderr("slow"));
    stdin.write_all(b"go\n").unwrap();
    let others = std::thread::spawn(move || until(&mut stdout, "done\n"));
    let mut taken = Vec::new();
    let mut some = vec![0; 16 * 1024];
    let end = Instant::now() + Duration::from_secs(120);
    while !others.is_finished() && Instant::now() < end {
        // progress that counts, but never so much that it has caught up
        let count = slow.read(&mut some).unwrap();
        taken.extend_from_slice(&some[..count]);
        for _ in 0..15 {
            if !others.is_finished() {
                std::thread::sleep(Duration::from_millis(200));
            }
        }
    }
    assert!(others.is_finished(), "the container is held back for ever");
    let expected: String = (1..=lines).map(|n| format!("{n}\n")).collect::<String>() + "done\n";
    assert!(others.join().unwrap() == expected);
    slow.read_to_end(&mut taken).unwrap();
    assert!(expected.as_bytes().starts_with(&taken) && taken.len() < 1_500_000);
    stdin.write_all(b"end\n").unwrap();
    rig.exit_of(&bundle.id);
}

#[test]
fn a_slow_reader_gets_everything_and_the_exit_waits_for_nobody() {
    let mut rig = Rig::ready();
    let mut bundle = rig.script("read a; head -c 240000 /dev/zero | tr '\\0' x; exit 4");
    bundle.request.stdin = true;
    rig.run(&bundle);
    rig.attach(&bundle, "a", true).unwrap();
    let (mut stdin, mut stdout, _stderr) = (rig.stdin("a"), rig.stdout("a"), rig.stderr("a"));
    stdin.write_all(b"\n").unwrap();
    // what fits into socket and pipe: the container has ended, its reader has read nothing
    let exit = rig.exit_of(&bundle.id);
    assert_eq!(exit.exit_code, 4);
    assert_eq!(rest(&mut stdout).len(), 240_000);
    assert_eq!(bundle.log().matches('x').count(), 240_000);
}

#[test]
fn a_lost_daemon_detaches_its_attachments_only() {
    let mut rig = Rig::ready();
    let mut bundle = rig.script("while read a; do echo got $a; done; echo end");
    (bundle.request.stdin, bundle.request.stdin_once) = (true, false);
    rig.run(&bundle);
    rig.attach(&bundle, "old", true).unwrap();
    let (_stdin, mut stdout, _stderr) = (rig.stdin("old"), rig.stdout("old"), rig.stderr("old"));
    rig.reconnect();
    assert_eq!(rest(&mut stdout), "");
    rig.attach(&bundle, "new", true).unwrap();
    let (mut stdin, mut stdout, _stderr) = (rig.stdin("new"), rig.stdout("new"), rig.stderr("new"));
    stdin.write_all(b"x\n").unwrap();
    assert_eq!(until(&mut stdout, "got x\n"), "got x\n");
}

#[test]
fn streams_that_nobody_takes_hold_nothing_for_long() {
    let mut rig = Rig::ready();
    let bundle = rig.script("while [ ! -e /tmp/go ]; do sleep 0.05; done; yes | head -c 500000; echo end; sleep 100");
    rig.run(&bundle);
    rig.attach(&bundle, "a", false).unwrap();
    rig.exec(&bundle, &["touch", "/tmp/go"], |_| {}).unwrap();
    bundle.await_log("end");
    assert!(rig.try_stream("a", Name::Stdout).is_err_and(|e| e.failure().unwrap().kind() == Kind::NotFound));
}
