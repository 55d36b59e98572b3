//! Mount options as in mount(8) and the runtime-spec: flags, propagation, data. PURE.

use podwright_sys::mount_attr as attr;

/// Mount options, sorted out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MountOptions {
    /// Attributes of the mount itself to set.
    pub set: u64,
    /// Attributes of the mount itself to clear.
    pub clear: u64,
    /// Attributes to set on the mount and all below it.
    pub recursive_set: u64,
    /// Attributes to clear on the mount and all below it.
    pub recursive_clear: u64,
    /// A propagation constant of mount_attr, 0 for none.
    pub propagation: u64,
    /// The propagation holds for all below, too.
    pub propagation_recursive: bool,
    /// `bind` or `rbind`.
    pub bind: bool,
    /// `rbind`.
    pub bind_recursive: bool,
    /// What is left, for the filesystem.
    pub data: Vec<String>,
}

impl MountOptions {
    /// Sorts a list of options.
    pub fn parse(options: &[String]) -> Self {
        let mut parsed = Self::default();
        for option in options {
            parsed.add(option);
        }
        parsed
    }

    fn add(&mut self, option: &str) {
        if let Some((bits, propagation_recursive)) = propagation(option) {
            self.propagation = bits;
            self.propagation_recursive = propagation_recursive;
            return;
        }
        match option {
            "bind" => self.bind = true,
            "rbind" => (self.bind, self.bind_recursive) = (true, true),
            "defaults" | "async" | "norelatime" | "relatime" => {}
            _ => match flag(option) {
                Some((bit, true)) => (self.set, self.clear) = (self.set | bit, self.clear & !bit),
                Some((bit, false)) => (self.set, self.clear) = (self.set & !bit, self.clear | bit),
                None => self.add_recursive(option),
            },
        }
    }

    /// `rro` and its like: a flag's name with an r in front.
    fn add_recursive(&mut self, option: &str) {
        match option.strip_prefix('r').and_then(flag) {
            Some((bit, true)) => self.recursive_set |= bit,
            Some((bit, false)) => self.recursive_clear |= bit,
            None => self.data.push(option.to_owned()),
        }
    }
}

fn flag(option: &str) -> Option<(u64, bool)> {
    Some(match option {
        "ro" => (attr::RDONLY, true),
        "rw" => (attr::RDONLY, false),
        "nosuid" => (attr::NOSUID, true),
        "suid" => (attr::NOSUID, false),
        "nodev" => (attr::NODEV, true),
        "dev" => (attr::NODEV, false),
        "noexec" => (attr::NOEXEC, true),
        "exec" => (attr::NOEXEC, false),
        "noatime" => (attr::NOATIME, true),
        "atime" => (attr::NOATIME, false),
        "strictatime" => (attr::STRICTATIME, true),
        "nostrictatime" => (attr::STRICTATIME, false),
        "nodiratime" => (attr::NODIRATIME, true),
        "diratime" => (attr::NODIRATIME, false),
        "nosymfollow" => (attr::NOSYMFOLLOW, true),
        "symfollow" => (attr::NOSYMFOLLOW, false),
        _ => return None,
    })
}

/// A propagation by its name, and whether it is meant for all below.
pub fn propagation(option: &str) -> Option<(u64, bool)> {
    Some(match option {
        "private" => (attr::PRIVATE, false),
        "rprivate" => (attr::PRIVATE, true),
        "slave" => (attr::SLAVE, false),
        "rslave" => (attr::SLAVE, true),
        "shared" => (attr::SHARED, false),
        "rshared" => (attr::SHARED, true),
        "unbindable" => (attr::UNBINDABLE, false),
        "runbindable" => (attr::UNBINDABLE, true),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> MountOptions {
        MountOptions::parse(&text.split(',').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn options_are_sorted() {
        let table = [
            (
                "rbind,rprivate,ro",
                MountOptions {
                    bind: true,
                    bind_recursive: true,
                    propagation: attr::PRIVATE,
                    propagation_recursive: true,
                    set: attr::RDONLY,
                    ..MountOptions::default()
                },
            ),
            (
                "bind,rro,rslave",
                MountOptions {
                    bind: true,
                    recursive_set: attr::RDONLY,
                    propagation: attr::SLAVE,
                    propagation_recursive: true,
                    ..MountOptions::default()
                },
            ),
            (
                "nosuid,strictatime,mode=755,size=65536k",
                MountOptions {
                    set: attr::NOSUID | attr::STRICTATIME,
                    data: vec!["mode=755".into(), "size=65536k".into()],
                    ..MountOptions::default()
                },
            ),
            ("ro,rw", MountOptions { clear: attr::RDONLY, ..MountOptions::default() }),
            ("newinstance,relatime", MountOptions { data: vec!["newinstance".into()], ..MountOptions::default() }),
        ];
        for (text, expected) in table {
            assert_eq!(parse(text), expected, "{text}");
        }
    }
}
