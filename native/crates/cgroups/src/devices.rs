//! Which devices the processes of a cgroup may use: a list of rules, later ones overriding
//! earlier ones (OCI runtime-spec, `linux.resources.devices`).

pub mod program;
pub mod v1;
pub mod v2;

use crate::error::Result;
use std::path::Path;

/// The kind of device node a rule speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeviceKind {
    /// Both kinds, and every device: numbers are ignored, as the v1 controller does.
    All,
    /// Character devices.
    Char,
    /// Block devices.
    Block,
}

/// What may be done with a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Access {
    /// Opening for reading.
    pub read: bool,
    /// Opening for writing.
    pub write: bool,
    /// Creating the node.
    pub mknod: bool,
}

impl Access {
    /// Everything.
    pub const ALL: Self = Self { read: true, write: true, mknod: true };

    /// Reads a subset of the letters `rwm`; `None` for any other letter. The empty string means
    /// all, as in the runtime-spec where `access` is absent.
    pub fn parse(text: &str) -> Option<Self> {
        if text.is_empty() {
            return Some(Self::ALL);
        }
        let mut access = Self::default();
        for letter in text.chars() {
            match letter {
                'r' => access.read = true,
                'w' => access.write = true,
                'm' => access.mknod = true,
                _ => return None,
            }
        }
        Some(access)
    }

    fn letters(self) -> String {
        [(self.read, 'r'), (self.write, 'w'), (self.mknod, 'm')].iter().filter(|(on, _)| *on).map(|(_, c)| *c).collect()
    }
}

/// One rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceRule {
    /// Whether it grants or takes away.
    pub allow: bool,
    /// Kind of node.
    pub kind: DeviceKind,
    /// Major number, `None` for every one.
    pub major: Option<u32>,
    /// Minor number, `None` for every one.
    pub minor: Option<u32>,
    /// The accesses granted or taken away.
    pub access: Access,
}

/// Applies `rules` where devices are ruled: to the v1 directory when given, to the v2 directory
/// when given ([`crate::Facts::devices_v1_dir`], [`crate::Facts::devices_v2_dir`]; empty for none).
/// Replaces a program attached before. May be called by a process that is not in the cgroup.
pub fn apply(v1_dir: &str, v2_dir: &str, rules: &[DeviceRule]) -> Result<()> {
    if !v1_dir.is_empty() {
        v1::apply(Path::new(v1_dir), rules)?;
    }
    if !v2_dir.is_empty() {
        v2::attach(Path::new(v2_dir), rules)?;
    }
    Ok(())
}
