//! The process that becomes a program in the pid namespace of others: what they get of it, and what they can do with it.
#![cfg(feature = "host-tests")]
#![allow(clippy::unwrap_used, missing_docs)]

mod rig;

use podwright_protocol::client::ClientError;
use podwright_protocol::message::request::Call;
use podwright_protocol::message::{NamespaceMode, StartContainer, StopContainer};
use rig::bundle::Bundle;
use rig::{Rig, alive};
use rustix::fd::OwnedFd;
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};
use serde_json::json;
use std::process::{Child, Command, Stdio};

/// A container of a pod with shared pids that has been told to start and is kept from it by its startContainer hook.
struct Kept {
    bundle: Bundle,
    /// The process that is to become the program.
    pid: i32,
    /// The request that waits for it.
    started: u64,
}

fn keep(rig: &mut Rig) -> Kept {
    let mut bundle = rig.script("sleep 1000");
    bundle.request.pid = NamespaceMode::Pod.into();
    let hook = "echo here; while [ ! -e /dev/shm/go ]; do usleep 10000; done";
    bundle.spec["hooks"] = json!({"startContainer": [{"path": "/bin/sh", "args": ["sh", "-c", hook]}]});
    rig.create(&bundle).unwrap();
    let started = rig.client.send(Call::StartContainer(StartContainer { container_id: bundle.id.clone() })).unwrap();
    let mut pid = 0;
    while pid == 0 {
        // the hook's own children have its words too, until they execute something
        pid = parents_of(hook).into_iter().find(|parent| !has_words(*parent, hook)).unwrap_or_default();
    }
    Kept { bundle, pid, started }
}

fn has_words(pid: i32, words: &str) -> bool {
    std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| String::from_utf8_lossy(&line).contains(words))
}

/// The parents of the processes with these words.
fn parents_of(words: &str) -> Vec<i32> {
    let names = std::fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().file_name());
    let pids = names.filter_map(|name| name.to_str()?.parse::<i32>().ok());
    let parent = |pid| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()
    };
    pids.filter(|pid| has_words(*pid, words)).filter_map(parent).collect()
}

/// Its descriptors: number and what they lead to.
fn descriptors(pid: i32) -> Vec<(i32, String)> {
    let mut all: Vec<(i32, String)> = std::fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let number = path.file_name().unwrap().to_str().unwrap().parse().unwrap();
            (number, std::fs::read_link(&path).unwrap().to_string_lossy().into_owned())
        })
        .collect();
    all.sort();
    all
}

/// Takes the way to the monitor from it, as a peer with CAP_SYS_PTRACE could.
fn steal(pid: i32) -> OwnedFd {
    let (number, _) = descriptors(pid).into_iter().find(|(_, leads_to)| leads_to.starts_with("socket:")).unwrap();
    let process = pidfd_open(Pid::from_raw(pid).unwrap(), PidfdFlags::empty()).unwrap();
    pidfd_getfd(process, number, PidfdGetfdFlags::empty()).unwrap()
}

/// A process that has nothing to do with the pod.
struct Bystander(Child);

impl Drop for Bystander {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

fn say(socket: &OwnedFd, message: &[u8]) {
    rustix::net::send(socket, message, rustix::net::SendFlags::NOSIGNAL).unwrap();
}

/// "The program runs in this process", with what it may say from then on.
fn process_is(pid: u32, says: u8) -> Vec<u8> {
    [&b"I"[..], &pid.to_le_bytes(), &[says]].concat()
}

fn answer(rig: &mut Rig, kept: &Kept) -> Result<(), ClientError> {
    rig.client.wait(kept.started).map(drop)
}

#[test]
fn it_has_no_way_to_the_host() {
    let mut rig = Rig::ready_with(|r| r.pid = NamespaceMode::Pod.into());
    let kept = keep(&mut rig);
    let held = descriptors(kept.pid);
    let (streams, others): (Vec<_>, Vec<_>) = held.iter().partition(|(number, _)| *number < 3);
    assert_eq!(streams.len(), 3);
    // the way to the monitor; pipes, the pidfd of its hook and what that reads: no namespace, directory, mount, other file
    assert_eq!(others.iter().filter(|(_, leads_to)| leads_to.starts_with("socket:")).count(), 1, "{held:?}");
    let harmless = ["socket:", "pipe:", "anon_inode:[pidfd]", "/memfd:state.json"];
    assert!(others.iter().all(|(_, leads_to)| harmless.iter().any(|h| leads_to.starts_with(h))), "{held:?}");
    let mut spy = rig.script("sleep 1000");
    spy.request.pid = NamespaceMode::Pod.into();
    rig.run(&spy);
    rig.exec(&spy, &["touch", "/dev/shm/go"], |_| {}).unwrap();
    answer(&mut rig, &kept).unwrap();
    assert!(alive(kept.pid));
}

#[test]
fn what_others_say_in_its_place_is_not_heard() {
    let mut rig = Rig::ready_with(|r| r.pid = NamespaceMode::Pod.into());
    let kept = keep(&mut rig);
    let mut bystander = Bystander(Command::new("sleep").arg("1000").stdout(Stdio::null()).spawn().unwrap());
    let socket = steal(kept.pid);
    for says in 0..3 {
        say(&socket, &process_is(bystander.0.id(), says));
    }
    for message in [&b"S"[..], b"?", b""] {
        say(&socket, message);
    }
    // it still waits for its hook: nothing has ended
    assert!(alive(kept.pid));
    drop(socket);
    // it is killed, and nobody else is
    let stop = StopContainer { container_id: kept.bundle.id.clone(), signal: 15, timeout_ms: 0 };
    rig.client.call(Call::StopContainer(stop)).unwrap();
    rig.exit_of(&kept.bundle.id);
    assert!(!alive(kept.pid));
    assert!(bystander.0.try_wait().unwrap().is_none(), "the bystander was killed");
}

#[test]
fn one_whose_socket_others_flood_is_ended() {
    let mut rig = Rig::ready_with(|r| r.pid = NamespaceMode::Pod.into());
    let kept = keep(&mut rig);
    let socket = steal(kept.pid);
    // until the monitor has closed its end
    while rustix::net::send(&socket, b"S", rustix::net::SendFlags::NOSIGNAL).is_ok() {}
    let error = answer(&mut rig, &kept).unwrap_err();
    assert!(error.to_string().contains("it is not for"), "{error}");
    rig.exit_of(&kept.bundle.id);
    assert!(!alive(kept.pid));
    // the monitor goes on
    let next = rig.script("exit 3");
    assert_eq!(rig.finish(&next).0.exit_code, 3);
}
