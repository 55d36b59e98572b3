//! Our filters against libseccomp's for the same profiles, both run by the interpreter.
//! Needs cc and libseccomp-dev; x86_64 only, like the numbers below.
#![cfg(all(feature = "host-tests", target_arch = "x86_64"))]

use podwright_seccomp::interpret::{Call, parse, run};
use podwright_seccomp::plain::said;
use podwright_seccomp::profile::{Profile, Syscall};
use podwright_seccomp::{Arch, Insn, action, compile_for};
use std::collections::HashSet;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

type Tested<T = ()> = Result<T, Box<dyn std::error::Error>>;

/// The reference program, built once for all tests of this file.
struct Reference(PathBuf);

impl Reference {
    fn build() -> Tested<Self> {
        let binary = std::env::temp_dir().join(format!(
            "podwright-libseccomp-{}-{:?}",
            std::process::id(),
            std::thread::current().id()
        ));
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/libseccomp.c");
        let built = Command::new("cc").args([source, "-O1", "-o"]).arg(&binary).arg("-lseccomp").status()?;
        assert!(built.success(), "cc failed: is libseccomp-dev installed?");
        Ok(Self(binary))
    }

    /// libseccomp's filter, and the calls it does not know: "ARCH NAME".
    fn filter(&self, profile: &Profile) -> Tested<(Vec<Insn>, HashSet<String>)> {
        let mut child =
            Command::new(&self.0).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        child.stdin.take().ok_or("no stdin")?.write_all(lines(profile)?.as_bytes())?;
        let out = child.wait_with_output()?;
        let errors = String::from_utf8(out.stderr)?;
        assert!(out.status.success(), "{errors}");
        Ok((parse(&out.stdout), errors.lines().map(str::to_owned).collect()))
    }
}

impl Drop for Reference {
    fn drop(&mut self) {
        let _gone = std::fs::remove_file(&self.0);
    }
}

/// The profile as runc hands it to libseccomp (libcontainer/seccomp).
fn lines(profile: &Profile) -> Tested<String> {
    let default = action::value(&profile.default_action, profile.default_errno_ret)?;
    let mut text = format!("default {default:x}\n");
    for name in &profile.architectures {
        writeln!(text, "arch {}", name.trim_start_matches("SCMP_ARCH_").to_lowercase())?;
    }
    for rule in &profile.syscalls {
        let value = action::value(&rule.action, rule.errno_ret)?;
        if value == default {
            continue;
        }
        for name in &rule.names {
            for args in runc_rules(rule) {
                write!(text, "rule {value:x} {name} {}", args.len())?;
                for arg in args {
                    let op = arg.op.trim_start_matches("SCMP_CMP_");
                    write!(text, " {} {op} {} {}", arg.index, arg.value, arg.value_two)?;
                }
                writeln!(text)?;
            }
        }
    }
    Ok(text)
}

fn runc_rules(rule: &Syscall) -> Vec<Vec<&podwright_seccomp::profile::Arg>> {
    let indices: HashSet<u32> = rule.args.iter().map(|a| a.index).collect();
    if indices.len() < rule.args.len() {
        return rule.args.iter().map(|a| vec![a]).collect();
    }
    vec![rule.args.iter().collect()]
}

struct Random(u64);

impl Random {
    fn next(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.next(from.len() as u64) as usize]
    }

    fn value(&mut self) -> u64 {
        let base = self.pick(&[0, 1, 5, 40, 0x7e02_0000, 0xffff_ffff, 0x1_0000_0000, 0x1_0000_0005, u64::MAX]);
        base.wrapping_add(self.next(3)).wrapping_sub(1)
    }
}

/// Runs both filters over calls around every number the profile names.
fn compare(reference: &Reference, json: &str, random: &mut Random, rounds: u64) -> Tested<usize> {
    let profile = Profile::parse(json)?;
    let ours = compile_for(&profile, Arch::X86_64, false)?;
    let (theirs, unknown) = reference.filter(&profile)?;
    let mut archs = vec![Arch::X86_64];
    for name in &profile.architectures {
        archs.extend(Arch::parse(name)?);
    }
    let names: Vec<&String> = profile.syscalls.iter().flat_map(|r| &r.names).collect();
    let mut compared = 0;
    for arch in archs {
        let spelled = format!("{arch:?} ").to_lowercase();
        let skipped: HashSet<u32> =
            unknown.iter().filter_map(|n| n.strip_prefix(&spelled)).filter_map(|n| arch.number(n)).collect();
        let mut numbers: HashSet<u32> =
            names.iter().filter_map(|n| arch.number(n)).flat_map(|n| [n.saturating_sub(1), n, n + 1]).collect();
        // i386's multiplexers, which rules about the calls behind them concern.
        numbers.extend(["socketcall", "ipc"].iter().filter_map(|n| arch.number(n)));
        for number in numbers.difference(&skipped) {
            for _ in 0..rounds {
                let mut args = [0; 6];
                args.iter_mut().for_each(|a| *a = random.value());
                let call = Call { number: *number, audit: arch.audit(), args, instruction_pointer: 0 };
                // Which of two rules that both hold decides is the order of libseccomp's tree: not compared.
                let mut values = said(&profile, &call, arch)?.holding;
                values.dedup();
                if values.len() > 1 {
                    continue;
                }
                let (a, b) = (run(&ours.insns, &call).map(|r| r.0), run(&theirs, &call).map(|r| r.0));
                assert!(b.is_some(), "libseccomp's filter has an instruction the interpreter lacks");
                assert_eq!(a, b, "ours, libseccomp's: {arch:?} {call:x?}\n{json}");
                compared += 1;
            }
        }
    }
    Ok(compared)
}

/// A random profile. A call has at most one rule with conditions, or a list of values of one
/// argument: where two ordered comparisons of one argument meet, libseccomp 2.5 gives the default
/// action to arguments that satisfy one of them (its tree has no way back from the upper halves).
fn random_profile(random: &mut Random) -> String {
    let mut fresh = vec!["read", "clone", "personality", "ioctl", "prctl", "open", "getpid", "futex", "readv", "kill"];
    let acts = ["ALLOW", "ERRNO", "LOG", "KILL_PROCESS", "TRAP", "TRACE", "KILL"];
    let mut rules = Vec::new();
    for _ in 0..random.next(10) {
        let name = fresh.remove(random.next(fresh.len() as u64) as usize);
        let args = if random.next(4) == 0 { value_list(random) } else { conditions(random) };
        let (act, errno) = (random.pick(&acts), random.next(100));
        rules.push(format!(
            r#"{{"names":["{name}"],"action":"SCMP_ACT_{act}","errnoRet":{errno},"args":[{}]}}"#,
            args.join(",")
        ));
        if random.next(4) == 0 {
            let (act, other) =
                (random.pick(&acts), random.pick(&["write", "mmap2", "read", "clone", "socket", "semget"]));
            rules.push(format!(r#"{{"names":["{name}","{other}"],"action":"SCMP_ACT_{act}"}}"#));
        }
    }
    let archs = random.pick(&["", r#""SCMP_ARCH_X86""#, r#""SCMP_ARCH_X86","SCMP_ARCH_X32""#, r#""SCMP_ARCH_X32""#]);
    let default = random.pick(&acts);
    let rules = rules.join(",");
    format!(r#"{{"defaultAction":"SCMP_ACT_{default}","architectures":[{archs}],"syscalls":[{rules}]}}"#)
}

fn arg(index: u64, op: &str, value: u64, two: u64) -> String {
    format!(r#"{{"index":{index},"op":"SCMP_CMP_{op}","value":{value},"valueTwo":{two}}}"#)
}

/// Up to three conditions on different arguments.
fn conditions(random: &mut Random) -> Vec<String> {
    let ops = ["EQ", "NE", "GT", "GE", "LT", "LE", "MASKED_EQ"];
    let first = random.next(6);
    (0..random.next(4))
        .map(|at| {
            let (op, value, two) = (random.pick(&ops), random.value(), random.value());
            arg((first + at) % 6, op, value, two)
        })
        .collect()
}

/// Several values of one argument.
fn value_list(random: &mut Random) -> Vec<String> {
    let index = random.next(6);
    (0..6).map(|_| arg(index, "EQ", random.value(), 0)).collect()
}

#[test]
fn random_profiles_are_read_alike() -> Tested {
    let reference = Reference::build()?;
    let mut random = Random(3);
    for _ in 0..200 {
        let json = random_profile(&mut random);
        compare(&reference, &json, &mut random, 20)?;
    }
    Ok(())
}

#[test]
fn the_default_profile_is_read_alike() -> Tested {
    let reference = Reference::build()?;
    let mut random = Random(11);
    let compared = compare(&reference, include_str!("default-x64.json"), &mut random, 6)?;
    assert!(compared > 5_000, "{compared}");
    Ok(())
}
