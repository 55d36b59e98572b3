//! The same rules as one nft table of our own, for hosts without iptables. Published ports are elements of maps, so
//! that giving one to a pod or taking it away is one element. An accept in a table of ours cannot overrule a drop in
//! another one: there is nothing of ours in forward.

use crate::error::IptablesResult;
use crate::host_ports::HostPort;
use crate::names::{Chains, Family, checked_interface, owner, tag};
use crate::restore::{BridgeRules, BridgeSubnet};
use std::collections::BTreeSet;
use std::fmt::Write;

/// Set on what a pod sends to a published port, as by portmap: what leads back into its subnet needs our address.
const MARK: &str = "0x2000";

/// The map of published ports: for all addresses of the host, or for one.
fn map_of(family: Family, one_address: bool) -> &'static str {
    match (family, one_address) {
        (Family::V4, false) => "ports4",
        (Family::V4, true) => "ports4-at",
        (Family::V6, false) => "ports6",
        (Family::V6, true) => "ports6-at",
    }
}

const MAPS: [&str; 4] = ["ports4", "ports4-at", "ports6", "ports6-at"];

fn family_word(family: Family) -> &'static str {
    match family {
        Family::V4 => "ip",
        Family::V6 => "ip6",
    }
}

/// The table, its maps and its chains, without elements: what is there is kept.
fn skeleton(table: &str) -> String {
    let mut text = format!("add table {table}\n");
    for (suffix, address) in [("4", "ipv4_addr"), ("6", "ipv6_addr")] {
        let to = format!("{address} . inet_service");
        let _ = writeln!(text, "add map {table} ports{suffix} {{ type inet_proto . inet_service : {to}; }}");
        let _ =
            writeln!(text, "add map {table} ports{suffix}-at {{ type {address} . inet_proto . inet_service : {to}; }}");
    }
    let _ = writeln!(text, "add chain {table} ports");
    // after what others redirect (kube-proxy), and before what others masquerade
    for (chain, kind, priority) in [
        ("prerouting", "nat hook prerouting", -95),
        ("output", "nat hook output", -95),
        ("postrouting", "nat hook postrouting", 95),
        ("input", "filter hook input", -5),
    ] {
        let _ = writeln!(text, "add chain {table} {chain} {{ type {kind} priority {priority}; policy accept; }}");
        let _ = writeln!(text, "flush chain {table} {chain}");
    }
    let _ = writeln!(text, "flush chain {table} ports");
    text
}

/// The text that makes or repairs the table of a bridge. Published ports stay.
pub(crate) fn bridge_text(rules: &BridgeRules) -> IptablesResult<String> {
    let table = rules.chains.nft_table();
    let bridge = checked_interface(&rules.bridge)?;
    let mut text = skeleton(&table);
    let mut rule = |chain: &str, rule: String| {
        let _ = writeln!(text, "add rule {table} {chain} {rule}");
    };
    for family in [Family::V4, Family::V6] {
        let word = family_word(family);
        rule("ports", format!("dnat {word} to {word} daddr . meta l4proto . th dport map @{}", map_of(family, true)));
        rule("ports", format!("dnat {word} to meta l4proto . th dport map @{}", map_of(family, false)));
        // what comes over a wire to 127.0.0.1 is forged: a port published there is not for it
        rule("prerouting", format!("{word} daddr {} return", family.loopback()));
    }
    for BridgeSubnet { subnet, .. } in &rules.subnets {
        let word = family_word(subnet.family());
        rule("prerouting", format!("{word} saddr {subnet} fib daddr type local meta mark set meta mark or {MARK}"));
    }
    rule("prerouting", "fib daddr type local jump ports".into());
    // IPv6 has no route_localnet: ::1 never leaves the host
    rule("output", format!("ip6 daddr {} return", Family::V6.loopback()));
    rule("output", "fib daddr type local jump ports".into());
    // a connection to 127.0.0.1 leaves by the bridge with a source the pod could not answer
    rule("postrouting", format!("ip saddr {} oifname \"{bridge}\" masquerade", Family::V4.loopback()));
    for BridgeSubnet { subnet, masquerade } in &rules.subnets {
        let family = subnet.family();
        let word = family_word(family);
        let from = format!("{word} saddr {subnet} {word} daddr");
        rule("postrouting", format!("meta mark and {MARK} == {MARK} ct status dnat {from} {subnet} masquerade"));
        if *masquerade {
            rule("postrouting", format!("{from} {} return", family.multicast()));
            rule("postrouting", format!("{from} != {subnet} masquerade fully-random"));
        }
    }
    // route_localnet opens the host's 127.0.0.0/8 to the bridge: shut it again (CVE-2020-8558)
    for rest in ["ct state established,related accept", "ct status dnat accept", "drop"] {
        rule("input", format!("iifname \"{bridge}\" ip daddr 127.0.0.0/8 {rest}"));
    }
    Ok(text)
}

/// An element's map and key.
fn key(port: &HostPort) -> (&'static str, String) {
    let key = format!("{} . {}", port.protocol.name(), port.host_port);
    let map = map_of(port.family(), port.host_ip.is_some());
    match port.host_ip {
        Some(ip) => (map, format!("{ip} . {key}")),
        None => (map, key),
    }
}

/// The text that takes elements away and adds a pod's ports.
pub(crate) fn ports_text(
    chains: &Chains,
    id: &str,
    gone: &[(String, String)],
    wanted: &[HostPort],
) -> IptablesResult<String> {
    let (table, tag) = (chains.nft_table(), tag(id)?);
    let mut text = deletions_text(chains, gone);
    for port in wanted {
        let (map, key) = key(port);
        let HostPort { pod_ip, container_port, .. } = port;
        let _ = writeln!(text, "add element {table} {map} {{ {key} comment \"{tag}\" : {pod_ip} . {container_port} }}");
    }
    Ok(text)
}

/// The text that takes elements away.
pub(crate) fn deletions_text(chains: &Chains, gone: &[(String, String)]) -> String {
    let table = chains.nft_table();
    gone.iter().fold(String::new(), |mut text, (map, key)| {
        let _ = writeln!(text, "delete element {table} {map} {{ {key} }}");
        text
    })
}

/// The elements of ports, as they are deleted by.
pub(crate) fn keys(ports: &[HostPort]) -> Vec<(String, String)> {
    ports.iter().map(key).map(|(map, key)| (map.to_owned(), key)).collect()
}

/// The elements of a listed table whose owner `doomed` says yes to, and those owners.
pub(crate) fn tagged_elements(
    listed: &str,
    doomed: impl Fn(&str) -> bool,
) -> (Vec<(String, String)>, BTreeSet<String>) {
    let (mut found, mut owners) = (Vec::new(), BTreeSet::new());
    let mut map = None;
    for line in listed.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("map ").and_then(|rest| rest.strip_suffix(" {")) {
            map = MAPS.into_iter().find(|known| *known == name);
        } else if line == "}" {
            map = None;
        }
        let Some(map) = map else { continue };
        // an id has neither a comma nor a brace: an element ends where its line does
        let element = line.trim_start_matches("elements = {").trim();
        let Some((key, _)) = element.split_once(" comment ") else { continue };
        if let Some(id) = owner(element).filter(|id| doomed(id)) {
            found.push((map.to_owned(), key.to_owned()));
            owners.insert(id.to_owned());
        }
    }
    (found, owners)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTED: &str = "table inet PW-x {
	map ports4 {
		type inet_proto . inet_service : ipv4_addr . inet_service
		elements = { udp . 53 comment \"podwright:aa\" : 10.1.0.5 . 53,
			     tcp . 8080 comment \"podwright:bb\" : 10.1.0.6 . 80,
			     tcp . 8081 : 10.1.0.6 . 80 }
	}

	map ports6-at {
		type ipv6_addr . inet_proto . inet_service : ipv6_addr . inet_service
		elements = { fd00::1 . sctp . 53 comment \"podwright:aa\" : fd00::5 . 53 }
	}

	map other {
		elements = { tcp . 1 comment \"podwright:aa\" : 10.1.0.5 . 53 }
	}
}";

    #[test]
    fn elements_are_told_by_their_owners() {
        let (found, owners) = tagged_elements(LISTED, |id| id == "aa");
        let texts: Vec<String> = found.iter().map(|(map, key)| format!("{map} {key}")).collect();
        assert_eq!(texts, ["ports4 udp . 53", "ports6-at fd00::1 . sctp . 53"]);
        assert_eq!(owners.into_iter().collect::<Vec<_>>(), ["aa"]);
        let chains = Chains::new("PW-x").expect("fits");
        assert_eq!(deletions_text(&chains, &found[..1]), "delete element inet PW-x ports4 { udp . 53 }\n");
        assert!(tagged_elements("", |_| true).0.is_empty());
    }
}
