//! What a closure sees: ordered tables of byte keys, as a snapshot or as its batch with its own
//! changes on top.

use std::{cell::RefCell, collections::BTreeMap, ops::Bound, sync::OnceLock};

use redb::{
    ReadOnlyTable, ReadTransaction, ReadableTable as _, ReadableTableMetadata as _,
    TableDefinition, WriteTransaction,
};

use crate::{
    model::audit::Action,
    store::{
        error::StoreError,
        figures::Actions,
        tables::{TABLES, Table},
    },
};

type RedbTable<'txn> = redb::Table<'txn, &'static [u8], &'static [u8]>;
pub(super) type Definition = TableDefinition<'static, &'static [u8], &'static [u8]>;

pub(super) const fn definition(table: Table) -> Definition {
    TableDefinition::new(table.name())
}

/// A key and its value.
pub type Row = (Vec<u8>, Vec<u8>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    OldestFirst,
    NewestFirst,
}

/// Which keys a scan visits, in which order.
#[derive(Clone, Debug)]
pub struct Keys {
    start: Bound<Vec<u8>>,
    end: Bound<Vec<u8>>,
    order: Order,
}

impl Keys {
    /// All of them, oldest first.
    pub const ALL: Self = Self {
        start: Bound::Unbounded,
        end: Bound::Unbounded,
        order: Order::OldestFirst,
    };

    /// Those that begin with `prefix`, oldest first.
    pub fn with_prefix(prefix: &[u8]) -> Self {
        // The first key after all keys with the prefix: the prefix with its last byte that can
        // grow grown by one. A prefix of nothing but 0xff has no end.
        let end = prefix
            .iter()
            .rposition(|byte| *byte != 0xff)
            .map_or(Bound::Unbounded, |last| {
                let mut end = prefix[..=last].to_vec();
                end[last] += 1;
                Bound::Excluded(end)
            });
        Self {
            start: Bound::Included(prefix.to_vec()),
            end,
            order: Order::OldestFirst,
        }
    }

    /// Those from `start` on, oldest first.
    pub fn from(start: &[u8]) -> Self {
        Self {
            start: Bound::Included(start.to_vec()),
            ..Self::ALL
        }
    }

    /// Those after `last`, oldest first.
    pub fn after(last: &[u8]) -> Self {
        Self {
            start: Bound::Excluded(last.to_vec()),
            ..Self::ALL
        }
    }

    /// Those before `end`, oldest first.
    pub fn before(end: &[u8]) -> Self {
        Self {
            end: Bound::Excluded(end.to_vec()),
            ..Self::ALL
        }
    }

    /// Those of them before `end`.
    #[must_use]
    pub fn until(self, end: &[u8]) -> Self {
        Self {
            end: Bound::Excluded(end.to_vec()),
            ..self
        }
    }

    /// Those of them after `last`.
    #[must_use]
    pub fn behind(self, last: &[u8]) -> Self {
        Self {
            start: Bound::Excluded(last.to_vec()),
            ..self
        }
    }

    /// The same keys from the other end.
    #[must_use]
    pub fn newest_first(self) -> Self {
        Self {
            order: Order::NewestFirst,
            ..self
        }
    }

    fn bounds(&self) -> (Bound<&[u8]>, Bound<&[u8]>) {
        (as_slice(&self.start), as_slice(&self.end))
    }
}

fn as_slice(bound: &Bound<Vec<u8>>) -> Bound<&[u8]> {
    match bound {
        Bound::Included(key) => Bound::Included(key),
        Bound::Excluded(key) => Bound::Excluded(key),
        Bound::Unbounded => Bound::Unbounded,
    }
}

/// What every table function may do in any transaction.
pub trait Read {
    /// Shows `seen` the value at `key` where it lies, if there is one.
    fn show(&self, table: Table, key: &[u8], seen: &mut dyn FnMut(&[u8]))
    -> Result<(), StoreError>;

    /// The value at `key`.
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let mut found = None;
        self.show(table, key, &mut |value| found = Some(value.to_vec()))?;
        Ok(found)
    }

    /// The first `limit` rows of `keys`.
    fn scan(&self, table: Table, keys: &Keys, limit: usize) -> Result<Vec<Row>, StoreError>;

    /// How many rows a table has.
    fn len(&self, table: Table) -> Result<u64, StoreError>;
}

/// A snapshot: everything whose write was answered before it began, and nothing later.
pub struct ReadTx {
    transaction: ReadTransaction,
    /// Each opened when it is first needed.
    tables: [OnceLock<ReadOnlyTable<&'static [u8], &'static [u8]>>; TABLES.len()],
}

impl ReadTx {
    pub(super) fn new(transaction: ReadTransaction) -> Self {
        Self {
            transaction,
            tables: [const { OnceLock::new() }; TABLES.len()],
        }
    }

    fn table(
        &self,
        table: Table,
    ) -> Result<&ReadOnlyTable<&'static [u8], &'static [u8]>, StoreError> {
        let slot = &self.tables[table as usize];
        if let Some(open) = slot.get() {
            return Ok(open);
        }
        let open = self.transaction.open_table(definition(table))?;
        Ok(slot.get_or_init(|| open))
    }
}

impl ReadTx {
    /// Bytes of all keys and values. Looks at every page.
    pub(super) fn stored_bytes(&self) -> Result<u64, StoreError> {
        TABLES.iter().try_fold(0, |sum, row| {
            let table = self.transaction.open_table(definition(row.table))?;
            Ok(sum + table.stats()?.stored_bytes())
        })
    }
}

impl Read for ReadTx {
    fn show(
        &self,
        table: Table,
        key: &[u8],
        seen: &mut dyn FnMut(&[u8]),
    ) -> Result<(), StoreError> {
        if let Some(value) = self.table(table)?.get(key)? {
            seen(value.value());
        }
        Ok(())
    }

    fn scan(&self, table: Table, keys: &Keys, limit: usize) -> Result<Vec<Row>, StoreError> {
        let range = self.table(table)?.range::<&[u8]>(keys.bounds())?;
        collect(range, keys.order, limit)
    }

    fn len(&self, table: Table) -> Result<u64, StoreError> {
        Ok(self.table(table)?.len()?)
    }
}

fn collect(
    range: redb::Range<'_, &'static [u8], &'static [u8]>,
    order: Order,
    limit: usize,
) -> Result<Vec<Row>, StoreError> {
    let range: Box<dyn Iterator<Item = _>> = match order {
        Order::OldestFirst => Box::new(range),
        Order::NewestFirst => Box::new(range.rev()),
    };
    range
        .take(limit)
        .map(|entry| {
            let (key, value) = entry?;
            Ok((key.value().to_vec(), value.value().to_vec()))
        })
        .collect()
}

/// The tables of the redb transaction that a batch shares, each opened when it is first needed.
pub(super) struct Batch<'txn> {
    transaction: &'txn WriteTransaction,
    // Only the writer thread has a batch. A borrow lasts for one call into redb, which calls
    // nothing of ours, so no two ever meet.
    tables: [RefCell<Option<RedbTable<'txn>>>; TABLES.len()],
}

impl<'txn> Batch<'txn> {
    pub(super) fn new(transaction: &'txn WriteTransaction) -> Self {
        Self {
            transaction,
            tables: std::array::from_fn(|_| RefCell::new(None)),
        }
    }

    /// Makes `changes` part of what the next closure of the batch finds.
    pub(super) fn apply(&self, changes: Changes) -> Result<(), StoreError> {
        for (table, rows) in changes {
            self.with(table, |open| {
                for (key, value) in rows {
                    match value {
                        Some(value) => open.insert(key.as_slice(), value.as_slice())?,
                        None => open.remove(key.as_slice())?,
                    };
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    fn with<T>(
        &self,
        table: Table,
        work: impl FnOnce(&mut RedbTable<'txn>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut slot = self.tables[table as usize].borrow_mut();
        if let Some(open) = slot.as_mut() {
            return work(open);
        }
        work(slot.insert(self.transaction.open_table(definition(table))?))
    }
}

impl Read for Batch<'_> {
    fn show(
        &self,
        table: Table,
        key: &[u8],
        seen: &mut dyn FnMut(&[u8]),
    ) -> Result<(), StoreError> {
        self.with(table, |open| {
            if let Some(value) = open.get(key)? {
                seen(value.value());
            }
            Ok(())
        })
    }

    fn scan(&self, table: Table, keys: &Keys, limit: usize) -> Result<Vec<Row>, StoreError> {
        self.with(table, |open| {
            collect(open.range::<&[u8]>(keys.bounds())?, keys.order, limit)
        })
    }

    fn len(&self, table: Table) -> Result<u64, StoreError> {
        self.with(table, |open| Ok(open.len()?))
    }
}

/// What one closure changed: by table and key, the new value, or `None` where it removed one.
pub(super) type Changes = BTreeMap<Table, BTreeMap<Vec<u8>, Option<Vec<u8>>>>;

/// One closure's view of its batch: what was there, and its own changes on top.
///
/// The changes reach the file only when the closure succeeds, so one that fails leaves nothing
/// behind and its neighbours in the batch undisturbed.
pub struct WriteTx<'batch> {
    below: &'batch dyn Read,
    changes: Changes,
    /// Of the audit entries among them, for who counts.
    actions: Actions,
}

impl<'batch> WriteTx<'batch> {
    pub(super) fn new(below: &'batch dyn Read) -> Self {
        Self {
            below,
            changes: Changes::new(),
            actions: [0; _],
        }
    }

    pub(super) fn into_changes(self) -> Changes {
        self.changes
    }

    /// What this closure has put into `table` until now, in the order of the keys.
    pub(super) fn rows_put(&self, table: Table) -> impl Iterator<Item = (&[u8], &[u8])> {
        let rows = self.changes.get(&table).into_iter().flatten();
        rows.filter_map(|(key, value)| Some((key.as_slice(), value.as_deref()?)))
    }

    /// An entry of the audit log is among the changes.
    pub(super) fn note(&mut self, action: Action) {
        self.actions[action as usize] += 1;
    }

    /// Whether an entry of the audit log about `action` is among the changes.
    pub(super) fn has_noted(&self, action: Action) -> bool {
        self.actions[action as usize] > 0
    }

    /// Adds the audit entries among the changes to `sum`.
    pub(super) fn add_actions(&self, sum: &mut Actions) {
        for (sum, own) in sum.iter_mut().zip(&self.actions) {
            *sum += own;
        }
    }

    /// Puts `value` at `key`, whatever was there.
    pub fn put(&mut self, table: Table, key: &[u8], value: Vec<u8>) {
        self.change(table, key, Some(value));
    }

    /// Removes what is at `key`, if anything.
    pub fn remove(&mut self, table: Table, key: &[u8]) {
        self.change(table, key, None);
    }

    fn change(&mut self, table: Table, key: &[u8], value: Option<Vec<u8>>) {
        let rows = self.changes.entry(table).or_default();
        rows.insert(key.to_vec(), value);
    }

    fn changes_within(&self, table: Table, keys: &Keys) -> BTreeMap<&[u8], Option<&[u8]>> {
        let rows = self.changes.get(&table).into_iter();
        rows.flat_map(|rows| rows.range::<[u8], _>(keys.bounds()))
            .map(|(key, value)| (key.as_slice(), value.as_deref()))
            .collect()
    }
}

impl Read for WriteTx<'_> {
    fn show(
        &self,
        table: Table,
        key: &[u8],
        seen: &mut dyn FnMut(&[u8]),
    ) -> Result<(), StoreError> {
        match self.changes.get(&table).and_then(|rows| rows.get(key)) {
            Some(changed) => {
                changed.as_deref().into_iter().for_each(seen);
                Ok(())
            }
            None => self.below.show(table, key, seen),
        }
    }

    fn scan(&self, table: Table, keys: &Keys, limit: usize) -> Result<Vec<Row>, StoreError> {
        let changed = self.changes_within(table, keys);
        if changed.is_empty() {
            return self.below.scan(table, keys, limit);
        }
        // Each change hides one row below at the most, so this many rows are always enough.
        let below = self
            .below
            .scan(table, keys, limit.saturating_add(changed.len()))?;
        let mut rows: Vec<Row> = below
            .into_iter()
            .filter(|(key, _)| !changed.contains_key(key.as_slice()))
            .collect();
        rows.extend(
            changed
                .iter()
                .filter_map(|(key, value)| Some((key.to_vec(), value.as_ref()?.to_vec()))),
        );
        rows.sort_unstable();
        if keys.order == Order::NewestFirst {
            rows.reverse();
        }
        rows.truncate(limit);
        Ok(rows)
    }

    fn len(&self, table: Table) -> Result<u64, StoreError> {
        let mut len = self.below.len(table)?;
        for (key, value) in self.changes.get(&table).into_iter().flatten() {
            match (self.below.get(table, key)?, value) {
                (None, Some(_)) => len += 1,
                (Some(_), None) => len -= 1,
                (None, None) | (Some(_), Some(_)) => {}
            }
        }
        Ok(len)
    }
}
