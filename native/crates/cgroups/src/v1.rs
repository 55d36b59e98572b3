//! Controllers of v1 hierarchies, one file each: `set` writes what a request names, `get` reads
//! the kernel's values into an answer (Documentation/admin-guide/cgroup-v1/).

pub mod cpu;
pub mod cpuset;
pub mod hugetlb;
pub mod memory;
pub mod pids;
