//! Floor 1: the data file. redb is named nowhere else, and here only in the engine's own files:
//! `error`, `file`, `handle`, `held`, `inspect`, `medium`, `restore` and `transaction`.
//!
//! Table functions see ordered tables of byte keys inside a transaction ([`Read`], [`WriteTx`]) and
//! nothing else of the engine, so that another ordered store could stand behind the same floor.

mod codec;
mod compact;
mod engine;
mod error;
mod file;
mod handle;
mod held;
mod inspect;
mod listen;
mod medium;
mod migrations;
mod recovery;
mod rows;
mod snapshot;
mod tables;
mod transaction;

pub mod audit;
pub mod backup;
pub mod check;
pub mod client_documents;
pub mod clients;
pub mod codes;
pub mod devices;
pub mod figures;
pub mod grants;
pub mod meta;
pub mod notifications;
pub mod pace;
pub mod pushes;
pub mod resource_servers;
pub mod restore;
pub mod sessions;
pub mod space;
pub mod sweep;
pub mod tokens;
pub mod upstreams;
pub mod users;

use std::path::Path;

pub use compact::Compacted;
pub use engine::{Answer, Answers, BATCH_MAX, QUEUE_MAX, Store};
pub use error::StoreError;
pub use inspect::Inspected;
pub use migrations::SCHEMA;
pub use tables::{TABLES, Table, TableDefinition};
pub use transaction::{Keys, Read, ReadTx, Row, WriteTx};

use crate::{
    crypto::entropy::Entropy,
    store::{
        file::DataFile,
        handle::Handle,
        medium::{Medium, Memory},
        migrations::{SCHEMAS, Schemas},
        recovery::Pauses,
    },
};

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

impl Store {
    /// Opens the data file at `path`, or makes it where nothing is, readable by its owner alone.
    ///
    /// A file that is refused is untouched. One that is cut off while it is made is made anew by
    /// the next start; until then it has the name of the data file and `.new` behind it.
    ///
    /// # Errors
    /// | variant | meaning |
    /// |---|---|
    /// | [`StoreError::InUse`] | another process has it |
    /// | [`StoreError::Foreign`] | it is not a data file of Keystead, or it is damaged |
    /// | [`StoreError::Newer`] | a newer Keystead wrote it |
    /// | [`StoreError::Unreadable`] | the operating system said no |
    /// | [`StoreError::NotCopied`] | it is older, and no copy of it can be kept |
    /// | [`StoreError::NotMigrated`] | it is older, and cannot be brought to this version |
    pub fn open(path: &Path, entropy: &dyn Entropy) -> Result<Self, StoreError> {
        Self::open_as(path, entropy, &SCHEMAS)
    }

    /// Opens it as a binary does that knows these schemas.
    fn open_as(path: &Path, entropy: &dyn Entropy, schemas: &Schemas) -> Result<Self, StoreError> {
        let medium = Box::new(DataFile::at(path));
        if file::is_missing(path)?
            && let Some(handle) = file::create(path)?
        {
            handle.write_alone(|tx| migrations::prepare(tx, entropy))?;
            file::publish(path)?;
            return Self::start(handle, medium, Pauses::ORDINARY);
        }
        Self::open_on(medium, entropy, schemas, Pauses::ORDINARY)
    }

    /// A store in memory, which ends with the process.
    pub fn in_memory(entropy: &dyn Entropy) -> Result<Self, StoreError> {
        Self::create_on(Box::new(Memory::default()), entropy, Pauses::ORDINARY)
    }

    fn create_on(
        medium: Box<dyn Medium>,
        entropy: &dyn Entropy,
        pauses: Pauses,
    ) -> Result<Self, StoreError> {
        let handle = Handle::create_on(&*medium)?;
        handle.write_alone(|tx| migrations::prepare(tx, entropy))?;
        Self::start(handle, medium, pauses)
    }

    fn open_on(
        medium: Box<dyn Medium>,
        entropy: &dyn Entropy,
        schemas: &Schemas,
        pauses: Pauses,
    ) -> Result<Self, StoreError> {
        let path = medium.path();
        let handle = Handle::open(&*medium, |tx| schemas.admit(tx, path))?;
        handle
            .release()
            .map_err(|error| StoreError::unreadable(path, &error))?;
        // What a compaction that was cut off has left.
        compact::discard(&*medium);
        schemas.migrate(&handle, path)?;
        handle.write_alone(|tx| migrations::prepare(tx, entropy))?;
        Self::start(handle, medium, pauses)
    }
}
