//! Needs root and the iptables package. Runs in a network namespace of the test's own thread.
#![cfg(feature = "host-tests")]
#![allow(unsafe_code, clippy::unwrap_used)]

use podwright_iptables::{
    BridgeRules, BridgeSubnet, Chains, ForwardJump, HostPort, Protocol, ensure, prune_host_ports, remove_all,
    set_host_ports,
};
use std::collections::BTreeSet;
use std::process::Command;
use std::time::Instant;

fn on_a_host(test: impl FnOnce() + Send + 'static) {
    let thread = std::thread::spawn(|| {
        // SAFETY: CLONE_NEWNET changes nothing that memory safety rests on.
        unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNET) }.unwrap();
        test();
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {output:?}");
    text.lines().filter(|line| line.starts_with('-') || line.contains(" - [")).map(|line| format!("{line}\n")).collect()
}

fn everything() -> String {
    output("iptables-save", &[]) + &output("ip6tables-save", &[])
}

fn rules(forward: ForwardJump) -> BridgeRules {
    let net = |subnet: &str| BridgeSubnet { subnet: subnet.parse().unwrap(), masquerade: true };
    BridgeRules {
        chains: Chains::new("PW-pwt0").unwrap(),
        bridge: "pwt0".into(),
        subnets: vec![net("10.213.2.0/24"), net("fd00:213::/64")],
        forward,
    }
}

fn port(host_port: u16, protocol: Protocol, pod_ip: &str) -> HostPort {
    let six = pod_ip.contains(':');
    HostPort {
        protocol,
        host_ip: (protocol == Protocol::Udp).then(|| "192.0.2.2".parse().unwrap()),
        host_port,
        pod_ip: pod_ip.parse().unwrap(),
        container_port: 80,
        masquerade_from: Some(if six { "fd00:213::/64" } else { "10.213.2.0/24" }.parse().unwrap()),
    }
}

#[test]
fn rules_come_once_and_go_wholly() {
    on_a_host(|| {
        let foreign = "-A FORWARD -s 198.51.100.0/24 -j DROP\n";
        output("iptables", &["-A", "FORWARD", "-s", "198.51.100.0/24", "-j", "DROP"]);
        let rules = rules(ForwardJump::First);
        ensure(&rules).unwrap();
        let once = everything();
        ensure(&rules).unwrap();
        assert_eq!(everything(), once);
        let four = output("iptables-save", &[]);
        for wanted in [
            "-A POSTROUTING -j PW-pwt0-POSTROUTING",
            "-A PREROUTING -m addrtype --dst-type LOCAL -j PW-pwt0-PREROUTING",
            "-A OUTPUT -m addrtype --dst-type LOCAL -j PW-pwt0-OUTPUT",
            "-A PW-pwt0-POSTROUTING -s 10.213.2.0/24 ! -d 10.213.2.0/24 -j MASQUERADE --random-fully",
            "-A PW-pwt0-FORWARD -o pwt0 -j ACCEPT",
        ] {
            assert_eq!(four.matches(wanted).count(), 1, "{wanted} in\n{four}");
        }
        let ours = once.find("-A FORWARD -j PW-pwt0-FORWARD").unwrap();
        assert!(ours < once.find(foreign.trim()).unwrap());
        assert!(remove_all(&rules.chains).unwrap());
        assert!(!remove_all(&rules.chains).unwrap());
        assert_eq!(everything(), foreign);
    });
}

#[test]
fn a_lost_jump_comes_back_and_a_double_one_goes() {
    on_a_host(|| {
        let rules = rules(ForwardJump::Last);
        ensure(&rules).unwrap();
        let whole = everything();
        output("iptables", &["-t", "nat", "-F", "POSTROUTING"]);
        output("iptables", &["-A", "FORWARD", "-j", "PW-pwt0-FORWARD"]);
        output("iptables", &["-F", "PW-pwt0-FORWARD"]);
        ensure(&rules).unwrap();
        assert_eq!(everything(), whole);
    });
}

#[test]
fn host_ports_are_per_pod() {
    on_a_host(|| {
        let rules = rules(ForwardJump::First);
        let chains = &rules.chains;
        ensure(&rules).unwrap();
        let bare = everything();
        let one = [
            port(8080, Protocol::Tcp, "10.213.2.5"),
            port(8053, Protocol::Udp, "10.213.2.5"),
            port(8080, Protocol::Tcp, "fd00:213::5"),
        ];
        let two = [port(9090, Protocol::Sctp, "10.213.2.6")];
        set_host_ports(chains, "aa11", &[], &one).unwrap();
        set_host_ports(chains, "bb22", &[], &two).unwrap();
        ensure(&rules).unwrap();
        let both = everything();
        assert_eq!(both.matches("podwright:aa11").count(), 6, "{both}");
        assert_eq!(both.matches("podwright:bb22").count(), 2, "{both}");
        // the same again, believed new: not doubled once the belief is corrected
        set_host_ports(chains, "aa11", &one, &one).unwrap();
        assert_eq!(everything().matches("podwright:aa11").count(), 6);
        // a belief that is wrong
        set_host_ports(chains, "bb22", &one, &two).unwrap();
        assert_eq!(everything().matches("podwright:bb22").count(), 2);
        set_host_ports(chains, "aa11", &one, &[]).unwrap();
        set_host_ports(chains, "aa11", &one, &[]).unwrap();
        assert_eq!(everything().matches("podwright:aa11").count(), 0);
        let gone = prune_host_ports(chains, &BTreeSet::from(["cc33".to_owned()])).unwrap();
        assert_eq!(gone, BTreeSet::from(["bb22".to_owned()]));
        assert_eq!(everything(), bare);
        remove_all(chains).unwrap();
        assert_eq!(everything(), "");
    });
}

#[test]
fn a_refusal_names_the_rule() {
    on_a_host(|| {
        let chains = Chains::new("PW-none").unwrap();
        let ports = [port(80, Protocol::Tcp, "10.213.2.5")];
        let error = set_host_ports(&chains, "aa", &[], &ports).unwrap_err();
        assert!(error.to_string().contains("PW-none-HOSTPORTS"), "{error}");
    });
}

/// `cargo test --release --features host-tests -- --ignored --nocapture speed`
#[test]
#[ignore = "a measurement"]
fn speed() {
    on_a_host(|| {
        let rules = rules(ForwardJump::First);
        let mut times = [const { Vec::new() }; 3];
        for round in 0..30u16 {
            let ports = [port(1000 + round, Protocol::Tcp, "10.213.2.5")];
            let start = Instant::now();
            ensure(&rules).unwrap();
            times[0].push(start.elapsed().as_micros());
            let start = Instant::now();
            set_host_ports(&rules.chains, "aa", &[], &ports).unwrap();
            times[1].push(start.elapsed().as_micros());
            let start = Instant::now();
            set_host_ports(&rules.chains, "aa", &ports, &[]).unwrap();
            times[2].push(start.elapsed().as_micros());
        }
        for (name, times) in ["ensure", "add", "remove"].iter().zip(&mut times) {
            times.sort_unstable();
            println!("{name}: min {} p50 {} µs", times[0], times[times.len() / 2]);
        }
    });
}
