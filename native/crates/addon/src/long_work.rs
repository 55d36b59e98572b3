//! Long work on threads of its own: unpacking, downloads, walks of trees. libuv's pool has four threads, which
//! serve all of Node's file and DNS work.

use crate::error::{NativeFailure, Outcome};
use neon::prelude::*;
use neon::types::Deferred;
use neon::types::extract::{Json, TryIntoJs};
use serde::Serialize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

/// Runs `work` on a new thread of that name; the promise settles with its outcome. A panic is an outcome too.
pub(crate) fn on_thread<'cx, T, E>(
    cx: &mut Cx<'cx>,
    name: &'static str,
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> JsResult<'cx, JsPromise>
where
    T: Serialize + Send + 'static,
    E: Into<NativeFailure>,
{
    let channel = cx.channel();
    let (deferred, promise) = cx.promise();
    // Shared, for a thread that cannot start must not take with it what the caller waits for.
    let owed = Arc::new(Mutex::new(Some(deferred)));
    let taken = Arc::clone(&owed);
    let run = move || {
        let done = catch_unwind(AssertUnwindSafe(work)).map(|result| result.map_err(Into::into));
        let outcome =
            Outcome::from(done.unwrap_or_else(|_| Err(failure(name, "panic", 0, "a native thread panicked"))));
        if let Some(deferred) = take(&taken) {
            // Fails only when Node is ending: then nobody waits.
            let _ = deferred.try_settle_with(&channel, move |mut cx| Json(outcome).try_into_js(&mut cx));
        }
    };
    match std::thread::Builder::new().name(format!("podwright-{name}")).spawn(run) {
        Ok(_) => Ok(promise),
        Err(e) => {
            let errno = e.raw_os_error().unwrap_or(0);
            let outcome = Outcome::<T>::Err(failure(name, "clone", errno, "a thread cannot be started"));
            let value = Json(outcome).try_into_js(cx)?;
            if let Some(deferred) = take(&owed) {
                deferred.resolve(cx, value);
            }
            Ok(promise)
        }
    }
}

/// What is owed, once; nobody panics while it is held.
fn take(owed: &Mutex<Option<Deferred>>) -> Option<Deferred> {
    owed.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// `{ok: ArrayBuffer}` or `{err}`: an outcome whose value is bytes.
pub(crate) fn settle_bytes<'cx, E: Into<NativeFailure>>(
    cx: &mut Cx<'cx>,
    done: Result<Vec<u8>, E>,
) -> JsResult<'cx, JsValue> {
    match done {
        Ok(bytes) => {
            let outcome = cx.empty_object();
            let bytes = JsArrayBuffer::from_slice(cx, &bytes)?;
            outcome.set(cx, "ok", bytes)?;
            Ok(outcome.upcast())
        }
        Err(e) => {
            let outcome: Outcome<()> = Err::<(), E>(e).into();
            Ok(Json(outcome).try_into_js(cx)?.upcast())
        }
    }
}

fn failure(operation: &str, syscall: &str, errno: i32, reason: &str) -> NativeFailure {
    NativeFailure {
        operation: operation.into(),
        syscall: syscall.into(),
        errno,
        object: String::new(),
        message: format!("{operation}: {reason}"),
    }
}
