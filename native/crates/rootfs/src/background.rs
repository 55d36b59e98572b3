//! The one thread that frees retired trees, behind everybody else in the queue for processor and disk.

use crate::trash::free;
use podwright_sys::priority::set_thread_background;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How long a tree that could not be freed waits: what the host lacks now (descriptors, memory) it may have then.
const AGAIN: Duration = Duration::from_secs(2);

/// How often a tree is tried. Afterwards it stays in the trash, where the next sweep meets it and reports why.
const TRIES: u32 = 300;

/// Frees a path soon. Where no thread can be had it is freed at once.
pub fn free_later(path: PathBuf) {
    static QUEUE: Mutex<Option<Sender<PathBuf>>> = Mutex::new(None);
    // The lock guards a sender that is whole or absent: sound even after a panic.
    let mut queue = QUEUE.lock().unwrap_or_else(PoisonError::into_inner);
    if queue.is_none() {
        *queue = start();
    }
    let unsent = match queue.as_ref() {
        Some(sender) => sender.send(path).err().map(|error| error.0),
        None => Some(path),
    };
    drop(queue);
    if let Some(path) = unsent {
        // What cannot be freed stays in the trash.
        let _ = free(&path);
    }
}

/// The thread, which ends with the process; `None` when the host has no room for one.
fn start() -> Option<Sender<PathBuf>> {
    let (sender, receiver) = channel::<PathBuf>();
    let thread = std::thread::Builder::new().name("podwright-trash".into());
    thread.spawn(move || work(&receiver)).ok().map(|_| sender)
}

fn work(receiver: &Receiver<PathBuf>) {
    // Without its low priority it is merely less polite.
    let _ = set_thread_background();
    let mut failed: Vec<(PathBuf, u32)> = Vec::new();
    loop {
        let next = if failed.is_empty() {
            receiver.recv().map_err(|_| RecvTimeoutError::Disconnected)
        } else {
            receiver.recv_timeout(AGAIN)
        };
        match next {
            Ok(path) => failed.extend(tried(path, TRIES)),
            Err(RecvTimeoutError::Timeout) => {
                failed = failed.into_iter().filter_map(|(path, left)| tried(path, left)).collect();
            }
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// Tries once: what is to be tried again, and how often yet.
fn tried(path: PathBuf, left: u32) -> Option<(PathBuf, u32)> {
    free(&path).err().and((left > 1).then_some((path, left - 1)))
}
