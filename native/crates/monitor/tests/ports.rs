//! Streams to ports in the sandbox's network namespace.
#![cfg(feature = "host-tests")]
#![allow(clippy::unwrap_used, missing_docs)]

mod rig;

use podwright_protocol::message::failure::Kind;
use rig::Rig;
use rig::streams::{rest, send_all};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

/// Runs something on a thread that has entered the rig's network namespace.
fn inside<T: Send + 'static>(pin: PathBuf, work: impl FnOnce() -> T + Send + 'static) -> T {
    let run = move || {
        let namespace = std::fs::File::open(pin).unwrap();
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
        work()
    };
    std::thread::spawn(run).join().unwrap()
}

/// A sandbox whose loopback is up.
fn ready() -> Rig {
    let rig = Rig::ready();
    inside(rig.pin(), || {
        let up = std::process::Command::new("/bin/busybox").args(["ip", "link", "set", "lo", "up"]).status();
        assert!(up.unwrap().success());
    });
    rig
}

/// A listener in the sandbox and what it does with each connection.
fn serve(rig: &Rig, address: &'static str, each: impl Fn(TcpStream) + Send + Sync + 'static) -> u32 {
    let listener = inside(rig.pin(), move || TcpListener::bind(address).unwrap());
    let port = listener.local_addr().unwrap().port();
    let each = std::sync::Arc::new(each);
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let each = each.clone();
            std::thread::spawn(move || each(connection.unwrap()));
        }
    });
    port.into()
}

fn echo(mut connection: TcpStream) {
    let mut bytes = vec![0; 65536];
    while let Ok(count) = connection.read(&mut bytes)
        && count > 0
        && connection.write_all(&bytes[..count]).is_ok()
    {}
    let _ = connection.shutdown(Shutdown::Write);
}

#[test]
fn bytes_and_half_closes_go_both_ways() {
    let rig = ready();
    let port = serve(&rig, "127.0.0.1:0", echo);
    let mut stream = rig.port(port).unwrap();
    send_all(&mut stream, b"hello");
    assert_eq!(rest(&mut stream), "hello");
    // the other half first
    let port = serve(&rig, "127.0.0.1:0", |mut connection| {
        connection.write_all(b"greeting").unwrap();
        connection.shutdown(Shutdown::Write).unwrap();
        let mut said = String::new();
        connection.read_to_string(&mut said).unwrap();
        assert_eq!(said, "answer");
    });
    let mut stream = rig.port(port).unwrap();
    assert_eq!(rest(&mut stream), "greeting");
    send_all(&mut stream, b"answer");
}

#[test]
fn much_goes_through_with_either_side_slow() {
    let rig = ready();
    let port = serve(&rig, "127.0.0.1:0", |connection| {
        std::thread::sleep(Duration::from_millis(300));
        echo(connection);
    });
    let before = rig.heap();
    let size = 40_000_000;
    let mut stream = rig.port(port).unwrap();
    let mut writer = stream.try_clone().unwrap();
    let writing = std::thread::spawn(move || {
        let piece: Vec<u8> = (0..100_000_u32).map(|n| (n % 251) as u8).collect();
        for _ in 0..size / piece.len() {
            writer.write_all(&piece).unwrap();
        }
        writer.shutdown(Shutdown::Write).unwrap();
    });
    // nothing is read for a while: everything stands still, and the monitor keeps nothing
    std::thread::sleep(Duration::from_millis(800));
    assert!(rig.heap() < before + 64, "{} {before}", rig.heap());
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes.len(), size);
    assert!(bytes.chunks(100_000).all(|c| c.iter().enumerate().all(|(n, b)| usize::from(*b) == n % 251)));
    writing.join().unwrap();
}

#[test]
fn a_listener_of_version_six_only_is_found() {
    let rig = ready();
    let port = serve(&rig, "[::1]:0", echo);
    let mut stream = rig.port(port).unwrap();
    send_all(&mut stream, b"six");
    assert_eq!(rest(&mut stream), "six");
}

#[test]
fn refusals_say_why() {
    let rig = ready();
    let refused = rig.port(9).unwrap_err();
    let failure = refused.failure().unwrap();
    assert_eq!((failure.kind(), failure.errno), (Kind::FailedPrecondition, 111));
    assert_eq!(failure.detail, "connect to port 9 in the pod: connection refused");
    for port in [0, 65_536] {
        assert_eq!(rig.port(port).unwrap_err().failure().unwrap().kind(), Kind::Invalid);
    }
    let early = Rig::start();
    assert_eq!(early.port(80).unwrap_err().failure().unwrap().kind(), Kind::FailedPrecondition);
    // without a loopback there is nowhere to connect to
    let down = Rig::ready();
    let failure = down.port(80).unwrap_err();
    assert_eq!(failure.failure().unwrap().kind(), Kind::FailedPrecondition);
}

#[test]
fn a_reset_ends_the_stream_and_a_lost_peer_the_connection() {
    let rig = ready();
    let port = serve(&rig, "127.0.0.1:0", |mut connection| {
        // closing with something unread resets
        connection.read_exact(&mut [0; 1]).unwrap();
        std::thread::sleep(Duration::from_millis(100));
    });
    let mut stream = rig.port(port).unwrap();
    stream.write_all(&[0; 100]).unwrap();
    let mut left = Vec::new();
    let _ = stream.read_to_end(&mut left);
    assert!(left.is_empty());
    let (sender, receiver) = std::sync::mpsc::channel();
    let sender = std::sync::Mutex::new(sender);
    let port = serve(&rig, "127.0.0.1:0", move |mut connection| {
        let mut said = Vec::new();
        connection.read_to_end(&mut said).unwrap();
        // nobody hears this, and the monitor is rid of it soon
        let mut sent = 0;
        while connection.write_all(&[0; 65536]).is_ok() {
            sent += 1;
            assert!(sent < 10_000);
        }
        sender.lock().unwrap().send(said).unwrap();
    });
    let before = rig.descriptors();
    let mut stream = rig.port(port).unwrap();
    stream.write_all(b"last words").unwrap();
    drop(stream);
    assert_eq!(receiver.recv_timeout(Duration::from_secs(30)).unwrap(), b"last words");
    rig.await_descriptors(before);
}

#[test]
fn a_thousand_at_once_and_no_more() {
    let rig = ready();
    let port = serve(&rig, "127.0.0.1:0", echo);
    let before = rig.descriptors();
    let streams: Vec<UnixStream> = (0..1000).map(|_| rig.port(port).unwrap()).collect();
    let error = rig.port(port).unwrap_err();
    assert_eq!(error.failure().unwrap().kind(), Kind::ResourceExhausted);
    for (n, stream) in streams.iter().enumerate() {
        let mut stream = stream;
        stream.write_all(&[(n % 256) as u8]).unwrap();
    }
    for (n, stream) in streams.iter().enumerate() {
        let (mut stream, mut byte) = (stream, [0]);
        stream.read_exact(&mut byte).unwrap();
        assert_eq!(usize::from(byte[0]), n % 256);
    }
    drop(streams);
    rig.await_descriptors(before);
    assert!(rig.port(port).is_ok());
}

#[test]
fn a_port_that_nobody_listens_on_is_not_connected_to_itself() {
    let rig = ready();
    inside(rig.pin(), || std::fs::write("/proc/sys/net/ipv4/ip_local_port_range", "40000 40001").unwrap());
    for port in [40_000, 40_001] {
        let refused = rig.port(port).unwrap_err();
        assert!(refused.failure().unwrap().detail.ends_with("connection refused"), "{refused:?}");
    }
}
