//! The v1 devices controller (Documentation/admin-guide/cgroup-v1/devices.rst).

use super::{DeviceKind, DeviceRule};
use crate::error::Result;
use crate::file;
use std::path::Path;

/// Writes each rule to `devices.allow` or `devices.deny` of `dir`, in order.
pub fn apply(dir: &Path, rules: &[DeviceRule]) -> Result<()> {
    for rule in rules {
        file::write(dir, if rule.allow { "devices.allow" } else { "devices.deny" }, &line(rule))?;
    }
    Ok(())
}

/// The rule in the controller's words: `c 1:3 rwm`.
pub fn line(rule: &DeviceRule) -> String {
    let kind = match rule.kind {
        // The kernel takes a bare "a" for everything and ignores what follows it.
        DeviceKind::All => return "a".into(),
        DeviceKind::Char => 'c',
        DeviceKind::Block => 'b',
    };
    let number = |n: Option<u32>| n.map_or_else(|| "*".to_owned(), |n| n.to_string());
    format!("{kind} {}:{} {}", number(rule.major), number(rule.minor), rule.access.letters())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devices::Access;

    #[test]
    fn rules_are_written_in_the_controllers_words() {
        let null =
            DeviceRule { allow: true, kind: DeviceKind::Char, major: Some(1), minor: Some(3), access: Access::ALL };
        assert_eq!(line(&null), "c 1:3 rwm");
        let access = Access { mknod: true, ..Access::default() };
        assert_eq!(line(&DeviceRule { kind: DeviceKind::Block, major: None, minor: None, access, ..null }), "b *:* m");
        assert_eq!(line(&DeviceRule { kind: DeviceKind::All, ..null }), "a");
    }
}
