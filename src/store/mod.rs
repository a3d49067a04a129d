//! Floor 1: the data file. redb is named nowhere else.
//!
//! Table functions see ordered tables of byte keys inside a transaction ([`Read`], [`WriteTx`]) and
//! nothing else of the engine, so that another ordered store could stand behind the same floor.

mod codec;
mod engine;
mod error;
mod migrations;
mod tables;

pub mod clients;
pub mod codes;
pub mod grants;
pub mod meta;
pub mod sessions;
pub mod sweep;
pub mod tokens;
pub mod users;

use std::path::Path;

pub use engine::{Answer, BATCH_MAX, Keys, QUEUE_MAX, Read, ReadTx, Row, Store, WriteTx};
pub use error::StoreError;
pub use migrations::SCHEMA;
pub use tables::{TABLES, Table, TableDefinition};

use crate::crypto::entropy::Entropy;

impl Store {
    /// Opens the data file at `path`, or makes it.
    ///
    /// # Errors
    /// | variant | meaning |
    /// |---|---|
    /// | [`StoreError::InUse`] | another process has it |
    /// | [`StoreError::Foreign`] | it is not a data file of Keystead; it is untouched |
    /// | [`StoreError::Newer`] | a newer Keystead wrote it; it is untouched |
    /// | [`StoreError::Unreadable`] | the operating system said no |
    pub fn open(path: &Path, entropy: &dyn Entropy) -> Result<Self, StoreError> {
        migrations::check_before_opening(path)?;
        let store = Self::open_file(path)?;
        migrations::prepare(&store, path, entropy)?;
        Ok(store)
    }

    /// A store in memory, which ends with the process.
    pub fn in_memory(entropy: &dyn Entropy) -> Result<Self, StoreError> {
        let store = Self::open_memory()?;
        migrations::prepare(&store, Path::new("(memory)"), entropy)?;
        Ok(store)
    }
}
