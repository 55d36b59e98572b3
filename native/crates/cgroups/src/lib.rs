//! podwright-cgroups
