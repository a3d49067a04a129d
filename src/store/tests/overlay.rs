//! A write's view of a table: what is there and its own changes, as if they were one map.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::samples::{read, store, write};
use crate::store::{Keys, Read as _, Row, Store, Table, WriteTx};

const TABLE: Table = Table::Grants;

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

#[derive(Clone, Debug)]
enum Change {
    Put(Vec<u8>, u8),
    Remove(Vec<u8>),
}

#[derive(Clone, Debug)]
enum Range {
    All,
    Prefix(Vec<u8>),
    Before(Vec<u8>),
}

impl Range {
    fn keys(&self) -> Keys {
        match self {
            Self::All => Keys::ALL,
            Self::Prefix(prefix) => Keys::with_prefix(prefix),
            Self::Before(end) => Keys::before(end),
        }
    }

    fn contains(&self, key: &[u8]) -> bool {
        match self {
            Self::All => true,
            Self::Prefix(prefix) => key.starts_with(prefix),
            Self::Before(end) => key < end.as_slice(),
        }
    }
}

/// Few different bytes, so that keys meet, with the last byte among them.
fn any_key() -> impl Strategy<Value = Vec<u8>> {
    let byte = proptest::sample::select([0x00, 0x01, 0x7f, 0xfe, 0xff].as_slice());
    proptest::collection::vec(byte, 0..4)
}

fn any_changes() -> impl Strategy<Value = Vec<Change>> {
    let change = prop_oneof![
        2 => (any_key(), any::<u8>()).prop_map(|(key, value)| Change::Put(key, value)),
        1 => any_key().prop_map(Change::Remove),
    ];
    proptest::collection::vec(change, 0..40)
}

/// What is asked for.
#[derive(Clone, Debug)]
struct Scan {
    range: Range,
    newest_first: bool,
    limit: usize,
}

impl Scan {
    fn keys(&self) -> Keys {
        let keys = self.range.keys();
        if self.newest_first {
            keys.newest_first()
        } else {
            keys
        }
    }

    fn expected(&self, model: &Model) -> Vec<Row> {
        let mut rows: Vec<Row> = model
            .iter()
            .filter(|(key, _)| self.range.contains(key))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        if self.newest_first {
            rows.reverse();
        }
        rows.truncate(self.limit);
        rows
    }
}

fn any_scan() -> impl Strategy<Value = Scan> {
    let range = prop_oneof![
        Just(Range::All),
        any_key().prop_map(Range::Prefix),
        any_key().prop_map(Range::Before),
    ];
    (range, any::<bool>(), 0_usize..12).prop_map(|(range, newest_first, limit)| Scan {
        range,
        newest_first,
        limit,
    })
}

fn apply(model: &mut Model, changes: &[Change]) {
    for change in changes {
        match change {
            Change::Put(key, value) => model.insert(key.clone(), vec![*value]),
            Change::Remove(key) => model.remove(key),
        };
    }
}

fn store_of(model: &Model) -> Store {
    let store = store();
    let rows = model.clone();
    write(&store, move |tx| {
        for (key, value) in rows {
            tx.put(TABLE, &key, value);
        }
        Ok(())
    });
    store
}

fn change(tx: &mut WriteTx<'_>, changes: Vec<Change>) {
    for change in changes {
        match change {
            Change::Put(key, value) => tx.put(TABLE, &key, vec![value]),
            Change::Remove(key) => tx.remove(TABLE, &key),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_scan_is_that_of_one_map(
        below in any_changes(),
        above in any_changes(),
        scan in any_scan(),
    ) {
        let mut model = Model::new();
        apply(&mut model, &below);
        let store = store_of(&model);
        apply(&mut model, &above);
        let expected = scan.expected(&model);
        let keys = scan.keys();
        let in_write = keys.clone();
        let rows = write(&store, move |tx| {
            change(tx, above);
            tx.scan(TABLE, &in_write, scan.limit)
        });
        prop_assert_eq!(&rows, &expected);
        // And the same once the changes are in the table.
        prop_assert_eq!(read(&store, |tx| tx.scan(TABLE, &keys, scan.limit)), expected);
    }

    #[test]
    fn a_get_and_a_count_are_those_of_one_map(below in any_changes(), above in any_changes(), key in any_key()) {
        let mut model = Model::new();
        apply(&mut model, &below);
        let store = store_of(&model);
        apply(&mut model, &above);
        let expected = model.get(&key).cloned();
        let found = write(&store, move |tx| {
            change(tx, above);
            Ok((tx.get(TABLE, &key)?, tx.len(TABLE)?))
        });
        prop_assert_eq!(found, (expected, model.len() as u64));
        prop_assert_eq!(read(&store, |tx| tx.len(TABLE)), model.len() as u64);
    }
}

#[test]
fn a_table_is_not_its_neighbour() {
    let store = store();
    let found = write(&store, |tx| {
        tx.put(Table::Grants, b"key", b"grant".to_vec());
        tx.put(Table::Codes, b"key", b"code".to_vec());
        tx.remove(Table::Users, b"key");
        Ok((
            tx.get(Table::Grants, b"key")?,
            tx.scan(Table::Codes, &Keys::ALL, 9)?,
            tx.scan(Table::Users, &Keys::ALL, 9)?,
        ))
    });
    assert_eq!(found.0, Some(b"grant".to_vec()));
    assert_eq!(found.1, [(b"key".to_vec(), b"code".to_vec())]);
    assert_eq!(found.2, []);
}
