//! Kernel calls that rustix lacks, typed. The only library crate allowed `unsafe`:
//! each block carries a SAFETY comment. One file per kernel subject.
#![allow(unsafe_code)]

pub mod errno;
pub mod netlink_socket;
pub mod spawn;
