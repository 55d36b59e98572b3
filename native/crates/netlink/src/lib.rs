//! podwright-netlink
