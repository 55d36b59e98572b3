//! How fast streams are. Run by hand:
//! cargo test --profile monitor -p podwright-monitor --features host-tests --target x86_64-unknown-linux-musl \
//!   --test stream_speed -- --ignored --nocapture --test-threads=1
#![cfg(feature = "host-tests")]
#![allow(clippy::unwrap_used, missing_docs)]

mod rig;

use rig::streams::{exec_of, tty_of};
use rig::{Rig, cpu};
use std::io::{Read, Write};
use std::net::Shutdown;
use std::time::Instant;

const SIZE: usize = 1 << 30;

fn report(what: &str, bytes: usize, begin: Instant, pid: i32, ticks: u64) {
    let seconds = begin.elapsed().as_secs_f64();
    let used = cpu(pid) - ticks;
    println!("{what}: {:.0} MB/s, {used} ticks of the monitor", bytes as f64 / 1e6 / seconds);
}

fn read_all(stream: &mut impl Read) -> usize {
    let mut buffer = vec![0; 65536];
    let mut all = 0;
    loop {
        match stream.read(&mut buffer).unwrap() {
            0 => return all,
            count => all += count,
        }
    }
}

#[test]
#[ignore = "a measurement"]
fn one_gigabyte() {
    let mut rig = Rig::ready();
    let bundle = rig.script("sleep 1000");
    rig.run(&bundle);
    let pid = rig.hello.pid;
    for size in ["65536", "1048576"] {
        let id = format!("out{size}");
        let count = (SIZE / size.parse::<usize>().unwrap()).to_string();
        let args = ["dd", "if=/dev/zero", &format!("bs={size}"), &format!("count={count}")];
        rig.begin(exec_of(&bundle, &id, &args)).unwrap();
        let (mut stdout, _stdin, _stderr) = (rig.stdout(&id), rig.stdin(&id), rig.stderr(&id));
        let (begin, ticks) = (Instant::now(), cpu(pid));
        assert_eq!(read_all(&mut stdout), SIZE);
        report(&format!("output, writes of {size}"), SIZE, begin, pid, ticks);
    }
    for command in ["cat >/dev/null", "dd of=/dev/null bs=1048576 2>/dev/null"] {
        rig.begin(exec_of(&bundle, command, &["sh", "-c", command])).unwrap();
        let (mut stdout, mut stdin, _stderr) = (rig.stdout(command), rig.stdin(command), rig.stderr(command));
        let (begin, ticks) = (Instant::now(), cpu(pid));
        let piece = vec![0; 65536];
        for _ in 0..SIZE / piece.len() {
            stdin.write_all(&piece).unwrap();
        }
        stdin.shutdown(Shutdown::Write).unwrap();
        assert_eq!(read_all(&mut stdout), 0);
        report(&format!("input to {command}"), SIZE, begin, pid, ticks);
    }
    rig.begin(tty_of(&bundle, "tty", &["sh", "-c", "stty raw; exec dd if=/dev/zero bs=65536 count=1024 2>/dev/null"]))
        .unwrap();
    let mut stdout = rig.stdout("tty");
    let (begin, ticks) = (Instant::now(), cpu(pid));
    assert_eq!(read_all(&mut stdout), SIZE / 16);
    report("output of a terminal", SIZE / 16, begin, pid, ticks);
}

#[test]
#[ignore = "a measurement"]
fn one_gigabyte_through_a_port() {
    let rig = Rig::ready_with(|request| {
        request.net = podwright_protocol::message::NamespaceMode::Node.into();
        request.netns_pin.clear();
    });
    let pid = rig.hello.pid;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = std::thread::spawn(move || {
        let (mut connection, _) = listener.accept().unwrap();
        let piece = vec![0; 65536];
        for _ in 0..SIZE / piece.len() {
            connection.write_all(&piece).unwrap();
        }
        connection.shutdown(Shutdown::Write).unwrap();
        assert_eq!(read_all(&mut connection), SIZE);
    });
    let mut stream = rig.port(port.into()).unwrap();
    let (begin, ticks) = (Instant::now(), cpu(pid));
    assert_eq!(read_all(&mut stream), SIZE);
    report("from a port", SIZE, begin, pid, ticks);
    let (begin, ticks) = (Instant::now(), cpu(pid));
    let piece = vec![0; 65536];
    for _ in 0..SIZE / piece.len() {
        stream.write_all(&piece).unwrap();
    }
    stream.shutdown(Shutdown::Write).unwrap();
    serving.join().unwrap();
    report("to a port", SIZE, begin, pid, ticks);
}
