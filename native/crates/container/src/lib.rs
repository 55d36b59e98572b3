//! The OCI runtime as a library: from a bundle and facts to a process in its namespaces.
//! Must not hold state between calls, talk to the daemon, or know of more than one container.

pub mod credentials;
pub mod error;
pub mod pause;
pub mod place;
pub mod report;
