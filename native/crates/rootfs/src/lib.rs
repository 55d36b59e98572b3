//! podwright-rootfs
