//! podwright-monitor: one per pod sandbox.
fn main() {}
