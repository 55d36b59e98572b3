//! podwright-seccomp
