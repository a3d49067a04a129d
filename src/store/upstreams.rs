//! Other MCP servers behind this one, as far as a command added them.

use crate::{
    model::upstream::{AddedUpstream, UPSTREAMS_MAX, UpstreamName},
    store::{
        Keys, Read, StoreError, Table, WriteTx,
        codec::{self, Record},
    },
};

impl Record for AddedUpstream {
    const TABLE: Table = Table::Upstreams;
    const VERSION: u8 = 1;
}

/// The upstream of that name.
pub fn find(tx: &dyn Read, name: &UpstreamName) -> Result<Option<AddedUpstream>, StoreError> {
    codec::find(tx, name.as_str().as_bytes())
}

/// Every upstream, by name.
pub fn list(tx: &dyn Read) -> Result<Vec<AddedUpstream>, StoreError> {
    codec::list(tx, &Keys::ALL, UPSTREAMS_MAX)
}

/// Keeps an upstream that was just added.
pub fn add(tx: &mut WriteTx<'_>, added: &AddedUpstream) -> Result<(), StoreError> {
    codec::put(tx, added.upstream.name.as_str().as_bytes(), added)
}

/// Removes an upstream.
pub fn remove(tx: &mut WriteTx<'_>, name: &UpstreamName) {
    tx.remove(Table::Upstreams, name.as_str().as_bytes());
}
