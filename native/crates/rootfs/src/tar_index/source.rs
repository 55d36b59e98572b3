//! A tar's bytes on their way to the reader: what is not the contents of a file that is unpacked goes to the index.

use super::IndexWriter;
use crate::tar::TarSource;
use std::cell::RefCell;
use std::io::{self, BufRead, ErrorKind, Read};
use std::rc::Rc;

/// The index as source and unpacking share it; `None` where nobody wants one.
pub(crate) type SharedIndex<'a> = Option<Rc<RefCell<IndexWriter<'a>>>>;

/// A source that can only be read on, with an index of it.
pub(crate) struct Recorded<'a, R> {
    source: R,
    index: SharedIndex<'a>,
    /// Whether the bytes now taken are contents that can be read back.
    elsewhere: bool,
}

impl<'a, R: BufRead> Recorded<'a, R> {
    pub(crate) fn new(source: R, index: SharedIndex<'a>) -> Self {
        Self { source, index, elsewhere: false }
    }

    /// From now on the bytes taken are (or are not) at hand in a file.
    pub(crate) fn elsewhere(&mut self, yes: bool) {
        self.elsewhere = yes;
    }

    /// Reads to the end: what stands after the end mark belongs to the digest, not to the layer.
    pub(crate) fn drain(&mut self) -> io::Result<()> {
        loop {
            let count = self.fill_buf()?.len();
            if count == 0 {
                return Ok(());
            }
            self.consume(count);
        }
    }
}

impl<R: BufRead> Read for Recorded<'_, R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let there = self.source.fill_buf()?;
        let count = there.len().min(buf.len());
        buf[..count].copy_from_slice(&there[..count]);
        self.consume(count);
        Ok(count)
    }
}

impl<R: BufRead> BufRead for Recorded<'_, R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.source.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        if amount > 0
            && !self.elsewhere
            && let Some(index) = &self.index
            // Never reads: what is consumed was shown before.
            && let Ok(there) = self.source.fill_buf()
        {
            index.borrow_mut().raw(&there[..amount]);
        }
        self.source.consume(amount);
    }
}

impl<R: BufRead> TarSource for Recorded<'_, R> {
    fn skip(&mut self, mut count: u64) -> io::Result<()> {
        while count > 0 {
            let there = self.fill_buf()?.len();
            if there == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            let step = there.min(usize::try_from(count).unwrap_or(usize::MAX));
            self.consume(step);
            count -= step as u64;
        }
        Ok(())
    }
}
