//! Compaction: what is there stays there, whatever happens meanwhile and wherever it is cut off.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

use super::{
    invariants::{assert_sound, fill},
    samples::{Fixed, read, write},
};
use crate::store::{
    Keys, Read as _, Row, Store, StoreError, TABLES, Table,
    testing::{Disk, Fault, Plan},
};

const TABLE: Table = Table::SpentConsents;
/// Enough that most of the file is free once they are gone.
const ROWS: u32 = 20_000;

fn rows_of(store: &Store) -> Vec<(Table, Vec<Row>)> {
    read(store, |tx| {
        let tables = TABLES.iter().map(|row| row.table);
        tables
            .map(|table| Ok((table, tx.scan(table, &Keys::ALL, usize::MAX)?)))
            .collect()
    })
}

/// Puts one row of everything, and much that is removed again.
fn litter(store: &Store) {
    write(store, fill);
    write(store, |tx| {
        for number in 0..ROWS {
            tx.put(TABLE, &number.to_be_bytes(), vec![7; 100]);
        }
        Ok(())
    });
    write(store, |tx| {
        for number in (0..ROWS).filter(|number| !number.is_multiple_of(100)) {
            tx.remove(TABLE, &number.to_be_bytes());
        }
        Ok(())
    });
}

fn names_in(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("a directory");
    entries
        .map(|entry| entry.expect("an entry").file_name())
        .map(|name| name.to_string_lossy().into_owned())
        .collect()
}

#[test]
fn a_file_becomes_small_and_keeps_everything() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("keystead.redb");
    let store = Store::open(&path, &Fixed).expect("a new file");
    litter(&store);
    let (before, sizes) = (rows_of(&store), store.sizes().expect("sizes"));
    let compacted = store.compact().expect("a compaction");
    assert_eq!(compacted.before_bytes, sizes.file_bytes);
    assert!(
        compacted.after_bytes < compacted.before_bytes / 2,
        "{compacted:?}"
    );
    let length = fs::metadata(&path).expect("the file").len();
    assert_eq!(compacted.after_bytes, length);
    assert_eq!(store.sizes().expect("sizes").live_bytes, sizes.live_bytes);
    assert_eq!(rows_of(&store), before);
    assert_eq!(names_in(directory.path()), ["keystead.redb"]);
    let mode = fs::metadata(&path).expect("the file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // The new file is as much ours as the old one was.
    assert!(matches!(
        Store::open(&path, &Fixed),
        Err(StoreError::InUse { .. })
    ));
    write(&store, |tx| {
        tx.put(TABLE, b"after", vec![1]);
        Ok(())
    });
    drop(store);
    let store = Store::open(&path, &Fixed).expect("the new file");
    assert_eq!(
        read(&store, |tx| tx.get(TABLE, b"after")),
        Some(vec![1]),
        "it went into the file that has the name"
    );
}

#[test]
fn the_link_to_a_file_stays_a_link() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("keystead.redb");
    drop(Store::open(&path, &Fixed).expect("a new file"));
    let link = directory.path().join("link");
    std::os::unix::fs::symlink(&path, &link).expect("a link");
    let store = Store::open(&link, &Fixed).expect("the same file");
    store.compact().expect("a compaction");
    assert!(link.is_symlink());
    assert!(!path.is_symlink());
    let mut names = names_in(directory.path());
    names.sort();
    assert_eq!(names, ["keystead.redb", "link"]);
}

#[test]
fn what_a_compaction_that_was_cut_off_has_left_is_removed() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("keystead.redb");
    drop(Store::open(&path, &Fixed).expect("a new file"));
    fs::write(directory.path().join("keystead.redb.copy"), b"a part").expect("a file");
    drop(Store::open(&path, &Fixed).expect("the old file"));
    assert_eq!(names_in(directory.path()), ["keystead.redb"]);
}

/// What was answered while it was copied is in the new file, and nothing else is.
#[test]
fn others_write_and_read_meanwhile() {
    let disk = Disk::default();
    let store = disk.store(&Fixed).expect("a store");
    litter(&store);
    let is_done = AtomicBool::new(false);
    let mut model: BTreeMap<Vec<u8>, Vec<u8>> =
        read(&store, |tx| tx.scan(TABLE, &Keys::ALL, usize::MAX))
            .into_iter()
            .collect();
    std::thread::scope(|scope| {
        let compacting = scope.spawn(|| {
            for _ in 0..3 {
                store.compact().expect("a compaction");
            }
            is_done.store(true, Ordering::Relaxed);
        });
        let mut number = 0_u32;
        while !is_done.load(Ordering::Relaxed) {
            number = number.wrapping_add(37);
            let key = (number % ROWS).to_be_bytes();
            let value = (!number.is_multiple_of(3)).then(|| number.to_be_bytes().to_vec());
            match &value {
                Some(value) => model.insert(key.to_vec(), value.clone()),
                None => model.remove(key.as_slice()),
            };
            let (expected, wanted) = (value.clone(), key);
            write(&store, move |tx| {
                match value {
                    Some(value) => tx.put(TABLE, &key, value),
                    None => tx.remove(TABLE, &key),
                }
                Ok(())
            });
            assert_eq!(read(&store, |tx| tx.get(TABLE, &wanted)), expected);
        }
        compacting.join().expect("no panic");
    });
    let model: Vec<Row> = model.into_iter().collect();
    for store in [
        store,
        Disk::holding(disk.durable())
            .store(&Fixed)
            .expect("after a power cut"),
    ] {
        assert_eq!(
            read(&store, |tx| tx.scan(TABLE, &Keys::ALL, usize::MAX)),
            model
        );
        assert_sound_but_for_the_litter(&store);
    }
}

/// The keys of the litter are no ids, so that its table cannot be sound.
fn assert_sound_but_for_the_litter(store: &Store) {
    write(store, |tx| {
        for (key, _) in tx.scan(TABLE, &Keys::ALL, usize::MAX)? {
            if key.len() == 4 {
                tx.remove(TABLE, &key);
            }
        }
        Ok(())
    });
    assert_sound(store);
}

#[test]
fn who_reads_from_the_old_file_ends_there() {
    let disk = Disk::default();
    let store = disk.store(&Fixed).expect("a store");
    litter(&store);
    let old = rows_of(&store);
    let read_on: Result<(), StoreError> = store.read(|tx| {
        store.compact()?;
        write(&store, |tx| {
            for number in 0..ROWS {
                tx.remove(TABLE, &number.to_be_bytes());
            }
            Ok(())
        });
        for (table, rows) in &old {
            assert_eq!(&tx.scan(*table, &Keys::ALL, usize::MAX)?, rows);
        }
        Ok(())
    });
    read_on.expect("the old file can be read");
    assert!(read(&store, |tx| tx.len(TABLE)) < 10);
}

/// Whatever goes wrong beside the file, the file is what it was and goes on.
#[test]
fn a_copy_that_fails_anywhere_changes_nothing() {
    let operations = {
        let disk = Disk::default();
        let store = disk.store(&Fixed).expect("a store");
        litter(&store);
        store.compact().expect("a compaction");
        disk.copied_in()
    };
    assert!(operations > 20, "{operations}");
    for (number, from) in (0..operations).step_by(7).enumerate() {
        let fault = [Fault::Refused, Fault::Full, Fault::Unsynced][number % 3];
        let disk = Disk::default();
        let store = disk.store(&Fixed).expect("a store");
        litter(&store);
        let before = rows_of(&store);
        disk.fail_beside(Plan {
            from,
            count: usize::MAX,
            fault,
        });
        assert!(store.compact().is_err(), "{fault:?} at {from}");
        assert_eq!(rows_of(&store), before);
        write(&store, |tx| {
            tx.put(TABLE, b"goes on", Vec::new());
            Ok(())
        });
        store.compact().expect("the next one");
        assert_eq!(rows_of(&store).len(), before.len());
    }
}

/// The new name is there and may be gone after a power cut: nothing is written until it is durable.
#[test]
fn a_name_that_is_not_durable_is_not_written_under() {
    let disk = Disk::default();
    let store = disk.store(&Fixed).expect("a store");
    litter(&store);
    let before = rows_of(&store);
    disk.fail_settling();
    assert!(store.compact().is_err());
    let put = || {
        let written = store.write(|tx| {
            tx.put(TABLE, b"after", Vec::new());
            Ok::<_, StoreError>(())
        });
        written.wait()
    };
    for _ in 0..3 {
        assert!(matches!(put(), Err(StoreError::Unwritable { .. })));
    }
    disk.mend();
    while put().is_err() {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    let key = read(&store, |tx| tx.get(TABLE, b"after"));
    assert_eq!(key, Some(Vec::new()));
    assert_eq!(rows_of(&store).len(), before.len());
}

#[test]
fn a_store_in_memory_is_compacted_as_well() {
    let store = Store::in_memory(&Fixed).expect("memory");
    litter(&store);
    let before = rows_of(&store);
    let compacted = store.compact().expect("a compaction");
    assert!(compacted.after_bytes < compacted.before_bytes);
    assert_eq!(rows_of(&store), before);
}
