//! One opening of the data file, and which of them is in use.
//!
//! A file that failed is opened anew while requests still read from the opening before it. Who
//! reads keeps the opening that they began with.

use std::{
    io, mem,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use redb::{
    Builder, Database, DatabaseError, Durability, ReadTransaction, ReadableDatabase as _,
    StorageBackend, StorageError, WriteTransaction,
};

use crate::store::{
    error::StoreError,
    held::{Failure, Hold},
    medium::Medium,
    snapshot::Snapshot,
    tables::Table,
    transaction::{Batch, ReadTx, Row, WriteTx, definition},
};

/// An open database, and the way to take its file from it.
///
/// One that is dropped without being closed writes nothing any more: another may have the file.
pub(super) struct Handle {
    // Dropped first, and so the database finds its file gone.
    hold: Hold,
    snapshot: Snapshot,
    database: Option<Database>,
    is_reported: AtomicBool,
}

impl Handle {
    /// Makes a database in `backend`, which is empty. `path` is what errors call it.
    pub(super) fn create(
        backend: Box<dyn StorageBackend>,
        path: &Path,
        cache_bytes: usize,
    ) -> Result<Self, StoreError> {
        let hold = Hold::released(backend);
        let database = Builder::new()
            .set_cache_size(cache_bytes)
            .create_with_backend(hold.file())
            .map_err(|error| open_error(path, error))?;
        Ok(Self::of(hold, database))
    }

    /// Makes a database in `medium`, which is empty.
    pub(super) fn create_on(medium: &dyn Medium) -> Result<Self, StoreError> {
        Self::create(medium.open()?, medium.path(), medium.cache_bytes())
    }

    /// Opens what is in `medium`. No byte of it changes, not even to repair it after a crash,
    /// before it is [released](Self::release).
    pub(super) fn open(
        medium: &dyn Medium,
        check: impl FnOnce(&ReadTx) -> Result<(), StoreError>,
    ) -> Result<Self, StoreError> {
        let (path, hold) = (medium.path(), Hold::new(medium.open()?));
        // redb says that it may panic on a file that somebody else has changed.
        let database = catch_unwind(AssertUnwindSafe(|| {
            let database = Builder::new()
                .set_cache_size(medium.cache_bytes())
                .create_with_backend(hold.file())
                .map_err(|error| open_error(path, error))?;
            check(&ReadTx::new(database.begin_read()?))?;
            Ok::<_, StoreError>(database)
        }))
        .unwrap_or_else(|_| Err(StoreError::damaged(path, "its pages contradict each other")))?;
        Ok(Self::of(hold, database))
    }

    fn of(hold: Hold, database: Database) -> Self {
        Self {
            hold,
            snapshot: Snapshot::default(),
            database: Some(database),
            is_reported: AtomicBool::new(false),
        }
    }

    /// Lets the changes of opening reach the file. Can be tried again; until it has succeeded,
    /// nothing may be written.
    pub(super) fn release(&self) -> io::Result<()> {
        self.hold.release()
    }

    /// How large the file is.
    pub(super) fn len(&self) -> Result<u64, StoreError> {
        let len = self.hold.file().len();
        len.map_err(|error| StoreError::Engine(Arc::new(redb::Error::Io(error))))
    }

    /// Takes the file from the database: who still reads finds what is in its memory, or an error.
    pub(super) fn retire(&self) {
        self.hold.retire();
    }

    /// What the file said when it first failed. redb refuses every write from then on, and to read
    /// what it does not have in memory.
    pub(super) fn failure(&self) -> Option<&Failure> {
        self.hold.failure()
    }

    /// Whether it failed and nobody has been told so.
    pub(super) fn is_to_be_reported(&self) -> bool {
        self.failure().is_some() && !self.is_reported.swap(true, Ordering::Relaxed)
    }

    /// Whether nothing more comes from its file.
    pub(super) fn is_over(&self) -> bool {
        self.failure().is_some() || self.hold.is_retired()
    }

    fn database(&self) -> Result<&Database, StoreError> {
        self.database.as_ref().ok_or(StoreError::Closed)
    }

    pub(super) fn begin_read(&self) -> Result<ReadTransaction, StoreError> {
        Ok(self.database()?.begin_read()?)
    }

    /// The newest state that was committed, shared by all who read it.
    pub(super) fn snapshot(&self) -> Result<Arc<ReadTx>, StoreError> {
        self.snapshot
            .current(|| Ok(ReadTx::new(self.begin_read()?)))
    }

    /// Something may have been committed: who reads from here on gets a snapshot that has it.
    pub(super) fn outdate(&self) {
        self.snapshot.outdate();
    }

    pub(super) fn begin_write(&self) -> Result<WriteTransaction, StoreError> {
        let mut transaction = self.database()?.begin_write()?;
        transaction.set_durability(Durability::Immediate)?;
        // redb's design document asks for two phases where strangers choose what is stored: the
        // page checksum that one phase relies on is not a cryptographic one. Two phases are also
        // what makes it sound to open a file anew after a sync that failed (decision 0009).
        transaction.set_two_phase_commit(true);
        Ok(transaction)
    }

    /// Does `work` in the calling thread, in a database that has no writer yet.
    pub(super) fn write_alone(
        &self,
        work: impl FnOnce(&mut WriteTx<'_>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let transaction = self.begin_write()?;
        let tables = Batch::new(&transaction);
        let mut tx = WriteTx::new(&tables);
        work(&mut tx)?;
        let changes = tx.into_changes();
        tables.apply(changes)?;
        drop(tables);
        transaction.commit()?;
        self.outdate();
        Ok(())
    }

    /// Does `work` on a snapshot, in a database that has no writer yet.
    pub(super) fn read_alone<T>(
        &self,
        work: impl FnOnce(&ReadTx) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        work(&ReadTx::new(self.begin_read()?))
    }

    /// Puts `rows` into a database that has no writer yet.
    pub(super) fn put_rows(&self, rows: &[(Table, Row)]) -> Result<(), StoreError> {
        let transaction = self.begin_write()?;
        for of_table in rows.chunk_by(|(one, _), (other, _)| one == other) {
            let mut table = transaction.open_table(definition(of_table[0].0))?;
            for (_, (key, value)) in of_table {
                table.insert(key.as_slice(), value.as_slice())?;
            }
        }
        Ok(transaction.commit()?)
    }

    /// Moves the pages of a database that nobody else has to the beginning of its file, and cuts
    /// off the rest.
    pub(super) fn shrink(&mut self) -> Result<(), StoreError> {
        let database = self.database.as_mut().ok_or(StoreError::Closed)?;
        database
            .compact()
            .map_err(|error| StoreError::Engine(redb::Error::from(error).into()))?;
        Ok(())
    }

    /// Checks the checksum of every page, and which pages are in use. Reads the whole file.
    ///
    /// `path` is what errors call it.
    pub(super) fn check_pages(&mut self, path: &Path) -> Result<(), StoreError> {
        let database = self.database.as_mut().ok_or(StoreError::Closed)?;
        match database.check_integrity() {
            Ok(true) => Ok(()),
            Ok(false) => Err(StoreError::damaged(
                path,
                "its pages are not accounted for as they are",
            )),
            Err(DatabaseError::Storage(StorageError::Corrupted(how))) => {
                Err(StoreError::damaged(path, &how))
            }
            Err(other) => Err(open_error(path, other)),
        }
    }

    /// Closes the file in order, so that the next start need not repair it.
    pub(super) fn close(&mut self) -> Result<(), StoreError> {
        self.outdate();
        let closed = self.database.take().map_or(Ok(()), Database::close);
        closed.map_err(|error| StoreError::Engine(redb::Error::from(error).into()))
    }
}

fn open_error(path: &Path, error: DatabaseError) -> StoreError {
    match error {
        DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => {
            StoreError::in_use(path)
        }
        DatabaseError::Storage(StorageError::Io(error)) => match error.kind() {
            io::ErrorKind::InvalidData => StoreError::foreign(path, &error.to_string()),
            io::ErrorKind::UnexpectedEof => StoreError::damaged(path, "it ends too early"),
            _ => StoreError::unreadable(path, &error),
        },
        other => StoreError::damaged(path, &other.to_string()),
    }
}

/// The opening that is in use. The lock is held for the time of a clone, never across work.
pub(super) struct Current(Mutex<Arc<Handle>>);

impl Current {
    pub(super) fn new(handle: Handle) -> Self {
        Self(Mutex::new(Arc::new(handle)))
    }

    pub(super) fn get(&self) -> Arc<Handle> {
        Arc::clone(&self.lock())
    }

    /// Whoever reads from here on reads from `handle`; who reads already finishes where they are.
    pub(super) fn replace(&self, handle: Handle) {
        let before = mem::replace(&mut *self.lock(), Arc::new(handle));
        // Dropping the last share closes a database, and that is not done under the lock.
        drop(before);
    }

    /// Closes the file in order, if nobody reads from it.
    pub(super) fn close(&mut self) -> Result<(), StoreError> {
        let current = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        Arc::get_mut(current).map_or(Ok(()), Handle::close)
    }

    // No panic can come between two changes of what the lock guards.
    fn lock(&self) -> MutexGuard<'_, Arc<Handle>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
