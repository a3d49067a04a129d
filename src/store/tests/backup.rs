//! Backups: what goes in comes out, and nothing that was cut off or changed is believed.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
};

use tempfile::TempDir;

use super::{
    invariants::{assert_sound, fill},
    samples::{Fixed, at, grant, id, read, session, store, write},
};
use crate::{
    crypto::{digest::Digest, entropy::Entropy},
    store::{
        Keys, SCHEMA, Store, StoreError, TABLES, Table, WriteTx,
        backup::{self, BackupError},
        check::check,
        grants, meta,
        restore::{Draft, Epoch, TABLES_OF_AN_EPOCH},
        rows, sessions,
    },
};

/// Not what [`Fixed`] gives.
struct Other;

impl Entropy for Other {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(0x77);
    }
}

fn backup_of(store: &Store) -> Vec<u8> {
    let mut bytes = Vec::new();
    let written = store.read(|tx| backup::write(tx, at(100), &mut bytes));
    written.expect("a backup");
    bytes
}

fn filled() -> Store {
    let store = store();
    write(&store, fill);
    store
}

fn directory() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("keystead.redb");
    (directory, path)
}

fn load(path: &Path, bytes: &[u8]) -> Result<Draft, BackupError> {
    Draft::load(path, &mut &bytes[..], &Other).map(|(draft, _)| draft)
}

fn verify(mut bytes: &[u8]) -> Result<backup::Summary, BackupError> {
    backup::read(&mut bytes, &mut |_, _| Ok(()))
}

#[test]
fn what_is_backed_up_is_restored_row_by_row() {
    let (directory, path) = directory();
    let store = filled();
    let bytes = backup_of(&store);
    let (draft, summary) = Draft::load(&path, &mut &bytes[..], &Other).expect("a backup");
    assert_eq!(summary.header.schema, SCHEMA);
    assert_eq!(summary.header.made_at, at(100));
    assert_eq!(summary.header.version, env!("CARGO_PKG_VERSION"));
    assert_eq!(summary.len, bytes.len() as u64);
    assert!(summary.tables.iter().all(|size| size.rows > 0));
    assert!(!path.exists());
    draft
        .publish(Epoch::Kept, &Other, |_| Ok(()))
        .expect("a file");
    let restored = Store::open(&path, &Other).expect("the file");
    let are_same = read(&store, |tx| {
        restored.read(|restored| rows::are_same(tx, restored))
    });
    assert!(are_same);
    assert_eq!(
        fs::read_dir(directory.path()).expect("a directory").count(),
        1
    );
    // A backup of the same rows is the same bytes.
    assert_eq!(backup_of(&restored), bytes);
}

#[test]
fn a_table_of_many_chunks_comes_back() {
    let store = store();
    write(&store, |tx| {
        for number in 0..2_000_u64 {
            let value = vec![7; usize::try_from(number % 300).expect("small")];
            tx.put(Table::Codes, &number.to_be_bytes(), value);
        }
        tx.put(Table::Users, b"large", vec![7; 131_072]);
        Ok(())
    });
    let bytes = backup_of(&store);
    let (draft, summary) = Draft::in_memory(&mut &bytes[..], &Other).expect("a backup");
    assert_eq!(summary.rows_of(Table::Codes), 2_000);
    let are_same = read(&store, |tx| draft.read(|draft| rows::are_same(tx, draft)));
    assert!(matches!(are_same, Ok(true)));
}

#[test]
fn every_length_but_the_whole_is_refused() {
    let bytes = backup_of(&filled());
    for len in 0..bytes.len() {
        match verify(&bytes[..len]) {
            Err(BackupError::Foreign) if len < 16 => {}
            Err(BackupError::CutOff { at }) if at == len as u64 => {}
            other => panic!("{len}: {other:?}"),
        }
    }
    let longer = [&bytes[..], b"\n"].concat();
    let refused = verify(&longer).expect_err("more").to_string();
    assert!(
        refused.ends_with("expected its end, found more"),
        "{refused}"
    );
}

#[test]
fn every_changed_byte_is_refused() {
    let bytes = backup_of(&filled());
    let (directory, path) = directory();
    for place in 0..bytes.len() {
        for mask in [0x01, 0x80] {
            let mut changed = bytes.clone();
            changed[place] ^= mask;
            let refused = verify(&changed).expect_err("a changed byte");
            if place > 20 {
                let before = match refused {
                    BackupError::Damaged { at, .. } => at <= place as u64,
                    // A length that grew.
                    BackupError::CutOff { .. } => true,
                    _ => false,
                };
                assert!(before, "{place}: {refused}");
            }
        }
        if place % 97 == 0 {
            let mut changed = bytes.clone();
            changed[place] ^= 0x10;
            assert!(load(&path, &changed).is_err(), "{place}");
            assert_eq!(
                fs::read_dir(directory.path()).expect("a directory").count(),
                0
            );
        }
    }
}

/// A part with a checksum that is right, whatever is in it.
fn frame(tag: u8, content: &[u8]) -> Vec<u8> {
    let len = u32::try_from(content.len()).expect("small").to_be_bytes();
    let mut bytes = [&[tag], &len[..], content].concat();
    bytes.extend_from_slice(&crc32fast::hash(&bytes).to_be_bytes());
    bytes
}

fn header(schema: u32) -> Vec<u8> {
    let content = [&schema.to_be_bytes()[..], &[0; 8], b"0.1.0"].concat();
    [
        b"keystead backup\n",
        &[0, 0, 0, 1][..],
        &frame(b'H', &content),
    ]
    .concat()
}

fn table(name: &str, rows: u64) -> Vec<u8> {
    frame(b'T', &[&rows.to_be_bytes()[..], name.as_bytes()].concat())
}

fn row(key: &[u8]) -> Vec<u8> {
    let len = u32::try_from(key.len()).expect("small").to_be_bytes();
    [&len[..], key, &[0; 4]].concat()
}

/// A header, and what is behind it.
fn behind_header(parts: &[&[u8]]) -> Vec<u8> {
    [header(1), parts.concat()].concat()
}

/// Some rows of a first table that says it has `rows`.
fn rows_of(rows: u64, found: &[&[u8]]) -> Vec<u8> {
    behind_header(&[&table("meta_v1", rows), &frame(b'R', &found.concat())])
}

/// The first `len` tables without a row, and an end that says there are `rows`.
fn ended(len: usize, rows: u64) -> Vec<u8> {
    let names = TABLES.iter().take(len);
    let tables: Vec<u8> = names
        .flat_map(|definition| table(definition.name, 0))
        .collect();
    let before = behind_header(&[&tables]);
    let end = [&rows.to_be_bytes()[..], Digest::of(&before).as_bytes()].concat();
    [before, frame(b'E', &end)].concat()
}

#[track_caller]
fn assert_refused(bytes: &[u8], why: &str) {
    let refused = verify(bytes).expect_err(why).to_string();
    assert!(refused.contains(why), "{why}: {refused}");
}

/// What was written by somebody who knows how checksums are made.
#[test]
fn parts_that_do_not_follow_upon_each_other_are_refused() {
    let long = [b'R', 0xff, 0xff, 0xff, 0xff];
    let meta = table("meta_v1", 0);
    for (bytes, why) in [
        (
            b"keystead backup\n\0\0\0\x02".to_vec(),
            "expected format 1, found 2",
        ),
        (header(2), "expected schema 1 or older, found 2"),
        (header(0), "expected a schema from 1 on"),
        ([&header(1)[..20], &meta].concat(), "expected its header"),
        (behind_header(&[&frame(b'H', b"")]), "another header"),
        (behind_header(&[&frame(b'X', b"")]), "a part of kind 88"),
        (behind_header(&[&long]), "at the most, found 4294967295"),
        (
            behind_header(&[&frame(b'R', &row(b"k"))]),
            "found more rows",
        ),
        (
            behind_header(&[&table("users_v1", 0)]),
            "expected the next table",
        ),
        (
            behind_header(&[&table("theirs", 0)]),
            "expected the next table",
        ),
        (behind_header(&[&meta, &meta]), "expected the next table"),
    ] {
        assert_refused(&bytes, why);
    }
}

#[test]
fn rows_that_are_not_as_they_are_counted_are_refused() {
    let all = TABLES.len();
    verify(&ended(all, 0)).expect("a whole one without a row");
    let next = [rows_of(1, &[]), table("users_v1", 0)].concat();
    let mut other = ended(all, 0);
    other.truncate(other.len() - 49);
    other.extend(frame(b'E', &[0; 40]));
    for (bytes, why) in [
        (next, "expected 1 rows more"),
        (rows_of(1, &[&row(b"a"), &row(b"b")]), "found more rows"),
        (
            rows_of(2, &[&row(b"a"), &row(b"a")]),
            "expected a row behind",
        ),
        (rows_of(1, &[&row(&[1; 4_097])]), "too long"),
        (rows_of(1, &[&row(b"a")[..6]]), "it ends too early"),
        (ended(5, 0), "expected another table, found the end"),
        (ended(all, 1), "expected 1 rows in all, found 0"),
        (other, "its digest is not that"),
    ] {
        assert_refused(&bytes, why);
    }
}

struct Failing;

impl io::Read for Failing {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::TimedOut.into())
    }
}

impl io::Write for Failing {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::StorageFull.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_reader_that_fails_is_no_end() {
    let refused = backup::read(&mut Failing, &mut |_, _| Ok(()));
    assert!(matches!(refused, Err(BackupError::Input(_))));
    let written = filled().read(|tx| backup::write(tx, at(1), &mut Failing));
    assert!(matches!(written, Err(BackupError::Output(_))));
}

#[test]
fn a_data_file_that_is_there_is_not_replaced() {
    let (directory, path) = directory();
    drop(Store::open(&path, &Fixed).expect("a new file"));
    let before = fs::read(&path).expect("the file");
    assert!(load(&path, &backup_of(&filled())).is_err());
    assert_eq!(fs::read(&path).expect("the file"), before);
    assert_eq!(
        fs::read_dir(directory.path()).expect("a directory").count(),
        1
    );
}

/// Every table is of an epoch or stays; a new one has to be decided upon here.
fn stays(table: Table) -> bool {
    match table {
        Table::Meta
        | Table::Users
        | Table::UsersByName
        | Table::Clients
        | Table::ClientSecrets
        | Table::ResourceServers
        | Table::ResourceServersByIdentifier
        | Table::Audit
        | Table::Expiry
        | Table::ClientsByDocument
        | Table::PinnedDocuments
        | Table::Upstreams
        | Table::Notifications
        | Table::NotificationsByUser
        | Table::InboxCounts
        | Table::NotificationSettings
        | Table::Subscriptions
        | Table::SubscriptionsByEndpoint => true,
        Table::Sessions
        | Table::SessionsByUser
        | Table::Grants
        | Table::GrantsByUser
        | Table::GrantsByClient
        | Table::SpentConsents
        | Table::Codes
        | Table::TokenFamilies
        | Table::AccessTokens
        | Table::Devices
        | Table::DevicesByUserCode
        | Table::PushQueue
        | Table::PushLines => false,
    }
}

#[test]
fn a_new_epoch_has_the_people_and_apps_and_nothing_that_was_issued() {
    let (_directory, path) = directory();
    let before = filled();
    let draft = load(&path, &backup_of(&before)).expect("a backup");
    draft
        .publish(Epoch::New, &Other, |tx| {
            tx.put(Table::Meta, b"probe", 9_u64.to_be_bytes().to_vec());
            Ok(())
        })
        .expect("a file");
    let after = Store::open(&path, &Fixed).expect("the file");
    assert_sound(&after);
    for definition in TABLES {
        let table = definition.table;
        assert_eq!(TABLES_OF_AN_EPOCH.contains(&table), !stays(table));
        let rows = |store: &Store| read(store, |tx| tx.scan(table, &Keys::ALL, 100));
        match table {
            Table::Meta | Table::Expiry => {}
            _ if stays(table) => assert_eq!(rows(&after), rows(&before), "{}", definition.name),
            _ => assert_eq!(rows(&after), [], "{}", definition.name),
        }
    }
    assert_eq!(read(&after, meta::find_claim), None);
    assert_eq!(read(&after, meta::settings), read(&before, meta::settings));
    let key = |store: &Store| read(store, |tx| tx.get(Table::Meta, b"key"));
    assert_eq!(key(&before), Some(vec![0x5a; 32]));
    assert_eq!(key(&after), Some(vec![0x77; 32]));
    assert_eq!(
        read(&after, |tx| tx.get(Table::Meta, b"probe")),
        Some(vec![0, 0, 0, 0, 0, 0, 0, 9])
    );
    // The client that nobody approved still ends.
    assert_eq!(read(&after, |tx| tx.len(Table::Expiry)), 1);
}

/// Takes a backup, and its first piece only once more writes have been answered.
struct Slow<'a> {
    bytes: Vec<u8>,
    answered: &'a AtomicUsize,
    more: usize,
}

impl io::Write for Slow<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.is_empty() {
            let enough = self.answered.load(Ordering::SeqCst) + self.more;
            while self.answered.load(Ordering::SeqCst) < enough {
                std::thread::yield_now();
            }
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Gives a user a session and a grant, and ends those of some rounds before.
fn change(tx: &mut WriteTx<'_>, writer: u8, round: u64) -> Result<(), StoreError> {
    let (user, client) = (id(at(1), writer), id(at(2), writer));
    let new = id(at(3 + round), writer);
    sessions::add(tx, &session(new, user, at(50)))?;
    grants::add(tx, &grant(new, user, client, at(50)))?;
    let Some(before) = round.checked_sub(5) else {
        return Ok(());
    };
    let old = id(at(3 + before), writer);
    if let Some(session) = sessions::find(tx, old)? {
        sessions::remove(tx, &session);
    }
    if let Some(grant) = grants::find(tx, old)? {
        grants::remove(tx, &grant);
    }
    Ok(())
}

/// One closure's rows are in a backup together or not at all, whoever writes meanwhile; and no
/// write waits for it.
#[test]
fn a_backup_under_writers_is_one_moment() {
    const WRITERS: u8 = 32;
    const BACKUPS: usize = 4;
    let (store, is_done, answered) = (filled(), AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (store, is_done, answered) = (&store, &is_done, &answered);
            scope.spawn(move || {
                for round in 0.. {
                    if is_done.load(Ordering::SeqCst) {
                        break;
                    }
                    write(store, move |tx| change(tx, writer, round));
                    answered.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        let _end = End(&is_done);
        for _ in 0..BACKUPS {
            let mut slow = Slow {
                bytes: Vec::new(),
                answered: &answered,
                more: 10 * usize::from(WRITERS),
            };
            let written = store.read(|tx| backup::write(tx, at(100), &mut slow));
            written.expect("a backup");
            let (draft, _) = Draft::in_memory(&mut &slow.bytes[..], &Other).expect("a backup");
            let checked = draft.read(|tx| check(tx, &|| true)).expect("no fault");
            assert_eq!(checked.expect("an end").faults, []);
        }
    });
}

/// Ends the writers, whatever becomes of the test.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}
