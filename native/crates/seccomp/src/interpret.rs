//! Runs a filter as the kernel would: for tests.

use crate::assemble::{AND_K, Insn, JA, JEQ_K, JGE_K, JGT_K, LD_ABS, RET_K};

/// `struct seccomp_data`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Call {
    /// The call's number.
    pub number: u32,
    /// `AUDIT_ARCH_*`.
    pub audit: u32,
    /// Where it was made.
    pub instruction_pointer: u64,
    /// Its arguments.
    pub args: [u64; 6],
}

impl Call {
    fn word(&self, offset: u32) -> Option<u32> {
        let half = |value: u64, at: u32| {
            let low = (at == 0) == cfg!(target_endian = "little");
            if low { value as u32 } else { (value >> 32) as u32 }
        };
        match offset {
            0 => Some(self.number),
            4 => Some(self.audit),
            8 | 12 => Some(half(self.instruction_pointer, offset - 8)),
            16..64 if offset.is_multiple_of(4) => Some(half(self.args[(offset as usize - 16) / 8], offset % 8)),
            _ => None,
        }
    }
}

/// The value the filter returns and how many instructions ran; `None` for a program the kernel
/// would not load.
pub fn run(program: &[Insn], call: &Call) -> Option<(u32, usize)> {
    let (mut a, mut x, mut at) = (0_u32, 0_u32, 0_usize);
    let mut scratch = [0_u32; 16];
    for step in 1..=program.len() {
        let insn = program.get(at)?;
        at += 1;
        let mut jump = |holds: bool| at += usize::from(if holds { insn.jt } else { insn.jf });
        match insn.code {
            LD_ABS => a = call.word(insn.k)?,
            AND_K => a &= insn.k,
            JEQ_K => jump(a == insn.k),
            JGT_K => jump(a > insn.k),
            JGE_K => jump(a >= insn.k),
            0x45 => jump(a & insn.k != 0),
            JA => at += insn.k as usize,
            RET_K => return Some((insn.k, step)),
            // The rest is what other compilers use: ld/st of scratch memory, tax, txa, ld imm.
            0x60 => a = *scratch.get(insn.k as usize)?,
            0x61 => x = *scratch.get(insn.k as usize)?,
            0x02 => *scratch.get_mut(insn.k as usize)? = a,
            0x03 => *scratch.get_mut(insn.k as usize)? = x,
            0x00 => a = insn.k,
            0x07 => x = a,
            0x87 => a = x,
            0x16 => return Some((a, step)),
            _ => return None,
        }
    }
    None
}

/// Reads an array of `struct sock_filter` in host order.
pub fn parse(bytes: &[u8]) -> Vec<Insn> {
    bytes
        .chunks_exact(8)
        .map(|b| Insn {
            code: u16::from_ne_bytes([b[0], b[1]]),
            jt: b[2],
            jf: b[3],
            k: u32::from_ne_bytes([b[4], b[5], b[6], b[7]]),
        })
        .collect()
}
