//! User, groups, capabilities, no_new_privs: what a process may do.

use crate::error::{StepError, StepResult, failed};
use podwright_sys::fs_ids;
use rustix::process::{Gid, Uid};
use rustix::thread::{CapabilitySet, CapabilitySets};

/// The capability names by number (linux/capability.h).
const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// Capability sets as bits by number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// Bounding set.
    pub bounding: u64,
    /// Effective set.
    pub effective: u64,
    /// Permitted set.
    pub permitted: u64,
    /// Inheritable set.
    pub inheritable: u64,
    /// Ambient set.
    pub ambient: u64,
}

impl Capabilities {
    /// The same sets without what `held` does not have.
    pub fn within(self, held: u64) -> Self {
        Self {
            bounding: self.bounding & held,
            effective: self.effective & held,
            permitted: self.permitted & held,
            inheritable: self.inheritable & held,
            ambient: self.ambient & held,
        }
    }

    /// All bits that appear in any set.
    pub fn union(self) -> u64 {
        self.bounding | self.effective | self.permitted | self.inheritable | self.ambient
    }
}

/// The bits of a list of names ("CAP_CHOWN"). PURE.
///
/// # Errors
/// The name that is none.
pub fn bits(names: &[String]) -> StepResult<u64> {
    names.iter().try_fold(0, |bits, name| {
        let bare = name.strip_prefix("CAP_").unwrap_or(name);
        match NAMES.iter().position(|n| *n == bare) {
            Some(number) => Ok(bits | 1 << number),
            None => Err(StepError::invalid("set capabilities", name, "there is no such capability")),
        }
    })
}

/// The names of bits, for notes. PURE.
pub fn names(bits: u64) -> Vec<String> {
    let listed = NAMES.iter().enumerate().filter(|(number, _)| bits & (1 << number) != 0);
    listed.map(|(_, name)| format!("CAP_{name}")).collect()
}

/// What this process may give: its permitted set.
///
/// # Errors
/// The errno of capget.
pub fn held() -> StepResult<u64> {
    let sets = rustix::thread::capabilities(None).map_err(failed("read capabilities", "capget", ""))?;
    Ok(sets.permitted.bits())
}

/// Who a process runs as.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
}

/// Changes to the user and groups, keeping the capabilities for the steps that follow.
///
/// # Errors
/// The errno of the failing call.
pub fn become_user(identity: &Identity) -> StepResult<()> {
    let prctl = || failed("keep capabilities", "prctl", "");
    rustix::thread::set_keep_capabilities(true).map_err(prctl())?;
    let groups: Vec<Gid> = identity.groups.iter().map(|g| Gid::from_raw(*g)).collect();
    rustix::thread::set_thread_groups(&groups).map_err(failed("set groups", "setgroups", ""))?;
    let gid = Gid::from_raw(identity.gid);
    rustix::thread::set_thread_res_gid(gid, gid, gid).map_err(failed(
        "set gid",
        "setresgid",
        identity.gid.to_string(),
    ))?;
    let uid = Uid::from_raw(identity.uid);
    rustix::thread::set_thread_res_uid(uid, uid, uid).map_err(failed(
        "set uid",
        "setresuid",
        identity.uid.to_string(),
    ))?;
    rustix::thread::set_keep_capabilities(false).map_err(prctl())?;
    // setresuid cleared the effective set; what follows still needs it
    raise_all()
}

/// Becomes the root of the user namespace the process is in, with no group but root's. Capabilities stay.
///
/// # Errors
/// The errno of the failing call.
pub fn become_root() -> StepResult<()> {
    rustix::thread::set_thread_groups(&[]).map_err(failed("set groups", "setgroups", ""))?;
    let (uid, gid) = (Uid::ROOT, Gid::ROOT);
    rustix::thread::set_thread_res_gid(gid, gid, gid).map_err(failed("set gid", "setresgid", "0"))?;
    rustix::thread::set_thread_res_uid(uid, uid, uid).map_err(failed("set uid", "setresuid", "0"))
}

/// Does `work` as one whose files belong to `uid` and `gid` of the host, with all the rights of root.
///
/// # Errors
/// The failing call; what `work` failed with.
pub fn owning<T>(uid: u32, gid: u32, work: impl FnOnce() -> StepResult<T>) -> StepResult<T> {
    fs_ids::set(uid, gid)?;
    let done = raise_all().and_then(|()| work());
    fs_ids::set(0, 0)?;
    raise_all()?;
    done
}

/// Makes every permitted capability effective.
fn raise_all() -> StepResult<()> {
    let now = rustix::thread::capabilities(None).map_err(failed("read capabilities", "capget", ""))?;
    let all =
        CapabilitySets { effective: now.permitted, permitted: now.permitted, inheritable: CapabilitySet::empty() };
    rustix::thread::set_capabilities(None, all).map_err(failed("raise capabilities", "capset", ""))
}

/// Takes from the bounding set everything that is not in `keep`.
///
/// # Errors
/// The errno of prctl.
pub fn limit_bounding(keep: u64) -> StepResult<()> {
    for number in 0..64 {
        if keep & (1 << number) != 0 {
            continue;
        }
        let one = CapabilitySet::from_bits_retain(1 << number);
        match rustix::thread::remove_capability_from_bounding_set(one) {
            Ok(()) => {}
            Err(rustix::io::Errno::INVAL) => break, // past the last one this kernel has
            Err(e) => return Err(failed("limit the bounding set", "prctl", number.to_string())(e)),
        }
    }
    Ok(())
}

/// Sets the final sets, ambient last.
///
/// # Errors
/// The errno of capset or prctl.
pub fn set_capabilities(caps: Capabilities) -> StepResult<()> {
    let sets = CapabilitySets {
        effective: CapabilitySet::from_bits_retain(caps.effective),
        permitted: CapabilitySet::from_bits_retain(caps.permitted),
        inheritable: CapabilitySet::from_bits_retain(caps.inheritable),
    };
    rustix::thread::set_capabilities(None, sets).map_err(failed("set capabilities", "capset", ""))?;
    let ambient = || failed("set ambient capabilities", "prctl", "");
    rustix::thread::clear_ambient_capability_set().map_err(ambient())?;
    for number in (0..64).filter(|n| caps.ambient & (1 << n) != 0) {
        let one = CapabilitySet::from_bits_retain(1 << number);
        rustix::thread::configure_capability_in_ambient_set(one, true).map_err(ambient())?;
    }
    Ok(())
}

/// No program it executes gives it more than it has (prctl(2) PR_SET_NO_NEW_PRIVS).
///
/// # Errors
/// The errno of prctl.
pub fn no_new_privileges() -> StepResult<()> {
    rustix::thread::set_no_new_privs(true).map_err(failed("set no_new_privs", "prctl", ""))
}

/// A user (and group) with no other group and no capability that can never have any again.
///
/// # Errors
/// The failing call's errno.
pub fn become_nobody(uid: u32, gid: u32) -> StepResult<()> {
    limit_bounding(0)?;
    become_user(&Identity { uid, gid, groups: Vec::new() })?;
    set_capabilities(Capabilities::default())?;
    no_new_privileges()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn names_are_numbers_of_the_kernel() {
        assert_eq!(bits(&["CAP_CHOWN".into(), "NET_RAW".into()]).unwrap(), 1 | 1 << 13);
        assert_eq!(bits(&["CAP_CHECKPOINT_RESTORE".into()]).unwrap(), CapabilitySet::CHECKPOINT_RESTORE.bits());
        assert_eq!(bits(&["CAP_SYS_RESOURCE".into()]).unwrap(), CapabilitySet::SYS_RESOURCE.bits());
        assert_eq!(names(1 << 24), ["CAP_SYS_RESOURCE"]);
        assert!(bits(&["CAP_FLY".into()]).is_err());
    }

    #[test]
    fn what_is_not_held_is_left_out() {
        let caps = Capabilities { bounding: 7, effective: 3, permitted: 3, inheritable: 0, ambient: 2 };
        assert_eq!(
            caps.within(5),
            Capabilities { bounding: 5, effective: 1, permitted: 1, inheritable: 0, ambient: 0 }
        );
    }
}
