//! Faults of the disk: what is answered, what can still be read, and how it goes on.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use super::samples::{Fixed, read, write};
use crate::{
    crypto::entropy::Entropy,
    store::{
        Keys, Read as _, Store, StoreError, Table, WriteTx,
        file::DataFile,
        handle::Handle,
        testing::{Disk, Fault, Plan},
    },
};

const TABLE: Table = Table::Users;
/// For how long a test waits for a store to go on.
const PATIENCE: Duration = Duration::from_mins(1);

fn put(tx: &mut WriteTx<'_>, key: &str) {
    tx.put(TABLE, key.as_bytes(), b"value".to_vec());
}

fn try_put(store: &Store, key: &'static str) -> Result<(), StoreError> {
    store
        .write(move |tx| {
            put(tx, key);
            Ok(())
        })
        .wait()
}

/// Writes `key` as soon as the store takes it.
fn put_at_last(store: &Store, key: &'static str) {
    let step = Duration::from_millis(1);
    let mut waited = Duration::ZERO;
    while try_put(store, key).is_err() {
        assert!(waited < PATIENCE, "it does not go on");
        std::thread::sleep(step);
        waited += step;
    }
}

fn keys_of(store: &Store) -> Vec<String> {
    let rows = read(store, |tx| tx.scan(TABLE, &Keys::ALL, usize::MAX));
    rows.into_iter()
        .map(|(key, _)| String::from_utf8(key).expect("a name"))
        .collect()
}

/// Rows that do not all fit into one page, so that reading them asks the disk.
fn store_of_many_rows(disk: &Disk) -> Store {
    let store = disk.store(&Fixed).expect("a store");
    write(&store, |tx| {
        for number in 0..1_000 {
            tx.put(TABLE, format!("{number:04}").as_bytes(), vec![7; 200]);
        }
        Ok(())
    });
    store
}

#[test]
fn after_a_fault_that_has_passed_the_next_write_is_taken() {
    for fault in [Fault::Refused, Fault::Full, Fault::Unsynced] {
        let disk = Disk::default();
        let store = disk.store(&Fixed).expect("a store");
        try_put(&store, "before").expect("a write");
        disk.fail(Plan {
            from: disk.asked(),
            count: 1,
            fault,
        });
        let failed = try_put(&store, "failed");
        assert!(matches!(failed, Err(StoreError::Unwritable { .. })));
        // The first fault is followed by no pause.
        try_put(&store, "after").expect("the fault has passed");
        let figures = store.figures();
        assert_eq!((figures.faults.get(), figures.is_writable.get()), (1, 1));
        assert_eq!(keys_of(&store), ["after", "before"], "{fault:?}");
    }
}

/// What was refused may be found all the same: then whoever listens was told of it.
#[test]
fn whoever_listens_is_told_of_a_commit_that_turns_out_to_be_durable() {
    let mut found_all_the_same = 0;
    for fails in 0.. {
        let disk = Disk::default();
        let store = disk.store(&Fixed).expect("a store");
        let told = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&told);
        store.listen(TABLE, move |keys| {
            heard.lock().expect("no panic").extend(keys.to_vec());
        });
        disk.fail(Plan {
            from: disk.asked() + fails,
            count: 1,
            fault: Fault::Refused,
        });
        let is_refused = try_put(&store, "key").is_err();
        let is_found = keys_of(&store) == ["key"];
        // The writer tells before it does anything else.
        put_at_last(&store, "another");
        let is_told = told
            .lock()
            .expect("no panic")
            .iter()
            .any(|key| key == b"key");
        assert!(
            is_told || !is_found,
            "a write whose operation {fails} failed"
        );
        if !is_refused {
            break;
        }
        found_all_the_same += usize::from(is_found);
    }
    assert!(found_all_the_same > 0, "no such commit was tried");
}

#[test]
fn while_the_disk_takes_no_writes_everything_can_be_read() {
    for fault in [Fault::Refused, Fault::Full, Fault::Unsynced] {
        let disk = Disk::default();
        let store = store_of_many_rows(&disk);
        disk.fail_all(fault);
        for _ in 0..3 {
            assert!(try_put(&store, "refused").is_err());
            assert_eq!(keys_of(&store).len(), 1_000, "{fault:?}");
        }
        disk.mend();
        put_at_last(&store, "after");
        assert_eq!(keys_of(&store).len(), 1_001);
    }
}

/// Nobody writes, and nobody asks whether it is ready: who reads finds it well again.
#[test]
fn a_disk_that_cannot_even_be_read_is_tried_again_until_it_can() {
    let disk = Disk::default();
    let store = store_of_many_rows(&disk);
    disk.fail_reads();
    disk.fail_all(Fault::Refused);
    assert!(try_put(&store, "refused").is_err());
    disk.mend();
    let mut waited = Duration::ZERO;
    let count = |store: &Store| -> Result<usize, StoreError> {
        store.read(|tx| Ok(tx.scan(TABLE, &Keys::ALL, usize::MAX)?.len()))
    };
    while !matches!(count(&store), Ok(1_000)) {
        assert!(waited < PATIENCE, "it does not go on");
        std::thread::sleep(Duration::from_millis(1));
        waited += Duration::from_millis(1);
    }
}

/// redb reads nothing more after one error of a read. Whoever met it tells the writer.
#[test]
fn a_read_that_fails_has_the_file_opened_anew() {
    let disk = Disk::default();
    drop(store_of_many_rows(&disk));
    let store = disk
        .store(&Fixed)
        .expect("the same store, nothing of it in memory");
    disk.fail_reads();
    let failed: Result<_, StoreError> = store.read(|tx| tx.scan(TABLE, &Keys::ALL, usize::MAX));
    assert!(failed.is_err());
    disk.mend();
    put_at_last(&store, "after");
    assert_eq!(keys_of(&store).len(), 1_001);
}

/// Reads that began before a fault end on what they began with, or in an error.
#[test]
fn a_snapshot_from_before_a_fault_shows_what_was_or_nothing() {
    let disk = Disk::default();
    let store = store_of_many_rows(&disk);
    let (mut shown, mut failed) = (0, 0);
    let done: Result<(), StoreError> = store.read(|tx| {
        for fault in [Fault::Refused, Fault::Full, Fault::Unsynced] {
            disk.fail(Plan {
                from: disk.asked(),
                count: 1,
                fault,
            });
            assert!(try_put(&store, "failed").is_err());
            // What frees the pages that the snapshot has, and takes them for something else.
            for _ in 0..5 {
                write(&store, |tx| {
                    for number in 0..1_000 {
                        tx.put(TABLE, format!("{number:04}").as_bytes(), vec![8; 200]);
                    }
                    Ok(())
                });
            }
            for number in 0..1_000 {
                match tx.get(TABLE, format!("{number:04}").as_bytes()) {
                    Ok(found) => {
                        assert_eq!(found, Some(vec![7; 200]));
                        shown += 1;
                    }
                    Err(_) => failed += 1,
                }
            }
        }
        Ok(())
    });
    assert!(done.is_ok());
    assert_eq!(shown + failed, 3_000);
}

/// Another deployment has another key.
struct Other;

impl Entropy for Other {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(0x77);
    }
}

/// A file that somebody put in the place of ours is not written to.
#[test]
fn a_file_of_another_deployment_is_not_taken_for_ours() {
    let other = Disk::default();
    drop(other.store(&Other).expect("another store"));
    let disk = Disk::default();
    let store = disk.store(&Fixed).expect("a store");
    disk.replace(other.durable());
    disk.fail(Plan {
        from: disk.asked(),
        count: 1,
        fault: Fault::Refused,
    });
    assert!(try_put(&store, "failed").is_err());
    let fault = loop {
        match try_put(&store, "refused") {
            Err(StoreError::Unwritable { .. }) => {}
            Err(fault) => break fault,
            Ok(()) => panic!("written to the file of somebody else"),
        }
    };
    assert!(
        fault
            .to_string()
            .ends_with("it is that of another deployment")
    );
    assert_eq!(disk.durable(), other.durable());
}

/// On a real file: nobody gets it before it is retired, and who had it does it no harm.
#[test]
fn a_real_file_goes_from_one_opening_to_the_next() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("keystead.redb");
    let store = Store::open(&path, &Fixed).expect("a new file");
    try_put(&store, "before").expect("a write");
    drop(store);
    let open = || Handle::open(&DataFile::at(&path), |_| Ok(()));
    let first = open().expect("the file");
    first.release().expect("a whole file");
    assert!(matches!(open(), Err(StoreError::InUse { .. })));
    let snapshot = first.begin_read().expect("a snapshot");
    first.retire();
    let second = open().expect("it is free");
    second.release().expect("a whole file");
    second
        .write_alone(|tx| {
            put(tx, "after");
            Ok(())
        })
        .expect("a write");
    drop(snapshot);
    // Closing a database writes to its file; closing this one must not.
    drop(first);
    second
        .write_alone(|tx| {
            put(tx, "last");
            Ok(())
        })
        .expect("a write");
    drop(second);
    let store = Store::open(&path, &Fixed).expect("the same file");
    assert_eq!(keys_of(&store), ["after", "before", "last"]);
}
