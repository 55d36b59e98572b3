//! From a system call number to its verdict by binary search.
//!
//! Profiles allow most calls, and neighbours alike: the numbers fall into a few dozen ranges. The
//! kernel runs every number through the filter when it is loaded (its cache of calls that are
//! always allowed), so a short way to each verdict is what loading costs.

use crate::assemble::{Assembler, JEQ_K, JGE_K, Target};

/// Numbers from `start` up to the next range's start have this verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) start: u32,
    pub(crate) target: Target,
}

/// Adds a range behind the last one; one with the same verdict is that one going on.
pub(crate) fn push(ranges: &mut Vec<Range>, start: u32, target: Target) {
    if ranges.last().is_some_and(|last| last.start == start) {
        ranges.pop();
    }
    if ranges.last().is_none_or(|last| last.target != target) {
        ranges.push(Range { start, target });
    }
}

/// Writes the search over ranges that cover all numbers; the number is in A.
pub(crate) fn write(code: &mut Assembler, ranges: &[Range]) -> Target {
    match ranges {
        [] => Target::Return(0),
        [only] => only.target,
        // One number between two ranges of the same verdict: one comparison instead of two.
        [below, one, above] if above.target == below.target && above.start == one.start + 1 => {
            code.branch(JEQ_K, one.start, one.target, below.target)
        }
        _ => {
            let middle = ranges.len() / 2;
            let high = write(code, &ranges[middle..]);
            let low = write(code, &ranges[..middle]);
            code.branch(JGE_K, ranges[middle].start, high, low)
        }
    }
}
