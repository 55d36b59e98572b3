//! The whole program: architecture, then number, then arguments.

use crate::action;
use crate::arch::{Arch, X32_BIT};
use crate::assemble::{Assembler, Insn, JEQ_K, Target};
use crate::body;
use crate::dispatch::{self, Range};
use crate::error::{Result, SeccompError};
use crate::profile::Profile;
use crate::rules::{Verdict, verdicts};
use std::collections::{BTreeMap, HashMap};

/// Offsets in `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;
/// ARM's private calls have numbers from here on: the newest call is not one of them.
const PRIVATE: u32 = 0xf_0000;

/// A compiled profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// The filter.
    pub insns: Vec<Insn>,
    /// `SECCOMP_FILTER_FLAG_*` the profile asks for.
    pub flags: u32,
}

impl Program {
    /// The filter as an array of `struct sock_filter` in host order.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.insns.len() * 8);
        for insn in &self.insns {
            bytes.extend(insn.code.to_ne_bytes());
            bytes.extend([insn.jt, insn.jf]);
            bytes.extend(insn.k.to_ne_bytes());
        }
        bytes
    }
}

/// Compiles a profile for this machine.
pub fn compile(profile: &Profile) -> Result<Program> {
    let native = Arch::native().ok_or(SeccompError::Unsupported { what: "this machine's architecture" })?;
    compile_for(profile, native, true)
}

/// Compiles a profile for a machine of architecture `native`. With `unknown_calls`, a profile that
/// stops calls by default gives ENOSYS for those newer than any it names, so that a libc tries the
/// older way: a profile cannot have meant what did not exist when it was written.
pub fn compile_for(profile: &Profile, native: Arch, unknown_calls: bool) -> Result<Program> {
    let mut archs = vec![native];
    for name in &profile.architectures {
        match Arch::parse(name)? {
            Some(arch) if arch.runs_on(native) && !archs.contains(&arch) => archs.push(arch),
            _ => {}
        }
    }
    let flags = profile.flag_bits()?;
    let default = action::value(&profile.default_action, profile.default_errno_ret)?;
    let unknown = (unknown_calls && !action::lets_through(default)).then_some(action::UNKNOWN_CALL);
    let mut section = Section { code: Assembler::default(), bodies: HashMap::new(), profile, default, unknown };
    // By audit number: x86_64 and x32 share one.
    let mut families: BTreeMap<u32, Vec<Arch>> = BTreeMap::new();
    for arch in &archs {
        families.entry(arch.audit()).or_default().push(*arch);
    }
    let mut next = Target::Return(action::KILL_THREAD);
    // The native architecture is written last, so that it is asked for first.
    let (own, others): (Vec<_>, Vec<_>) = families.into_iter().partition(|(audit, _)| *audit == native.audit());
    for (audit, family) in others.into_iter().chain(own) {
        let entry = section.write(&family)?;
        next = section.code.branch(JEQ_K, audit, entry, next);
    }
    let start = section.code.load(ARCH, next);
    Ok(Program { insns: section.code.finish(start)?, flags })
}

/// What the sections of a program have in common.
struct Section<'p> {
    code: Assembler,
    /// Tests of arguments that several calls share.
    bodies: HashMap<(Verdict, bool), Target>,
    profile: &'p Profile,
    default: u32,
    /// For numbers above every one the profile names.
    unknown: Option<u32>,
}

impl Section<'_> {
    /// Writes the part for architectures of one audit number: x86_64 and x32, or one alone.
    fn write(&mut self, family: &[Arch]) -> Result<Target> {
        let mut ranges = Vec::new();
        for arch in family.iter().filter(|a| **a != Arch::X32) {
            self.span(&mut ranges, *arch, 0)?;
        }
        if family.contains(&Arch::X32) {
            self.span(&mut ranges, Arch::X32, X32_BIT)?;
        } else if family.contains(&Arch::X86_64) {
            dispatch::push(&mut ranges, X32_BIT, Target::Return(action::KILL_THREAD));
            // Not a call: what a tracer sets to skip one.
            dispatch::push(&mut ranges, u32::MAX, Target::Return(self.default));
        }
        let search = dispatch::write(&mut self.code, &ranges);
        Ok(self.code.load(NUMBER, search))
    }

    /// Adds the ranges of one architecture, whose numbers begin at `base`.
    fn span(&mut self, ranges: &mut Vec<Range>, arch: Arch, base: u32) -> Result<()> {
        let default = Target::Return(self.default);
        dispatch::push(ranges, base, default);
        let named = self.profile.syscalls.iter().flat_map(|rule| &rule.names).filter_map(|name| arch.number(name));
        let newest = named.filter(|number| number - base < PRIVATE).max();
        let unknown = newest.zip(self.unknown).map(|(newest, value)| (newest + 1, Target::Return(value)));
        let mut common = verdicts(self.profile, arch, self.default)?;
        let private = common.split_off(&(base + PRIVATE));
        self.listed(ranges, common, arch);
        if let Some((start, target)) = unknown {
            dispatch::push(ranges, start, target);
            dispatch::push(ranges, base + PRIVATE, default);
        }
        self.listed(ranges, private, arch);
        Ok(())
    }

    fn listed(&mut self, ranges: &mut Vec<Range>, verdicts: BTreeMap<u32, Verdict>, arch: Arch) {
        for (number, verdict) in verdicts {
            let target = self.target(verdict, arch);
            dispatch::push(ranges, number, target);
            dispatch::push(ranges, number + 1, Target::Return(self.default));
        }
    }

    fn target(&mut self, verdict: Verdict, arch: Arch) -> Target {
        let wide = !arch.is_32_bit();
        match &verdict {
            Verdict::Always(value) => Target::Return(*value),
            Verdict::Depends(alternatives) => {
                if let Some(target) = self.bodies.get(&(verdict.clone(), wide)) {
                    return *target;
                }
                let target = body::write(&mut self.code, alternatives, Target::Return(self.default), wide);
                self.bodies.insert((verdict, wide), target);
                target
            }
        }
    }
}
