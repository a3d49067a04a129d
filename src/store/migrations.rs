//! The schema number: which layout the file has, and the refusal of one that is newer.

use std::path::Path;

use crate::{
    crypto::{
        entropy::{Entropy, random},
        keyed::Key,
    },
    store::{Read, WriteTx, error::StoreError, meta, tables::TABLES},
};

/// The layout that this binary reads and writes.
pub const SCHEMA: u32 = 1;

/// Refuses a file that is not ours, or newer than this binary.
pub(super) fn check(tx: &dyn Read, path: &Path) -> Result<(), StoreError> {
    let found = meta::find_schema(tx).map_err(|error| not_ours(path, error))?;
    let path = path.display().to_string();
    match found {
        Some(SCHEMA) => Ok(()),
        Some(found) if found > SCHEMA => Err(StoreError::Newer {
            path,
            expected: SCHEMA,
            found,
        }),
        Some(found) => Err(StoreError::Foreign {
            path,
            found: format!("its schema number is {found}, and none before 1 was ever released"),
        }),
        None => Err(StoreError::Foreign {
            path,
            found: "it names no schema".to_owned(),
        }),
    }
}

/// A file without our table of facts, or with one that says something else, is somebody else's.
fn not_ours(path: &Path, error: StoreError) -> StoreError {
    match error {
        error if error.is_of_another_layout() => StoreError::Foreign {
            path: path.display().to_string(),
            found: "it is a database of another program".to_owned(),
        },
        other => other,
    }
}

/// Gives a file the tables that it lacks, and a new one its schema number and its key.
pub(super) fn prepare(tx: &mut WriteTx<'_>, entropy: &dyn Entropy) -> Result<(), StoreError> {
    for definition in TABLES {
        // Whoever looks into a table in a write makes it; a snapshot would miss it.
        tx.get(definition.table, &[])?;
    }
    if meta::find_schema(tx)?.is_none() {
        meta::put_schema(tx, SCHEMA);
        meta::put_key(tx, &random::<{ Key::LEN }>(entropy));
    }
    Ok(())
}
