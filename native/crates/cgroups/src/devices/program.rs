//! Device rules as an eBPF program of type BPF_PROG_TYPE_CGROUP_DEVICE.
//!
//! The v1 controller knows one default and a list of exceptions; the program is more exact: each
//! access bit (read, write, mknod) is decided by the last rule that speaks of the device and that
//! bit, and a request is granted when all its bits are. Rules are therefore walked from the last
//! to the first: an allowing rule crosses its bits off the request, a denying one ends it when
//! bits it denies are still asked for. What no rule grants is denied.

use super::{Access, DeviceKind, DeviceRule};
use podwright_sys::bpf::Insn;

/// `struct bpf_cgroup_dev_ctx` (linux/bpf.h): `access_type` holds the access bits in its upper
/// and the type in its lower half.
const CTX_ACCESS_TYPE: i16 = 0;
const CTX_MAJOR: i16 = 4;
const CTX_MINOR: i16 = 8;
/// `BPF_DEVCG_DEV_*` and `BPF_DEVCG_ACC_*`.
const DEV_BLOCK: i32 = 1;
const DEV_CHAR: i32 = 2;
const ACC_MKNOD: i32 = 1;
const ACC_READ: i32 = 2;
const ACC_WRITE: i32 = 4;
const ACC_ALL: i32 = ACC_MKNOD | ACC_READ | ACC_WRITE;

/// Opcodes (linux/bpf.h, linux/bpf_common.h).
const LDX_W: u8 = 0x61;
const MOV32_REG: u8 = 0xbc;
const MOV64_IMM: u8 = 0xb7;
const AND32_IMM: u8 = 0x54;
const RSH32_IMM: u8 = 0x74;
const JA: u8 = 0x05;
const JNE32_IMM: u8 = 0x56;
const JSET32_IMM: u8 = 0x46;
const EXIT: u8 = 0x95;

/// Registers: the return value, the context, and what the walk keeps.
const R0: u8 = 0;
const CTX: u8 = 1;
const TYPE: u8 = 2;
const WANT: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;

/// The program for `rules`. Its length is about 8 instructions a rule.
pub fn program(rules: &[DeviceRule]) -> Vec<Insn> {
    let mut code = vec![
        Insn::new(LDX_W, TYPE, CTX, CTX_ACCESS_TYPE, 0),
        Insn::new(MOV32_REG, WANT, TYPE, 0, 0),
        Insn::new(AND32_IMM, TYPE, 0, 0, 0xffff),
        Insn::new(RSH32_IMM, WANT, 0, 0, 16),
        Insn::new(LDX_W, MAJOR, CTX, CTX_MAJOR, 0),
        Insn::new(LDX_W, MINOR, CTX, CTX_MINOR, 0),
    ];
    for rule in rules.iter().rev() {
        let action = action(rule);
        let tests = tests(rule);
        let count = tests.len();
        for (at, (register, value)) in tests.into_iter().enumerate() {
            // Over the tests that follow and the action.
            let skip = (count - at - 1 + action.len()) as i16;
            code.push(Insn::new(JNE32_IMM, register, 0, skip, value));
        }
        code.extend(action);
        if decides_everything(rule) {
            // Nothing after an unconditional verdict can run, and the verifier refuses dead code.
            return code;
        }
    }
    code.extend(verdict(0));
    code
}

fn decides_everything(rule: &DeviceRule) -> bool {
    rule.kind == DeviceKind::All
}

/// (register, value) pairs that must all be equal for the rule to speak of the device.
fn tests(rule: &DeviceRule) -> Vec<(u8, i32)> {
    let kind = match rule.kind {
        DeviceKind::All => return Vec::new(),
        DeviceKind::Char => DEV_CHAR,
        DeviceKind::Block => DEV_BLOCK,
    };
    let mut tests = vec![(TYPE, kind)];
    // The kernel compares the immediate's bits; a number above i32::MAX keeps its bits.
    tests.extend(rule.major.map(|n| (MAJOR, n as i32)));
    tests.extend(rule.minor.map(|n| (MINOR, n as i32)));
    tests
}

/// What happens when all tests held: a verdict, or going on with the next rule.
fn action(rule: &DeviceRule) -> Vec<Insn> {
    let bits = bits(rule.access);
    let verdict = verdict(rule.allow.into());
    let mut code = match (rule.allow, decides_everything(rule) || bits == ACC_ALL) {
        (_, true) => Vec::new(),
        // Cross off what is granted; over the verdict when bits are left to ask for.
        (true, false) => vec![Insn::new(AND32_IMM, WANT, 0, 0, !bits), Insn::new(JNE32_IMM, WANT, 0, 2, 0)],
        // Over the verdict when none of the denied bits is asked for.
        (false, false) => vec![Insn::new(JSET32_IMM, WANT, 0, 1, bits), Insn::new(JA, 0, 0, 2, 0)],
    };
    code.extend(verdict);
    code
}

fn verdict(value: i32) -> [Insn; 2] {
    [Insn::new(MOV64_IMM, R0, 0, 0, value), Insn::new(EXIT, 0, 0, 0, 0)]
}

fn bits(access: Access) -> i32 {
    i32::from(access.mknod) * ACC_MKNOD + i32::from(access.read) * ACC_READ + i32::from(access.write) * ACC_WRITE
}

#[cfg(test)]
mod tests {
    use super::*;

    const READ: Access = Access { read: true, write: false, mknod: false };
    const WRITE: Access = Access { read: false, write: true, mknod: false };
    const MKNOD: Access = Access { read: false, write: false, mknod: true };

    fn rule(allow: bool, kind: DeviceKind, major: u32, minor: u32, access: Access) -> DeviceRule {
        let number = |n: u32| (n != 99).then_some(n);
        DeviceRule { allow, kind, major: number(major), minor: number(minor), access }
    }

    /// Runs the few instructions `program` emits.
    fn run(code: &[Insn], kind: i32, access: i32, major: u32, minor: u32) -> bool {
        let mut reg = [0_i64; 11];
        let mut pc = 0_usize;
        loop {
            let insn = &code[pc];
            pc += 1;
            let (dst, src) = (usize::from(insn.dst()), usize::from(insn.src()));
            let low = reg[dst] as u32;
            let taken = match insn.code {
                LDX_W => {
                    reg[dst] = match insn.off {
                        CTX_ACCESS_TYPE => i64::from((access << 16) | kind),
                        CTX_MAJOR => i64::from(major),
                        _ => i64::from(minor),
                    };
                    false
                }
                MOV32_REG => {
                    reg[dst] = i64::from(reg[src] as u32);
                    false
                }
                MOV64_IMM => {
                    reg[dst] = i64::from(insn.imm);
                    false
                }
                AND32_IMM => {
                    reg[dst] = i64::from(low & insn.imm as u32);
                    false
                }
                RSH32_IMM => {
                    reg[dst] = i64::from(low >> insn.imm);
                    false
                }
                JNE32_IMM => low != insn.imm as u32,
                JSET32_IMM => low & insn.imm as u32 != 0,
                JA => true,
                EXIT => return reg[0] != 0,
                other => panic!("opcode {other:#x}"),
            };
            if taken {
                pc += insn.off as usize;
            }
        }
    }

    /// The rule list read plainly: for each bit the last rule that speaks of it decides.
    fn plain(rules: &[DeviceRule], kind: i32, access: i32, major: u32, minor: u32) -> bool {
        [ACC_READ, ACC_WRITE, ACC_MKNOD].iter().filter(|bit| access & **bit != 0).all(|bit| {
            rules
                .iter()
                .rev()
                .find(|r| {
                    r.kind == DeviceKind::All
                        || ((r.kind == DeviceKind::Char) == (kind == DEV_CHAR)
                            && r.major.is_none_or(|n| n == major)
                            && r.minor.is_none_or(|n| n == minor)
                            && bits(r.access) & bit != 0)
                })
                .is_some_and(|r| r.allow)
        })
    }

    fn agree(rules: &[DeviceRule]) {
        let code = program(rules);
        for kind in [DEV_BLOCK, DEV_CHAR] {
            for access in 1..8 {
                for major in [0, 1, 5, u32::MAX] {
                    for minor in [0, 3, 7] {
                        let got = run(&code, kind, access, major, minor);
                        assert_eq!(
                            got,
                            plain(rules, kind, access, major, minor),
                            "{rules:?}: {kind} {access} {major}:{minor}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn later_rules_override_earlier_ones_bit_by_bit() {
        use DeviceKind::{All, Block, Char};
        agree(&[]);
        agree(&[rule(true, All, 99, 99, Access::ALL)]);
        agree(&[rule(true, Char, 1, 3, Access::ALL), rule(false, All, 99, 99, Access::ALL)]);
        agree(&[
            rule(false, All, 99, 99, Access::ALL),
            rule(true, Char, 99, 99, MKNOD),
            rule(true, Block, 99, 99, MKNOD),
            rule(true, Char, 1, 3, Access::ALL),
            rule(false, Char, 1, 99, WRITE),
            rule(true, Char, 5, 99, READ),
            rule(true, Char, u32::MAX, 99, WRITE),
        ]);
    }

    #[test]
    fn random_lists_agree_with_their_plain_reading() {
        let mut seed = 7_u64;
        let mut next = move |n: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) % n
        };
        for _ in 0..300 {
            let rules: Vec<DeviceRule> = (0..next(8))
                .map(|_| DeviceRule {
                    allow: next(2) == 1,
                    kind: [DeviceKind::All, DeviceKind::Char, DeviceKind::Block, DeviceKind::Char][next(4) as usize],
                    major: [None, Some(1), Some(5)][next(3) as usize],
                    minor: [None, Some(3), Some(7)][next(3) as usize],
                    access: [READ, WRITE, MKNOD, Access::ALL, Access { mknod: false, ..Access::ALL }][next(5) as usize],
                })
                .collect();
            agree(&rules);
        }
    }
}
