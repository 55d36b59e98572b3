//! Project quota: which project a directory's files count for (FS_IOC_FSSETXATTR, ioctl_iflags(2)), and the limits and
//! use of projects (quotactl_fd(2), Linux 5.14).

use crate::errno::{SysError, SysResult};
use rustix::fd::{AsFd, AsRawFd};

/// `struct fsxattr` of linux/fs.h.
#[repr(C)]
#[derive(Default)]
struct FsXattr {
    xflags: u32,
    extsize: u32,
    nextents: u32,
    projid: u32,
    cowextsize: u32,
    pad: [u8; 8],
}

/// `_IOR('X', 31, struct fsxattr)` and `_IOW('X', 32, struct fsxattr)`.
const FS_IOC_FSGETXATTR: u32 = 0x801c_581f;
const FS_IOC_FSSETXATTR: u32 = 0x401c_5820;
/// What is made in the directory belongs to its project.
const FS_XFLAG_PROJINHERIT: u32 = 0x200;

/// `struct if_nextdqblk` of linux/quota.h; `struct if_dqblk` is the same without the id.
#[repr(C)]
#[derive(Default)]
struct Dqblk {
    bhardlimit: u64,
    bsoftlimit: u64,
    curspace: u64,
    ihardlimit: u64,
    isoftlimit: u64,
    curinodes: u64,
    btime: u64,
    itime: u64,
    valid: u32,
    id: u32,
}

const QIF_LIMITS: u32 = 1 | 4;
/// Unit of block limits.
const QIF_DQBLKSIZE: u64 = 1024;
const PRJQUOTA: u32 = 2;
const Q_GETQUOTA: u32 = 0x80_0007;
const Q_SETQUOTA: u32 = 0x80_0008;
const Q_GETNEXTQUOTA: u32 = 0x80_0009;
/// `XQM_CMD(8)` of linux/dqblk_xfs.h; answered by every file system with quota.
const Q_XGETQSTATV: u32 = 0x5808;
/// Flags of `fs_quota_statv`: project quota is counted, and its limits hold.
const PDQ_ACCT: u16 = 1 << 4;
const PDQ_ENFD: u16 = 1 << 5;

/// `struct fs_quota_statv` of linux/dqblk_xfs.h, as far as it is looked at.
#[repr(C)]
struct StatV {
    version: i8,
    pad: u8,
    flags: u16,
    rest: [u32; 39],
}

/// Whether a file system counts project quota, and whether its limits hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotaState {
    /// Use is counted.
    pub counted: bool,
    /// Limits hold.
    pub enforced: bool,
}

/// What a project uses, and may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProjectUse {
    /// The project.
    pub id: u32,
    /// Bytes that are allocated.
    pub bytes: u64,
    /// Inodes that are allocated.
    pub inodes: u64,
    /// Bytes that may be allocated; 0 for any number.
    pub limit_bytes: u64,
}

/// The project of an open file or directory, 0 for none.
///
/// # Errors
/// ENOTTY or EOPNOTSUPP where the file system knows no projects.
pub fn project_of(fd: impl AsFd) -> SysResult<u32> {
    Ok(attributes(&fd)?.projid)
}

/// Makes an open directory, and all that will be made in it, count for a project.
///
/// # Errors
/// As [`project_of`]; EPERM outside the first user namespace.
pub fn set_project(fd: impl AsFd, project: u32) -> SysResult<()> {
    let mut now = attributes(&fd)?;
    now.projid = project;
    now.xflags |= FS_XFLAG_PROJINHERIT;
    // SAFETY: the request reads one `struct fsxattr`, which `now` is.
    let done = unsafe { libc::ioctl(fd.as_fd().as_raw_fd(), FS_IOC_FSSETXATTR as _, &raw const now) };
    if done == 0 { Ok(()) } else { Err(last("set the project of a directory", "ioctl FS_IOC_FSSETXATTR")) }
}

fn attributes(fd: &impl AsFd) -> SysResult<FsXattr> {
    let mut found = FsXattr::default();
    // SAFETY: the request writes one `struct fsxattr`, which `found` is.
    let done = unsafe { libc::ioctl(fd.as_fd().as_raw_fd(), FS_IOC_FSGETXATTR as _, &raw mut found) };
    if done == 0 { Ok(found) } else { Err(last("read the project of a directory", "ioctl FS_IOC_FSGETXATTR")) }
}

/// Whether the file system of an open file has project quota.
///
/// # Errors
/// ENOSYS before Linux 5.14, and from file systems that know no quota.
pub fn quota_state(fd: impl AsFd) -> SysResult<QuotaState> {
    let mut state = StatV { version: 1, pad: 0, flags: 0, rest: [0; 39] };
    // SAFETY: the command writes one `struct fs_quota_statv` of version 1 (160 bytes), which `state` is.
    unsafe { quotactl(&fd, Q_XGETQSTATV, 0, (&raw mut state).cast()) }?;
    Ok(QuotaState { counted: state.flags & PDQ_ACCT != 0, enforced: state.flags & PDQ_ENFD != 0 })
}

/// What a project uses; nothing, if nothing was ever counted for it.
///
/// # Errors
/// ESRCH where project quota is off.
pub fn project_use(fd: impl AsFd, project: u32) -> SysResult<ProjectUse> {
    let mut found = Dqblk::default();
    // SAFETY: the command writes one `struct if_dqblk`, the beginning of `found`.
    match unsafe { quotactl(&fd, Q_GETQUOTA, project, (&raw mut found).cast()) } {
        Ok(()) => Ok(found.usage(project)),
        Err(e) if e.errno == libc::ENOENT => Ok(Dqblk::default().usage(project)),
        Err(e) => Err(e),
    }
}

/// The first project from this one on of which the file system knows anything.
///
/// # Errors
/// As [`project_use`].
pub fn next_project(fd: impl AsFd, from: u32) -> SysResult<Option<ProjectUse>> {
    let mut found = Dqblk::default();
    // SAFETY: the command writes one `struct if_nextdqblk`, which `found` is.
    match unsafe { quotactl(&fd, Q_GETNEXTQUOTA, from, (&raw mut found).cast()) } {
        Ok(()) => Ok(Some(found.usage(found.id))),
        Err(e) if matches!(e.errno, libc::ENOENT | libc::ESRCH) => Ok(None),
        Err(e) => Err(e),
    }
}

/// Limits what a project may allocate, rounded up to KiB; 0 takes its limit away.
///
/// # Errors
/// As [`project_use`]; EPERM without CAP_SYS_ADMIN.
pub fn limit_project(fd: impl AsFd, project: u32, limit_bytes: u64) -> SysResult<()> {
    let mut wanted = Dqblk { bhardlimit: limit_bytes.div_ceil(QIF_DQBLKSIZE), valid: QIF_LIMITS, ..Dqblk::default() };
    // SAFETY: the command reads one `struct if_dqblk`, the beginning of `wanted`.
    unsafe { quotactl(&fd, Q_SETQUOTA, project, (&raw mut wanted).cast()) }
}

impl Dqblk {
    fn usage(&self, id: u32) -> ProjectUse {
        let limit_bytes = self.bhardlimit.saturating_mul(QIF_DQBLKSIZE);
        ProjectUse { id, bytes: self.curspace, inodes: self.curinodes, limit_bytes }
    }
}

/// quotactl_fd(2) on project quota.
///
/// # Safety
/// `argument` must be what the command reads or writes.
unsafe fn quotactl(fd: &impl AsFd, command: u32, id: u32, argument: *mut libc::c_void) -> SysResult<()> {
    let whole = (command << 8) | PRJQUOTA;
    // SAFETY: the caller vouches for `argument`; the rest are integers.
    let done = unsafe { libc::syscall(libc::SYS_quotactl_fd, fd.as_fd().as_raw_fd(), whole, id, argument) };
    if done == 0 { Ok(()) } else { Err(last("ask for project quota", "quotactl_fd")) }
}

fn last(operation: &'static str, syscall: &'static str) -> SysError {
    SysError::from_io(operation, syscall, &std::io::Error::last_os_error(), "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structures_are_as_large_as_the_kernels() {
        assert_eq!(size_of::<FsXattr>(), 28);
        assert_eq!(size_of::<Dqblk>(), 72);
        assert_eq!(size_of::<StatV>(), 160);
    }

    #[test]
    fn a_file_system_without_quota_says_so() {
        let proc = std::fs::File::open("/proc/self").expect("open");
        assert!(quota_state(&proc).is_err());
        assert!(project_of(&proc).is_err());
    }
}
