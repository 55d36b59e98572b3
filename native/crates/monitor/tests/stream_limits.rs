//! Streams that stall, are lost, or are too many: memory stays flat, commands live on.
#![cfg(feature = "host-tests")]
#![allow(clippy::unwrap_used, missing_docs)]

mod rig;

use podwright_protocol::client::Client;
use podwright_protocol::message::failure::Kind;
use podwright_protocol::message::request::Call;
use podwright_protocol::message::{OpenStream, WaitExec};
use rig::bundle::Bundle;
use rig::streams::{exec_of, rest, send_all, tty_of, until};
use rig::{Rig, alive, memory};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

fn running() -> (Rig, Bundle) {
    let mut rig = Rig::ready();
    let bundle = rig.script("sleep 1000");
    rig.run(&bundle);
    (rig, bundle)
}

#[test]
fn a_stalled_reader_blocks_the_command_and_nothing_grows() {
    let (mut rig, bundle) = running();
    for (n, tty) in [false, true].into_iter().enumerate() {
        let id = format!("e{n}");
        let script = "head -c 20000000 /dev/zero | tr '\\0' x; echo; echo end; touch /tmp/done$0";
        let args = ["sh", "-c", script, &n.to_string()];
        rig.begin(if tty { tty_of(&bundle, &id, &args) } else { exec_of(&bundle, &id, &args) }).unwrap();
        let (mut stdout, _stdin) = (rig.stdout(&id), rig.stdin(&id));
        let before = rig.heap();
        std::thread::sleep(Duration::from_millis(700));
        assert!(rig.heap() <= before + 64, "{} {before}", rig.heap());
        assert!(!bundle.dir.join(format!("upper/tmp/done{n}")).exists());
        assert_eq!(until(&mut stdout, "end").matches('x').count(), 20_000_000);
        if !tty {
            drop(rig.stderr(&id));
        }
        rest(&mut stdout);
        assert_eq!(rig.wait_exec(&id, 0).unwrap(), 0);
    }
}

#[test]
fn input_into_a_stopped_process_waits() {
    let (mut rig, bundle) = running();
    for (n, tty) in [false, true].into_iter().enumerate() {
        let id = format!("e{n}");
        // a terminal's lines are short
        let line = [b'x'; 99].into_iter().chain([b'\n']).collect::<Vec<u8>>();
        let bytes = line.repeat(if tty { 5000 } else { 100_000 });
        let script = "stty -echo 2>/dev/null; echo up; head -c $0 | wc -c";
        let args = ["sh", "-c", script, &bytes.len().to_string()];
        let pid = rig.begin(if tty { tty_of(&bundle, &id, &args) } else { exec_of(&bundle, &id, &args) }).unwrap();
        let (mut stdin, mut stdout) = (rig.stdin(&id), rig.stdout(&id));
        until(&mut stdout, "up");
        let group = rustix::process::Pid::from_raw(pid).unwrap();
        let signal = |signal| rustix::process::kill_process_group(group, signal).unwrap();
        signal(rustix::process::Signal::STOP);
        let before = rig.heap();
        stdin.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
        let mut sent = 0;
        while sent < bytes.len()
            && let Ok(count) = stdin.write(&bytes[sent..])
        {
            sent += count;
        }
        assert!(sent < if tty { bytes.len() } else { 1_200_000 }, "{sent} bytes went into a stopped process");
        assert!(rig.heap() <= before + 64, "{} {before}", rig.heap());
        signal(rustix::process::Signal::CONT);
        stdin.set_write_timeout(None).unwrap();
        stdin.write_all(&bytes[sent..]).unwrap();
        let counted = until(&mut stdout, &bytes.len().to_string());
        assert!(counted.trim().ends_with(&bytes.len().to_string()));
        drop(stdin);
        if !tty {
            drop(rig.stderr(&id));
        }
        assert_eq!(rig.wait_exec(&id, 0).unwrap(), 0);
    }
}

#[test]
fn a_lost_daemon_ends_input_and_the_command_lives_on() {
    let (mut rig, bundle) = running();
    let before = rig.descriptors();
    let script = "cat; for n in 1 2 3; do head -c 3000000 /dev/zero; head -c 3000000 /dev/zero >&2; done; \
                  touch /tmp/done$0; sleep 3";
    let mut pids = Vec::new();
    for (id, taken) in [("taken", true), ("untaken", false)] {
        pids.push(rig.begin(exec_of(&bundle, id, &["sh", "-c", script, id])).unwrap());
        if taken {
            std::mem::forget((rig.stdin(id), rig.stdout(id)));
        }
    }
    // a terminal's input has no end: it is drained all the same
    let script = "head -c 3000000 /dev/zero; touch /tmp/done$0; sleep 3";
    pids.push(rig.begin(tty_of(&bundle, "tty", &["sh", "-c", script, "tty"])).unwrap());
    rig.reconnect();
    for id in ["taken", "untaken", "tty"] {
        let done = bundle.dir.join(format!("upper/tmp/done{id}"));
        rig.until(|_| done.exists());
    }
    assert!(pids.iter().any(|pid| alive(*pid)));
    rig.until(|_| pids.iter().all(|pid| !alive(*pid)));
    // nothing of them is left
    assert!(rig.wait_exec("taken", 0).is_err());
    rig.await_descriptors(before + 3); // the test's own ends, forgotten above, are not the monitor's
}

#[test]
fn a_reader_that_goes_is_not_missed() {
    let (mut rig, bundle) = running();
    rig.begin(exec_of(&bundle, "e", &["sh", "-c", "head -c 3000000 /dev/zero; echo on >&2; exit 6"])).unwrap();
    let (mut stdout, mut stderr, _stdin) = (rig.stdout("e"), rig.stderr("e"), rig.stdin("e"));
    stdout.read_exact(&mut [0; 1000]).unwrap();
    drop(stdout);
    assert_eq!(rest(&mut stderr), "on\n");
    assert_eq!(rig.wait_exec("e", 0).unwrap(), 6);
}

#[test]
fn two_hundred_at_once() {
    let (mut rig, bundle) = running();
    let before = rig.descriptors();
    let mut waits = Vec::new();
    for n in 0..200 {
        let id = format!("e{n}");
        rig.begin(exec_of(&bundle, &id, &["sh", "-c", &format!("cat; exit {n}")])).unwrap();
        waits.push(rig.client.send(Call::WaitExec(WaitExec { exec_id: id, drain_ms: 0 })).unwrap());
    }
    let mut streams: Vec<_> =
        (0..200).map(|n| format!("e{n}")).map(|id| (rig.stdin(&id), rig.stdout(&id), rig.stderr(&id))).collect();
    assert!(memory(rig.hello.pid, "Anonymous:") < 1024);
    for (n, (stdin, _, _)) in streams.iter_mut().enumerate() {
        send_all(stdin, format!("hello {n}").as_bytes());
    }
    for (n, (_, stdout, stderr)) in streams.iter_mut().enumerate() {
        assert_eq!((rest(stdout), rest(stderr)), (format!("hello {n}"), String::new()));
    }
    for (n, wait) in waits.into_iter().enumerate() {
        assert_eq!(rig.wait_code(wait).unwrap(), i32::try_from(n).unwrap());
    }
    rig.await_descriptors(before);
    rig.until(|rig| rig.heap() < if cfg!(debug_assertions) { 1024 } else { 160 });
}

#[test]
fn too_many_descriptors_are_refused_and_the_monitor_stays() {
    let (mut rig, bundle) = running();
    let pid = rustix::process::Pid::from_raw(rig.hello.pid);
    let limit = rustix::process::Rlimit { current: Some(150), maximum: Some(150) };
    rustix::process::prlimit(pid, rustix::process::Resource::Nofile, limit).unwrap();
    let mut begun = 0;
    let error = loop {
        match rig.begin(exec_of(&bundle, &format!("e{begun}"), &["cat"])) {
            Ok(_) => begun += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error.failure().unwrap().kind(), Kind::ResourceExhausted, "{error}");
    let error = (0..begun)
        .find_map(|n| rig.try_stream(&format!("e{n}"), podwright_protocol::message::open_stream::Name::Stdin).err());
    if let Some(error) = error {
        assert!(error.failure().is_none_or(|f| f.kind() == Kind::ResourceExhausted), "{error}");
    }
    for n in 0..begun {
        rig.cancel(&format!("e{n}")).unwrap();
        // those whose input was opened above, and closed, have ended by themselves
        assert!([0, 137].contains(&rig.wait_exec(&format!("e{n}"), 1).unwrap()));
    }
    rig.begin(exec_of(&bundle, "after", &["true"])).unwrap();
}

#[test]
fn connections_that_say_nothing_or_nonsense_are_closed() {
    let (mut rig, bundle) = running();
    let before = rig.descriptors();
    let begin = Instant::now();
    let mut silent = UnixStream::connect(rig.socket()).unwrap();
    let mut half = UnixStream::connect(rig.socket()).unwrap();
    half.write_all(&[0, 0, 0, 50, 1, 2]).unwrap();
    for bytes in [&b"\xff\xff\xff\xff"[..], &[0, 2, 0, 0], &[0, 0, 0, 3, 255, 255, 255]] {
        let mut wrong = UnixStream::connect(rig.socket()).unwrap();
        wrong.write_all(bytes).unwrap();
        assert_eq!(wrong.read(&mut [0; 16]).unwrap_or(0), 0, "{bytes:?}");
    }
    // a stream of nothing, and a stream on a connection of calls
    let error = podwright_protocol::client::open_stream(&rig.socket(), OpenStream { stream: None }).unwrap_err();
    assert_eq!(error.failure().unwrap().kind(), Kind::Unsupported);
    let error = rig.client.call(Call::OpenStream(OpenStream { stream: None })).unwrap_err();
    assert_eq!(error.failure().unwrap().kind(), Kind::Invalid);
    let mut early = Client::connect(&rig.socket()).unwrap();
    let error = early.call(Call::Exec(exec_of(&bundle, "x", &["true"]))).unwrap_err();
    assert_eq!(error.failure().unwrap().kind(), Kind::FailedPrecondition);
    drop(early);
    assert_eq!((silent.read(&mut [0; 1]).unwrap(), half.read(&mut [0; 1]).unwrap()), (0, 0));
    assert!(begin.elapsed() > Duration::from_secs(9) && begin.elapsed() < Duration::from_secs(30));
    rig.await_descriptors(before);
    assert_eq!(rig.exec(&bundle, &["true"], |_| {}).unwrap().exit_code, 0);
}

#[test]
fn a_command_that_does_not_start_is_given_up() {
    let mut rig = Rig::ready();
    let mut bundle = rig.script("sleep 1000");
    // who joins this cgroup waits until somebody reads
    let tasks = rig.dir.join("tasks");
    rustix::fs::mknodat(rustix::fs::CWD, &tasks, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0).unwrap();
    let v1_tasks = vec![tasks.to_str().unwrap().to_owned()];
    let place = podwright_protocol::message::CgroupPlace { unified_dir: String::new(), v1_tasks };
    bundle.request.cgroup.as_mut().unwrap().place = Some(place);
    let reader = std::thread::spawn(move || std::fs::read(tasks).unwrap());
    rig.run(&bundle);
    assert_eq!(reader.join().unwrap(), b"0");
    let error = rig.begin(exec_of(&bundle, "e", &["true"])).unwrap_err();
    assert_eq!(error.failure().unwrap().kind(), Kind::DeadlineExceeded);
    rig.until(|rig| {
        !std::fs::read_to_string(format!("/proc/{}/task/{0}/children", rig.hello.pid)).unwrap().trim().contains(' ')
    });
    assert!(rig.wait_exec("e", 0).is_err());
}
