//! Needs root and the iptables package. Runs in a network namespace of the test's own thread.
#![cfg(feature = "host-tests")]
#![allow(unsafe_code, clippy::unwrap_used)]

use podwright_iptables::{
    Backend, BridgeRules, BridgeSubnet, Chains, ForwardJump, HostPort, Protocol, ensure, prune_host_ports, remove_all,
    set_host_ports,
};
use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Stdio};
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
        ensure(Backend::Iptables, &rules).unwrap();
        let once = everything();
        ensure(Backend::Iptables, &rules).unwrap();
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
        ensure(Backend::Iptables, &rules).unwrap();
        let whole = everything();
        output("iptables", &["-t", "nat", "-F", "POSTROUTING"]);
        output("iptables", &["-A", "FORWARD", "-j", "PW-pwt0-FORWARD"]);
        output("iptables", &["-F", "PW-pwt0-FORWARD"]);
        ensure(Backend::Iptables, &rules).unwrap();
        assert_eq!(everything(), whole);
    });
}

#[test]
fn host_ports_are_per_pod() {
    on_a_host(|| {
        let rules = rules(ForwardJump::First);
        let chains = &rules.chains;
        ensure(Backend::Iptables, &rules).unwrap();
        let bare = everything();
        let one = [
            port(8080, Protocol::Tcp, "10.213.2.5"),
            port(8053, Protocol::Udp, "10.213.2.5"),
            port(8080, Protocol::Tcp, "fd00:213::5"),
        ];
        let two = [port(9090, Protocol::Sctp, "10.213.2.6")];
        set_host_ports(Backend::Iptables, chains, "aa11", &[], &one).unwrap();
        set_host_ports(Backend::Iptables, chains, "bb22", &[], &two).unwrap();
        ensure(Backend::Iptables, &rules).unwrap();
        let both = everything();
        assert_eq!(both.matches("podwright:aa11").count(), 6, "{both}");
        assert_eq!(both.matches("podwright:bb22").count(), 2, "{both}");
        // the same again, believed new: not doubled once the belief is corrected
        set_host_ports(Backend::Iptables, chains, "aa11", &one, &one).unwrap();
        assert_eq!(everything().matches("podwright:aa11").count(), 6);
        // a belief that is wrong
        set_host_ports(Backend::Iptables, chains, "bb22", &one, &two).unwrap();
        assert_eq!(everything().matches("podwright:bb22").count(), 2);
        set_host_ports(Backend::Iptables, chains, "aa11", &one, &[]).unwrap();
        set_host_ports(Backend::Iptables, chains, "aa11", &one, &[]).unwrap();
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
        let error = set_host_ports(Backend::Iptables, &chains, "aa", &[], &ports).unwrap_err();
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
            ensure(Backend::Iptables, &rules).unwrap();
            times[0].push(start.elapsed().as_micros());
            let start = Instant::now();
            set_host_ports(Backend::Iptables, &rules.chains, "aa", &[], &ports).unwrap();
            times[1].push(start.elapsed().as_micros());
            let start = Instant::now();
            set_host_ports(Backend::Iptables, &rules.chains, "aa", &ports, &[]).unwrap();
            times[2].push(start.elapsed().as_micros());
        }
        for (name, times) in ["ensure", "add", "remove"].iter().zip(&mut times) {
            times.sort_unstable();
            println!("{name}: min {} p50 {} µs", times[0], times[times.len() / 2]);
        }
    });
}

/// The nft of the system: npm puts a tool of the same name in front.
fn nft(arguments: &[&str]) -> Command {
    let mut nft = Command::new("nft");
    nft.env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin").args(arguments);
    nft
}

fn table(name: &str) -> String {
    let output = nft(&["list", "table", "inet", name]).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// Why nft cannot make our table here: it is not there, or a kernel that lacks what our rules need most.
fn why_no_nft() -> Option<String> {
    let mut nft = nft(&["-f", "-"]);
    let pipes = nft.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = match pipes.spawn() {
        Ok(child) => child,
        Err(error) => return Some(format!("no nft: {error}")),
    };
    let chain = "chain probe { type nat hook prerouting priority -95; fib daddr type local accept; };";
    child.stdin.take().unwrap().write_all(format!("table inet probe {{ {chain} }}\n").as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    (!output.status.success()).then(|| String::from_utf8_lossy(&output.stderr).trim().to_owned())
}

#[test]
fn one_table_of_nftables_does_the_same() {
    on_a_host(|| {
        if let Some(why) = why_no_nft() {
            eprintln!("skipped ({why})");
            return;
        }
        let rules = rules(ForwardJump::First);
        let chains = &rules.chains;
        let set = |id: &str, previous: &[HostPort], wanted: &[HostPort]| {
            set_host_ports(Backend::Nftables, chains, id, previous, wanted).unwrap();
        };
        ensure(Backend::Nftables, &rules).unwrap();
        let (tcp, udp) = (port(8080, Protocol::Tcp, "10.213.2.5"), port(53, Protocol::Udp, "10.213.2.5"));
        let six = port(8080, Protocol::Tcp, "fd00:213::5");
        set("aa", &[], &[tcp.clone(), udp.clone(), six.clone()]);
        set("bb", &[], &[port(8081, Protocol::Sctp, "10.213.2.6")]);
        let full = table("PW-pwt0");
        for wanted in [
            "tcp . 8080 comment \"podwright:aa\" : 10.213.2.5 . 80",
            "192.0.2.2 . udp . 53 comment \"podwright:aa\" : 10.213.2.5 . 80",
            "tcp . 8080 comment \"podwright:aa\" : fd00:213::5 . 80",
            "sctp . 8081 comment \"podwright:bb\"",
            "ip saddr 10.213.2.0/24 ip daddr != 10.213.2.0/24 masquerade fully-random",
        ] {
            assert_eq!(full.matches(wanted).count(), 1, "{wanted} in\n{full}");
        }
        ensure(Backend::Nftables, &rules).unwrap();
        assert_eq!(table("PW-pwt0"), full, "a repair keeps what pods have");
        // what is there is not what it is believed to be
        set("aa", &[port(9999, Protocol::Tcp, "10.213.2.5")], std::slice::from_ref(&tcp));
        let less = table("PW-pwt0");
        assert!(less.contains("tcp . 8080") && !less.contains("udp . 53") && !less.contains("fd00:213::5"), "{less}");
        set("aa", &[udp], &[]);
        assert!(!table("PW-pwt0").contains("podwright:aa"));
        set("aa", &[], &[six]);
        let live = BTreeSet::from(["bb".to_owned()]);
        assert_eq!(prune_host_ports(chains, &live).unwrap().into_iter().collect::<Vec<_>>(), ["aa"]);
        assert!(prune_host_ports(chains, &live).unwrap().is_empty());
        assert!(table("PW-pwt0").contains("podwright:bb"));
        assert_eq!(everything(), "", "nothing of iptables");
        assert!(remove_all(chains).unwrap());
        assert!(!remove_all(chains).unwrap());
        assert_eq!(table("PW-pwt0"), "");
    });
}

const REFUSING: &str = "PODWRIGHT_TEST_IPTABLES_REFUSES";

#[test]
fn what_iptables_refuses_does_not_keep_nft_from_its_part() {
    // programs are found by PATH, which is of a whole process
    let dir = std::env::temp_dir().join(format!("podwright-iptables-{}", std::process::id()));
    std::fs::create_dir(&dir).unwrap();
    for name in ["iptables-save", "ip6tables-save"] {
        std::os::unix::fs::symlink("/bin/false", dir.join(name)).unwrap();
    }
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--ignored", "--exact", "where_iptables_refuses", "--nocapture"]);
    let path = format!("{}:/usr/sbin:/sbin:/usr/bin:/bin", dir.display());
    let output = child.env("PATH", path).env(REFUSING, "yes").output().unwrap();
    std::fs::remove_dir_all(&dir).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    eprint!("{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
#[ignore = "run by the test before it, with an iptables that refuses"]
fn where_iptables_refuses() {
    if std::env::var_os(REFUSING).is_none() {
        return;
    }
    on_a_host(|| {
        if let Some(why) = why_no_nft() {
            eprintln!("skipped ({why})");
            return;
        }
        let rules = rules(ForwardJump::First);
        let chains = &rules.chains;
        ensure(Backend::Nftables, &rules).unwrap();
        set_host_ports(Backend::Nftables, chains, "aa", &[], &[port(8080, Protocol::Tcp, "10.213.2.5")]).unwrap();
        assert!(table("PW-pwt0").contains("podwright:aa"));
        let error = prune_host_ports(chains, &BTreeSet::new()).unwrap_err();
        assert!(error.to_string().starts_with("iptables-save failed"), "{error}");
        assert!(!table("PW-pwt0").contains("podwright:aa"));
        let error = remove_all(chains).unwrap_err();
        assert!(error.to_string().starts_with("iptables-save failed"), "{error}");
        assert_eq!(table("PW-pwt0"), "");
    });
}
