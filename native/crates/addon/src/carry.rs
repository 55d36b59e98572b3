//! Input of streaming clients past the event loop (`// ---- carry.rs` in boundary.ts). Each call has a thread of its own
//! and descriptors of its own, made before the call returns.

use crate::error::Outcome;
use crate::long_work::on_thread;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use neon::prelude::*;
use neon::types::extract::Json;
use podwright_carry::{Canceller, Ends, Framing, Limits, Stop, carry};
use podwright_sys::clone::duplicate_number;
use podwright_sys::errno::SysResult;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

/// Those under way.
static RUNNING: LazyLock<Mutex<HashMap<u32, Canceller>>> = LazyLock::new(Mutex::default);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CarryArgs {
    handle: u32,
    from: i32,
    to: i32,
    framing: Framing,
    quiet_ms: u64,
    time_ms: u64,
}

#[derive(Serialize)]
struct Carried {
    bytes: u64,
    rest: String,
    stop: Stop,
}

/// Forgets a handle when its carrying is over, however it went.
struct Running(u32);

impl Drop for Running {
    fn drop(&mut self) {
        RUNNING.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.0);
    }
}

fn prepare(args: &CarryArgs) -> SysResult<(Ends, Running)> {
    let (from, to) = (duplicate_number(args.from)?, duplicate_number(args.to)?);
    let canceller = Canceller::new()?;
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner).insert(args.handle, canceller.clone());
    Ok((Ends { from, to, canceller }, Running(args.handle)))
}

/// Carries input until something else comes.
#[neon::export]
fn carry_input<'cx>(cx: &mut Cx<'cx>, Json(args): Json<CarryArgs>) -> JsResult<'cx, JsPromise> {
    let prepared = prepare(&args);
    on_thread(cx, "carry", move || {
        let limits = Limits { quiet: Duration::from_millis(args.quiet_ms), time: Duration::from_millis(args.time_ms) };
        let (ends, _running) = prepared?;
        let done = carry(ends, &args.framing, limits);
        done.map(|c| Carried { bytes: c.bytes, rest: STANDARD.encode(c.rest), stop: c.stop })
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CancelArgs {
    handle: u32,
}

/// Ends a carrying; false if there is none of that handle.
#[neon::export]
fn carry_cancel(Json(args): Json<CancelArgs>) -> Json<Outcome<bool>> {
    let running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    let found = running.get(&args.handle);
    found.inspect(|canceller| canceller.cancel());
    Json(Outcome::Ok(found.is_some()))
}
