//! Control groups on unified (v2), hybrid and legacy (v1) hosts behind one contract.
//! Carries out what it is told with values given in full; decides nothing and holds no defaults.
//!
//! A cgroup is named by its *path*: the part below each hierarchy's mount point, such as
//! `/podwright/pods/<id>`. Every function works on that path in all hierarchies, so a path is
//! enough to undo whatever was made under it. See cgroups(7) and the kernel's
//! `Documentation/admin-guide/cgroup-v2.rst` and `cgroup-v1/`.

pub mod delegate;
pub mod detect;
pub mod devices;
pub mod error;
pub mod facts;
pub mod file;
pub mod freeze;
pub mod group;
pub mod join;
pub mod journal;
pub mod kill;
pub mod oom;
pub mod procs;
pub mod resources;
pub mod stats;
pub mod systemd;
pub mod tasks;
mod tree;
pub mod v1;
pub mod v2;

pub use detect::{Layout, Version};
pub use error::{CgroupError, Result};
pub use facts::{Facts, Place};
pub use resources::{HugepageLimit, Resources};
