//! Compiles an OCI seccomp profile into a classic BPF program (seccomp(2), BPF in
//! Documentation/userspace-api/seccomp_filter.rst). Knows no default profile: that is data of the
//! control plane. Does not load anything.
//!
//! The order of meaning is libseccomp's, as runc uses it: a rule without arguments decides its
//! system call whatever else is said of it; of rules with arguments the first that holds decides;
//! a rule whose action is the default action says nothing; names this table does not know are
//! passed over.

pub mod action;
pub mod arch;
mod assemble;
mod body;
mod compile;
mod condition;
mod dispatch;
pub mod error;
#[cfg(any(test, feature = "host-tests"))]
pub mod interpret;
#[cfg(test)]
mod meaning;
#[cfg(any(test, feature = "host-tests"))]
pub mod plain;
pub mod profile;
mod rules;
mod tables;

pub use arch::Arch;
pub use assemble::Insn;
pub use compile::{Program, compile, compile_for};
pub use error::{Result, SeccompError};
pub use profile::Profile;
