//! The one thread that frees retired trees, behind everybody else in the queue for processor and disk.

use crate::trash::free;
use podwright_sys::priority::set_thread_background;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};

/// Frees a path soon. What cannot be freed stays in the trash, where the next sweep meets it and reports why.
pub fn free_later(path: PathBuf) {
    static QUEUE: OnceLock<Option<Sender<PathBuf>>> = OnceLock::new();
    let start = || {
        let (sender, receiver) = channel::<PathBuf>();
        let work = move || {
            // Without its low priority it is merely less polite.
            let _ = set_thread_background();
            for path in receiver {
                let _ = free(&path);
            }
        };
        std::thread::Builder::new().name("podwright-trash".into()).spawn(work).ok().map(|_| sender)
    };
    if let Some(queue) = QUEUE.get_or_init(start) {
        // It only ends with the process.
        let _ = queue.send(path);
    }
}
