//! What a profile says of each system call number of one architecture.

use crate::action;
use crate::arch::{self, Arch};
use crate::condition::Condition;
use crate::error::Result;
use crate::profile::{Profile, Syscall};
use std::collections::BTreeMap;

/// What happens with a call.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Verdict {
    /// The same whatever its arguments.
    Always(u32),
    /// It depends: the first alternative that holds, else the default action.
    Depends(Vec<Alternative>),
}

/// Conditions that must all hold, and the return value if they do.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Alternative {
    pub(crate) conditions: Vec<Condition>,
    pub(crate) value: u32,
}

/// The verdicts that differ from `default`, by number.
pub(crate) fn verdicts(profile: &Profile, arch: Arch, default: u32) -> Result<BTreeMap<u32, Verdict>> {
    let mut verdicts = BTreeMap::new();
    for rule in &profile.syscalls {
        let value = action::value(&rule.action, rule.errno_ret)?;
        if value == default {
            continue;
        }
        let alternatives = alternatives(rule, arch)?;
        for name in &rule.names {
            if let Some(number) = arch.number(name) {
                add(&mut verdicts, number, &alternatives, value);
            }
            if arch == Arch::X86 {
                add_multiplexed(&mut verdicts, name, &alternatives, value);
            }
        }
    }
    Ok(verdicts)
}

/// The lists of conditions a rule stands for. Two conditions on the same argument in one rule are
/// alternatives, as runc has always read them: profiles list allowed values that way.
fn alternatives(rule: &Syscall, arch: Arch) -> Result<Vec<Vec<Condition>>> {
    let conditions = rule.args.iter().map(|arg| Condition::new(arg, arch)).collect::<Result<Vec<_>>>()?;
    let repeated = conditions.iter().enumerate().any(|(at, c)| conditions[..at].iter().any(|d| d.index == c.index));
    let mut lists = if repeated { conditions.into_iter().map(|c| vec![c]).collect() } else { vec![conditions] };
    for list in &mut lists {
        list.retain(|condition| !condition.always_holds());
    }
    Ok(lists)
}

fn add(verdicts: &mut BTreeMap<u32, Verdict>, number: u32, alternatives: &[Vec<Condition>], value: u32) {
    let verdict = verdicts.entry(number).or_insert_with(|| Verdict::Depends(Vec::new()));
    for conditions in alternatives {
        match verdict {
            // An earlier rule decided for all arguments.
            Verdict::Always(_) => return,
            Verdict::Depends(_) if conditions.is_empty() => *verdict = Verdict::Always(value),
            Verdict::Depends(list) => list.push(Alternative { conditions: conditions.clone(), value }),
        }
    }
}

/// The same rule for the call behind i386's `socketcall` and `ipc`, whose arguments are in memory
/// and cannot be looked at. A conditional rule that lets a call through says nothing there; one
/// that stops it stops it whatever its arguments.
fn add_multiplexed(verdicts: &mut BTreeMap<u32, Verdict>, name: &str, alternatives: &[Vec<Condition>], value: u32) {
    let conditional = alternatives.iter().all(|conditions| !conditions.is_empty());
    let Some((multiplexer, call)) = arch::multiplexed(name) else { return };
    if conditional && action::lets_through(value) {
        return;
    }
    if let Some(number) = Arch::X86.number(multiplexer) {
        add(verdicts, number, &[vec![Condition::is(0, u64::from(call))]], value);
    }
}
