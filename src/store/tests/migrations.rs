//! From an older schema to a newer one: step by step, through crashes, and never without a copy.
//! No second schema was released, so the steps are made up here.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use super::{
    invariants::{assert_sound, fill},
    samples::{Fixed, read, write},
};
use crate::store::{
    Inspected, Keys, Read, Row, SCHEMA, Store, StoreError, Table, WriteTx,
    file::DataFile,
    handle::Handle,
    meta,
    migrations::{Migration, Progress, Schemas, advance, copy_of},
};

/// Rows in the table that a step goes through.
const ROWS: u8 = 10;
/// Of these, rows in one transaction.
const CHUNK: usize = 4;

/// A binary that knows three schemas.
const THREE: Schemas = Schemas {
    newest: 3,
    migrations: &[
        Migration {
            to: 2,
            name: "every consent gets a longer name",
            step: rename_some,
        },
        Migration {
            to: 3,
            name: "one row more",
            step: |tx, _| {
                tx.put(Table::SpentConsents, b"the last", b"value".to_vec());
                Ok(Progress::Done)
            },
        },
    ],
};

/// One whose second step fails.
const FAILING: Schemas = Schemas {
    newest: 3,
    migrations: &[
        Migration {
            to: 2,
            name: "every consent gets a longer name",
            step: rename_some,
        },
        Migration {
            to: 3,
            name: "what cannot be done",
            step: |tx, _| {
                tx.put(Table::SpentConsents, b"half done", Vec::new());
                Err(StoreError::Panicked)
            },
        },
    ],
};

/// One whose first step fails.
const REFUSING: Schemas = Schemas {
    newest: 2,
    migrations: &[Migration {
        to: 2,
        name: "what cannot be done",
        step: |_, _| Err(StoreError::Panicked),
    }],
};

fn rename_some(tx: &mut WriteTx<'_>, from: &[u8]) -> Result<Progress, StoreError> {
    let keys = if from.is_empty() {
        Keys::ALL
    } else {
        Keys::after(from)
    };
    let rows = tx.scan(Table::SpentConsents, &keys, CHUNK)?;
    for (key, value) in &rows {
        // A row that was renamed twice, or not at all, shows.
        tx.put(Table::SpentConsents, key, [value, &b"+"[..]].concat());
    }
    Ok(match rows.last() {
        Some((last, _)) if rows.len() == CHUNK => Progress::Until(last.clone()),
        _ => Progress::Done,
    })
}

/// A file of the first schema, with rows for the steps.
fn old_file() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("keystead.redb");
    let store = Store::open(&path, &Fixed).expect("a new file");
    write(&store, |tx| {
        for row in 0..ROWS {
            tx.put(Table::SpentConsents, &[row], vec![row]);
        }
        Ok(())
    });
    (directory, path)
}

fn open_as(path: &Path, schemas: &Schemas) -> Result<Store, StoreError> {
    Store::open_as(path, &Fixed, schemas)
}

fn consents(tx: &dyn Read) -> Result<Vec<Row>, StoreError> {
    tx.scan(Table::SpentConsents, &Keys::ALL, 100)
}

/// What the file holds when every step was done once.
fn migrated() -> Vec<Row> {
    let mut rows: Vec<Row> = (0..ROWS).map(|row| (vec![row], vec![row, b'+'])).collect();
    rows.push((b"the last".to_vec(), b"value".to_vec()));
    rows
}

#[track_caller]
fn assert_migrated(store: &Store) {
    assert_eq!(read(store, consents), migrated());
    assert_eq!(read(store, meta::find_schema), Some(3));
    assert_eq!(read(store, meta::find_cursor), None);
}

#[test]
fn an_older_file_is_migrated_and_a_copy_of_it_is_kept() {
    let (_directory, path) = old_file();
    let before = fs::read(&path).expect("the file");
    assert_migrated(&open_as(&path, &THREE).expect("a migrated file"));
    let copy = copy_of(&path, 1);
    assert_eq!(fs::read(&copy).expect("the copy"), before);
    let mode = fs::metadata(&copy).expect("the copy").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_migrated(&open_as(&path, &THREE).expect("the same file"));
    // The version before refuses the file and takes the copy.
    assert!(matches!(
        Store::open(&path, &Fixed),
        Err(StoreError::Newer { found: 3, .. })
    ));
    let old = Store::open(&copy, &Fixed).expect("the copy");
    assert_eq!(read(&old, consents).len(), usize::from(ROWS));
}

/// An old file as it is before its first step.
fn opened(path: &Path) -> Handle {
    let handle = Handle::open(&DataFile::at(path), |tx| THREE.admit(tx, path));
    let handle = handle.expect("an old file");
    handle.release().expect("a file that can be written to");
    handle
}

/// Cut off after each commit, by copying the file while it is open: the next start goes on.
#[test]
fn a_migration_that_is_cut_off_anywhere_goes_on() {
    for commits in 0.. {
        let (directory, path) = old_file();
        let database = opened(&path);
        let mut done = 0;
        while let Some(next) = THREE.next(&database).expect("a step")
            && done < commits
        {
            advance(&database, next).expect("a transaction");
            done += 1;
        }
        let cut = directory.path().join("cut.redb");
        fs::copy(&path, &cut).expect("a copy");
        fs::copy(copy_of(&path, 1), copy_of(&cut, 1)).expect("a copy");
        drop(database);
        if done > 0 {
            // No older binary gets to see half of it.
            assert!(matches!(
                Store::open(&cut, &Fixed),
                Err(StoreError::Newer { .. })
            ));
        }
        assert_migrated(&open_as(&cut, &THREE).expect("a migrated file"));
        if done < commits {
            // Three transactions for the rows and one for the step behind them.
            assert_eq!(done, 4);
            break;
        }
    }
}

#[test]
fn a_file_in_the_middle_of_a_migration_is_not_looked_into() {
    let (_directory, path) = old_file();
    let database = opened(&path);
    let first = THREE.next(&database).expect("no fault").expect("a step");
    advance(&database, first).expect("a transaction");
    drop(database);
    let inspected = Inspected::open_any(&path).expect("the file");
    let refused = inspected.read(|tx| {
        let two = Schemas {
            newest: 2,
            migrations: &[],
        };
        two.require_newest(tx, &path)
    });
    assert!(matches!(refused, Err(StoreError::Older { found: 2, .. })));
}

#[test]
fn a_step_that_fails_is_named_and_what_was_before_it_stays() {
    let (_directory, path) = old_file();
    for _ in 0..2 {
        let error = open_as(&path, &FAILING)
            .err()
            .expect("a failure")
            .to_string();
        assert_eq!(
            error.replace(&path.display().to_string(), "FILE"),
            "FILE cannot be brought to schema 3 (what cannot be done): a write panicked; nothing \
             of it was kept. Until this is mended, use the version before this one, on the copy \
             that was kept beside the file if it refuses the file"
        );
    }
    let old = Store::open(&copy_of(&path, 1), &Fixed).expect("the copy");
    assert_eq!(read(&old, consents).len(), usize::from(ROWS));
    drop(old);
    assert_migrated(&open_as(&path, &THREE).expect("a mended version"));
}

#[test]
fn a_first_step_that_fails_leaves_the_file_to_the_version_before() {
    let (directory, path) = old_file();
    for _ in 0..3 {
        let failed = open_as(&path, &REFUSING).err().expect("a failure");
        assert!(
            matches!(failed, StoreError::NotMigrated { to: 2, .. }),
            "{failed}"
        );
        // However often it is tried, there is one copy.
        assert_eq!(
            fs::read_dir(directory.path()).expect("a directory").count(),
            2
        );
    }
    let old = Store::open(&path, &Fixed).expect("the file of the version before");
    assert_eq!(read(&old, consents).len(), usize::from(ROWS));
}

#[test]
fn a_copy_of_something_else_is_never_overwritten() {
    let (_directory, path) = old_file();
    let copy = copy_of(&path, 1);
    fs::copy(&path, &copy).expect("a copy");
    let changed = Store::open(&path, &Fixed).expect("the file");
    write(&changed, |tx| {
        tx.put(Table::SpentConsents, b"later", Vec::new());
        Ok(())
    });
    drop(changed);
    let (before, kept) = (
        fs::read(&path).expect("a file"),
        fs::read(&copy).expect("a file"),
    );
    for other in [kept, b"a list of things to buy".to_vec()] {
        fs::write(&copy, &other).expect("a file");
        let refused = open_as(&path, &THREE).err().expect("a refusal");
        assert!(matches!(refused, StoreError::NotCopied { .. }), "{refused}");
        assert_eq!(fs::read(&path).expect("the file"), before);
        assert_eq!(fs::read(&copy).expect("the copy"), other);
    }
    fs::remove_file(&copy).expect("the copy");
    assert!(open_as(&path, &THREE).is_ok());
}

/// Root may write everywhere, so the place of the copy is one that nobody can write to.
#[test]
fn a_file_whose_copy_cannot_be_kept_is_refused_and_untouched() {
    let (directory, path) = old_file();
    let before = fs::read(&path).expect("the file");
    let unnamed = directory.path().join("keystead.redb.schema-1.new");
    fs::create_dir(&unnamed).expect("a directory in the way");
    let refused = open_as(&path, &THREE).err().expect("a refusal").to_string();
    assert!(
        refused.contains("keystead.redb.schema-1 before it is changed: Is a directory")
            && refused.contains("It is untouched"),
        "{refused}"
    );
    assert_eq!(fs::read(&path).expect("the file"), before);
    fs::remove_dir(&unnamed).expect("an empty directory");
    assert!(open_as(&path, &THREE).is_ok());
}

/// A file that was not closed is repaired when it is opened; not when it is looked at.
#[test]
fn what_is_looked_at_is_not_changed_by_a_byte() {
    let (directory, path) = old_file();
    let store = Store::open(&path, &Fixed).expect("the file");
    write(&store, |tx| {
        for row in 0..ROWS {
            tx.remove(Table::SpentConsents, &[row]);
        }
        fill(tx)
    });
    let killed = directory.path().join("killed.redb");
    fs::copy(&path, &killed).expect("a copy");
    assert_sound(&store);
    assert!(matches!(
        Inspected::open(&path),
        Err(StoreError::InUse { .. })
    ));
    drop(store);
    for path in [path, killed] {
        let before = fs::read(&path).expect("the file");
        let mut inspected = Inspected::open(&path).expect("the file");
        assert!(matches!(
            Store::open(&path, &Fixed),
            Err(StoreError::InUse { .. })
        ));
        inspected.check_pages().expect("whole pages");
        let schema = inspected
            .read(|tx| meta::find_schema(tx))
            .expect("a schema");
        assert_eq!(schema, Some(SCHEMA));
        drop(inspected);
        assert_eq!(fs::read(&path).expect("the file"), before);
    }
}

/// Every page of the file has a checksum; what was changed behind our back is told, in words.
#[test]
fn a_changed_page_is_found() {
    /// Where a small file has its pages.
    const USED_BYTES: usize = 128 * 1024;
    let (_directory, path) = old_file();
    let whole = fs::read(&path).expect("the file");
    let mut found = 0;
    for place in (0..USED_BYTES).step_by(1_021) {
        let mut damaged = whole.clone();
        damaged[place] ^= 0x10;
        fs::write(&path, &damaged).expect("a file");
        let checked = Inspected::open(&path).and_then(|mut inspected| inspected.check_pages());
        if let Err(fault) = checked {
            assert!(
                matches!(fault, StoreError::Foreign { .. }),
                "{place}: {fault}"
            );
            found += 1;
        }
        assert_eq!(fs::read(&path).expect("the file"), damaged);
    }
    // What no page uses can be changed without a loss.
    assert!(found > 5, "{found}");
}
