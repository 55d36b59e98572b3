//! Anonymous memory straight from the kernel (mmap(2)), given back whole: for large buffers that pass between
//! threads, which the C library's per-thread arenas would keep after a burst.

use crate::errno::{SysError, SysResult};
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

/// Zeroed pages of one's own, unmapped when dropped.
#[derive(Debug)]
pub struct Pages {
    start: NonNull<u8>,
    length: usize,
}

impl Pages {
    /// Maps `length` bytes (above 0), each zero; ENOMEM if there is no room.
    pub fn new(length: usize) -> SysResult<Self> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a new anonymous mapping at an address of the kernel's choice touches no memory in use.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), length, protection, flags, -1, 0) };
        if start == libc::MAP_FAILED {
            let error = std::io::Error::last_os_error();
            return Err(SysError::from_io("get memory", "mmap", &error, format!("{length} bytes")));
        }
        match NonNull::new(start.cast()) {
            Some(start) => Ok(Self { start, length }),
            None => Err(SysError::new("get memory", "mmap", libc::ENOMEM, format!("{length} bytes"))),
        }
    }
}

// SAFETY: the mapping belongs to this value alone and is plain memory, bound to no thread.
unsafe impl Send for Pages {}
// SAFETY: shared references only read.
unsafe impl Sync for Pages {}

impl Deref for Pages {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: `length` bytes from `start` are mapped readable and initialised (zeroed) as long as self lives.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.length) }
    }
}

impl DerefMut for Pages {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, writable, and `&mut self` is the only reference.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.length) }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: the very mapping made in `new`, which nothing refers to any more.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.length) };
    }
}

#[cfg(test)]
mod tests {
    use super::Pages;

    #[test]
    fn pages_are_zero_and_pass_between_threads() {
        let mut pages = Pages::new(1 << 20).expect("map");
        assert!(pages.len() == 1 << 20 && pages.iter().all(|&b| b == 0));
        pages[1 << 19] = 7;
        let back = std::thread::spawn(move || pages).join().expect("join");
        assert_eq!(back[1 << 19], 7);
        assert!(Pages::new(0).is_err());
    }
}
