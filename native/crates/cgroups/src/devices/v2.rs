//! Attaching the device program to a v2 cgroup, replacing the one attached before in one step.

use super::{DeviceRule, program};
use crate::error::Result;
use podwright_sys::bpf::{self, AttachType, ProgType};
use podwright_sys::errno::SysError;
use rustix::fs::{Mode, OFlags};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// Makes the program of `rules` the device program of the cgroup directory `dir`.
///
/// Attached with ALLOW_MULTI, so that a program of an ancestor keeps its say. One program already
/// there is replaced atomically (Linux 5.6); when there are several, the new one is added first
/// and the old ones are taken off after it, so that at no time less is denied than either says.
pub fn attach(dir: &Path, rules: &[DeviceRule]) -> Result<()> {
    let cgroup = open(dir)?;
    let fd = load(rules)?;
    let ids = bpf::query(cgroup.as_fd(), AttachType::CgroupDevice)?;
    let old = ids.iter().map(|id| bpf::prog_by_id(*id)).collect::<std::result::Result<Vec<OwnedFd>, SysError>>()?;
    match old.as_slice() {
        [] => bpf::attach(cgroup.as_fd(), fd.as_fd(), AttachType::CgroupDevice, None)?,
        [one] => bpf::attach(cgroup.as_fd(), fd.as_fd(), AttachType::CgroupDevice, Some(one.as_fd()))?,
        many => {
            bpf::attach(cgroup.as_fd(), fd.as_fd(), AttachType::CgroupDevice, None)?;
            detach_all(cgroup.as_fd(), many)?;
        }
    }
    Ok(())
}

/// Loads the program of `rules` without attaching it; the kernel's verifier has then accepted it.
pub fn load(rules: &[DeviceRule]) -> Result<OwnedFd> {
    Ok(bpf::prog_load(ProgType::CgroupDevice, &program::program(rules))?)
}

fn detach_all(cgroup: BorrowedFd<'_>, programs: &[OwnedFd]) -> Result<()> {
    for program in programs {
        bpf::detach(cgroup, program.as_fd(), AttachType::CgroupDevice)?;
    }
    Ok(())
}

fn open(dir: &Path) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(dir, flags, Mode::empty())
        .map_err(|e| SysError::new("open cgroup", "open", e.raw_os_error(), dir.to_string_lossy()).into())
}
