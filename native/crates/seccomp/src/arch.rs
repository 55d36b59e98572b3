//! Architectures a filter can be asked about, and their system call numbers.

use crate::error::{Result, SeccompError};
use crate::tables::{CALLS, NO};

/// An architecture whose calls this program can name. The order is that of the table's columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Arch {
    /// 64-bit x86.
    X86_64,
    /// i386 on x86_64.
    X86,
    /// 32-bit pointers on x86_64.
    X32,
    /// 64-bit ARM.
    Aarch64,
    /// 32-bit ARM (EABI).
    Arm,
}

/// Set in the number of every x32 call; x32 shares x86_64's audit number.
pub const X32_BIT: u32 = 0x4000_0000;

impl Arch {
    /// The architecture this program was built for; `None` for one it has no table of.
    pub fn native() -> Option<Self> {
        match std::env::consts::ARCH {
            "x86_64" => Some(Self::X86_64),
            "aarch64" => Some(Self::Aarch64),
            _ => None,
        }
    }

    /// A name of the runtime-spec; `None` for one whose calls a machine we know never makes.
    pub fn parse(name: &str) -> Result<Option<Self>> {
        Ok(match name {
            "SCMP_ARCH_X86_64" => Some(Self::X86_64),
            "SCMP_ARCH_X86" => Some(Self::X86),
            "SCMP_ARCH_X32" => Some(Self::X32),
            "SCMP_ARCH_AARCH64" => Some(Self::Aarch64),
            "SCMP_ARCH_ARM" => Some(Self::Arm),
            other if FOREIGN.contains(&other) => None,
            other => return Err(SeccompError::value("architecture", other, "is unknown")),
        })
    }

    /// Whether a kernel of architecture `native` can run calls of this one.
    pub fn runs_on(self, native: Self) -> bool {
        let is_arm = |a| matches!(a, Self::Aarch64 | Self::Arm);
        is_arm(self) == is_arm(native)
    }

    /// `AUDIT_ARCH_*` (linux/audit.h), the `arch` of `struct seccomp_data`.
    pub fn audit(self) -> u32 {
        match self {
            Self::X86_64 | Self::X32 => 0xc000_003e,
            Self::X86 => 0x4000_0003,
            Self::Aarch64 => 0xc000_00b7,
            Self::Arm => 0x4000_0028,
        }
    }

    /// Whether arguments are taken as 32 bits wide. On x32 the registers are wider, but its pointers
    /// and integers are not, and the kernel drops the upper halves of those.
    pub fn is_32_bit(self) -> bool {
        matches!(self, Self::X86 | Self::X32 | Self::Arm)
    }

    /// The number of a call as a filter sees it.
    pub fn number(self, name: &str) -> Option<u32> {
        let at = CALLS.binary_search_by_key(&name, |(n, _)| n).ok()?;
        let number = CALLS[at].1[self as usize];
        (number != NO).then_some(if self == Self::X32 { number | X32_BIT } else { number })
    }
}

/// The runtime-spec's other architectures.
const FOREIGN: [&str; 18] = [
    "SCMP_ARCH_MIPS",
    "SCMP_ARCH_MIPS64",
    "SCMP_ARCH_MIPS64N32",
    "SCMP_ARCH_MIPSEL",
    "SCMP_ARCH_MIPSEL64",
    "SCMP_ARCH_MIPSEL64N32",
    "SCMP_ARCH_PPC",
    "SCMP_ARCH_PPC64",
    "SCMP_ARCH_PPC64LE",
    "SCMP_ARCH_S390",
    "SCMP_ARCH_S390X",
    "SCMP_ARCH_PARISC",
    "SCMP_ARCH_PARISC64",
    "SCMP_ARCH_RISCV64",
    "SCMP_ARCH_LOONGARCH64",
    "SCMP_ARCH_M68K",
    "SCMP_ARCH_SH",
    "SCMP_ARCH_SHEB",
];

/// i386 has the socket calls a second time behind `socketcall`, and the System V IPC calls behind
/// `ipc`: the call, its number there, and which of the two (net/socket.c, ipc/syscall.c).
pub fn multiplexed(name: &str) -> Option<(&'static str, u32)> {
    let found = |list: &[&str]| list.iter().position(|n| *n == name && !n.is_empty()).map(|at| at as u32);
    if let Some(at) = found(&SOCKET_CALLS) {
        return Some(("socketcall", at));
    }
    found(&IPC_CALLS).map(|at| ("ipc", at))
}

const SOCKET_CALLS: [&str; 21] = [
    "",
    "socket",
    "bind",
    "connect",
    "listen",
    "accept",
    "getsockname",
    "getpeername",
    "socketpair",
    "send",
    "recv",
    "sendto",
    "recvfrom",
    "shutdown",
    "setsockopt",
    "getsockopt",
    "sendmsg",
    "recvmsg",
    "accept4",
    "recvmmsg",
    "sendmmsg",
];

const IPC_CALLS: [&str; 25] = [
    "",
    "semop",
    "semget",
    "semctl",
    "semtimedop",
    "",
    "",
    "",
    "",
    "",
    "",
    "msgsnd",
    "msgrcv",
    "msgget",
    "msgctl",
    "",
    "",
    "",
    "",
    "",
    "",
    "shmat",
    "shmdt",
    "shmget",
    "shmctl",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_known_calls() {
        assert_eq!(Arch::X86_64.number("clone3"), Some(435));
        assert_eq!(Arch::X32.number("readv"), Some(X32_BIT | 515));
        assert_eq!(Arch::Aarch64.number("open"), None);
        assert_eq!(Arch::Arm.number("set_tls"), Some(0xf_0005));
        assert_eq!(Arch::X86.number("socketcall"), Some(102));
        assert_eq!(Arch::X86_64.number("no_such_call"), None);
        #[cfg(target_arch = "x86_64")]
        assert_eq!(Arch::X86_64.number("statx"), u32::try_from(libc::SYS_statx).ok());
    }

    #[test]
    fn multiplexers() {
        assert_eq!(multiplexed("socket"), Some(("socketcall", 1)));
        assert_eq!(multiplexed("sendmmsg"), Some(("socketcall", 20)));
        assert_eq!(multiplexed("shmctl"), Some(("ipc", 24)));
        assert_eq!(multiplexed(""), None);
        assert_eq!(multiplexed("read"), None);
    }

    #[test]
    fn names_of_architectures() -> Result<()> {
        assert_eq!(Arch::parse("SCMP_ARCH_ARM")?, Some(Arch::Arm));
        assert_eq!(Arch::parse("SCMP_ARCH_S390X")?, None);
        assert!(Arch::parse("x86").is_err());
        assert!(Arch::X32.runs_on(Arch::X86_64) && !Arch::Arm.runs_on(Arch::X86_64));
        Ok(())
    }
}
