//! Looking at a data file without changing a byte of it, not even to repair it after a crash.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use crate::store::{
    error::StoreError,
    file::DataFile,
    handle::Handle,
    migrations::SCHEMAS,
    transaction::{Read, ReadTx},
};

/// A data file that nobody else has open. Whatever redb would write waits in memory, and goes with
/// this.
pub struct Inspected {
    // Never released.
    handle: Handle,
    path: PathBuf,
}

impl Inspected {
    /// Opens the data file at `path`, which must have the present schema.
    ///
    /// # Errors
    /// | variant | meaning |
    /// |---|---|
    /// | [`StoreError::InUse`] | another process has it |
    /// | [`StoreError::Foreign`] | it is not a data file of Keystead, or it is damaged |
    /// | [`StoreError::Newer`] | a newer Keystead wrote it |
    /// | [`StoreError::Older`] | an older one did, and this one has not started on it yet |
    /// | [`StoreError::Unreadable`] | the operating system said no |
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let inspected = Self::open_any(path)?;
        inspected.read(|tx| SCHEMAS.require_newest(tx, path))?;
        Ok(inspected)
    }

    /// Opens the data file at `path`, whatever its schema.
    pub(super) fn open_any(path: &Path) -> Result<Self, StoreError> {
        let handle = Handle::open(&DataFile::at(path), |_| Ok(()))?;
        Ok(Self {
            handle,
            path: path.to_owned(),
        })
    }

    /// Checks the checksum of every page, and which pages are in use. Reads the whole file.
    ///
    /// # Errors
    /// [`StoreError::Foreign`] says what is damaged.
    pub fn check_pages(&mut self) -> Result<(), StoreError> {
        let Self { handle, path } = self;
        guarded(path, || handle.check_pages(path))
    }

    /// Runs `work` on what is in the file.
    pub fn read<T, E: From<StoreError>>(
        &self,
        work: impl FnOnce(&dyn Read) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut outcome = None;
        guarded(&self.path, || {
            let transaction = self.handle.begin_read()?;
            outcome = Some(work(&ReadTx::new(transaction)));
            Ok(())
        })?;
        outcome.unwrap_or_else(|| Err(StoreError::Closed.into()))
    }
}

/// redb says that it may panic on a file that somebody else has changed.
fn guarded<T>(path: &Path, work: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err(StoreError::damaged(path, "its pages contradict each other")))
}
