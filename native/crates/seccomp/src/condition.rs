//! A condition on one argument, in the few forms the program tests.

use crate::arch::Arch;
use crate::error::{Result, SeccompError};
use crate::profile::Arg;

/// A test of argument `index`, 64-bit and unsigned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Condition {
    pub(crate) index: u32,
    pub(crate) test: Test,
    /// Whether the test must fail for the condition to hold.
    pub(crate) negated: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Test {
    /// argument & mask == value
    MaskedEqual { mask: u64, value: u64 },
    /// argument > value
    Greater(u64),
    /// argument >= value
    GreaterOrEqual(u64),
}

impl Condition {
    /// The condition for calls of `arch`. A 32-bit call's arguments arrive with their upper half
    /// zero, so that -1 in a profile means 32 ones there: values are cut to what an argument has.
    pub(crate) fn new(arg: &Arg, arch: Arch) -> Result<Self> {
        let cut = |v: u64| if arch.is_32_bit() { v & 0xffff_ffff } else { v };
        let (value, two) = (cut(arg.value), cut(arg.value_two));
        let equal = Test::MaskedEqual { mask: u64::MAX, value };
        let (test, negated) = match arg.op.as_str() {
            "SCMP_CMP_EQ" => (equal, false),
            "SCMP_CMP_NE" => (equal, true),
            "SCMP_CMP_GT" => (Test::Greater(value), false),
            "SCMP_CMP_LE" => (Test::Greater(value), true),
            "SCMP_CMP_GE" => (Test::GreaterOrEqual(value), false),
            "SCMP_CMP_LT" => (Test::GreaterOrEqual(value), true),
            "SCMP_CMP_MASKED_EQ" => (Test::MaskedEqual { mask: value, value: two & value }, false),
            other => return Err(SeccompError::value("op", other, "is unknown")),
        };
        Ok(Self { index: arg.index, test, negated })
    }

    /// "argument `index` is `value`".
    pub(crate) fn is(index: u32, value: u64) -> Self {
        Self { index, test: Test::MaskedEqual { mask: u64::MAX, value }, negated: false }
    }

    /// Whether no bit of the argument is looked at: as good as no condition.
    pub(crate) fn always_holds(&self) -> bool {
        matches!(self.test, Test::MaskedEqual { mask: 0, .. })
    }

    /// The value of a plain "argument is".
    pub(crate) fn equals(&self) -> Option<u64> {
        match self.test {
            Test::MaskedEqual { mask: u64::MAX, value } if !self.negated => Some(value),
            _ => None,
        }
    }
}
