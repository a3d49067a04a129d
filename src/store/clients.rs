//! OAuth clients and their secrets.

use crate::{
    model::{
        id::Id,
        oauth2::client::{Client, ClientSecret},
        timestamp::Timestamp,
    },
    store::{
        Keys, Read, StoreError, Table, WriteTx,
        codec::{self, Record},
        sweep::{self, Swept},
    },
};

/// Clients of one box at the most.
pub const CLIENTS_MAX: usize = 100_000;
/// Secrets of one client at the most.
pub const SECRETS_PER_CLIENT_MAX: usize = 16;

impl Record for Client {
    const TABLE: Table = Table::Clients;
    const VERSION: u8 = 1;
}

impl Record for ClientSecret {
    const TABLE: Table = Table::ClientSecrets;
    const VERSION: u8 = 1;
}

/// The client with that id.
pub fn find(tx: &dyn Read, id: Id) -> Result<Option<Client>, StoreError> {
    codec::find(tx, id.as_bytes())
}

/// The first `limit` clients, oldest first.
pub fn list(tx: &dyn Read, limit: usize) -> Result<Vec<Client>, StoreError> {
    codec::list(tx, &Keys::ALL, limit.min(CLIENTS_MAX))
}

/// At most `limit` clients that were made before that one, newest first; before any, all.
pub fn list_before(
    tx: &dyn Read,
    before: Option<Id>,
    limit: usize,
) -> Result<Vec<Client>, StoreError> {
    let keys = before.map_or(Keys::ALL, |id| Keys::before(id.as_bytes()));
    codec::list(tx, &keys.newest_first(), limit)
}

/// Whether there is no room for another client.
pub fn is_full(tx: &dyn Read) -> Result<bool, StoreError> {
    Ok(tx.len(Table::Clients)? >= CLIENTS_MAX as u64)
}

/// Keeps `client`.
pub fn put(tx: &mut WriteTx<'_>, client: &Client) -> Result<(), StoreError> {
    codec::put(tx, client.id.as_bytes(), client)
}

/// Has `client` looked at again at `at`, and removed if nobody approved it by then.
pub fn expire_unless_approved(tx: &mut WriteTx<'_>, client: &Client, at: Timestamp) {
    sweep::schedule(tx, Swept::UnapprovedClient, at, client.id);
}

/// Removes a client and its secrets; its grants are the caller's to end.
pub fn remove(tx: &mut WriteTx<'_>, id: Id) -> Result<(), StoreError> {
    for secret in secrets(tx, id)? {
        remove_secret(tx, &secret);
    }
    tx.remove(Table::Clients, id.as_bytes());
    Ok(())
}

/// A client's secrets, oldest first.
pub fn secrets(tx: &dyn Read, client_id: Id) -> Result<Vec<ClientSecret>, StoreError> {
    codec::list(
        tx,
        &Keys::with_prefix(client_id.as_bytes()),
        SECRETS_PER_CLIENT_MAX,
    )
}

/// The secret of that client with that id.
pub fn find_secret(tx: &dyn Read, client: Id, id: Id) -> Result<Option<ClientSecret>, StoreError> {
    codec::find(tx, &codec::pair(client, id))
}

/// Keeps a secret.
pub fn put_secret(tx: &mut WriteTx<'_>, secret: &ClientSecret) -> Result<(), StoreError> {
    codec::put(tx, &codec::pair(secret.client_id, secret.id), secret)
}

/// Removes a secret.
pub fn remove_secret(tx: &mut WriteTx<'_>, secret: &ClientSecret) {
    tx.remove(
        Table::ClientSecrets,
        &codec::pair(secret.client_id, secret.id),
    );
}
