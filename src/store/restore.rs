//! From a backup to a data file: made under another name, looked through, and published only when
//! it is whole.

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::{
    crypto::{
        entropy::{Entropy, random},
        keyed::Key,
    },
    store::{
        Read, StoreError, Table, WriteTx,
        backup::{self, BackupError, Summary},
        file,
        handle::Handle,
        medium::Memory,
        meta,
        migrations::{self, SCHEMAS},
        sweep::{self, Swept},
        transaction::definition,
    },
};

/// Rows that are committed at once.
const COMMIT_ROWS: usize = 100_000;

/// What becomes of sessions, codes, grants and tokens when a backup is restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Epoch {
    /// A new one begins: none of them works any more, and the deployment has another key. Nothing
    /// that was revoked after the backup was made comes back.
    New,
    /// The backup's goes on: all of them work again, those that were revoked since as well.
    Kept,
}

/// Tables of an epoch: what is in them is proof of something that can be revoked, or remembers it.
pub const TABLES_OF_AN_EPOCH: [Table; 13] = [
    Table::Sessions,
    Table::SessionsByUser,
    Table::Grants,
    Table::GrantsByUser,
    Table::GrantsByClient,
    Table::SpentConsents,
    Table::Codes,
    Table::TokenFamilies,
    Table::AccessTokens,
    Table::Devices,
    Table::DevicesByUserCode,
    Table::PushQueue,
    Table::PushLines,
];

/// A data file that has no name yet. It is removed unless it is published.
pub struct Draft {
    handle: Handle,
    /// Where it is to be; none in memory.
    path: Option<PathBuf>,
    is_published: bool,
}

impl Draft {
    /// Makes a data file for `path`, where none may be, of the backup in `input`.
    pub fn load(
        path: &Path,
        input: &mut dyn io::Read,
        entropy: &dyn Entropy,
    ) -> Result<(Self, Summary), BackupError> {
        let missing = file::is_missing(path)?;
        let handle = missing.then(|| file::create(path)).transpose()?.flatten();
        let handle = handle.ok_or_else(|| StoreError::Unreadable {
            path: path.display().to_string(),
            cause: "expected no data file there, found one".to_owned(),
        })?;
        Self::fill(handle, Some(path), input, entropy)
    }

    /// Makes one in memory, to be looked at.
    pub fn in_memory(
        input: &mut dyn io::Read,
        entropy: &dyn Entropy,
    ) -> Result<(Self, Summary), BackupError> {
        Self::fill(Handle::create_on(&Memory::default())?, None, input, entropy)
    }

    fn fill(
        handle: Handle,
        path: Option<&Path>,
        input: &mut dyn io::Read,
        entropy: &dyn Entropy,
    ) -> Result<(Self, Summary), BackupError> {
        let draft = Self {
            handle,
            path: path.map(Path::to_owned),
            is_published: false,
        };
        let mut waiting = Vec::new();
        let summary = backup::read(input, &mut |table, rows| {
            waiting.extend(rows.into_iter().map(|row| (table, row)));
            if waiting.len() >= COMMIT_ROWS {
                draft.handle.put_rows(&waiting)?;
                waiting.clear();
            }
            Ok(())
        })?;
        draft.handle.put_rows(&waiting)?;
        let place = path.unwrap_or(Path::new("the backup"));
        SCHEMAS.migrate(&draft.handle, place)?;
        draft
            .handle
            .write_alone(|tx| migrations::prepare(tx, entropy))?;
        Ok((draft, summary))
    }

    /// Runs `work` on what is in it.
    pub fn read<T>(&self, work: impl FnOnce(&dyn Read) -> T) -> Result<T, StoreError> {
        self.handle.read_alone(|tx| Ok(work(tx)))
    }

    /// Gives it its name, after `note` has been written into it.
    pub fn publish(
        mut self,
        epoch: Epoch,
        entropy: &dyn Entropy,
        note: impl FnOnce(&mut WriteTx<'_>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        if epoch == Epoch::New {
            self.end_epoch()?;
        }
        self.handle.write_alone(|tx| {
            if epoch == Epoch::New {
                meta::put_key(tx, &random::<{ Key::LEN }>(entropy));
                meta::remove_claim(tx);
            }
            note(tx)
        })?;
        // What was loaded and removed again leaves holes.
        self.handle.shrink()?;
        if let Some(path) = &self.path {
            file::publish(path)?;
        }
        self.is_published = true;
        // Only now: its lock is what kept others from making the same file. It is durable already.
        if let Err(fault) = self.handle.close() {
            tracing::warn!(%fault, "the data file was not closed; the next start repairs it");
        }
        Ok(())
    }

    /// Empties what belongs to an epoch.
    fn end_epoch(&self) -> Result<(), StoreError> {
        let transaction = self.handle.begin_write()?;
        for table in TABLES_OF_AN_EPOCH {
            transaction.delete_table(definition(table))?;
            transaction.open_table(definition(table))?;
        }
        // Clients stay, and so does the day on which one that nobody approved is removed.
        let stays =
            |key: &[u8]| matches!(sweep::parse_key(key), Ok((_, Swept::UnapprovedClient, _)));
        transaction
            .open_table(definition(Table::Expiry))?
            .retain(|key, _| stays(key))?;
        Ok(transaction.commit()?)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if let Some(path) = &self.path
            && !self.is_published
            && let Err(fault) = file::discard(path)
        {
            tracing::warn!(%fault, "what was begun of a data file was not removed");
        }
    }
}
