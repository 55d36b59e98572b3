//! Rule sets as data, and the iptables-restore text that brings what is there to what shall be.

use crate::error::IptablesResult;
use crate::names::{Chains, Family, Subnet, checked_interface, owner};
use crate::save::{Saved, Table, deletion};
use std::collections::BTreeSet;
use std::fmt::Write;

/// The tables that hold rules of ours.
pub(crate) const TABLES: [&str; 2] = ["nat", "filter"];

/// Where our jump stands in FORWARD.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForwardJump {
    /// Before everything: a host whose FORWARD ends in REJECT works too.
    First,
    /// After everything: enough for a policy of DROP, and never ahead of a network policy engine.
    Last,
}

/// A network on the bridge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BridgeSubnet {
    /// The network.
    pub subnet: Subnet,
    /// Whether its pods take the host's address when they talk to the world.
    pub masquerade: bool,
}

/// The rules of a bridge that do not depend on pods.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BridgeRules {
    /// Where they live.
    pub chains: Chains,
    /// The bridge.
    pub bridge: String,
    /// All networks on it.
    pub subnets: Vec<BridgeSubnet>,
    /// Place of the FORWARD jump.
    pub forward: ForwardJump,
}

/// A chain of ours with its fixed rules; `None` for those that hold rules of pods.
struct Chain {
    name: String,
    rules: Option<Vec<String>>,
}

/// A jump into one of our chains.
struct Jump {
    from: &'static str,
    first: bool,
    condition: &'static str,
    to: String,
}

impl BridgeRules {
    /// The families that have a network on the bridge.
    pub(crate) fn families(&self) -> Vec<Family> {
        [Family::V4, Family::V6]
            .into_iter()
            .filter(|family| self.subnets.iter().any(|net| net.subnet.family() == *family))
            .collect()
    }

    /// The text that makes or repairs all chains and jumps of a family. Rules of pods stay.
    pub(crate) fn text(&self, family: Family, saved: &Saved) -> IptablesResult<String> {
        let bridge = checked_interface(&self.bridge)?;
        let mut text = String::new();
        for table in TABLES {
            let (chains, jumps) = match table {
                "nat" => self.nat(family, bridge),
                _ => self.filter(family, bridge),
            };
            write_table(&mut text, table, saved.table(table), &chains, &jumps);
        }
        Ok(text)
    }

    fn nat(&self, family: Family, bridge: &str) -> (Vec<Chain>, Vec<Jump>) {
        let chains = &self.chains;
        let loopback = family.loopback();
        let to_host_ports = format!("-j {}", chains.host_ports());
        let not_loopback = format!("-d {loopback} -j RETURN");
        // what comes over a wire to 127.0.0.1 is forged: a port published there is not for it
        let prerouting = vec![not_loopback.clone(), to_host_ports.clone()];
        let mut output = vec![to_host_ports];
        let mut postrouting = vec![format!("-j {}", chains.hairpin())];
        match family {
            // a connection to 127.0.0.1 leaves by the bridge with a source the pod could not answer
            Family::V4 => postrouting.push(format!("-s {loopback} -o {bridge} -j MASQUERADE")),
            // IPv6 has no route_localnet: ::1 never leaves the host
            Family::V6 => output.insert(0, not_loopback),
        }
        let ours = |net: &&BridgeSubnet| net.masquerade && net.subnet.family() == family;
        for BridgeSubnet { subnet, .. } in self.subnets.iter().filter(ours) {
            postrouting.push(format!("-s {subnet} -d {} -j RETURN", family.multicast()));
            postrouting.push(format!("-s {subnet} ! -d {subnet} -j MASQUERADE --random-fully"));
        }
        let fixed = |name: String, rules| Chain { name, rules: Some(rules) };
        let of_pods = |name: String| Chain { name, rules: None };
        let local = "-m addrtype --dst-type LOCAL ";
        (
            vec![
                of_pods(chains.host_ports()),
                of_pods(chains.hairpin()),
                fixed(chains.prerouting(), prerouting),
                fixed(chains.output(), output),
                fixed(chains.postrouting(), postrouting),
            ],
            vec![
                jump("PREROUTING", false, local, chains.prerouting()),
                jump("OUTPUT", false, local, chains.output()),
                jump("POSTROUTING", true, "", chains.postrouting()),
            ],
        )
    }

    fn filter(&self, family: Family, bridge: &str) -> (Vec<Chain>, Vec<Jump>) {
        let chains = &self.chains;
        let forward = vec![format!("-i {bridge} -j ACCEPT"), format!("-o {bridge} -j ACCEPT")];
        // route_localnet opens the host's 127.0.0.0/8 to the bridge: shut it again (CVE-2020-8558)
        let input = match family {
            Family::V4 => {
                vec![format!("-i {bridge} -d 127.0.0.0/8 -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP")]
            }
            Family::V6 => Vec::new(),
        };
        let fixed = |name: String, rules| Chain { name, rules: Some(rules) };
        let first = self.forward == ForwardJump::First;
        (
            vec![fixed(chains.forward(), forward), fixed(chains.input(), input)],
            vec![jump("FORWARD", first, "", chains.forward()), jump("INPUT", true, "", chains.input())],
        )
    }
}

fn jump(from: &'static str, first: bool, condition: &'static str, to: String) -> Jump {
    Jump { from, first, condition, to }
}

fn write_table(text: &mut String, table: &str, now: &Table, chains: &[Chain], jumps: &[Jump]) {
    let mut line = |part: String| {
        text.push_str(&part);
        text.push('\n');
    };
    line(format!("*{table}"));
    for chain in chains {
        // with --noflush a chain line empties the chain: those that hold rules of pods get none
        if chain.rules.is_some() || !now.has(&chain.name) {
            line(format!(":{} - [0:0]", chain.name));
        }
    }
    for chain in chains {
        for rule in chain.rules.iter().flatten() {
            line(format!("-A {} {rule}", chain.name));
        }
    }
    for jump in jumps {
        let own = std::slice::from_ref(&jump.to);
        let mut present = now.jumps_to(own);
        if present.next().is_none() {
            let command = if jump.first { "-I" } else { "-A" };
            let Jump { from, condition, to, .. } = jump;
            line(format!("{command} {from} {condition}-j {to}"));
        }
        for extra in present {
            line(deletion(extra));
        }
    }
    line("COMMIT".into());
}

/// The text that deletes and adds rules of pods in the nat table.
pub(crate) fn change_text(deletions: &[String], additions: &[String]) -> String {
    let mut text = String::from("*nat\n");
    for line in deletions {
        let _ = writeln!(text, "{line}");
    }
    for rule in additions {
        let _ = writeln!(text, "-A {rule}");
    }
    text.push_str("COMMIT\n");
    text
}

/// The deletions of all rules of pods that `doomed` says yes to, and whose they were.
pub(crate) fn tagged_deletions(
    saved: &Saved,
    chains: &Chains,
    doomed: impl Fn(&str) -> bool,
) -> (Vec<String>, BTreeSet<String>) {
    let nat = saved.table("nat");
    let mut deletions = Vec::new();
    let mut owners = BTreeSet::new();
    for chain in [chains.host_ports(), chains.hairpin()] {
        for rule in nat.of(&chain) {
            if let Some(id) = owner(rule).filter(|id| doomed(id)) {
                deletions.push(deletion(rule));
                owners.insert(id.to_owned());
            }
        }
    }
    (deletions, owners)
}

/// The text that removes every chain and jump of ours; `None` when nothing is there.
pub(crate) fn removal_text(saved: &Saved, chains: &Chains) -> Option<String> {
    let mut text = String::new();
    for table in TABLES {
        let now = saved.table(table);
        let own = chains.of_table(table);
        let present: Vec<&String> = own.iter().filter(|name| now.has(name)).collect();
        if present.is_empty() {
            continue;
        }
        let _ = writeln!(text, "*{table}");
        for rule in now.jumps_to(&own) {
            let _ = writeln!(text, "{}", deletion(rule));
        }
        for command in ["-F", "-X"] {
            for name in &present {
                let _ = writeln!(text, "{command} {name}");
            }
        }
        text.push_str("COMMIT\n");
    }
    (!text.is_empty()).then_some(text)
}
