//! Writes that can be taken back: an update changes all of its files or none.

use crate::file;
use podwright_sys::errno::SysResult;
use std::path::{Path, PathBuf};

/// The writes made so far and what stood there before.
#[derive(Debug)]
pub struct Journal {
    old: Option<Vec<(PathBuf, String, String)>>,
}

impl Journal {
    /// A journal that can be taken back.
    pub fn recording() -> Self {
        Self { old: Some(Vec::new()) }
    }

    /// One that cannot, for a cgroup that was just made and is removed on failure.
    pub fn for_new_group() -> Self {
        Self { old: None }
    }

    /// Writes `value` to `dir/name`, noting the old content; a value that is there is not written.
    pub fn set(&mut self, dir: &Path, name: &str, value: &str) -> SysResult<()> {
        let Some(old) = &mut self.old else { return file::write(dir, name, value) };
        let before = file::read_if_exists(dir, name)?.unwrap_or_default();
        if before == value {
            return Ok(());
        }
        file::write(dir, name, value)?;
        old.push((dir.to_owned(), name.to_owned(), before));
        Ok(())
    }

    /// Writes the old contents back, last first. A file that does not take its own content back
    /// (an emptied cpuset in use) keeps the new one: the error that led here is the one reported,
    /// and the limits can be read.
    pub fn take_back(self) {
        for (dir, name, before) in self.old.into_iter().flatten().rev() {
            // io.max and its like print a line a device and take one line a write.
            for line in before.lines() {
                let _best_effort = file::write(&dir, &name, line);
            }
            if before.is_empty() {
                let _best_effort = file::write(&dir, &name, "\n");
            }
        }
    }
}
