//! The schema number: which layout the file has, how an older one is brought to it, and the refusal
//! of one that is newer.
//!
//! A step that is too large for one transaction does some of its work in each, and leaves the place
//! where it goes on in the file. From its first transaction on the file has the number that it will
//! have after the last, so that an older binary refuses one that is half migrated.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use crate::{
    crypto::{
        entropy::{Entropy, random},
        keyed::Key,
    },
    store::{
        Inspected, Read, WriteTx, error::StoreError, file, handle::Handle, meta, rows,
        tables::TABLES,
    },
};

/// The layout that this binary reads and writes.
pub const SCHEMA: u32 = 1;

/// What this binary can bring to [`SCHEMA`]. A row for each number after 1, in their order; none is
/// ever changed or removed once it was released.
const MIGRATIONS: &[Migration] = &[];

/// The schemas that this binary knows.
pub(super) const SCHEMAS: Schemas = Schemas {
    newest: SCHEMA,
    migrations: MIGRATIONS,
};

/// The way from one schema to the next.
pub(super) struct Migration {
    /// The schema that a file has after it.
    pub(super) to: u32,
    /// What it does, as an error and the log name it.
    pub(super) name: &'static str,
    /// Does some of it in one transaction: from the start when the place is empty, else from the
    /// place where the transaction before stopped.
    pub(super) step: fn(&mut WriteTx<'_>, &[u8]) -> Result<Progress, StoreError>,
}

/// How far a step has come.
#[cfg_attr(
    not(test),
    expect(
        dead_code,
        reason = "there is one schema so far, and so no step but those of tests"
    )
)]
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// To its end.
    Done,
    /// To this place, from where it goes on.
    Until(Vec<u8>),
}

/// Which schemas a binary knows.
pub(super) struct Schemas {
    /// The one that it reads and writes.
    pub(super) newest: u32,
    /// How the older ones become it.
    pub(super) migrations: &'static [Migration],
}

impl Schemas {
    /// Refuses a file that is not ours, or newer than this binary, and keeps a copy of one that is
    /// older. Nothing of the file may have been changed yet.
    pub(super) fn admit(&self, tx: &dyn Read, path: &Path) -> Result<(), StoreError> {
        let found = self.find(tx, path)?;
        if found < self.newest && meta::find_cursor(tx)?.is_none() {
            keep_copy(tx, path, found)?;
        }
        Ok(())
    }

    /// Refuses a file of any schema but the newest.
    pub(super) fn require_newest(&self, tx: &dyn Read, path: &Path) -> Result<(), StoreError> {
        let found = self.find(tx, path)?;
        if found == self.newest && meta::find_cursor(tx)?.is_none() {
            return Ok(());
        }
        Err(StoreError::Older {
            path: path.display().to_string(),
            expected: self.newest,
            found,
        })
    }

    fn find(&self, tx: &dyn Read, path: &Path) -> Result<u32, StoreError> {
        let found = meta::find_schema(tx).map_err(|error| not_ours(path, error))?;
        let path = path.display().to_string();
        match found {
            Some(0) => Err(StoreError::Foreign {
                path,
                found: "its schema number is 0, and none before 1 was ever released".to_owned(),
            }),
            Some(found) if found > self.newest => Err(StoreError::Newer {
                path,
                expected: self.newest,
                found,
            }),
            Some(found) => Ok(found),
            None => Err(StoreError::Foreign {
                path,
                found: "it names no schema".to_owned(),
            }),
        }
    }

    /// Brings a file to the newest schema, each part of each step in a durable transaction.
    pub(super) fn migrate(&self, handle: &Handle, path: &Path) -> Result<(), StoreError> {
        while let Some(migration) = self.next(handle)? {
            tracing::info!(to = migration.to, step = migration.name, "migrating");
            advance(handle, migration).map_err(|cause| StoreError::NotMigrated {
                path: path.display().to_string(),
                to: migration.to,
                step: migration.name,
                cause: Box::new(cause),
            })?;
        }
        Ok(())
    }

    /// The step that comes next, or that has begun; none at the newest schema.
    pub(super) fn next(&self, handle: &Handle) -> Result<Option<&Migration>, StoreError> {
        let (schema, is_under_way) = handle.read_alone(|tx| {
            let cursor = meta::find_cursor(tx)?;
            Ok((meta::find_schema(tx)?.unwrap_or_default(), cursor.is_some()))
        })?;
        let to = if is_under_way { schema } else { schema + 1 };
        Ok(self.migrations.iter().find(|migration| migration.to == to))
    }
}

/// Does one transaction of `migration`.
pub(super) fn advance(handle: &Handle, migration: &Migration) -> Result<(), StoreError> {
    handle.write_alone(|tx| {
        let from = meta::find_cursor(tx)?.unwrap_or_default();
        match (migration.step)(tx, &from)? {
            Progress::Done => meta::remove_cursor(tx),
            Progress::Until(place) => meta::put_cursor(tx, place),
        }
        meta::put_schema(tx, migration.to);
        Ok(())
    })
}

/// Where the copy of a file of that schema is kept.
pub(super) fn copy_of(path: &Path, schema: u32) -> PathBuf {
    file::with_suffix(path, &format!(".schema-{schema}"))
}

/// Keeps a copy of the file beside it, unless it is there already; another file of that name is
/// never overwritten.
fn keep_copy(tx: &dyn Read, path: &Path, schema: u32) -> Result<(), StoreError> {
    let copy = copy_of(path, schema);
    let failed = |cause: String| StoreError::NotCopied {
        path: path.display().to_string(),
        copy: copy.display().to_string(),
        cause,
    };
    if copy.symlink_metadata().is_ok() {
        let is_same = Inspected::open_any(&copy)
            .and_then(|kept| kept.read(|kept| rows::are_same(kept, tx)))
            .map_err(|fault| failed(fault.to_string()))?;
        return if is_same {
            Ok(())
        } else {
            Err(failed(
                "something else is there, which has to be moved away".to_owned(),
            ))
        };
    }
    let unnamed = file::with_suffix(&copy, ".new");
    let written = write_copy(path, &unnamed).and_then(|()| file::name_durably(&unnamed, &copy));
    written.map_err(|error| {
        // What a full disk has room for is no copy, and the room is needed.
        drop(std::fs::remove_file(&unnamed));
        failed(error.to_string())
    })
}

fn write_copy(from: &Path, to: &Path) -> io::Result<()> {
    let mut to = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(file::MODE)
        .open(to)?;
    io::copy(&mut File::open(from)?, &mut to)?;
    to.sync_all()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_schema_after_the_first_has_its_migration() {
        let found: Vec<u32> = MIGRATIONS.iter().map(|migration| migration.to).collect();
        assert_eq!(found, (1..=SCHEMA).skip(1).collect::<Vec<_>>());
    }
}
