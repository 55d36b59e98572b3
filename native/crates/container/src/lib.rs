//! podwright-container
