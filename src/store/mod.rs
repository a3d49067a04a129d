//! Floor 1: the data file. redb is named nowhere else, and here only in the engine's own files:
//! `engine`, `error`, `file`, `held` and `transaction`.
//!
//! Table functions see ordered tables of byte keys inside a transaction ([`Read`], [`WriteTx`]) and
//! nothing else of the engine, so that another ordered store could stand behind the same floor.

mod codec;
mod engine;
mod error;
mod file;
mod held;
mod migrations;
mod tables;
mod transaction;

pub mod audit;
pub mod client_documents;
pub mod clients;
pub mod codes;
pub mod devices;
pub mod grants;
pub mod meta;
pub mod resource_servers;
pub mod sessions;
pub mod sweep;
pub mod tokens;
pub mod upstreams;
pub mod users;

use std::path::Path;

pub use engine::{Answer, BATCH_MAX, QUEUE_MAX, Store};
pub use error::StoreError;
pub use migrations::SCHEMA;
pub use tables::{TABLES, Table, TableDefinition};
pub use transaction::{Keys, Read, ReadTx, Row, WriteTx};

use crate::crypto::entropy::Entropy;

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
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
    pub fn open(path: &Path, entropy: &dyn Entropy) -> Result<Self, StoreError> {
        if file::is_missing(path)?
            && let Some(database) = file::create(path)?
        {
            engine::write_alone(&database, |tx| migrations::prepare(tx, entropy))?;
            file::publish(path)?;
            return Self::start(database);
        }
        let database = file::open(path, |tx| migrations::check(tx, path))?;
        engine::write_alone(&database, |tx| migrations::prepare(tx, entropy))?;
        Self::start(database)
    }

    /// A store in memory, which ends with the process.
    pub fn in_memory(entropy: &dyn Entropy) -> Result<Self, StoreError> {
        let database = file::create_in_memory()?;
        engine::write_alone(&database, |tx| migrations::prepare(tx, entropy))?;
        Self::start(database)
    }
}
