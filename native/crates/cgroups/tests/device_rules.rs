//! Device rules as the kernel enforces them on this host, by both mechanisms. Root only.
#![cfg(feature = "host-tests")]

mod scratch;

use podwright_cgroups::devices::{Access, DeviceKind, DeviceRule, apply, v2};
use scratch::{Scratch, Tested};
use std::path::Path;

fn rule(allow: bool, kind: DeviceKind, minor: Option<u32>, access: &str) -> DeviceRule {
    let access = Access::parse(access).unwrap_or_default();
    DeviceRule { allow, kind, major: minor.map(|_| 1), minor, access }
}

/// Nothing but /dev/null, and /dev/zero for reading.
fn rules() -> Vec<DeviceRule> {
    vec![
        rule(false, DeviceKind::All, None, "rwm"),
        rule(true, DeviceKind::Char, Some(3), "rwm"),
        rule(true, DeviceKind::Char, Some(5), "r"),
    ]
}

fn check(s: &Scratch) -> Tested {
    assert_eq!(s.run("head -c 1 /dev/zero > /dev/null")?.0, Some(0));
    let (code, errors) = s.run("echo x > /dev/zero")?;
    assert!(code != Some(0) && errors.contains("not permitted"), "{errors}");
    let (code, errors) = s.run("head -c 1 /dev/urandom > /dev/null")?;
    assert!(code != Some(0) && errors.contains("not permitted"), "{errors}");
    Ok(())
}

#[test]
fn the_hosts_own_mechanism_refuses_devices() -> Tested {
    let s = Scratch::new(|_| ())?;
    apply(&s.facts.devices_v1_dir, &s.facts.devices_v2_dir, &rules())?;
    check(&s)
}

/// Works in the unified tree of a hybrid host as well.
#[test]
fn a_program_in_the_unified_tree_refuses_devices() -> Tested {
    let s = Scratch::new(|_| ())?;
    if s.facts.place.unified_dir.is_empty() {
        return Ok(());
    }
    let dir = Path::new(&s.facts.place.unified_dir);
    v2::attach(dir, &rules())?;
    check(&s)?;
    // Replaced, not added: what the new one allows is allowed.
    v2::attach(dir, &[rule(true, DeviceKind::All, None, "rwm")])?;
    assert_eq!(s.run("head -c 1 /dev/urandom > /dev/null")?.0, Some(0));
    v2::attach(dir, &rules())?;
    check(&s)
}

/// The verifier takes the lists runtimes write, with hundreds of rules.
#[test]
fn long_lists_load() -> Tested {
    let mut list = rules();
    for minor in 0..400 {
        list.push(DeviceRule { major: Some(4000), ..rule(minor % 3 != 0, DeviceKind::Block, Some(minor), "rw") });
    }
    v2::load(&list)?;
    v2::load(&[])?;
    v2::load(&[rule(false, DeviceKind::All, None, "rwm")])?;
    Ok(())
}
