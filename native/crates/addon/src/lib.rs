//! The Neon addon: conversion only. Each subject is one file, mirrored in
//! `src/native/boundary.ts` in the same order; the work is a plain function in
//! its own crate, tested by cargo without Node.

mod carry;
mod cgroups;
mod error;
mod fetch;
mod long_work;
mod network;
mod process;
mod quota;
mod rootfs;
mod seccomp;
mod steps;
