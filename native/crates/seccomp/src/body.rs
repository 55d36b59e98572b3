//! The tests on a call's arguments.

use crate::assemble::{Assembler, JEQ_K, JGE_K, JGT_K, Target};
use crate::condition::{Condition, Test};
use crate::rules::Alternative;

/// Offset of `args` in `struct seccomp_data`, and where the halves of one are.
const ARGS: u32 = 16;
const LOW: u32 = if cfg!(target_endian = "little") { 0 } else { 4 };
const HIGH: u32 = 4 - LOW;

/// Writes the tests: the first alternative that holds returns its value, none goes to `otherwise`.
pub(crate) fn write(code: &mut Assembler, alternatives: &[Alternative], otherwise: Target, wide: bool) -> Target {
    let mut next = otherwise;
    let mut end = alternatives.len();
    while end > 0 {
        let start = run_of_values(&alternatives[..end]);
        let group = &alternatives[start..end];
        next = match (group.len(), &group[0].conditions[..]) {
            (2.., [first]) => write_values(code, first, group, next, wide),
            _ => {
                let target = Target::Return(group[0].value);
                group[0].conditions.iter().rev().fold(target, |yes, c| write_condition(code, c, yes, next, wide))
            }
        };
        end = start;
    }
    next
}

/// Where the run of alternatives begins that ends the list and says "this argument is one of":
/// the profile's way to list, for instance, the socket families that are allowed.
fn run_of_values(alternatives: &[Alternative]) -> usize {
    let key = |a: &Alternative| match &a.conditions[..] {
        [one] => one.equals().map(|v| (one.index, v >> 32, a.value)),
        _ => None,
    };
    let Some(last) = alternatives.last().and_then(key) else { return alternatives.len() - 1 };
    alternatives.iter().rposition(|a| key(a) != Some(last)).map_or(0, |at| at + 1)
}

/// One look at the upper half and one comparison for each value.
fn write_values(code: &mut Assembler, first: &Condition, group: &[Alternative], no: Target, wide: bool) -> Target {
    let yes = Target::Return(group[0].value);
    let values = group.iter().filter_map(|a| a.conditions[0].equals());
    let compared = values.rev().fold(no, |next, v| code.branch(JEQ_K, v as u32, yes, next));
    let low = code.load(offset(first.index, LOW), compared);
    let high = (first.equals().unwrap_or_default() >> 32) as u32;
    if wide { write_high_equal(code, first.index, high, low, no) } else { low }
}

fn write_condition(code: &mut Assembler, condition: &Condition, yes: Target, no: Target, wide: bool) -> Target {
    let (yes, no) = if condition.negated { (no, yes) } else { (yes, no) };
    let index = condition.index;
    match condition.test {
        Test::MaskedEqual { mask, value } => {
            let halves = [(LOW, mask as u32, value as u32), (HIGH, (mask >> 32) as u32, (value >> 32) as u32)];
            let count = if wide { 2 } else { 1 };
            halves[..count]
                .iter()
                .fold(yes, |yes, (half, mask, value)| write_half(code, (index, *half), (*mask, *value), yes, no))
        }
        Test::Greater(value) => write_ordered(code, JGT_K, (index, value), (yes, no), wide),
        Test::GreaterOrEqual(value) => write_ordered(code, JGE_K, (index, value), (yes, no), wide),
    }
}

/// One 32-bit half: `half & mask == value`. A half whose mask is empty always has its value, 0.
fn write_half(
    code: &mut Assembler,
    (index, half): (u32, u32),
    (mask, value): (u32, u32),
    yes: Target,
    no: Target,
) -> Target {
    if mask == 0 {
        return yes;
    }
    let compared = code.branch(JEQ_K, value, yes, no);
    if compared == yes {
        return yes;
    }
    let masked = if mask == u32::MAX { compared } else { code.mask(mask, compared) };
    code.load(offset(index, half), masked)
}

/// The upper half decides unless it is equal; then the lower half does.
fn write_ordered(
    code: &mut Assembler,
    compare: u16,
    (index, value): (u32, u64),
    (yes, no): (Target, Target),
    wide: bool,
) -> Target {
    let low = code.branch(compare, value as u32, yes, no);
    let low = code.load(offset(index, LOW), low);
    if !wide {
        return low;
    }
    let high = (value >> 32) as u32;
    let equal = code.branch(JEQ_K, high, low, no);
    let above = code.branch(JGT_K, high, yes, equal);
    code.load(offset(index, HIGH), above)
}

fn write_high_equal(code: &mut Assembler, index: u32, high: u32, yes: Target, no: Target) -> Target {
    let compared = code.branch(JEQ_K, high, yes, no);
    code.load(offset(index, HIGH), compared)
}

fn offset(index: u32, half: u32) -> u32 {
    ARGS + 8 * index + half
}
