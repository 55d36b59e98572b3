//! Controllers of the unified tree, one file each: `set` writes what a request names, `get` reads
//! the kernel's values into an answer (Documentation/admin-guide/cgroup-v2.rst).

pub mod cpu;
pub mod cpuset;
pub mod hugetlb;
pub mod memory;
pub mod pids;
pub mod subtree;
pub mod unified;
