//! The sandbox's life on a real kernel.
#![cfg(feature = "host-tests")]
#![allow(clippy::unwrap_used, missing_docs)]

mod rig;

use podwright_protocol::client::Client;
use podwright_protocol::message::failure::Kind;
use podwright_protocol::message::request::Call;
use podwright_protocol::message::{GetState, NamespaceMode, Shutdown, Sysctl, response};
use rig::{Rig, alive, mounts};
use std::fs::{read_link, read_to_string};

#[test]
fn namespaces_are_made_pinned_and_taken_away() {
    let mut rig = Rig::start();
    let pid = rig.hello.pid;
    assert_eq!(rig.hello.version, 1);
    let mut request = rig.sandbox();
    request.sysctls.push(Sysctl { name: "net.core.somaxconn".into(), value: "1234".into() });
    request.sysctls.push(Sysctl { name: "kernel.msgmax".into(), value: "10000".into() });
    rig.client.call(Call::CreateSandbox(request.clone())).unwrap();
    rig.client.call(Call::CreateSandbox(request.clone())).unwrap();
    for (name, differs) in [("net", true), ("ipc", true), ("uts", true), ("pid", false), ("mnt", false)] {
        let own = read_link(format!("/proc/self/ns/{name}")).unwrap();
        let theirs = read_link(format!("/proc/{pid}/ns/{name}")).unwrap();
        assert_eq!(own != theirs, differs, "{name}");
    }
    assert!(mounts().contains(rig.pin().to_str().unwrap()));
    request.hostname = "other".into();
    let error = rig.client.call(Call::CreateSandbox(request)).unwrap_err();
    assert_eq!(error.failure().unwrap().kind(), Kind::FailedPrecondition);
    rig.client.call(Call::Shutdown(Shutdown {})).unwrap();
    rig.until(|_| !alive(pid));
    assert!(!alive(pid) && !rig.pin().exists() && !rig.socket().exists());
}

#[test]
fn a_shared_pid_namespace_has_a_pause_with_nothing_to_offer() {
    let mut rig = Rig::start();
    let mut request = rig.sandbox();
    request.pid = NamespaceMode::Pod.into();
    let response::Result::CreateSandbox(reply) = rig.client.call(Call::CreateSandbox(request)).unwrap() else {
        unreachable!()
    };
    let pid = reply.pause_pid;
    let status = read_to_string(format!("/proc/{pid}/status")).unwrap();
    for line in ["CapPrm:\t0000000000000000", "CapBnd:\t0000000000000000", "Uid:\t65534\t65534", "NoNewPrivs:\t1"] {
        assert!(status.contains(line), "{line}\n{status}");
    }
    assert_eq!(std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count(), 3);
    assert_eq!(std::fs::read_dir(format!("/proc/{pid}/root")).unwrap().count(), 0);
    assert_eq!(read_to_string(format!("/proc/{pid}/cmdline")).unwrap(), "podwright-pause\0pause\0");
    let response::Result::State(state) = rig.client.call(Call::GetState(GetState {})).unwrap() else { unreachable!() };
    assert_eq!((state.pause_pid, state.sandbox_created), (pid, true));
}

#[test]
fn contradictions_are_refused() {
    let mut rig = Rig::start();
    type Change = fn(&mut podwright_protocol::message::CreateSandbox);
    let table: [(&str, Change); 4] = [
        ("another sandbox", |r| r.sandbox_id = "x".into()),
        ("a pin of the host's netns", |r| r.net = NamespaceMode::Node.into()),
        ("a host's sysctl", |r| r.sysctls.push(Sysctl { name: "vm.swappiness".into(), value: "1".into() })),
        ("a path in a sysctl", |r| r.sysctls.push(Sysctl { name: "net/../vm/swappiness".into(), value: "1".into() })),
    ];
    for (name, change) in table {
        let mut request = rig.sandbox();
        change(&mut request);
        let error = rig.client.call(Call::CreateSandbox(request)).unwrap_err();
        assert_eq!(error.failure().unwrap().kind(), Kind::Invalid, "{name}");
    }
}

#[test]
fn bad_frames_close_their_connection_and_no_other() {
    let mut rig = Rig::start();
    for bytes in [&[0xff, 0xff, 0xff, 0xff][..], &[0, 0, 0, 2, 0xff, 0xff], &[0, 0, 0, 4, 10, 9, 8, 7]] {
        let mut other = Client::connect(&rig.socket()).unwrap();
        other.write_raw(bytes).unwrap();
        assert!(other.event(std::time::Duration::from_secs(30)).is_err());
    }
    // a call that this version does not know
    let mut unknown = Client::open(&rig.socket()).unwrap().0;
    unknown.write_raw(&[0, 0, 0, 8, 10, 6, 8, 1, 0xa2, 0x06, 1, 0]).unwrap();
    let error = unknown.wait(1).unwrap_err();
    assert_eq!(error.failure().unwrap().kind(), Kind::Unsupported);
    // no hello
    let mut rude = Client::connect(&rig.socket()).unwrap();
    let error = rude.call(Call::GetState(GetState {})).unwrap_err();
    assert_eq!(error.failure().unwrap().kind(), Kind::FailedPrecondition);
    rig.client.call(Call::GetState(GetState {})).unwrap();
}
