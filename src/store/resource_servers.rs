//! Other servers whose tokens are issued here, and the index by their identifiers.

use crate::{
    model::{
        id::Id,
        oauth2::{resource::ResourceUri, resource_server::ResourceServer},
    },
    store::{
        Keys, Read, StoreError, Table, WriteTx,
        codec::{self, Record},
    },
};

/// Resource servers of one box at the most.
pub const RESOURCE_SERVERS_MAX: usize = 256;

impl Record for ResourceServer {
    const TABLE: Table = Table::ResourceServers;
    const VERSION: u8 = 1;
}

/// The resource server with that id.
pub fn find(tx: &dyn Read, id: Id) -> Result<Option<ResourceServer>, StoreError> {
    codec::find(tx, id.as_bytes())
}

/// The resource server that is the audience `identifier`.
pub fn find_by_identifier(
    tx: &dyn Read,
    identifier: &ResourceUri,
) -> Result<Option<ResourceServer>, StoreError> {
    let table = Table::ResourceServersByIdentifier;
    let Some(id) = tx.get(table, identifier.as_str().as_bytes())? else {
        return Ok(None);
    };
    find(tx, codec::id(table, &id)?)
}

/// Every resource server, oldest first.
pub fn list(tx: &dyn Read) -> Result<Vec<ResourceServer>, StoreError> {
    codec::list(tx, &Keys::ALL, RESOURCE_SERVERS_MAX)
}

/// Keeps a resource server that was just added.
pub fn add(tx: &mut WriteTx<'_>, server: &ResourceServer) -> Result<(), StoreError> {
    codec::put(tx, server.id.as_bytes(), server)?;
    let id = server.id.as_bytes().to_vec();
    tx.put(Table::ResourceServersByIdentifier, key(server), id);
    Ok(())
}

/// Removes a resource server.
pub fn remove(tx: &mut WriteTx<'_>, server: &ResourceServer) {
    tx.remove(Table::ResourceServers, server.id.as_bytes());
    tx.remove(Table::ResourceServersByIdentifier, key(server));
}

fn key(server: &ResourceServer) -> &[u8] {
    server.identifier.as_resource().as_str().as_bytes()
}
