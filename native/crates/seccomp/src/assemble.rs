//! A classic BPF program written from its end to its beginning.
//!
//! Classic BPF jumps only forward, and a conditional jump at most 255 instructions. Written
//! backwards, every target of a jump is known when the jump is, and one that is too far gets a
//! stepping stone (a copy of its `ret`, or a long jump) next to the jump.

use crate::error::{Result, SeccompError};

/// One instruction (`struct sock_filter`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Insn {
    /// Opcode.
    pub code: u16,
    /// Instructions to skip when the condition holds.
    pub jt: u8,
    /// Instructions to skip when it does not.
    pub jf: u8,
    /// Operand.
    pub k: u32,
}

/// Opcodes (linux/bpf_common.h).
pub(crate) const LD_ABS: u16 = 0x20;
pub(crate) const AND_K: u16 = 0x54;
pub(crate) const JA: u16 = 0x05;
pub(crate) const JEQ_K: u16 = 0x15;
pub(crate) const JGT_K: u16 = 0x25;
pub(crate) const JGE_K: u16 = 0x35;
pub(crate) const RET_K: u16 = 0x06;

/// The kernel's BPF_MAXINSNS.
const MOST_INSTRUCTIONS: usize = 4096;
/// A conditional jump's reach, less the stepping stones that may come between.
const REACH: usize = 250;

/// Where execution goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Target {
    /// The filter ends with this value.
    Return(u32),
    /// An instruction, counted from the program's end.
    At(usize),
}

/// The program so far, last instruction first.
#[derive(Debug, Default)]
pub(crate) struct Assembler {
    reversed: Vec<Insn>,
}

impl Assembler {
    /// `if A <code> k then yes else no`.
    pub(crate) fn branch(&mut self, code: u16, k: u32, yes: Target, no: Target) -> Target {
        if yes == no {
            return yes;
        }
        let yes = self.near(yes);
        let no = self.near(no);
        let here = self.reversed.len();
        let skip = |at: usize| (here - 1 - at) as u8;
        self.push(Insn { code, jt: skip(yes), jf: skip(no), k })
    }

    /// `A = seccomp_data[offset]`, then `next`.
    pub(crate) fn load(&mut self, offset: u32, next: Target) -> Target {
        self.before(next, Insn { code: LD_ABS, jt: 0, jf: 0, k: offset })
    }

    /// `A &= mask`, then `next`.
    pub(crate) fn mask(&mut self, mask: u32, next: Target) -> Target {
        self.before(next, Insn { code: AND_K, jt: 0, jf: 0, k: mask })
    }

    /// The program, beginning at `start`.
    pub(crate) fn finish(mut self, start: Target) -> Result<Vec<Insn>> {
        self.bring_to_front(start);
        let count = self.reversed.len();
        if count > MOST_INSTRUCTIONS {
            return Err(SeccompError::TooMany { what: "instructions", count, most: MOST_INSTRUCTIONS });
        }
        self.reversed.reverse();
        Ok(self.reversed)
    }

    /// An instruction that falls through to `next`.
    fn before(&mut self, next: Target, insn: Insn) -> Target {
        self.bring_to_front(next);
        self.push(insn)
    }

    /// Makes `target` the instruction that is first so far.
    fn bring_to_front(&mut self, target: Target) {
        match target {
            Target::At(at) if at + 1 == self.reversed.len() => {}
            other => {
                self.stone(other);
            }
        }
    }

    /// The place of `target` within a conditional jump's reach.
    fn near(&mut self, target: Target) -> usize {
        let reachable = self.reversed.len().saturating_sub(REACH);
        match target {
            Target::At(at) if at >= reachable => at,
            Target::Return(k) => {
                let ret = Insn { code: RET_K, jt: 0, jf: 0, k };
                match self.reversed[reachable..].iter().rposition(|insn| *insn == ret) {
                    Some(at) => reachable + at,
                    None => self.stone(target),
                }
            }
            far => self.stone(far),
        }
    }

    /// A `ret`, or a long jump, in front of everything so far.
    fn stone(&mut self, target: Target) -> usize {
        let insn = match target {
            Target::Return(k) => Insn { code: RET_K, jt: 0, jf: 0, k },
            Target::At(at) => Insn { code: JA, jt: 0, jf: 0, k: (self.reversed.len() - 1 - at) as u32 },
        };
        self.reversed.push(insn);
        self.reversed.len() - 1
    }

    fn push(&mut self, insn: Insn) -> Target {
        self.reversed.push(insn);
        Target::At(self.reversed.len() - 1)
    }
}
