//! Copies of client ID metadata documents that the owner of the box keeps.

use crate::{
    model::oauth2::{client_document::PinnedDocument, client_id::DocumentUrl},
    store::{
        Keys, Read, StoreError, Table, WriteTx,
        codec::{self, Record},
    },
};

/// Copies at the most.
pub const PINS_MAX: usize = 1_000;

impl Record for PinnedDocument {
    const TABLE: Table = Table::PinnedDocuments;
    const VERSION: u8 = 1;
}

/// The copy of the document at that URL.
pub fn find(tx: &dyn Read, url: &DocumentUrl) -> Result<Option<PinnedDocument>, StoreError> {
    codec::find(tx, url.as_str().as_bytes())
}

/// Every copy, in the order of their URLs.
pub fn list(tx: &dyn Read) -> Result<Vec<PinnedDocument>, StoreError> {
    codec::list(tx, &Keys::ALL, PINS_MAX)
}

/// Whether there is none.
pub fn is_empty(tx: &dyn Read) -> Result<bool, StoreError> {
    Ok(tx.len(Table::PinnedDocuments)? == 0)
}

/// Whether there is no room for another copy.
pub fn is_full(tx: &dyn Read) -> Result<bool, StoreError> {
    Ok(tx.len(Table::PinnedDocuments)? >= PINS_MAX as u64)
}

/// Keeps a copy in place of any other of that document.
pub fn put(tx: &mut WriteTx<'_>, pinned: &PinnedDocument) -> Result<(), StoreError> {
    codec::put(tx, pinned.document.url.as_str().as_bytes(), pinned)
}

/// Removes a copy.
pub fn remove(tx: &mut WriteTx<'_>, url: &DocumentUrl) {
    tx.remove(Table::PinnedDocuments, url.as_str().as_bytes());
}
