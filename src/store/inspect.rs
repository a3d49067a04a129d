//! Looking at a data file without changing a byte of it, not even to repair it after a crash.

use std::{
    fs::File,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use redb::{Database, DatabaseError, ReadableDatabase as _, backends::FileBackend};

use crate::store::{
    error::StoreError,
    file,
    held::Hold,
    migrations::SCHEMAS,
    transaction::{Read, ReadTx},
};

/// A data file that nobody else has open. Whatever redb would write waits in memory, and goes with
/// this.
pub struct Inspected {
    database: Database,
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
        // To be written to as well, or the lock that keeps a server away cannot be had.
        let file = File::options().read(true).write(true).open(path);
        let file = file.map_err(|error| file::unreadable(path, &error))?;
        let file = FileBackend::new(file).map_err(|error| file::open_error(path, error))?;
        // Never released.
        let held = Hold::new(file).file();
        let database = guarded(path, || {
            let opened = file::builder().create_with_backend(held);
            opened.map_err(|error| file::open_error(path, error))
        })?;
        Ok(Self {
            database,
            path: path.to_owned(),
        })
    }

    /// Checks the checksum of every page, and which pages are in use. Reads the whole file.
    ///
    /// # Errors
    /// [`StoreError::Foreign`] says what is damaged.
    pub fn check_pages(&mut self) -> Result<(), StoreError> {
        let Self { database, path } = self;
        guarded(path, || match database.check_integrity() {
            Ok(true) => Ok(()),
            Ok(false) => Err(file::damaged(
                path,
                "its pages are not accounted for as they are",
            )),
            Err(DatabaseError::Storage(redb::StorageError::Corrupted(how))) => {
                Err(file::damaged(path, &how))
            }
            Err(other) => Err(file::open_error(path, other)),
        })
    }

    /// Runs `work` on what is in the file.
    pub fn read<T, E: From<StoreError>>(
        &self,
        work: impl FnOnce(&dyn Read) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut outcome = None;
        guarded(&self.path, || {
            let transaction = self.database.begin_read()?;
            outcome = Some(work(&ReadTx::new(transaction)));
            Ok(())
        })?;
        outcome.unwrap_or_else(|| Err(StoreError::Closed.into()))
    }
}

/// redb says that it may panic on a file that somebody else has changed.
fn guarded<T>(path: &Path, work: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err(file::damaged(path, "its pages contradict each other")))
}
