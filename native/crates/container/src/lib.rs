//! The OCI runtime as a library: from a bundle and facts to a process in its namespaces.
//! Must not hold state between calls, talk to the daemon, or know of more than one container.

mod apparmor;
pub mod cgroup;
mod cgroup_mount;
pub mod credentials;
pub mod devices;
pub mod ear;
pub mod error;
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzzed;
pub mod handles;
mod handover;
pub mod hooks;
pub mod ids;
pub mod image_volume;
pub mod init;
pub mod join;
mod launch;
pub mod limits;
pub mod logfile;
pub mod mounts;
pub mod options;
pub mod paths;
pub mod pause;
pub mod place;
pub mod probe;
pub mod process;
mod refusals;
pub mod relabel;
pub mod report;
pub mod request;
pub mod root;
mod rules;
pub mod selinux;
pub mod shared_mount;
mod shelf;
pub mod sources;
pub mod spec;
pub mod steps;
pub mod sysctl;
mod terminal;
pub mod users;
