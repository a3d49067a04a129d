//! The schema number: which layout the file has, and the refusal of one that is newer.

use std::path::Path;

use crate::{
    crypto::{
        entropy::{Entropy, random},
        keyed::Key,
    },
    store::{
        Read, WriteTx,
        engine::{Row, Store, peek},
        error::StoreError,
        meta,
        tables::TABLES,
    },
};

/// The layout that this binary reads and writes.
pub const SCHEMA: u32 = 1;

/// Refuses a file that is not ours or newer than this binary, without changing a byte of it.
pub(super) fn check_before_opening(path: &Path) -> Result<(), StoreError> {
    match peek(path, |tx| meta::find_schema(tx)).map_err(|error| not_ours(path, error))? {
        None => Ok(()),
        Some(found) => check_schema(path, found),
    }
}

/// A file without our table of facts, or with one that says something else, is somebody else's.
fn not_ours(path: &Path, error: StoreError) -> StoreError {
    match error {
        StoreError::Engine(cause)
            if matches!(
                *cause,
                redb::Error::TableDoesNotExist(_) | redb::Error::TableTypeMismatch { .. }
            ) =>
        {
            StoreError::Foreign {
                path: path.display().to_string(),
                found: "a redb database of another program".to_owned(),
            }
        }
        other => other,
    }
}

fn check_schema(path: &Path, found: Option<u32>) -> Result<(), StoreError> {
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

/// Gives a new file its tables, its schema number and its key; checks those of an old one.
pub(super) fn prepare(store: &Store, path: &Path, entropy: &dyn Entropy) -> Result<(), StoreError> {
    let key = random::<{ Key::LEN }>(entropy);
    let found = store
        .write(move |tx| {
            if is_empty(tx)? {
                meta::put_schema(tx, SCHEMA);
                meta::put_key(tx, &key);
            }
            meta::find_schema(tx)
        })
        .wait()?;
    check_schema(path, found)
}

/// Whether no table holds a row. Looking at each table also makes it.
fn is_empty(tx: &WriteTx<'_>) -> Result<bool, StoreError> {
    let mut rows: Vec<Row> = Vec::new();
    for definition in &TABLES {
        rows.extend(tx.scan(definition.table, &super::Keys::ALL, 1)?);
    }
    Ok(rows.is_empty())
}
