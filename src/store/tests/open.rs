//! Opening: what is made, what is found again, and what is refused without being touched.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::SystemTime,
};

use redb::{Database, DatabaseError, ReadOnlyDatabase, TableDefinition};
use tempfile::TempDir;

use super::samples::{Fixed, read, write};
use crate::store::{Keys, SCHEMA, Store, StoreError, TABLES, Table, file, meta};

fn directory() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("keystead.redb");
    (directory, path)
}

fn open(path: &Path) -> Result<Store, StoreError> {
    Store::open(path, &Fixed)
}

/// Why the file at `path` is refused, with the path in that sentence replaced. Fails unless the
/// file is what it was, to the byte and to the instant of its last change.
fn refusal(path: &Path) -> String {
    let before = state(path);
    let error = open(path).err().expect("refused");
    assert_eq!(state(path), before, "{error}");
    let directory = path.parent().expect("a parent");
    assert_eq!(names_in(directory), names_in_after_a_refusal(path));
    error
        .to_string()
        .replace(&path.display().to_string(), "FILE")
}

fn state(path: &Path) -> (Vec<u8>, SystemTime) {
    let modified = fs::metadata(path).and_then(|found| found.modified());
    let content = fs::read(path).expect("a readable file");
    (content, modified.expect("an instant"))
}

fn names_in(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("a directory");
    entries
        .map(|entry| entry.expect("an entry").file_name())
        .map(|name| name.to_string_lossy().into_owned())
        .collect()
}

fn names_in_after_a_refusal(path: &Path) -> Vec<String> {
    let name = path.file_name().expect("a name");
    vec![name.to_string_lossy().into_owned()]
}

/// The file as it is while a process that has it open is killed: never closed, to be repaired.
fn copy_of_an_unclosed(path: &Path, schema: u32) -> PathBuf {
    let copy = path.with_extension("killed");
    let store = open(path).expect("a new file");
    write(&store, move |tx| {
        meta::put_schema(tx, schema);
        tx.put(Table::Users, b"answered", b"value".to_vec());
        Ok(())
    });
    fs::copy(path, &copy).expect("a copy");
    drop(store);
    fs::remove_file(path).expect("the closed file");
    copy
}

#[test]
fn a_new_file_is_whole_and_its_owners_alone() {
    let (directory, path) = directory();
    let store = open(&path).expect("a new file");
    read(&store, |tx| {
        assert_eq!(meta::find_schema(tx)?, Some(SCHEMA));
        meta::key(tx)?;
        for definition in TABLES {
            tx.scan(definition.table, &Keys::ALL, 1)?;
        }
        Ok(())
    });
    let mode = fs::metadata(&path).expect("the file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(names_in(directory.path()), ["keystead.redb"]);
}

#[test]
fn a_file_that_is_opened_again_is_the_same_one() {
    let (_directory, path) = directory();
    let store = open(&path).expect("a new file");
    write(&store, |tx| {
        tx.put(Table::Users, b"key", b"value".to_vec());
        Ok(())
    });
    let key = read(&store, |tx| tx.get(Table::Meta, b"key"));
    drop(store);
    for _ in 0..3 {
        let store = open(&path).expect("the same file");
        let kept = read(&store, |tx| tx.get(Table::Users, b"key"));
        assert_eq!(kept, Some(b"value".to_vec()));
        assert_eq!(read(&store, |tx| tx.get(Table::Meta, b"key")), key);
    }
}

/// What was in it is lost. A new box in its place would be anybody's to claim.
#[test]
fn an_empty_file_is_refused_and_stays() {
    let (directory, path) = directory();
    fs::write(&path, b"").expect("a file");
    let error = open(&path).err().expect("refused");
    assert!(
        error
            .to_string()
            .ends_with("it is empty. Restore a backup, or remove it to begin anew"),
        "{error}"
    );
    assert_eq!(fs::metadata(&path).expect("the file").len(), 0);
    assert_eq!(names_in(directory.path()), ["keystead.redb"]);
}

#[test]
fn what_a_creation_that_was_cut_off_has_left_is_made_anew() {
    let (directory, path) = directory();
    fs::write(directory.path().join("keystead.redb.new"), [0; 9_000]).expect("a file");
    let store = open(&path).expect("a new file");
    assert_eq!(read(&store, meta::find_schema), Some(SCHEMA));
    assert_eq!(names_in(directory.path()), ["keystead.redb"]);
}

#[test]
fn a_file_that_another_process_is_making_is_in_use() {
    let (directory, path) = directory();
    let half_made = fs::File::create(directory.path().join("keystead.redb.new")).expect("a file");
    half_made.lock().expect("the lock");
    assert!(matches!(open(&path), Err(StoreError::InUse { .. })));
    assert!(!path.exists());
}

/// Between looking for a data file and making one, another process may have made it: then what was
/// opened to be filled is that file, under its former name.
#[test]
fn a_file_that_was_made_meanwhile_is_not_made_anew() {
    let (directory, path) = directory();
    drop(open(&path).expect("a new file"));
    fs::hard_link(&path, directory.path().join("keystead.redb.new")).expect("a name");
    let before = state(&path);
    assert!(file::create(&path).expect("no fault").is_none());
    assert_eq!(state(&path), before);
}

#[test]
fn a_newer_file_is_refused_and_untouched() {
    let (_directory, path) = directory();
    let store = open(&path).expect("a new file");
    write(&store, |tx| {
        meta::put_schema(tx, SCHEMA + 1);
        Ok(())
    });
    drop(store);
    assert_eq!(
        refusal(&path),
        "FILE was written by a newer Keystead: expected schema 1 or older, found 2. Start that \
         newer version, or restore a backup of this one"
    );
}

/// After a crash redb wants to repair a file before it can be read. That must wait as well.
#[test]
fn a_newer_file_that_was_not_closed_is_refused_and_untouched() {
    let (_directory, path) = directory();
    let copy = copy_of_an_unclosed(&path, SCHEMA + 1);
    assert!(refusal(&copy).contains("newer Keystead"));
}

#[test]
fn a_file_that_was_not_closed_is_repaired_and_whole() {
    let (_directory, path) = directory();
    let copy = copy_of_an_unclosed(&path, SCHEMA);
    for _ in 0..2 {
        let store = open(&copy).expect("the repaired file");
        let answered = read(&store, |tx| tx.get(Table::Users, b"answered"));
        assert_eq!(answered, Some(b"value".to_vec()));
        assert_eq!(read(&store, meta::find_schema), Some(SCHEMA));
        write(&store, |tx| {
            tx.put(Table::Users, b"key", b"value".to_vec());
            Ok(())
        });
    }
    let store = open(&copy).expect("the same file");
    let kept = read(&store, |tx| tx.get(Table::Users, b"key"));
    assert_eq!(kept, Some(b"value".to_vec()));
}

#[test]
fn a_database_of_another_program_is_refused_and_untouched() {
    const THEIRS: TableDefinition<'_, &str, u64> = TableDefinition::new("theirs");
    let (_directory, path) = directory();
    let database = Database::create(&path).expect("a database");
    let transaction = database.begin_write().expect("a transaction");
    transaction.open_table(THEIRS).expect("a table");
    transaction.commit().expect("a commit");
    drop(database);
    assert_eq!(
        refusal(&path),
        "FILE is not a Keystead data file: it is a database of another program"
    );
}

#[test]
fn a_database_whose_facts_are_not_bytes_is_refused_and_untouched() {
    const THEIRS: TableDefinition<'_, &str, u64> = TableDefinition::new("meta_v1");
    let (_directory, path) = directory();
    let database = Database::create(&path).expect("a database");
    let transaction = database.begin_write().expect("a transaction");
    transaction.open_table(THEIRS).expect("a table");
    transaction.commit().expect("a commit");
    drop(database);
    assert!(refusal(&path).contains("another program"));
}

#[test]
fn a_file_without_a_schema_or_before_the_first_is_refused_and_untouched() {
    for (schema, sentence) in [
        (None, "it names no schema"),
        (Some(0), "its schema number is 0"),
    ] {
        let (_directory, path) = directory();
        let store = open(&path).expect("a new file");
        write(&store, move |tx| {
            match schema {
                Some(number) => meta::put_schema(tx, number),
                None => tx.remove(Table::Meta, b"schema"),
            }
            Ok(())
        });
        drop(store);
        assert!(refusal(&path).contains(sentence));
    }
}

#[test]
fn a_file_of_anything_else_is_refused_and_untouched() {
    for content in ["x", "a list of things to buy\n", &"long ".repeat(4_000)] {
        let (_directory, path) = directory();
        fs::write(&path, content).expect("a file");
        assert_eq!(
            refusal(&path),
            "FILE is not a Keystead data file: Not a redb database: magic number mismatch"
        );
    }
}

/// Whatever is cut off or changed, opening neither panics nor writes before it has found a schema.
#[test]
fn a_damaged_file_is_opened_or_refused_in_words() {
    let (_directory, path) = directory();
    drop(open(&path).expect("a new file"));
    let whole = fs::read(&path).expect("the file");
    for cut in [
        9,
        64,
        320,
        4_095,
        4_096,
        8_192,
        whole.len() / 2,
        whole.len() - 1,
    ] {
        fs::write(&path, &whole[..cut]).expect("a file");
        assert!(
            refusal(&path).contains("is not a Keystead data file"),
            "{cut}"
        );
    }
    for place in (9..400)
        .step_by(5)
        .chain((4_096..whole.len()).step_by(9_973))
    {
        let mut damaged = whole.clone();
        damaged[place] ^= 0xff;
        fs::write(&path, &damaged).expect("a file");
        if let Err(error) = open(&path) {
            assert_eq!(
                fs::read(&path).expect("the file"),
                damaged,
                "{place}: {error}"
            );
        }
    }
}

#[test]
fn a_directory_is_refused() {
    let (directory, _) = directory();
    let error = open(directory.path()).err().expect("refused").to_string();
    assert!(
        error.ends_with("is not a Keystead data file: it is a directory"),
        "{error}"
    );
}

#[test]
fn a_device_is_refused() {
    let error = open(Path::new("/dev/null")).err().expect("refused");
    assert_eq!(
        error.to_string(),
        "/dev/null is not a Keystead data file: it is not a regular file"
    );
}

#[test]
fn a_link_to_nothing_is_refused_and_stays() {
    let (directory, path) = directory();
    let target = directory.path().join("target");
    std::os::unix::fs::symlink(&target, &path).expect("a link");
    assert!(matches!(open(&path), Err(StoreError::Foreign { .. })));
    fs::write(&target, b"").expect("a file");
    assert!(matches!(open(&path), Err(StoreError::Foreign { .. })));
    assert!(path.is_symlink());
}

#[test]
fn a_link_to_a_data_file_is_followed() {
    let (directory, path) = directory();
    drop(open(&path).expect("a new file"));
    let link = directory.path().join("link");
    std::os::unix::fs::symlink(&path, &link).expect("a link");
    let store = open(&link).expect("the same file");
    assert!(matches!(open(&path), Err(StoreError::InUse { .. })));
    drop(store);
    assert!(link.is_symlink());
}

/// What is closed needs no repair, and so the next start is quick.
#[test]
fn a_store_that_is_dropped_closes_its_file() {
    let (_directory, path) = directory();
    let store = open(&path).expect("a new file");
    let killed = path.with_extension("killed");
    fs::copy(&path, &killed).expect("a copy");
    drop(store);
    assert!(ReadOnlyDatabase::open(&path).is_ok());
    assert!(matches!(
        ReadOnlyDatabase::open(&killed),
        Err(DatabaseError::RepairAborted)
    ));
}

/// Root may read everything, so the file is one that not even root can reach.
#[test]
fn a_file_that_cannot_be_read_is_refused_with_what_the_system_said() {
    let (directory, path) = directory();
    fs::write(&path, b"a file").expect("a file");
    for (path, said) in [
        (path.join("keystead.redb"), "Not a directory"),
        (
            directory.path().join("missing/keystead.redb"),
            "No such file",
        ),
    ] {
        let error = open(&path).err().expect("refused");
        assert!(matches!(error, StoreError::Unreadable { .. }), "{error}");
        assert!(error.to_string().contains(said), "{error}");
    }
    assert_eq!(names_in(directory.path()), ["keystead.redb"]);
}

#[test]
fn a_file_in_use_is_refused_and_the_one_who_has_it_goes_on() {
    let (_directory, path) = directory();
    let store = open(&path).expect("a new file");
    let before = state(&path);
    let error = open(&path).err().expect("refused");
    assert!(matches!(error, StoreError::InUse { .. }));
    assert!(
        error
            .to_string()
            .contains("is in use by another process: stop it")
    );
    assert_eq!(state(&path), before);
    write(&store, |tx| {
        tx.put(Table::Users, b"key", b"value".to_vec());
        Ok(())
    });
    drop(store);
    assert!(open(&path).is_ok());
}

#[test]
fn a_file_that_a_lock_holds_is_in_use() {
    let (_directory, path) = directory();
    drop(open(&path).expect("a new file"));
    let holder = fs::File::open(&path).expect("the file");
    holder.lock().expect("the lock");
    assert!(refusal(&path).contains("in use"));
    holder.unlock().expect("the lock");
    assert!(open(&path).is_ok());
}

#[test]
fn of_many_that_make_the_file_at_once_one_has_it() {
    let (directory, path) = directory();
    let opened: Vec<_> = std::thread::scope(|scope| {
        let attempts: Vec<_> = (0..16).map(|_| scope.spawn(|| open(&path))).collect();
        attempts
            .into_iter()
            .map(|attempt| attempt.join().expect("an attempt"))
            .collect()
    });
    // Whoever is late finds the lock, and no store was dropped meanwhile.
    assert_eq!(opened.iter().filter(|result| result.is_ok()).count(), 1);
    for result in &opened {
        assert!(matches!(result, Ok(_) | Err(StoreError::InUse { .. })));
    }
    drop(opened);
    assert!(open(&path).is_ok());
    assert!(names_in(directory.path()).contains(&"keystead.redb".to_owned()));
}
