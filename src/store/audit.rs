//! The audit log: entries in their order, each linked to the one before it.

use crate::{
    crypto::digest::Digest,
    model::audit::{Action, AuditEntry, ChainEnd, ChainedEntry},
    store::{
        Keys, Read, StoreError, Table, WriteTx,
        codec::{self, Record},
    },
};

pub(super) const HEAD: &[u8] = b"audit_head";
pub(super) const BASE: &[u8] = b"audit_base";

impl Record for ChainedEntry {
    const TABLE: Table = Table::Audit;
    const VERSION: u8 = 1;
}

impl Record for ChainEnd {
    const TABLE: Table = Table::Meta;
    const VERSION: u8 = 1;
}

/// Where the chain begins before its first entry.
fn origin() -> ChainEnd {
    ChainEnd {
        number: 0,
        link: Digest::of(b"keystead audit log"),
    }
}

fn end(tx: &dyn Read, name: &[u8]) -> Result<ChainEnd, StoreError> {
    let found = tx.get(Table::Meta, name)?;
    Ok(found
        .as_deref()
        .map(codec::decode)
        .transpose()?
        .unwrap_or_else(origin))
}

/// The newest end of the chain.
pub fn head(tx: &dyn Read) -> Result<ChainEnd, StoreError> {
    end(tx, HEAD)
}

/// The oldest end of the chain: the last entry that was let go.
pub fn base(tx: &dyn Read) -> Result<ChainEnd, StoreError> {
    end(tx, BASE)
}

/// The link that an entry has behind `previous`.
pub fn link(previous: &Digest, entry: &AuditEntry) -> Result<Digest, StoreError> {
    Ok(chain(previous, entry.clone())?.0)
}

/// The link that an entry has behind `previous`, and its record.
///
/// What is hashed is the record with the link before it in the place of its own, which is the last.
fn chain(previous: &Digest, entry: AuditEntry) -> Result<(Digest, Vec<u8>), StoreError> {
    let unlinked = ChainedEntry {
        entry,
        link: *previous,
    };
    let mut record = codec::encode(&unlinked)?;
    let link = Digest::of(&record);
    let place = record.len() - link.as_bytes().len();
    record[place..].copy_from_slice(link.as_bytes());
    Ok((link, record))
}

/// Puts an entry behind `head`, the newest; its number must be the next one.
pub fn append(tx: &mut WriteTx<'_>, head: &ChainEnd, entry: AuditEntry) -> Result<(), StoreError> {
    let number = entry.number;
    tx.note(entry.action);
    let (link, record) = chain(&head.link, entry)?;
    tx.put(Table::Audit, &number.to_be_bytes(), record);
    tx.put(
        Table::Meta,
        HEAD,
        codec::encode(&ChainEnd { number, link })?,
    );
    Ok(())
}

/// Whether this closure has written an entry about any of `actions`.
pub fn has_written(tx: &WriteTx<'_>, actions: &[Action]) -> bool {
    actions.iter().any(|action| tx.has_noted(*action))
}

/// Up to `limit` of the entries that this closure has written until now, oldest first.
pub fn list_written(tx: &WriteTx<'_>, limit: usize) -> Result<Vec<ChainedEntry>, StoreError> {
    let rows = tx.rows_put(Table::Audit).take(limit);
    rows.map(|(_, value)| codec::decode(value)).collect()
}

/// Up to `limit` entries after `number`, oldest first.
pub fn list_after(
    tx: &dyn Read,
    number: u64,
    limit: usize,
) -> Result<Vec<ChainedEntry>, StoreError> {
    codec::list(
        tx,
        &Keys::from(&number.saturating_add(1).to_be_bytes()),
        limit,
    )
}

/// Up to `limit` entries before `number`, newest first.
pub fn list_before(
    tx: &dyn Read,
    number: u64,
    limit: usize,
) -> Result<Vec<ChainedEntry>, StoreError> {
    codec::list(
        tx,
        &Keys::before(&number.to_be_bytes()).newest_first(),
        limit,
    )
}

/// Lets go of the oldest entry; the chain then begins behind it.
pub fn let_go(tx: &mut WriteTx<'_>, oldest: &ChainedEntry) -> Result<(), StoreError> {
    let base = codec::encode(&ChainEnd {
        number: oldest.entry.number,
        link: oldest.link,
    })?;
    tx.remove(Table::Audit, &oldest.entry.number.to_be_bytes());
    tx.put(Table::Meta, BASE, base);
    Ok(())
}
