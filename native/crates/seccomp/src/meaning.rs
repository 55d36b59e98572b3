//! Tests: a profile read plainly, rule by rule, against its compiled program.

use crate::interpret::{Call, run};
use crate::plain::plain;
use crate::profile::Profile;
use crate::{Arch, Program, action, arch, compile_for};

type Tested = Result<(), Box<dyn std::error::Error>>;

/// A generator of test values: the same sequence each time.
struct Random(u64);

impl Random {
    fn next(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.next(from.len() as u64) as usize]
    }

    /// Values near the edges of halves.
    fn value(&mut self) -> u64 {
        let base = self.pick(&[0, 1, 5, 40, 0x7e02_0000, 0xffff_ffff, 0x1_0000_0000, 0x1_0000_0005, u64::MAX]);
        base.wrapping_add(self.next(3)).wrapping_sub(1)
    }

    fn profile(&mut self) -> String {
        let names = [
            "read",
            "clone",
            "socket",
            "personality",
            "ioctl",
            "mseal",
            "semget",
            "open",
            "set_tls",
            "bogus_call",
            "getpid",
        ];
        let acts = ["ALLOW", "ERRNO", "LOG", "KILL_PROCESS", "TRAP", "TRACE", "KILL"];
        let ops = ["EQ", "NE", "GT", "GE", "LT", "LE", "MASKED_EQ"];
        let rules: Vec<String> = (0..self.next(12))
            .map(|_| {
                let listed: Vec<String> = (0..=self.next(3)).map(|_| format!("{:?}", self.pick(&names))).collect();
                let args: Vec<String> = (0..self.next(4))
                    .map(|_| {
                        let (index, op, value, two) = (self.next(6), self.pick(&ops), self.value(), self.value());
                        format!(r#"{{"index":{index},"op":"SCMP_CMP_{op}","value":{value},"valueTwo":{two}}}"#)
                    })
                    .collect();
                let (act, errno) = (self.pick(&acts), self.next(100));
                format!(
                    r#"{{"names":[{}],"action":"SCMP_ACT_{act}","errnoRet":{errno},"args":[{}]}}"#,
                    listed.join(","),
                    args.join(",")
                )
            })
            .collect();
        let archs = self.pick(&[
            "",
            r#""SCMP_ARCH_X86""#,
            r#""SCMP_ARCH_X86","SCMP_ARCH_X32""#,
            r#""SCMP_ARCH_X32""#,
            r#""SCMP_ARCH_ARM""#,
        ]);
        let default = self.pick(&acts);
        format!(
            r#"{{"defaultAction":"SCMP_ACT_{default}","architectures":[{archs}],"syscalls":[{}]}}"#,
            rules.join(",")
        )
    }
}

fn agree(json: &str, native: Arch, random: &mut Random) -> Tested {
    let profile = Profile::parse(json)?;
    let Program { insns, .. } = compile_for(&profile, native, true)?;
    let mut archs = vec![native];
    for name in &profile.architectures {
        archs.extend(Arch::parse(name)?.filter(|a| a.runs_on(native)));
    }
    let names = [
        "read",
        "clone",
        "socket",
        "socketcall",
        "ipc",
        "personality",
        "ioctl",
        "mseal",
        "open",
        "set_tls",
        "getpid",
        "gettid",
        "futex",
    ];
    for arch in archs {
        let numbers = names.iter().filter_map(|n| arch.number(n)).flat_map(|n| [n, n + 1]);
        for number in numbers.chain([arch.number("read").unwrap_or(0) + 2000]) {
            for _ in 0..12 {
                let mut args = [0; 6];
                args.iter_mut().for_each(|a| *a = random.value());
                let call = Call { number, audit: arch.audit(), args, instruction_pointer: 0 };
                let got = run(&insns, &call).ok_or("the program does not run")?.0;
                assert_eq!(got, plain(&profile, &call, arch)?, "{arch:?} {call:x?}\n{json}");
            }
        }
    }
    Ok(())
}

#[test]
fn random_profiles_mean_what_they_say() -> Tested {
    let mut random = Random(1);
    for _ in 0..250 {
        let json = random.profile();
        agree(&json, Arch::X86_64, &mut random)?;
        agree(&json, Arch::Aarch64, &mut random)?;
    }
    Ok(())
}

#[test]
fn foreign_calls_end_the_thread() -> Tested {
    let profile = Profile::parse(r#"{"defaultAction":"SCMP_ACT_ALLOW"}"#)?;
    let program = compile_for(&profile, Arch::X86_64, true)?;
    for (audit, number, expected) in [
        (Arch::X86_64.audit(), 1, action::ALLOW),
        (Arch::X86.audit(), 1, action::KILL_THREAD),
        (Arch::X86_64.audit(), arch::X32_BIT | 1, action::KILL_THREAD),
        (Arch::X86_64.audit(), u32::MAX, action::ALLOW),
    ] {
        let call = Call { number, audit, ..Call::default() };
        assert_eq!(run(&program.insns, &call).map(|r| r.0), Some(expected), "{call:x?}");
    }
    Ok(())
}

#[test]
fn a_program_too_long_is_an_error() -> Tested {
    let rules: Vec<String> = (0..3000)
        .map(|n| format!(r#"{{"names":["read"],"action":"SCMP_ACT_ERRNO","errnoRet":{},"args":[{{"index":{},"op":"SCMP_CMP_GT","value":{n}}}]}}"#, n % 90 + 2, n % 6))
        .collect();
    let profile = Profile::parse(&format!(r#"{{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{}]}}"#, rules.join(",")))?;
    assert!(compile_for(&profile, Arch::X86_64, true).is_err());
    Ok(())
}

#[test]
fn long_programs_reach_their_far_ends() -> Tested {
    let mut random = Random(5);
    let rules: Vec<String> = (0..150)
        .map(|n| format!(r#"{{"names":["read","socket"],"action":"SCMP_ACT_ERRNO","errnoRet":{},"args":[{{"index":{},"op":"SCMP_CMP_EQ","value":{}}}]}}"#, n % 90 + 2, n % 6, n / 6))
        .collect();
    let json = format!(
        r#"{{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_X86","SCMP_ARCH_X32"],"syscalls":[{}]}}"#,
        rules.join(",")
    );
    agree(&json, Arch::X86_64, &mut random)
}

#[test]
fn damaged_profiles_are_errors_and_never_panics() {
    let mut random = Random(9);
    for _ in 0..1500 {
        let mut bytes = random.profile().into_bytes();
        for _ in 0..=random.next(6) {
            let at = random.next(bytes.len() as u64) as usize;
            match random.next(4) {
                0 => bytes[at] = random.next(256) as u8,
                1 => bytes[at] = b'"',
                2 => bytes.truncate(at + 1),
                _ => {
                    let piece = bytes[at..(at + 20).min(bytes.len())].to_vec();
                    bytes.splice(at..at, piece);
                }
            }
        }
        if let Ok(profile) = Profile::parse(&String::from_utf8_lossy(&bytes)) {
            let _either_way = compile_for(&profile, Arch::X86_64, true);
        }
    }
}
