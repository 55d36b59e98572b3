//! Needs root. The "host" is a network namespace of the test's own thread, so that nothing of the
//! machine is touched and nothing can be left behind.
#![cfg(feature = "host-tests")]
#![allow(unsafe_code, clippy::unwrap_used)]

use podwright_netlink::{
    BridgeSetup, Cidr, PodAttachment, Route, Traffic, TrafficOf, TrafficReader, attach, delete_link, find_link, inside,
    list_links, remove_bridge, set_up_bridge,
};
use rustix::thread::{UnshareFlags, gettid};
use std::net::{IpAddr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::{Duration, Instant};

fn unshare_net() {
    // SAFETY: CLONE_NEWNET changes nothing that memory safety rests on.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) }.unwrap();
}

/// Runs a test in a network namespace that ends with it.
fn on_a_host(test: impl FnOnce() + Send + 'static) {
    let thread = std::thread::spawn(|| {
        unshare_net();
        test();
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

fn inside_of(netns: &Path) -> TrafficOf {
    TrafficOf { host_interface: None, pod_interface: "eth0".into(), netns: Some(netns.to_owned()) }
}

fn traffic_inside(netns: &Path) -> Traffic {
    TrafficReader::new(1).read(&[inside_of(netns)]).unwrap().remove(0).unwrap()
}

/// An empty network namespace, alive as long as this is.
struct Pod {
    netns: PathBuf,
    _end: mpsc::Sender<()>,
}

fn pod() -> Pod {
    let (tell, told) = mpsc::channel();
    let (end, ended) = mpsc::channel::<()>();
    std::thread::spawn(move || {
        unshare_net();
        let tid = gettid().as_raw_nonzero();
        tell.send(PathBuf::from(format!("/proc/self/task/{tid}/ns/net"))).unwrap();
        let _ = ended.recv();
    });
    Pod { netns: told.recv().unwrap(), _end: end }
}

fn bridge() -> BridgeSetup {
    BridgeSetup {
        bridge: "pwt0".into(),
        alias: "podwright".into(),
        mtu: Some(1400),
        mac: Some([0x0a, 0x58, 10, 213, 1, 1]),
        gateways: vec![cidr("10.213.1.1/24"), cidr("fd00:213::1/64")],
        forwarding: true,
    }
}

fn cidr(text: &str) -> Cidr {
    text.parse().unwrap()
}

fn wanted(pod: &Pod, number: u8) -> PodAttachment {
    let gateway = |address: &str| Some(address.parse::<IpAddr>().unwrap());
    PodAttachment {
        netns: pod.netns.clone(),
        host_interface: format!("pw{number:013x}"),
        pod_interface: "eth0".into(),
        bridge: "pwt0".into(),
        alias: format!("podwright:{number}"),
        mtu: 1400,
        mac: Some([0x0a, 0x58, 10, 213, 1, number]),
        addresses: vec![cidr(&format!("10.213.1.{number}/24")), cidr(&format!("fd00:213::{number:x}/64"))],
        routes: vec![
            Route { destination: cidr("0.0.0.0/0"), gateway: gateway("10.213.1.1") },
            Route { destination: cidr("::/0"), gateway: gateway("fd00:213::1") },
        ],
        hairpin: true,
    }
}

#[test]
fn pods_reach_each_other_and_the_host() {
    on_a_host(|| {
        assert!(set_up_bridge(&bridge()).unwrap());
        assert!(!set_up_bridge(&bridge()).unwrap(), "made once");
        assert_eq!(find_link("pwt0").unwrap().unwrap().mtu, 1400);
        let (one, two) = (pod(), pod());
        let attached = attach(&wanted(&one, 11)).unwrap();
        assert!(attached.created);
        assert_eq!(attached.mac, [0x0a, 0x58, 10, 213, 1, 11]);
        assert!(attach(&wanted(&two, 12)).unwrap().created);

        for address in ["10.213.1.11:7000", "[fd00:213::b]:7000"] {
            let listener = inside(&one.netns, || Ok(TcpListener::bind(address).unwrap())).unwrap();
            TcpStream::connect_timeout(&address.parse().unwrap(), Duration::from_secs(20)).unwrap();
            inside(&two.netns, || Ok(TcpStream::connect_timeout(&address.parse().unwrap(), Duration::from_secs(20))))
                .unwrap()
                .unwrap();
            drop(listener);
        }
        let host = find_link(&wanted(&one, 11).host_interface).unwrap().unwrap();
        assert_eq!(host.alias, "podwright:11");
        assert_eq!(host.mtu, 1400);
        assert_eq!(host.master, Some(find_link("pwt0").unwrap().unwrap().index));
        let counters = traffic_inside(&one.netns);
        let (_, seen_inside) = counters.iter().find(|(name, _)| name == "eth0").unwrap();
        let from_outside = find_link(&host.name).unwrap().unwrap();
        assert!(seen_inside.rx_bytes > 0);
        assert!(from_outside.counters.tx_bytes >= seen_inside.rx_bytes);
        let listed = list_links("pw0").unwrap();
        assert_eq!(listed.len(), 2);
        let swapped = listed[0].counters.from_the_other_end();
        assert!(swapped.rx_packets >= seen_inside.rx_packets);
        assert!(!remove_bridge("pwt0", "podwright").unwrap(), "has ports");
        for number in [11, 12] {
            assert!(delete_link(&format!("pw{number:013x}")).unwrap());
            assert!(!delete_link(&format!("pw{number:013x}")).unwrap());
        }
        assert_eq!(find_link("pwt0").unwrap().unwrap().mtu, 1400, "also without ports");
        assert!(!remove_bridge("pwt0", "another").unwrap(), "not its owner");
        assert!(remove_bridge("pwt0", "podwright").unwrap());
        assert!(!remove_bridge("pwt0", "podwright").unwrap());
    });
}

#[test]
fn a_second_attach_repairs_and_a_stale_pair_is_replaced() {
    on_a_host(|| {
        set_up_bridge(&bridge()).unwrap();
        let first = pod();
        assert!(attach(&wanted(&first, 21)).unwrap().created);
        assert!(!attach(&wanted(&first, 21)).unwrap().created);
        // the same id in another namespace: after a reboot, or a pod that was made anew
        let second = pod();
        assert!(attach(&wanted(&second, 21)).unwrap().created);
        assert!(traffic_inside(&first.netns).is_empty());
        // another id in a pod that is connected already
        let error = attach(&wanted(&second, 22)).unwrap_err();
        assert_eq!(error.errno(), libc::EEXIST, "{error}");
    });
}

#[test]
fn traffic_is_the_same_from_either_end_and_sockets_are_bounded() {
    on_a_host(|| {
        set_up_bridge(&bridge()).unwrap();
        let pods = [pod(), pod()];
        let ends = [wanted(&pods[0], 41), wanted(&pods[1], 42)];
        for end in &ends {
            attach(end).unwrap();
        }
        let by_host = |at: usize| TrafficOf {
            host_interface: Some(ends[at].host_interface.clone()),
            ..inside_of(&pods[at].netns)
        };
        let mut reader = TrafficReader::new(1);
        let all = [by_host(0), inside_of(&pods[1].netns), by_host(1), inside_of(&pods[0].netns)];
        for round in 0..2 {
            inside(&pods[1].netns, || {
                // refused or not, the address of the bridge is known from then on
                let _ = TcpStream::connect_timeout(&"10.213.1.1:9".parse().unwrap(), Duration::from_secs(20));
                let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
                for _ in 0..50 {
                    assert_eq!(socket.send_to(&[0; 1000], "10.213.1.1:9").unwrap(), 1000);
                }
                Ok(())
            })
            .unwrap();
            let least = 50_000 * (round + 1);
            // what waits for the address of the bridge is counted when it leaves
            let deadline = Instant::now() + Duration::from_secs(20);
            let read = loop {
                let read = reader.read(&all).unwrap();
                let of = |at: usize| read[at].as_ref().unwrap()[0].1;
                let sent = of(1).tx_bytes >= least && of(2).tx_bytes >= least;
                // or what the pod sends unasked went between the two
                if sent && of(2).tx_packets <= of(1).tx_packets {
                    break read;
                }
                assert!(Instant::now() < deadline, "{read:?}");
                std::thread::sleep(Duration::from_millis(20));
            };
            let of = |at: usize| read[at].as_ref().unwrap()[0].1;
            assert!(of(0).tx_bytes < 50_000, "the other pod has sent nothing");
            assert_eq!(read[3].as_ref().unwrap()[0].0, "eth0");
            assert_eq!(reader.sockets_inside(), 1);
        }
        // made anew under the same name: its number is another
        assert!(delete_link(&ends[0].host_interface).unwrap());
        let read = reader.read(&all[..1]).unwrap();
        assert_eq!(read, [Some(Vec::new())], "asked from inside, where nothing is left");
        attach(&ends[0]).unwrap();
        assert_eq!(reader.read(&all[..1]).unwrap()[0].as_ref().map(Vec::len), Some(1));
        reader.forget(&pods[0].netns);
        reader.forget(&pods[1].netns);
        assert_eq!(reader.sockets_inside(), 0);
    });
}

#[test]
fn refusals_say_what_and_why() {
    on_a_host(|| {
        let pod = pod();
        let error = attach(&wanted(&pod, 31)).unwrap_err();
        assert_eq!(error.errno(), libc::ENODEV);
        assert!(error.to_string().contains("look up the bridge pwt0"), "{error}");
        set_up_bridge(&bridge()).unwrap();
        let mut bad = wanted(&pod, 31);
        bad.routes[0].gateway = Some("203.0.113.1".parse().unwrap());
        let error = attach(&bad).unwrap_err().to_string();
        assert!(error.contains("0.0.0.0/0 by eth0 via 203.0.113.1"), "{error}");
        let mut lost = wanted(&pod, 32);
        lost.netns = "/proc/nowhere".into();
        assert_eq!(attach(&lost).unwrap_err().errno(), libc::ENOENT);
        lost.netns = "/proc/self/ns/uts".into();
        assert_eq!(attach(&lost).unwrap_err().errno(), libc::EINVAL);
        let error = set_up_bridge(&BridgeSetup { bridge: "lo".into(), ..bridge() });
        assert_eq!(error.unwrap_err().errno(), libc::EEXIST);
    });
}

#[test]
fn flows_to_a_published_port_are_forgotten() {
    on_a_host(|| {
        podwright_netlink::loopback_up(&PathBuf::from("/proc/thread-self/ns/net")).unwrap();
        let none = podwright_netlink::forget_udp_flows(&[]).unwrap();
        assert_eq!(none, 0);
        // without a rule that needs it the kernel tracks nothing here: only the walk is tried
        UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = podwright_netlink::PublishedPort { host_ip: None, port: 53 };
        podwright_netlink::forget_udp_flows(&[port]).unwrap();
    });
}

/// `cargo test --release --features host-tests -- --ignored --nocapture speed`
#[test]
#[ignore = "a measurement"]
fn speed() {
    on_a_host(|| {
        set_up_bridge(&bridge()).unwrap();
        let mut attach_us = Vec::new();
        let mut delete_us = Vec::new();
        for number in 10..210u8 {
            let pod = pod();
            let mut request = wanted(&pod, number);
            request.addresses.truncate(1);
            request.routes.truncate(1);
            let start = Instant::now();
            attach(&request).unwrap();
            attach_us.push(start.elapsed().as_micros());
            let start = Instant::now();
            delete_link(&request.host_interface).unwrap();
            delete_us.push(start.elapsed().as_micros());
        }
        for (name, mut times) in [("attach", attach_us), ("delete", delete_us)] {
            times.sort_unstable();
            println!("{name}: min {} p50 {} p90 {} µs", times[0], times[times.len() / 2], times[times.len() * 9 / 10]);
        }
    });
}
