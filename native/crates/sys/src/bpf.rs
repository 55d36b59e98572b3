//! bpf(2) as far as device programs of cgroups need it: load, attach, query, detach.

use crate::errno::{SysError, SysResult};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// One eBPF instruction (`struct bpf_insn` of linux/bpf.h).
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Insn {
    /// Opcode.
    pub code: u8,
    registers: u8,
    /// Jump or memory offset.
    pub off: i16,
    /// Immediate operand.
    pub imm: i32,
}

impl Insn {
    /// Makes an instruction; the registers are below 16.
    pub const fn new(code: u8, dst: u8, src: u8, off: i16, imm: i32) -> Self {
        // The two are bit fields of one byte: dst is first, so low on little and high on big endian.
        let registers = if cfg!(target_endian = "little") { (src << 4) | dst } else { (dst << 4) | src };
        Self { code, registers, off, imm }
    }

    /// Destination register.
    pub const fn dst(&self) -> u8 {
        if cfg!(target_endian = "little") { self.registers & 15 } else { self.registers >> 4 }
    }

    /// Source register.
    pub const fn src(&self) -> u8 {
        if cfg!(target_endian = "little") { self.registers >> 4 } else { self.registers & 15 }
    }
}

/// `enum bpf_prog_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProgType {
    /// BPF_PROG_TYPE_CGROUP_DEVICE
    CgroupDevice = 15,
}

/// `enum bpf_attach_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttachType {
    /// BPF_CGROUP_DEVICE
    CgroupDevice = 6,
}

const PROG_LOAD: libc::c_int = 5;
const PROG_ATTACH: libc::c_int = 8;
const PROG_DETACH: libc::c_int = 9;
const PROG_GET_FD_BY_ID: libc::c_int = 13;
const PROG_QUERY: libc::c_int = 16;
const F_ALLOW_MULTI: u32 = 1 << 1;
const F_REPLACE: u32 = 1 << 2;
/// More programs than this on one cgroup are not ours to understand (the kernel's limit is 64).
const MOST_PROGRAMS: usize = 64;

/// The parts of `union bpf_attr` used here, each as its own struct. The kernel takes a shorter
/// struct than its own and reads the rest as zero.
#[repr(C)]
#[derive(Default)]
struct LoadAttr {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
}

#[repr(C)]
#[derive(Default)]
struct AttachAttr {
    target_fd: u32,
    attach_bpf_fd: u32,
    attach_type: u32,
    attach_flags: u32,
    replace_bpf_fd: u32,
}

#[repr(C)]
#[derive(Default)]
struct QueryAttr {
    target_fd: u32,
    attach_type: u32,
    query_flags: u32,
    attach_flags: u32,
    prog_ids: u64,
    prog_cnt: u32,
    pad: u32,
}

#[repr(C)]
#[derive(Default)]
struct IdAttr {
    id: u32,
    next_id: u32,
    open_flags: u32,
}

fn bpf<T>(cmd: libc::c_int, attr: &mut T, operation: &'static str) -> SysResult<libc::c_int> {
    // SAFETY: attr is a live, fully initialised repr(C) struct of the size given; pointers inside
    // it are set by the callers below to buffers that outlive the call, with their lengths.
    let r = unsafe { libc::syscall(libc::SYS_bpf, cmd, std::ptr::from_mut(attr), size_of::<T>()) };
    if r < 0 {
        return Err(SysError::from_io(operation, "bpf", &std::io::Error::last_os_error(), ""));
    }
    Ok(r as libc::c_int)
}

/// Loads a program; the descriptor is close-on-exec. A program the verifier refuses is EINVAL or
/// EACCES.
pub fn prog_load(kind: ProgType, code: &[Insn]) -> SysResult<OwnedFd> {
    let license = c"Apache-2.0";
    let mut attr = LoadAttr {
        prog_type: kind as u32,
        insn_cnt: code.len() as u32,
        insns: code.as_ptr() as u64,
        license: license.as_ptr() as u64,
        ..LoadAttr::default()
    };
    let fd = bpf(PROG_LOAD, &mut attr, "load bpf program")?;
    // SAFETY: BPF_PROG_LOAD answered a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Attaches `program` to the cgroup directory with ALLOW_MULTI, in place of `replaced` if given.
pub fn attach(
    cgroup: BorrowedFd<'_>,
    program: BorrowedFd<'_>,
    kind: AttachType,
    replaced: Option<BorrowedFd<'_>>,
) -> SysResult<()> {
    let mut attr = AttachAttr {
        target_fd: cgroup.as_raw_fd() as u32,
        attach_bpf_fd: program.as_raw_fd() as u32,
        attach_type: kind as u32,
        attach_flags: F_ALLOW_MULTI | if replaced.is_some() { F_REPLACE } else { 0 },
        replace_bpf_fd: replaced.map_or(0, |fd| fd.as_raw_fd() as u32),
    };
    bpf(PROG_ATTACH, &mut attr, "attach bpf program").map(|_| ())
}

/// Takes `program` off the cgroup directory.
pub fn detach(cgroup: BorrowedFd<'_>, program: BorrowedFd<'_>, kind: AttachType) -> SysResult<()> {
    let mut attr = AttachAttr {
        target_fd: cgroup.as_raw_fd() as u32,
        attach_bpf_fd: program.as_raw_fd() as u32,
        attach_type: kind as u32,
        ..AttachAttr::default()
    };
    bpf(PROG_DETACH, &mut attr, "detach bpf program").map(|_| ())
}

/// Ids of the programs attached to the cgroup directory itself (not to its ancestors).
pub fn query(cgroup: BorrowedFd<'_>, kind: AttachType) -> SysResult<Vec<u32>> {
    let mut ids = [0_u32; MOST_PROGRAMS];
    let mut attr = QueryAttr {
        target_fd: cgroup.as_raw_fd() as u32,
        attach_type: kind as u32,
        prog_ids: ids.as_mut_ptr() as u64,
        prog_cnt: MOST_PROGRAMS as u32,
        ..QueryAttr::default()
    };
    bpf(PROG_QUERY, &mut attr, "query bpf programs")?;
    Ok(ids[..(attr.prog_cnt as usize).min(MOST_PROGRAMS)].to_vec())
}

/// A descriptor of the loaded program `id`, close-on-exec.
pub fn prog_by_id(id: u32) -> SysResult<OwnedFd> {
    let mut attr = IdAttr { id, ..IdAttr::default() };
    let fd = bpf(PROG_GET_FD_BY_ID, &mut attr, "open bpf program")?;
    // SAFETY: BPF_PROG_GET_FD_BY_ID answered a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
