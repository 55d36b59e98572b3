//! The C library's heap: what a burst of work must not leave behind in a daemon.

/// Blocks from here on are mapped and unmapped by themselves.
#[cfg(target_env = "gnu")]
const MAPPED_FROM: libc::c_int = 1 << 20;

/// Fixes the size from which the GNU library maps blocks apart (mallopt(3)). By itself it raises that size, up to 32 MiB,
/// whenever such a block is freed; decoders' windows then fill the arenas of many threads, which keep them.
pub fn map_large_blocks() {
    #[cfg(target_env = "gnu")]
    // SAFETY: mallopt takes two integers and may be called at any time from any thread.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, MAPPED_FROM);
    }
}

/// Returns free pages of all arenas to the kernel (malloc_trim(3)). Takes a millisecond or few: for after a burst.
pub fn trim_heap() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim takes an integer, may be called at any time from any thread, and moves no live block.
    unsafe {
        libc::malloc_trim(0);
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn live_data_survives() {
        super::map_large_blocks();
        let kept: Vec<Vec<u8>> = (0..64).map(|i| vec![i; 100_000]).collect();
        super::trim_heap();
        assert!((0..64).all(|i| kept[usize::from(i)].iter().all(|&b| b == i)));
    }
}
