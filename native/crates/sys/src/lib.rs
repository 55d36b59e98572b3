//! Kernel calls that rustix lacks, typed. The only library crate allowed `unsafe`:
//! each block carries a SAFETY comment. One file per kernel subject.
#![allow(unsafe_code)]

pub mod bpf;
pub mod buffer;
pub mod clone;
pub mod end_process;
pub mod errno;
pub mod exec;
pub mod fs_ids;
pub mod heap;
pub mod keyring;
pub mod limits;
pub mod mount_attr;
pub mod namespace;
pub mod netlink_socket;
pub mod notify;
pub mod own_addresses;
pub mod pages;
pub mod priority;
pub mod project_quota;
pub mod seccomp;
pub mod signal;
pub mod socket;
pub mod spawn;
pub mod start_time;
pub mod steps;
