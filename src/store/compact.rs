//! Making the file as small as its content, while it is read and written.
//!
//! redb can do that only for whoever has the file alone. So everything is copied, in the order of
//! the keys, into a new file beside the old one; the writer notes meanwhile which keys change, and
//! these are brought over in rounds. The last few, the writer brings over itself, and then puts the
//! new file in the place of the old one. Whoever still reads from the old one ends there.
//! Decision 0010 says what was weighed, and what a crash leaves.

use std::{collections::BTreeSet, sync::Arc};

use crate::store::{
    StoreError, TABLES, Table,
    engine::{Store, Task},
    handle::Handle,
    medium::Medium,
    rows,
    space::Sizes,
    transaction::{Changes, Read, ReadTx, Row},
};

/// Keys that may change during one round. Where it is more, the copy cannot catch up.
const CHANGED_MAX: usize = 100_000;
/// So few that the writer brings them over itself: the only time in which nobody else writes.
const CHANGED_LAST_MAX: usize = 256;
/// Rounds after which a copy that does not catch up is given up.
const ROUNDS_MAX: usize = 10;
/// Rows that are copied in one commit, and so are in memory at once.
const COPY_ROWS: usize = 4_096;
/// Memory for pages of the copy. It is written in order and hardly read.
const COPY_CACHE_BYTES: usize = 8 << 20;

/// How large the file was and is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compacted {
    /// Its size in bytes before.
    pub before_bytes: u64,
    /// Its size in bytes now.
    pub after_bytes: u64,
}

/// The keys that changed since a snapshot.
#[derive(Default)]
pub(super) struct Changed(BTreeSet<(Table, Vec<u8>)>);

impl Changed {
    /// Notes the keys of `changes`. Too many once, too many for good.
    pub(super) fn note(&mut self, changes: &Changes) {
        for (table, rows) in changes {
            if self.is_too_much() {
                return;
            }
            self.0.extend(rows.keys().map(|key| (*table, key.clone())));
        }
    }

    fn is_too_much(&self) -> bool {
        self.0.len() > CHANGED_MAX
    }
}

/// A snapshot, and what changed between the one before it and this one.
pub(super) struct Followed {
    pub(super) snapshot: ReadTx,
    /// Whose snapshot it is.
    pub(super) _handle: Arc<Handle>,
    pub(super) changed: Changed,
}

/// A new file beside the data file. It is removed unless it takes its place.
pub(super) struct Copied {
    handle: Handle,
    medium: Arc<dyn Medium>,
    is_published: bool,
}

impl Copied {
    fn begin(medium: &Arc<dyn Medium>) -> Result<Self, StoreError> {
        let backend = medium.create_beside();
        let backend = backend.map_err(|error| StoreError::not_compacted(&error))?;
        let handle = Handle::create(backend, medium.path(), COPY_CACHE_BYTES)
            .inspect_err(|_| discard(&**medium))?;
        Ok(Self {
            handle,
            medium: Arc::clone(medium),
            is_published: false,
        })
    }

    /// Copies everything that `tx` sees.
    fn fill(&mut self, tx: &dyn Read) -> Result<(), StoreError> {
        for definition in TABLES {
            // Whoever looks into a table in a write makes it; an empty one has to be there as well.
            self.handle
                .write_alone(|copy| copy.get(definition.table, &[]).map(drop))?;
            let mut waiting: Vec<(Table, Row)> = Vec::new();
            rows::each_page(tx, definition.table, |page| {
                waiting.extend(page.into_iter().map(|row| (definition.table, row)));
                if waiting.len() >= COPY_ROWS {
                    self.handle.put_rows(&waiting)?;
                    waiting.clear();
                }
                Ok::<_, StoreError>(())
            })?;
            self.handle.put_rows(&waiting)?;
        }
        // A file grows in large steps; what it does not need of the last is given back.
        self.handle.shrink()
    }

    /// Makes the copy of `changed` what `tx` sees of it.
    pub(super) fn bring(&self, tx: &dyn Read, changed: &Changed) -> Result<(), StoreError> {
        if changed.is_too_much() {
            return Err(StoreError::Overtaken);
        }
        if changed.0.is_empty() {
            return Ok(());
        }
        self.handle.write_alone(|copy| {
            for (table, key) in &changed.0 {
                match tx.get(*table, key)? {
                    Some(value) => copy.put(*table, key, value),
                    None => copy.remove(*table, key),
                }
            }
            Ok(())
        })
    }

    /// Puts the copy in the place of the data file, in which nothing may change any more.
    pub(super) fn publish(mut self) -> Result<(), StoreError> {
        self.handle.close()?;
        let replaced = self.medium.replace();
        replaced.map_err(|error| StoreError::not_compacted(&error))?;
        self.is_published = true;
        Ok(())
    }
}

impl Drop for Copied {
    fn drop(&mut self) {
        if !self.is_published {
            discard(&*self.medium);
        }
    }
}

/// Removes a copy that has not been put in the place of its original.
pub(super) fn discard(medium: &dyn Medium) {
    if let Err(error) = medium.discard() {
        tracing::warn!(%error, "what was begun of a copy was not removed");
    }
}

impl Store {
    /// Copies the content into a new file that takes the place of the old one. Blocks until it is
    /// done, while others read and write; the writer is held up for the last few changes alone.
    ///
    /// Needs as much room on the disk as the content once more. After an error everything is as it
    /// was.
    ///
    /// # Errors
    /// [`StoreError::Overtaken`] where so much changes meanwhile that the copy cannot catch up.
    pub fn compact(&self) -> Result<Compacted, StoreError> {
        let compacted = self.try_compact();
        let figures = self.figures();
        match &compacted {
            Ok(_) => figures.compactions.add_one(),
            Err(_) => figures.compactions_failed.add_one(),
        }
        compacted
    }

    fn try_compact(&self) -> Result<Compacted, StoreError> {
        let _alone = self.lock_for_compaction();
        let before_bytes = self.handle().len()?;
        let replaced = self
            .copy()
            .and_then(|copied| self.ask(|reply| Task::Replace(copied, reply)));
        if replaced.is_err() {
            self.ask(Task::Forget)?;
        }
        replaced?;
        Ok(Compacted {
            before_bytes,
            after_bytes: self.handle().len()?,
        })
    }

    fn copy(&self) -> Result<Copied, StoreError> {
        let mut copied = Copied::begin(self.medium())?;
        // What changed before a copy was begun is none of it.
        self.ask(Task::Forget)?;
        copied.fill(&self.ask(Task::Follow)?.snapshot)?;
        for _ in 0..ROUNDS_MAX {
            let round = self.ask(Task::Follow)?;
            copied.bring(&round.snapshot, &round.changed)?;
            if round.changed.0.len() <= CHANGED_LAST_MAX {
                return Ok(copied);
            }
        }
        Err(StoreError::Overtaken)
    }

    /// How large the file is, and how much is in it. Reads the whole file.
    pub fn sizes(&self) -> Result<Sizes, StoreError> {
        Ok(Sizes {
            file_bytes: self.handle().len()?,
            live_bytes: self.read(ReadTx::stored_bytes)?,
        })
    }
}
