//! `docs/storage.md` says what is in the file; here it is held to it.

use super::samples::{
    access_token, at, audit_entry, code, family, grant, id, read, session, store, write,
};
use crate::store::{
    Keys, StoreError, TABLES, Table, WriteTx, audit, codes, grants, sessions, tokens,
};

const PAGE: &str = include_str!("../../../docs/storage.md");

/// Fails unless the page has exactly these rows among those that `is_of_table` picks.
fn assert_listed(expected: &[String], is_of_table: impl Fn(&str) -> bool) {
    let listed: Vec<&str> = PAGE.lines().filter(|line| is_of_table(line)).collect();
    assert_eq!(listed, expected, "expected\n{}", expected.join("\n"));
}

#[test]
fn every_table_is_documented_in_its_order() {
    let rows: Vec<String> = TABLES
        .iter()
        .map(|row| format!("| `{}` | {} | {} |", row.name, row.key, row.value))
        .collect();
    assert_listed(&rows, |line| {
        line.starts_with("| `")
            && line
                .split('`')
                .nth(1)
                .is_some_and(|name| name.ends_with("_v1"))
    });
}

type Add = fn(&mut WriteTx<'_>) -> Result<(), StoreError>;

const RECORDS: [(&str, Add); 6] = [
    ("an access token", |tx| {
        tokens::put_access_token(tx, &access_token(id(at(1), 1), at(50)))
    }),
    ("a token family with its refresh token", |tx| {
        tokens::add_family(tx, &family(id(at(1), 1), id(at(1), 2), at(50)))
    }),
    ("a grant", |tx| {
        grants::add(tx, &grant(id(at(1), 1), id(at(1), 2), id(at(1), 3), at(50)))
    }),
    ("an authorization code", |tx| {
        codes::put(tx, &code(id(at(1), 1), at(50)))
    }),
    ("a browser session", |tx| {
        sessions::add(tx, &session(id(at(1), 1), id(at(1), 2), at(50)))
    }),
    ("an audit entry", |tx| {
        let head = audit::head(tx)?;
        audit::append(tx, &head, audit_entry(1, at(50)))
    }),
];

#[test]
fn the_documented_sizes_are_those_of_the_rows() {
    let rows: Vec<String> = RECORDS
        .iter()
        .map(|(name, add)| {
            let store = store();
            write(&store, *add);
            let (rows, bytes) = read(&store, |tx| {
                let (mut rows, mut bytes) = (0, 0);
                for definition in TABLES {
                    // What is there once, however many records there are.
                    if definition.table == Table::Meta {
                        continue;
                    }
                    for (key, value) in tx.scan(definition.table, &Keys::ALL, usize::MAX)? {
                        rows += 1;
                        bytes += key.len() + value.len();
                    }
                }
                Ok((rows, bytes))
            });
            format!("| {name} | {rows} | {bytes} |")
        })
        .collect();
    let names = RECORDS.map(|(name, _)| format!("| {name} | "));
    assert_listed(&rows, |line| {
        names.iter().any(|name| line.starts_with(name.as_str()))
            && line
                .split('|')
                .filter(|cell| cell.trim().parse::<usize>().is_ok())
                .count()
                == 2
    });
}
