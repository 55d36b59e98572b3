//! What callers ask for: each is one or two runs of a program, never more.

use crate::error::{IptablesError, IptablesResult};
use crate::host_ports::HostPort;
use crate::names::{Backend, Chains, Family};
use crate::nft::{bridge_text, deletions_text, keys, ports_text, tagged_elements};
use crate::restore::{BridgeRules, change_text, removal_text, tagged_deletions};
use crate::run::{listed_table, nft, restore, save};
use crate::save::Saved;
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

/// Two changes of this process never overlap: each reads what is there and then changes it.
static CHANGE: Mutex<()> = Mutex::new(());

const FAMILIES: [Family; 2] = [Family::V4, Family::V6];

/// Makes or repairs the chains, jumps and fixed rules of a bridge. Rules of pods stay.
pub fn ensure(backend: Backend, rules: &BridgeRules) -> IptablesResult<()> {
    let _alone = CHANGE.lock().unwrap_or_else(PoisonError::into_inner);
    if backend == Backend::Nftables {
        return nft(&bridge_text(rules)?);
    }
    for family in rules.families() {
        let saved = save(family, None)?;
        restore(family, &rules.text(family, &saved)?)?;
    }
    Ok(())
}

/// Gives a pod exactly the published ports in `wanted`; `previous` is what it is believed to have.
/// If that belief is wrong, what there is with the pod's tag is looked up and replaced.
pub fn set_host_ports(
    backend: Backend,
    chains: &Chains,
    id: &str,
    previous: &[HostPort],
    wanted: &[HostPort],
) -> IptablesResult<()> {
    let _alone = CHANGE.lock().unwrap_or_else(PoisonError::into_inner);
    if backend == Backend::Nftables {
        return set_elements(chains, id, previous, wanted);
    }
    for family in FAMILIES {
        let rules = |ports: &[HostPort]| -> IptablesResult<Vec<String>> {
            let ours = ports.iter().filter(|port| port.family() == family);
            let lines: Vec<Vec<String>> = ours.map(|port| port.rules(chains, id)).collect::<IptablesResult<_>>()?;
            Ok(lines.concat())
        };
        let (old, new) = (rules(previous)?, rules(wanted)?);
        if old.is_empty() && new.is_empty() {
            continue;
        }
        let deletions: Vec<String> = old.iter().map(|rule| format!("-D {rule}")).collect();
        match restore(family, &change_text(&deletions, &new)) {
            Err(IptablesError::Refused { .. }) => replace(family, chains, id, &new)?,
            other => other?,
        }
    }
    Ok(())
}

fn replace(family: Family, chains: &Chains, id: &str, new: &[String]) -> IptablesResult<()> {
    let saved = save(family, Some("nat"))?;
    let (deletions, _) = tagged_deletions(&saved, chains, |owner| owner == id);
    if deletions.is_empty() && new.is_empty() {
        return Ok(());
    }
    restore(family, &change_text(&deletions, new))
}

fn set_elements(chains: &Chains, id: &str, previous: &[HostPort], wanted: &[HostPort]) -> IptablesResult<()> {
    if previous.is_empty() && wanted.is_empty() {
        return Ok(());
    }
    match nft(&ports_text(chains, id, &keys(previous), wanted)?) {
        Err(IptablesError::Refused { .. }) => {
            let listed = listed_table(chains)?.unwrap_or_default();
            let (present, _) = tagged_elements(&listed, |owner| owner == id);
            if present.is_empty() && wanted.is_empty() {
                return Ok(());
            }
            nft(&ports_text(chains, id, &present, wanted)?)
        }
        other => other,
    }
}

/// Removes the published ports of all pods that are not in `live`, whatever made them: whose they were.
pub fn prune_host_ports(chains: &Chains, live: &BTreeSet<String>) -> IptablesResult<BTreeSet<String>> {
    let _alone = CHANGE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut removed = BTreeSet::new();
    let refused = each_family(Some("nat"), |family, saved| {
        let (deletions, owners) = tagged_deletions(saved, chains, |id| !live.contains(id));
        if !deletions.is_empty() {
            restore(family, &change_text(&deletions, &[]))?;
        }
        removed.extend(owners);
        Ok(())
    })?;
    if let Some(listed) = table_if_possible(chains)? {
        let (gone, owners) = tagged_elements(&listed, |id| !live.contains(id));
        if !gone.is_empty() {
            nft(&deletions_text(chains, &gone))?;
        }
        removed.extend(owners);
    }
    refused.map_or(Ok(removed), Err)
}

/// Removes every chain, jump and rule of ours, whatever made them; false when there was none.
pub fn remove_all(chains: &Chains) -> IptablesResult<bool> {
    let _alone = CHANGE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut removed = false;
    let refused = each_family(None, |family, saved| {
        if let Some(text) = removal_text(saved, chains) {
            restore(family, &text)?;
            removed = true;
        }
        Ok(())
    })?;
    if table_if_possible(chains)?.is_some() {
        nft(&format!("delete table {}\n", chains.nft_table()))?;
        removed = true;
    }
    refused.map_or(Ok(removed), Err)
}

/// Does this with what there is of iptables in each family, where there can be anything: there is its program. A
/// refusal, as by a kernel without iptables, must not keep the caller from the rest: the first is returned, for him to
/// report. That IPv6, which a kernel may well lack, cannot be listed is none.
fn each_family(
    table: Option<&str>,
    mut change: impl FnMut(Family, &Saved) -> IptablesResult<()>,
) -> IptablesResult<Option<IptablesError>> {
    let mut refused = None;
    for family in FAMILIES {
        let changed = match save(family, table) {
            Ok(saved) => change(family, &saved),
            Err(IptablesError::Missing { .. }) => Ok(()),
            Err(IptablesError::Refused { .. }) if family == Family::V6 => Ok(()),
            Err(error) => Err(error),
        };
        match changed {
            Err(error @ IptablesError::Refused { .. }) => refused = refused.or(Some(error)),
            other => other?,
        }
    }
    Ok(refused)
}

/// Our table; `None` where it is not, or cannot be: no program, or no nf_tables in the kernel.
fn table_if_possible(chains: &Chains) -> IptablesResult<Option<String>> {
    match listed_table(chains) {
        Err(IptablesError::Missing { .. } | IptablesError::Refused { .. }) => Ok(None),
        other => other,
    }
}
