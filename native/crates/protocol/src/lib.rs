//! podwright-protocol
