//! The buffers that pass from stage to stage: used again within a fetch, given back to the kernel after it.

use crate::cause::Cause;
use podwright_sys::pages::Pages;
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes of a piece: large enough for few calls, small enough to keep all stages busy.
pub(crate) const PIECE: usize = 256 << 10;

/// Buffers of one fetch that are free. There are never more than its pipes can hold.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pool(Arc<Mutex<Vec<Pages>>>);

impl Pool {
    /// An empty piece with room for [`PIECE`] bytes.
    pub(crate) fn piece(&self) -> Result<Piece, Cause> {
        let free = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let pages = match free {
            Some(pages) => pages,
            None => Pages::new(PIECE)?,
        };
        Ok(Piece { pages: Some(pages), begin: 0, end: 0, pool: self.clone() })
    }
}

/// Some bytes on their way; shared by `Arc` where two stages take them.
#[derive(Debug)]
pub(crate) struct Piece {
    /// Absent only while it is dropped.
    pages: Option<Pages>,
    begin: usize,
    end: usize,
    pool: Pool,
}

impl Piece {
    /// What is not filled yet.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        let end = self.end;
        self.pages.as_deref_mut().map_or(&mut [], |pages| &mut pages[end..])
    }

    /// Marks bytes of the room as filled.
    pub(crate) fn filled(&mut self, count: usize) {
        self.end = (self.end + count).min(PIECE);
    }

    /// Whether there is no room left.
    pub(crate) fn is_full(&self) -> bool {
        self.end == PIECE
    }

    /// Forgets bytes at the front.
    pub(crate) fn drop_front(&mut self, count: usize) {
        self.begin = (self.begin + count).min(self.end);
    }
}

impl Deref for Piece {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.pages.as_deref().map_or(&[], |pages| &pages[self.begin..self.end])
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        if let Some(pages) = self.pages.take() {
            self.pool.0.lock().unwrap_or_else(PoisonError::into_inner).push(pages);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_is_filled_cut_and_used_again() {
        let pool = Pool::default();
        let mut piece = pool.piece().expect("piece");
        piece.room()[..5].copy_from_slice(b"hello");
        piece.filled(5);
        piece.drop_front(2);
        assert_eq!(&*piece, b"llo");
        drop(piece);
        let again = pool.piece().expect("piece");
        assert!(again.is_empty() && !again.is_full());
        assert!(pool.0.lock().expect("lock").is_empty());
    }
}
