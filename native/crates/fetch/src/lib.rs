//! podwright-fetch
