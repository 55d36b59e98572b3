//! Stopping, signalling, removing, OOM kills, and the monitor's own end.
#![cfg(feature = "host-tests")]
#![allow(clippy::unwrap_used, missing_docs)]

mod rig;

use podwright_protocol::client::Client;
use podwright_protocol::message::request::Call;
use podwright_protocol::message::{
    CgroupFacts, NamespaceMode, RemoveContainer, Shutdown, SignalContainer, StopContainer, StopContainerReply, event,
    response,
};
use rig::bundle::Bundle;
use rig::cgroups::Cgroup;
use rig::fuse::Fuse;
use rig::{Rig, alive};
use std::path::Path;
use std::time::{Duration, Instant};

fn stop(bundle: &Bundle, timeout_ms: u64) -> Call {
    Call::StopContainer(StopContainer { container_id: bundle.id.clone(), signal: 15, timeout_ms })
}

fn stopped(result: response::Result) -> StopContainerReply {
    match result {
        response::Result::StopContainer(reply) => reply,
        other => panic!("{other:?}"),
    }
}

const STUBBORN: &str = "trap '' TERM; echo up; while :; do sleep 1; done";
const POLITE: &str = "trap 'echo bye; exit 4' TERM; echo up; while :; do sleep 0.05; done";

/// Waits for what must come soon, on a busy machine too.
fn within(what: &str, is: impl Fn() -> bool) {
    let begin = Instant::now();
    while !is() {
        assert!(begin.elapsed() < Duration::from_secs(30), "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn grace_is_given_and_then_no_more() {
    let mut rig = Rig::ready();
    let polite = rig.script(POLITE);
    rig.run(&polite);
    polite.await_log("up");
    let reply = stopped(rig.client.call(stop(&polite, 10_000)).unwrap());
    let exit = reply.exit.unwrap();
    assert_eq!((exit.exit_code, exit.stopped), (4, true));
    assert!(polite.log().ends_with("stdout F bye\n"));
    let stubborn = rig.script(STUBBORN);
    rig.run(&stubborn);
    stubborn.await_log("up");
    let begin = Instant::now();
    let exit = stopped(rig.client.call(stop(&stubborn, 300)).unwrap()).exit.unwrap();
    assert_eq!((exit.exit_code, exit.signal, exit.oom_killed), (137, 9, false));
    assert!(begin.elapsed() >= Duration::from_millis(300) && begin.elapsed() < Duration::from_secs(30));
    assert!(stubborn.exit_file()["stopped"].as_bool().unwrap());
    // again: the same answer
    assert_eq!(stopped(rig.client.call(stop(&stubborn, 300)).unwrap()).exit, Some(exit));
}

#[test]
fn a_second_stop_shortens_and_never_lengthens() {
    let mut rig = Rig::ready();
    let bundle = rig.script(STUBBORN);
    rig.run(&bundle);
    bundle.await_log("up");
    let begin = Instant::now();
    let first = rig.client.send(stop(&bundle, 60_000)).unwrap();
    let second = rig.client.send(stop(&bundle, 200)).unwrap();
    let third = rig.client.send(stop(&bundle, 120_000)).unwrap();
    for id in [first, second, third] {
        assert_eq!(stopped(rig.client.wait(id).unwrap()).exit.unwrap().exit_code, 137);
    }
    assert!(begin.elapsed() < Duration::from_secs(30));
}

#[test]
fn the_deadline_is_kept_without_a_daemon() {
    let mut rig = Rig::ready();
    let bundle = rig.script(STUBBORN);
    let pid = rig.run(&bundle);
    bundle.await_log("up");
    let (mut other, _) = Client::open(&rig.socket()).unwrap();
    other.send(stop(&bundle, 300)).unwrap();
    drop(other);
    let exit = rig.exit_of(&bundle.id);
    assert!(exit.stopped && exit.exit_code == 137 && !alive(pid));
}

#[test]
fn created_frozen_and_ended_containers_stop() {
    let mut rig = Rig::ready();
    let created = rig.script("sleep 100");
    rig.create(&created).unwrap();
    let exit = stopped(rig.client.call(stop(&created, 60_000)).unwrap()).exit.unwrap();
    assert_eq!((exit.started, exit.exit_code), (false, 137));
    let cgroup = Cgroup::make("frozen");
    let mut frozen = rig.script(POLITE);
    frozen.request.cgroup = Some(cgroup.facts.clone());
    rig.run(&frozen);
    frozen.await_log("up");
    std::fs::write(cgroup.v1("freezer").join("freezer.state"), "FROZEN").unwrap();
    let exit = stopped(rig.client.call(stop(&frozen, 10_000)).unwrap()).exit.unwrap();
    assert_eq!(exit.exit_code, 4);
    let mut killed = rig.script(STUBBORN);
    killed.request.cgroup = Some(cgroup.facts.clone());
    rig.run(&killed);
    std::fs::write(cgroup.v1("freezer").join("freezer.state"), "FROZEN").unwrap();
    let begin = Instant::now();
    let exit = stopped(rig.client.call(stop(&killed, 0)).unwrap()).exit.unwrap();
    assert!(exit.exit_code == 137 && begin.elapsed() < Duration::from_secs(30));
    std::fs::write(cgroup.v1("freezer").join("freezer.state"), "THAWED").unwrap();
}

#[test]
fn the_rest_of_the_cgroup_dies_with_the_main_process() {
    let mut rig = Rig::ready_with(|r| r.pid = NamespaceMode::Pod.into());
    for by_cgroup_kill in [true, false] {
        let cgroup = Cgroup::make(&format!("rest-{by_cgroup_kill}"));
        let mut bundle = rig.script("setsid sleep 1000 & echo started; exit 2");
        let mut facts = cgroup.facts.clone();
        if !by_cgroup_kill {
            facts.kill_file.clear();
        }
        bundle.request.cgroup = Some(facts);
        bundle.request.pid = NamespaceMode::Pod.into();
        bundle.request.kill_rest_on_exit = true;
        let begin = Instant::now();
        let (exit, log) = rig.finish(&bundle);
        assert_eq!((exit.exit_code, log.as_str()), (2, "stdout F started\n"));
        assert!(begin.elapsed() < Duration::from_secs(30));
        let procs = || std::fs::read_to_string(format!("{}/cgroup.procs", cgroup.facts.procs_dir)).unwrap();
        within("nothing runs in it", || procs().is_empty());
    }
}

#[test]
fn oom_kills_are_told_truly() {
    let mut rig = Rig::ready();
    let cgroup = Cgroup::make("oom");
    std::fs::write(cgroup.v1("memory").join("memory.limit_in_bytes"), "16777216").unwrap();
    let mut bundle = rig.script("x=x; while :; do x=$x$x$x; done");
    bundle.request.cgroup = Some(cgroup.facts.clone());
    let (exit, _) = rig.finish(&bundle);
    assert_eq!((exit.exit_code, exit.signal, exit.oom_killed), (137, 9, true));
    assert!(exit.oom_kills >= 1);
    drop(rig);
    drop(cgroup);
    // a child is killed, the container goes on and ends well
    let mut rig = Rig::ready();
    let cgroup = Cgroup::make("oom-child");
    std::fs::write(cgroup.v1("memory").join("memory.limit_in_bytes"), "16777216").unwrap();
    let mut bundle = rig.script("sh -c 'x=x; while :; do x=$x$x$x; done'; echo went on; sleep 0.2");
    bundle.request.cgroup = Some(cgroup.facts.clone());
    let (exit, log) = rig.finish(&bundle);
    assert_eq!((exit.exit_code, exit.oom_killed, exit.oom_kills), (0, false, 1), "{log}");
    assert!(rig.others.iter().any(|e| matches!(e, event::Event::Oom(fact) if fact.oom_kills == 1)));
}

#[test]
fn an_exit_that_waits_for_its_log_tells_what_was_so_at_the_end() {
    for by_signal in [true, false] {
        let mut rig = Rig::ready();
        // it takes nothing: the exit waits for what the program says
        let slow = Fuse::until_write(rig.dir.join("slow"));
        // stands for a cgroup whose only process systemd sees go
        let group = rig.dir.join("group");
        std::fs::create_dir(&group).unwrap();
        let count =
            |kills: u64| std::fs::write(group.join("memory.events"), format!("oom {kills}\noom_kill {kills}\n"));
        count(0).unwrap();
        let mut bundle =
            rig.script("echo seen; touch /tmp/said; while [ ! -e /tmp/go ]; do usleep 10000; done; exit 137");
        let file = group.join("memory.events.local").to_str().unwrap().to_owned();
        bundle.request.cgroup = Some(CgroupFacts { memory_events: file, ..CgroupFacts::default() });
        bundle.request.log.as_mut().unwrap().path = slow.dir.join("0.log").to_str().unwrap().into();
        let pid = rig.run(&bundle);
        within("its output", || bundle.dir.join("upper/tmp/said").exists());
        count(1).unwrap();
        if by_signal {
            let kill = SignalContainer { container_id: bundle.id.clone(), signal: 9, all: false };
            rig.client.call(Call::SignalContainer(kill)).unwrap();
        } else {
            rig.exec(&bundle, &["touch", "/tmp/go"], |_| {}).unwrap();
        }
        // a process that has ended stays until the monitor has seen it
        within("its end", || !Path::new(&format!("/proc/{pid}")).exists());
        // answered when what belongs to the end is done
        let nobody = SignalContainer { container_id: "nobody".into(), signal: 1, all: false };
        rig.client.call(Call::SignalContainer(nobody)).unwrap_err();
        let waits = rig.client.send(stop(&bundle, 0)).unwrap();
        std::fs::remove_dir_all(&group).unwrap();
        let exit = stopped(rig.client.wait(waits).unwrap()).exit.unwrap();
        assert_eq!((exit.exit_code, exit.signal), (137, if by_signal { 9 } else { 0 }));
        assert_eq!((exit.oom_killed, exit.oom_kills, exit.stopped), (true, 1, false), "{by_signal}");
        drop(slow);
    }
}

#[test]
fn signals_reach_the_process_or_all() {
    let mut rig = Rig::ready();
    let bundle = rig.script("trap 'echo usr1' USR1; echo up; while :; do sleep 0.05; done");
    rig.run(&bundle);
    bundle.await_log("up");
    let signal =
        |all, number| Call::SignalContainer(SignalContainer { container_id: bundle.id.clone(), signal: number, all });
    rig.client.call(signal(false, 10)).unwrap();
    bundle.await_log("usr1");
    assert!(rig.client.call(signal(false, 65)).is_err());
    rig.client.call(signal(false, 9)).unwrap();
    assert_eq!(rig.exit_of(&bundle.id).exit_code, 137);
    assert!(rig.client.call(signal(false, 9)).is_err());
}

#[test]
fn removing_kills_and_forgets() {
    let mut rig = Rig::ready();
    let bundle = rig.script(STUBBORN);
    let pid = rig.run(&bundle);
    let remove = || Call::RemoveContainer(RemoveContainer { container_id: bundle.id.clone() });
    rig.client.call(remove()).unwrap();
    assert!(!alive(pid));
    rig.client.call(remove()).unwrap();
    assert_eq!(rig.exit_of(&bundle.id).exit_code, 137);
}

#[test]
fn the_monitor_ends_with_everything_in_it() {
    let mut rig = Rig::ready_with(|r| r.pid = NamespaceMode::Pod.into());
    let mut pids = vec![rig.hello.pid];
    for _ in 0..3 {
        let mut bundle = rig.script(STUBBORN);
        bundle.request.pid = NamespaceMode::Pod.into();
        pids.push(rig.run(&bundle));
    }
    let created = rig.script("true");
    pids.push(rig.create(&created).unwrap().pid);
    rig.client.call(Call::Shutdown(Shutdown {})).unwrap();
    within("all of them are gone", || !pids.iter().any(|p| alive(*p)));
}

#[test]
fn sigterm_is_for_idle_monitors_only() {
    let mut rig = Rig::ready();
    let bundle = rig.script(STUBBORN);
    rig.run(&bundle);
    podwright_sys::signal::send(rig.hello.pid, 15).unwrap();
    std::thread::sleep(Duration::from_millis(100));
    assert!(alive(rig.hello.pid));
    stopped(rig.client.call(stop(&bundle, 0)).unwrap());
    podwright_sys::signal::send(rig.hello.pid, 15).unwrap();
    within("an idle monitor ends", || !alive(rig.hello.pid) && !rig.pin().exists());
}
