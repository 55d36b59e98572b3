//! criu, an external program that captures and brings back process trees, and what a checkpoint holds beside its
//! images. Carries out one request given in full; must not decide which containers, where, or with which options.
//! Everything here that touches a path of a request may wait for ever: it is for processes that are thrown away.

mod beside;
pub mod capture;
pub mod error;
pub mod export;
pub mod folder;
pub mod layout;
mod log;
pub mod mounts;
pub mod program;
pub mod requests;
pub mod restore;
pub mod rpc;
pub mod session;
