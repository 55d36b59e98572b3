//! Streams that stand still cost nothing: the loop is not woken for what it cannot do anything about.
#![cfg(feature = "host-tests")]
#![allow(clippy::unwrap_used, missing_docs)]

mod rig;

use podwright_protocol::message::NamespaceMode;
use rig::bundle::Bundle;
use rig::streams::{exec_of, tty_of, until};
use rig::{Rig, cpu};
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::Duration;

fn ready() -> (Rig, Bundle) {
    let mut rig = Rig::ready_with(|request| {
        request.net = NamespaceMode::Node.into();
        request.netns_pin.clear();
    });
    let mut bundle = rig.script("read a; yes | head -c 100000; exec >&- 2>&-; sleep 1000");
    bundle.request.stdin = true;
    rig.run(&bundle);
    (rig, bundle)
}

/// Fills a stream until nothing more goes in.
fn fill(stream: &mut UnixStream) {
    stream.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
    while stream.write(&[b'x'; 65536]).is_ok() {}
}

/// A connection to a port, the program behind it, and the program's end.
fn joined(rig: &Rig) -> (UnixStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    // little room, so that what is on its way does not fit into it at last
    rustix::net::sockopt::set_socket_recv_buffer_size(&listener, 4096).unwrap();
    let stream = rig.port(listener.local_addr().unwrap().port().into()).unwrap();
    (stream, listener.accept().unwrap().0)
}

#[test]
fn standing_still_costs_nothing() {
    let (mut rig, bundle) = ready();
    // an output whose reader takes nothing: its command waits, or has ended with the pipe full
    rig.begin(exec_of(&bundle, "endless", &["yes"])).unwrap();
    rig.begin(exec_of(&bundle, "ended", &["sh", "-c", "head -c 262144 /dev/zero"])).unwrap();
    rig.begin(tty_of(&bundle, "terminal", &["yes"])).unwrap();
    let outputs = ["endless", "ended", "terminal"].map(|id| (rig.stdout(id), rig.stdin(id)));
    // input into a process that reads nothing; of one of them the writer has gone
    for id in ["stays", "goes", "closed"] {
        rig.begin(exec_of(&bundle, id, &["sleep", "100"])).unwrap();
    }
    rig.begin(exec_of(&bundle, "shut", &["sh", "-c", "exec <&-; sleep 100"])).unwrap();
    let mut inputs = ["stays", "goes", "closed", "shut"].map(|id| (rig.stdin(id), rig.stdout(id)));
    for (stdin, _) in &mut inputs[..2] {
        fill(stdin);
    }
    inputs[3].0.write_all(b"nobody reads this").unwrap();
    let [stays, goes, (closed, closed_output), shut] = inputs;
    drop((goes, closed));
    // an output that nobody has taken, of a command that has ended
    rig.begin(exec_of(&bundle, "untaken", &["sh", "-c", "echo x"])).unwrap();
    // a container's output with a reader that takes it, and a writer
    rig.attach(&bundle, "attached", true).unwrap();
    let (mut stdin, mut stdout, stderr) = (rig.stdin("attached"), rig.stdout("attached"), rig.stderr("attached"));
    stdin.write_all(b"\n").unwrap();
    until(&mut stdout, "y\n");
    // ports: both sides stand still, the program has closed its side, the daemon has
    let (mut up, far_up) = joined(&rig);
    fill(&mut up);
    let (down, mut far_down) = joined(&rig);
    far_down.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
    while far_down.write(&[0; 65536]).is_ok() {}
    drop(far_down);
    let (mut left, far_left) = joined(&rig);
    fill(&mut left);
    drop(left);
    let (half, far_half) = joined(&rig);
    half.shutdown(std::net::Shutdown::Write).unwrap();
    // on a busy machine it takes its time until all of it stands still
    let mut used = Vec::new();
    while used.len() < 10 && used.last().is_none_or(|last| *last > 3) {
        let before = cpu(rig.hello.pid);
        std::thread::sleep(Duration::from_secs(2));
        used.push(cpu(rig.hello.pid) - before);
    }
    assert!(used.last().is_some_and(|last| *last <= 3), "{used:?} of 200 ticks");
    drop((outputs, stays, closed_output, shut, stdin, stdout, stderr, up, far_up, down, far_left, half, far_half));
}
