//! The snapshot that all readers share until something is written.
//!
//! To begin a read transaction and to open its tables costs more than to look something up, and
//! between two commits every reader sees the same.

use std::sync::{Arc, PoisonError, RwLock};

use crate::store::{error::StoreError, transaction::ReadTx};

/// The newest state of the file, begun by the first who reads it.
///
/// The lock is held for as long as it takes to begin a read transaction, never while one is used.
#[derive(Default)]
pub(super) struct Snapshot(RwLock<Option<Arc<ReadTx>>>);

impl Snapshot {
    /// The snapshot; `begin` begins it where there is none.
    ///
    /// It begins under the lock that [`Snapshot::outdate`] takes after a commit and before anyone
    /// is answered: so whoever reads sees every write that was answered before.
    pub(super) fn current(
        &self,
        begin: impl FnOnce() -> Result<ReadTx, StoreError>,
    ) -> Result<Arc<ReadTx>, StoreError> {
        let shared = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(current) = shared.as_ref() {
            return Ok(Arc::clone(current));
        }
        drop(shared);
        let mut shared = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(current) = shared.as_ref() {
            return Ok(Arc::clone(current));
        }
        Ok(Arc::clone(shared.insert(Arc::new(begin()?))))
    }

    /// Lets go of it: something may have been written. Who reads it at this moment may finish.
    pub(super) fn outdate(&self) {
        let mut shared = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let old = shared.take();
        drop(shared);
        // Ending a read transaction is redb's work, and no reader has to wait for it.
        drop(old);
    }
}
