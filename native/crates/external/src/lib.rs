//! Other people's OCI runtimes (runc, crun, runsc) driven from throw-away processes of the monitor.
//! Must not wait in the monitor's own process, hold state between calls, or know the daemon's protocol.

mod bundle;
mod cgroup;
pub mod command;
mod console;
pub mod create;
pub mod delete;
pub mod exec;
mod gvisor;
mod log;
mod namespace;
mod run;
pub mod runtime;
pub mod tool;
