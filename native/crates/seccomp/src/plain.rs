//! A profile read plainly, rule by rule: what tests compare programs with.

use crate::error::Result;
use crate::interpret::Call;
use crate::profile::{Arg, Profile, Syscall};
use crate::{Arch, action, arch};

fn holds(arg: &Arg, call: &Call, narrow: bool) -> bool {
    let cut = |v: u64| if narrow { v & 0xffff_ffff } else { v };
    let (is, value, two) = (cut(call.args[arg.index as usize]), cut(arg.value), cut(arg.value_two));
    match arg.op.as_str() {
        "SCMP_CMP_EQ" => is == value,
        "SCMP_CMP_NE" => is != value,
        "SCMP_CMP_GT" => is > value,
        "SCMP_CMP_GE" => is >= value,
        "SCMP_CMP_LT" => is < value,
        "SCMP_CMP_LE" => is <= value,
        _ => is & value == two & value,
    }
}

/// Whether the rule's arguments hold; `None` when it asks nothing of them.
fn arguments_hold(rule: &Syscall, call: &Call, narrow: bool) -> Option<bool> {
    let asks = |arg: &&Arg| arg.op != "SCMP_CMP_MASKED_EQ" || (arg.value as u32 != 0 || (!narrow && arg.value != 0));
    let repeated = (0..6).any(|index| rule.args.iter().filter(|a| a.index == index).count() > 1);
    let asking: Vec<&Arg> = rule.args.iter().filter(asks).collect();
    if asking.is_empty() || (repeated && asking.len() < rule.args.len()) {
        return None;
    }
    let mut each = asking.into_iter().map(|arg| holds(arg, call, narrow));
    Some(if repeated { each.any(|held| held) } else { each.all(|held| held) })
}

/// Whether `rule` speaks of the call: `Some(None)` without a condition, `Some(Some(held))` with one.
fn speaks(rule: &Syscall, value: u32, call: &Call, arch: Arch) -> Option<Option<bool>> {
    if rule.names.iter().any(|name| arch.number(name) == Some(call.number)) {
        return Some(arguments_hold(rule, call, arch.is_32_bit()));
    }
    if arch != Arch::X86 || (action::lets_through(value) && arguments_hold(rule, call, true).is_some()) {
        return None;
    }
    let behind = rule.names.iter().filter_map(|name| arch::multiplexed(name));
    let mut here = behind.filter(|(multiplexer, _)| arch.number(multiplexer) == Some(call.number)).peekable();
    here.peek()?;
    Some(Some(here.any(|(_, which)| call.args[0] as u32 == which)))
}

/// What a profile says of a call.
#[derive(Debug, Default)]
pub struct Said {
    /// The value of the first rule without a condition.
    pub always: Option<u32>,
    /// The values of the rules whose conditions hold, in order.
    pub holding: Vec<u32>,
}

/// What the rules say of a call of architecture `arch`.
pub fn said(profile: &Profile, call: &Call, arch: Arch) -> Result<Said> {
    let default = action::value(&profile.default_action, profile.default_errno_ret)?;
    let mut said = Said::default();
    for rule in &profile.syscalls {
        let value = action::value(&rule.action, rule.errno_ret)?;
        match speaks(rule, value, call, arch) {
            _ if value == default => {}
            Some(None) => said.always = said.always.or(Some(value)),
            Some(Some(true)) => said.holding.push(value),
            _ => {}
        }
    }
    Ok(said)
}

/// The value a call gets, ENOSYS for one newer than the profile.
pub fn plain(profile: &Profile, call: &Call, arch: Arch) -> Result<u32> {
    let default = action::value(&profile.default_action, profile.default_errno_ret)?;
    let said = said(profile, call, arch)?;
    if let Some(value) = said.always.or(said.holding.first().copied()) {
        return Ok(value);
    }
    let named: Vec<u32> = profile.syscalls.iter().flat_map(|r| &r.names).filter_map(|n| arch.number(n)).collect();
    let newest = named.iter().filter(|n| *n & 0xf_0000 == 0).max();
    let newer = newest.is_some_and(|newest| call.number > *newest) && call.number & 0xf_0000 == 0;
    Ok(if newer && !action::lets_through(default) { action::UNKNOWN_CALL } else { default })
}
