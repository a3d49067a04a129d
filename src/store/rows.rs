//! Every row of a table, in key order, a page at a time: for what looks through a whole snapshot.

use crate::store::{Keys, Read, Row, StoreError, TABLES, Table};

/// Rows that are in memory at once.
pub(super) const PAGE_ROWS: usize = 128;

/// Hands all rows of `table` to `take`, page by page, until it fails.
pub(super) fn each_page<E: From<StoreError>>(
    tx: &dyn Read,
    table: Table,
    mut take: impl FnMut(Vec<Row>) -> Result<(), E>,
) -> Result<(), E> {
    let mut keys = Keys::ALL;
    loop {
        let page = tx.scan(table, &keys, PAGE_ROWS)?;
        let is_last = page.len() < PAGE_ROWS;
        if let Some((last, _)) = page.last() {
            keys = Keys::after(last);
            take(page)?;
        }
        if is_last {
            return Ok(());
        }
    }
}

/// Whether two snapshots have the same rows. A table that is not there counts as empty: an older
/// file does not have those that came later.
pub(super) fn are_same(one: &dyn Read, other: &dyn Read) -> Result<bool, StoreError> {
    let page = |tx: &dyn Read, table, keys: &Keys| match tx.scan(table, keys, PAGE_ROWS) {
        Err(fault) if fault.is_of_another_layout() => Ok(Vec::new()),
        page => page,
    };
    for definition in TABLES {
        let mut keys = Keys::ALL;
        loop {
            let rows = page(one, definition.table, &keys)?;
            if rows != page(other, definition.table, &keys)? {
                return Ok(false);
            }
            let Some((last, _)) = rows.last() else { break };
            keys = Keys::after(last);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{crypto::entropy::Entropy, store::Store};

    struct Zeros;

    impl Entropy for Zeros {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(0);
        }
    }

    #[test]
    fn every_row_comes_once_and_in_order() {
        for rows in [0, 1, PAGE_ROWS, PAGE_ROWS + 1, 2 * PAGE_ROWS] {
            let expected: Vec<Vec<u8>> = (0..rows).map(|n| n.to_be_bytes().to_vec()).collect();
            let store = Store::in_memory(&Zeros).expect("memory");
            let keys = expected.clone();
            let written = store.write(move |tx| {
                for key in keys {
                    tx.put(Table::Users, &key, Vec::new());
                }
                Ok::<_, StoreError>(())
            });
            written.wait().expect("a write");
            let mut found = Vec::new();
            let walked = store.read(|tx| {
                each_page(tx, Table::Users, |page| {
                    assert!((1..=PAGE_ROWS).contains(&page.len()));
                    found.extend(page.into_iter().map(|(key, _)| key));
                    Ok::<_, StoreError>(())
                })
            });
            walked.expect("a walk");
            assert_eq!(found, expected);
        }
    }
}
