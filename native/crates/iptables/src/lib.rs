//! podwright-iptables
