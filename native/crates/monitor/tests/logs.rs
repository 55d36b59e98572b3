//! Logs: partial lines, reopening, lost clients, full disks.
#![cfg(feature = "host-tests")]
#![allow(clippy::unwrap_used, missing_docs)]

mod rig;

use podwright_protocol::client::Client;
use podwright_protocol::message::failure::Kind;
use podwright_protocol::message::request::Call;
use podwright_protocol::message::{LogTarget, ReopenLog, event};
use rig::Rig;
use rig::fuse::Fuse;
use std::time::Duration;

fn reopen(id: &str) -> Call {
    Call::ReopenLog(ReopenLog { container_id: id.into() })
}

#[test]
fn long_lines_are_cut_and_tails_kept() {
    let mut rig = Rig::ready();
    let mut bundle = rig.script("head -c 40000 /dev/zero | tr '\\0' a; echo; printf tail");
    bundle.request.log.as_mut().unwrap().max_line_bytes = 0;
    let (_, log) = rig.finish(&bundle);
    let shape: Vec<(&str, usize)> = log.lines().map(|l| (&l[..8], l.len() - 9)).collect();
    assert_eq!(shape, [("stdout P", 16384), ("stdout P", 16384), ("stdout F", 7232), ("stdout F", 4)]);
    let mut bundle = rig.script("echo abcdefghij");
    bundle.request.log.as_mut().unwrap().max_line_bytes = 4;
    assert_eq!(rig.finish(&bundle).1, "stdout P abcd\nstdout P efgh\nstdout F ij\n");
}

#[test]
fn times_are_in_order_and_of_the_right_shape() {
    let mut rig = Rig::ready();
    let bundle = rig.script("for i in 1 2 3; do echo $i; usleep 20000; done");
    rig.finish(&bundle);
    let text = std::fs::read_to_string(bundle.dir.join("logs/0.log")).unwrap();
    let times: Vec<&str> = text.lines().map(|l| &l[..30]).collect();
    assert!(times.is_sorted() && times.iter().all(|t| t.ends_with('Z') && &t[10..11] == "T"), "{text}");
}

#[test]
fn nothing_is_lost_or_doubled_by_reopening() {
    let mut rig = Rig::ready();
    // it lives until it was reopened at least once
    let bundle = rig.script(
        "i=0; while [ $i -lt 20000 ]; do echo $i; i=$((i+1)); done; while [ ! -e /tmp/go ]; do usleep 10000; done",
    );
    let log = bundle.dir.join("logs/0.log");
    rig.run(&bundle);
    let mut files = Vec::new();
    for n in 0..20 {
        let moved = bundle.dir.join(format!("logs/0.log.{n}"));
        if std::fs::rename(&log, &moved).is_err() {
            break;
        }
        match rig.client.call(reopen(&bundle.id)) {
            Ok(_) => files.push(moved),
            Err(e) => {
                assert_eq!(e.failure().unwrap().kind(), Kind::FailedPrecondition);
                std::fs::rename(&moved, &log).unwrap();
                break;
            }
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    rig.exec(&bundle, &["touch", "/tmp/go"], |_| {}).unwrap();
    rig.exit_of(&bundle.id);
    files.push(log);
    let text: String = files.iter().map(|f| std::fs::read_to_string(f).unwrap()).collect();
    let numbers: Vec<usize> = text.lines().map(|l| l[40..].parse().unwrap()).collect();
    assert!(files.len() > 1);
    assert!(numbers.iter().copied().eq(0..20000));
    // not running: refused, and no new file
    let moved = bundle.dir.join("logs/last");
    std::fs::rename(bundle.dir.join("logs/0.log"), &moved).unwrap();
    assert_eq!(rig.client.call(reopen(&bundle.id)).unwrap_err().failure().unwrap().kind(), Kind::FailedPrecondition);
    assert!(!bundle.dir.join("logs/0.log").exists());
}

#[test]
fn a_lost_client_loses_no_line() {
    let mut rig = Rig::ready();
    let bundle = rig.script("i=0; while [ $i -lt 5000 ]; do echo $i; i=$((i+1)); done");
    rig.run(&bundle);
    let (fresh, _) = Client::open(&rig.socket()).unwrap();
    drop(std::mem::replace(&mut rig.client, fresh));
    rig.until(|_| bundle.dir.join("exit.json").exists());
    let numbers: Vec<usize> = bundle.log().lines().map(|l| l[9..].parse().unwrap()).collect();
    assert!(numbers.into_iter().eq(0..5000));
    let (_, hello) = Client::open(&rig.socket()).unwrap();
    let fact = &hello.state.unwrap().containers[0];
    assert_eq!(fact.exit.as_ref().unwrap().exit_code, 0);
}

#[test]
fn a_full_disk_does_not_stop_the_container() {
    let mut rig = Rig::ready();
    let small = rig.dir.join("small");
    std::fs::create_dir(&small).unwrap();
    rustix::mount::mount("tmpfs", &small, "tmpfs", rustix::mount::MountFlags::empty(), c"size=64k").unwrap();
    let mut bundle = rig.script(
        "i=0; while [ $i -lt 5000 ]; do echo $i; i=$((i+1)); done; touch /tmp/said; while [ ! -e /tmp/go ]; do usleep 10000; done; echo after",
    );
    let path = small.join("0.log");
    bundle.request.log = Some(LogTarget { path: path.to_str().unwrap().into(), max_line_bytes: 0 });
    rig.run(&bundle);
    let trouble = loop {
        let event = rig.client.event(Duration::from_secs(30)).unwrap().unwrap().event.unwrap();
        if let event::Event::LogTrouble(trouble) = event {
            break trouble;
        }
    };
    assert_eq!((trouble.errno, trouble.container_id.as_str()), (28, bundle.id.as_str()));
    // all is said before there is room again: nothing but "after" may follow the marker
    let said = (0..1000).any(|_| {
        std::thread::sleep(Duration::from_millis(20));
        rig.exec(&bundle, &["test", "-e", "/tmp/said"], |_| {}).unwrap().exit_code == 0
    });
    assert!(said);
    // no torn record stays
    rig.until(|_| std::fs::read_to_string(&path).unwrap().ends_with('\n'));
    rustix::mount::mount_remount(&small, rustix::mount::MountFlags::empty(), c"size=1m").unwrap();
    rig.exec(&bundle, &["touch", "/tmp/go"], |_| {}).unwrap();
    let exit = rig.exit_of(&bundle.id);
    let text = std::fs::read_to_string(&path).unwrap();
    rustix::mount::unmount(&small, rustix::mount::UnmountFlags::DETACH).unwrap();
    assert_eq!(exit.exit_code, 0);
    let marker = format!(
        "stderr F podwright: {} bytes of this log were dropped: no space left on device",
        exit.log_dropped_bytes
    );
    let tail: Vec<&str> = text.lines().rev().take(2).map(|l| &l[31..]).collect();
    assert_eq!(tail, ["stdout F after", marker.as_str()]);
}

/// Bytes of the record of a line of output.
fn record(line: &str) -> u64 {
    "2016-10-06T00:17:09.669794202Z stdout F \n".len() as u64 + line.len() as u64
}

/// What the markers of a log tell of, and its lines without them. No line is cut.
fn told(text: &str) -> (u64, Vec<&str>) {
    assert!(text.is_empty() || text.ends_with('\n'), "{text}");
    let mut sum = 0;
    let mut lines = Vec::new();
    for line in text.lines() {
        assert!(line.starts_with("20") && line[29..].starts_with("Z std"), "{line}");
        match line[31..].strip_prefix("stderr F podwright: ") {
            Some(marker) => {
                let bytes = marker.strip_suffix(" bytes of this log were dropped: no space left on device");
                sum += bytes.unwrap().parse::<u64>().unwrap();
            }
            None => lines.push(line[31..].strip_prefix("stdout F ").unwrap()),
        }
    }
    (sum, lines)
}

#[test]
fn what_a_writer_process_cannot_write_is_counted_and_told() {
    const LINES: u64 = 5000;
    let mut rig = Rig::ready();
    // a log that is asked of a server has a writer process
    let fuse = Fuse::with_room(rig.dir.join("remote"), 100_001);
    let script = format!("seq 0 {}; while [ ! -e /tmp/go ]; do usleep 10000; done; echo after", LINES - 1);
    let mut bundle = rig.script(&script);
    bundle.request.log = Some(LogTarget { path: fuse.dir.join("0.log").to_str().unwrap().into(), max_line_bytes: 0 });
    rig.run(&bundle);
    let trouble = loop {
        let event = rig.client.event(Duration::from_secs(30)).unwrap().unwrap().event.unwrap();
        if let event::Event::LogTrouble(trouble) = event {
            break trouble;
        }
    };
    assert_eq!((trouble.errno, trouble.container_id.as_str()), (28, bundle.id.as_str()));
    assert!(trouble.dropped_bytes > 0);
    fuse.set_room(1 << 20);
    rig.exec(&bundle, &["touch", "/tmp/go"], |_| {}).unwrap();
    let exit = rig.exit_of(&bundle.id);
    let text = fuse.text();
    let (told, lines) = told(&text);
    // which lines come through depends on when there was room, but each is there or counted
    let there: std::collections::BTreeSet<&str> = lines.iter().copied().collect();
    assert_eq!(there.len(), lines.len());
    assert_eq!(lines.last(), Some(&"after"));
    let missing: u64 =
        (0..LINES).map(|n| n.to_string()).filter(|n| !there.contains(n.as_str())).map(|n| record(&n)).sum();
    assert!(missing > 0);
    assert_eq!((exit.log_dropped_bytes, told), (missing, missing));
    drop(fuse);
}

#[test]
fn an_exit_tells_what_a_writer_process_has_lost_by_then() {
    let mut rig = Rig::ready();
    let fuse = Fuse::with_room(rig.dir.join("remote"), 0);
    let mut bundle = rig.script("echo never; echo seen");
    bundle.request.log = Some(LogTarget { path: fuse.dir.join("0.log").to_str().unwrap().into(), max_line_bytes: 0 });
    rig.run(&bundle);
    let exit = rig.exit_of(&bundle.id);
    assert_eq!((exit.log_dropped_bytes, fuse.text().as_str()), (record("never") + record("seen"), ""));
    let trouble = rig.others.iter().any(|e| matches!(e, event::Event::LogTrouble(t) if t.container_id == bundle.id));
    assert!(trouble, "{:?}", rig.others);
    drop(fuse);
}

#[test]
fn without_a_path_output_is_read_and_dropped() {
    let mut rig = Rig::ready();
    let mut bundle = rig.script("yes | head -c 1000000");
    bundle.request.log = None;
    rig.run(&bundle);
    assert_eq!(rig.exit_of(&bundle.id).exit_code, 0);
    assert!(!bundle.dir.join("logs").exists());
}

#[test]
fn a_descendant_that_keeps_the_pipe_does_not_hold_the_exit() {
    let mut rig = Rig::ready();
    let mut bundle = rig.script("setsid sleep 10 & echo end");
    bundle.request.pid = podwright_protocol::message::NamespaceMode::Node.into();
    let begin = std::time::Instant::now();
    let (exit, log) = rig.finish(&bundle);
    assert_eq!((exit.exit_code, log.as_str()), (0, "stdout F end\n"));
    assert!(begin.elapsed() < Duration::from_secs(9));
}
