//! Labelled steps of a test (`// ---- steps.rs` in boundary.ts).

use crate::error::Outcome;
use neon::types::extract::Json;
use podwright_sys::steps;

/// Turns the steps of this process on, to be told what to do by files of that directory; false when they are on already.
/// Fails when somebody else could put files there.
#[neon::export]
fn steps_enable(dir: String) -> Json<Outcome<bool>> {
    Json(steps::enable(dir.into()).into())
}

/// Passes a step of the daemon's own; fails when a test has it fail.
#[neon::export]
fn step_pass(label: String) -> Json<Outcome<bool>> {
    Json(steps::pass(&label).map(|()| true).into())
}
