//! The log keeps what was done, and shows what was done to it.

use std::time::Duration;

use super::*;
use crate::{
    model::{
        audit::{Actor, ChainedEntry},
        id::Id,
    },
    runtime::entropy::SeededEntropy,
    store::{Store, Table, sweep::Kept},
};

/// Rows that a step of the sweeper may change here.
const STEP_ROWS: usize = 128;

const fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(seconds * 1_000)
}

fn user(number: u8) -> Id {
    Id::from_bytes([number; 16])
}

/// A log with an entry a second, from 1 to `entries`.
fn log(entries: u64) -> Store {
    let store = Store::in_memory(&SeededEntropy::new(1)).expect("memory");
    let written = store.write(move |tx| {
        for number in 1..=entries {
            let by = Origin::local(at(number), Actor::User(user(1)));
            let action = if number % 2 == 0 {
                Action::GrantRevoked
            } else {
                Action::UserCreated
            };
            record(
                tx,
                &by,
                action,
                Object::User(user(2)),
                [Change::to("name", &number)],
            )?;
        }
        Ok::<_, StoreError>(())
    });
    written.wait().expect("a log");
    store
}

fn verified(store: &Store) -> Result<u64, String> {
    let verified = store.read(|tx| verify(tx));
    verified
        .map(|verified| verified.entries)
        .map_err(|broken| broken.to_string())
}

fn entries(store: &Store) -> Vec<ChainedEntry> {
    store
        .read(|tx| audit::list_after(tx, 0, 1_000))
        .expect("entries")
}

fn tamper(store: &Store, work: impl FnOnce(&mut WriteTx<'_>) + Send + 'static) {
    let tampered = store.write(move |tx| {
        work(tx);
        Ok::<_, StoreError>(())
    });
    tampered.wait().expect("a write");
}

#[test]
fn an_untouched_log_holds_together() {
    assert_eq!(verified(&log(0)), Ok(0));
    assert_eq!(verified(&log(2_500)), Ok(2_500));
}

#[test]
fn a_removed_entry_shows() {
    for (number, error) in [
        (
            1_u64,
            "expected entry 1, found 2: entries between them were removed",
        ),
        (
            7,
            "expected entry 7, found 8: entries between them were removed",
        ),
        (
            9,
            "expected the newest entry to be 9, found 8: the newest were removed",
        ),
    ] {
        let store = log(9);
        tamper(&store, move |tx| {
            tx.remove(Table::Audit, &number.to_be_bytes());
        });
        assert_eq!(verified(&store), Err(error.to_owned()));
    }
}

#[test]
fn an_edited_entry_shows() {
    for number in 1..=9_u64 {
        let store = log(9);
        tamper(&store, move |tx| {
            let mut row = tx
                .get(Table::Audit, &number.to_be_bytes())
                .expect("a read")
                .expect("an entry");
            // The last byte of the entry's text; the link behind it stays what it was.
            let place = row.len() - 33;
            row[place] ^= 1;
            tx.put(Table::Audit, &number.to_be_bytes(), row);
        });
        assert!(verified(&store).is_err(), "entry {number}");
    }
}

#[test]
fn an_exchanged_pair_shows() {
    let store = log(4);
    tamper(&store, |tx| {
        let second = tx
            .get(Table::Audit, &2_u64.to_be_bytes())
            .expect("a read")
            .expect("one");
        let third = tx
            .get(Table::Audit, &3_u64.to_be_bytes())
            .expect("a read")
            .expect("one");
        tx.put(Table::Audit, &2_u64.to_be_bytes(), third);
        tx.put(Table::Audit, &3_u64.to_be_bytes(), second);
    });
    assert!(verified(&store).is_err());
}

#[test]
fn what_is_old_is_let_go_and_the_rest_still_holds_together() {
    let store = log(600);
    let (mut before, mut removed) = (entries(&store).len(), Vec::new());
    let kept = Kept {
        audit: Duration::from_secs(200),
        ..Kept::FOR_GOOD
    };
    let mut pass = Pass::begin(at(700), kept);
    while !pass.is_over() {
        let here = pass.clone();
        let step = store.write(move |tx| sweep(tx, at(700), here, STEP_ROWS));
        let step = step.wait().expect("a step");
        removed.push(before - entries(&store).len());
        before = entries(&store).len();
        pass = step.pass;
    }
    assert_eq!(removed.iter().sum::<usize>(), 500);
    assert!(removed.iter().all(|step| *step <= STEP_ROWS), "{removed:?}");
    assert_eq!(verified(&store), Ok(100));
    assert_eq!(entries(&store)[0].entry.number, 501);
}

#[test]
fn a_search_finds_every_word_and_pages() {
    let store = log(50);
    let search = |query: &str, limit, offset| {
        let found = store
            .read(|tx| search(tx, query, limit, offset))
            .expect("a search");
        let numbers: Vec<_> = found.entries.iter().map(|entry| entry.number).collect();
        (numbers, found.count)
    };
    assert_eq!(search("", 3, 0), (vec![50, 49, 48], 50));
    assert_eq!(search("", 3, 48), (vec![2, 1], 50));
    assert_eq!(search("GRANT.revoked", 2, 1), (vec![48, 46], 25));
    assert_eq!(search("grant.revoked user.created", 2, 0), (vec![], 0));
    assert_eq!(search(&user(1).to_string(), 1, 0), (vec![50], 50));
    assert_eq!(search("nothing", 1, 0), (vec![], 0));
}

#[test]
fn a_value_is_cut_and_an_entry_stays_small() {
    let store = log(0);
    let by = Origin::local(at(1), Actor::Stranger);
    let written = store.write(move |tx| {
        let long = "x".repeat(100_000);
        record(
            tx,
            &by,
            Action::ClientRegistered,
            Object::Box,
            [Change::to("name", &long)],
        )
    });
    written.wait().expect("an entry");
    let kept = entries(&store)[0].entry.changes[0]
        .new
        .as_ref()
        .map(String::len);
    assert_eq!(kept, Some(VALUE_LEN_MAX));
}
