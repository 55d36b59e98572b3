//! Memory outside the heap: buffers that no child inherits, and a note that a child shares.

use crate::errno::{SysError, SysResult};
use std::ptr::NonNull;

fn map(length: usize, flags: libc::c_int) -> SysResult<NonNull<u8>> {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: an anonymous mapping of a size above 0 at an address of the kernel's choice.
    let address = unsafe { libc::mmap(std::ptr::null_mut(), length, protection, flags | libc::MAP_ANONYMOUS, -1, 0) };
    if address == libc::MAP_FAILED {
        return Err(SysError::from_io("map memory", "mmap", &std::io::Error::last_os_error(), ""));
    }
    NonNull::new(address.cast::<u8>()).ok_or_else(|| SysError::new("map memory", "mmap", libc::ENOMEM, ""))
}

/// A zeroed buffer that a forked child does not have (MADV_DONTFORK): what flows through it
/// stays with this process. Pages are taken at the first touch and given back by [`Buffer::rest`].
#[derive(Debug)]
pub struct Buffer {
    address: NonNull<u8>,
    length: usize,
}

impl Buffer {
    /// Maps `length` bytes.
    ///
    /// # Errors
    /// The errno of mmap or madvise.
    pub fn new(length: usize) -> SysResult<Self> {
        let buffer = Self { address: map(length, libc::MAP_PRIVATE)?, length };
        // SAFETY: the mapping is ours and exactly this long.
        if unsafe { libc::madvise(buffer.address.as_ptr().cast(), length, libc::MADV_DONTFORK) } != 0 {
            return Err(SysError::from_io("map memory", "madvise", &std::io::Error::last_os_error(), ""));
        }
        Ok(buffer)
    }

    /// The bytes.
    pub fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: the mapping is readable and writable for `length` bytes, initialised (zero), and
        // borrowed mutably through self.
        unsafe { std::slice::from_raw_parts_mut(self.address.as_ptr(), self.length) }
    }

    /// Gives the pages back to the kernel; the bytes are zero again.
    pub fn rest(&mut self) {
        // SAFETY: the mapping is ours; private anonymous pages read as zero afterwards.
        unsafe { libc::madvise(self.address.as_ptr().cast(), self.length, libc::MADV_DONTNEED) };
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, nothing borrows it any more.
        unsafe { libc::munmap(self.address.as_ptr().cast(), self.length) };
    }
}

const NOTE: usize = 4096;

/// A line of text in a page that forked children share: a child writes what it is about to do,
/// and the parent can read it when the child hangs.
#[derive(Debug)]
pub struct SharedNote {
    address: NonNull<u8>,
}

impl SharedNote {
    /// Maps the page.
    ///
    /// # Errors
    /// The errno of mmap.
    pub fn new() -> SysResult<Self> {
        Ok(Self { address: map(NOTE, libc::MAP_SHARED)? })
    }

    /// Replaces the text (cut at 4,094 bytes).
    pub fn write(&self, text: &str) {
        let bytes = &text.as_bytes()[..text.len().min(NOTE - 2)];
        for (at, byte) in bytes.iter().chain(std::iter::once(&0)).enumerate() {
            // SAFETY: `at` is below NOTE; volatile because the other process may read meanwhile.
            unsafe { self.address.as_ptr().add(at).write_volatile(*byte) };
        }
    }

    /// The text as it is now.
    pub fn read(&self) -> String {
        let mut bytes = Vec::new();
        for at in 0..NOTE {
            // SAFETY: `at` is below NOTE.
            match unsafe { self.address.as_ptr().add(at).read_volatile() } {
                0 => break,
                byte => bytes.push(byte),
            }
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Drop for SharedNote {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, nothing borrows it any more.
        unsafe { libc::munmap(self.address.as_ptr().cast(), NOTE) };
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_rested_buffer_is_zero() {
        let mut buffer = Buffer::new(8192).unwrap();
        buffer.bytes()[5000] = 7;
        buffer.rest();
        assert_eq!(buffer.bytes()[5000], 0);
    }

    #[test]
    fn a_note_keeps_the_last_text() {
        let note = SharedNote::new().unwrap();
        assert_eq!(note.read(), "");
        note.write("open /some/long/path");
        note.write("mount /x");
        assert_eq!(note.read(), "mount /x");
        note.write(&"a".repeat(9000));
        assert_eq!(note.read().len(), NOTE - 2);
    }
}
