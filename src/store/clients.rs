//! OAuth clients and their secrets.

use crate::{
    model::{
        id::Id,
        oauth2::{
            client::{Client, ClientOrigin, ClientSecret},
            client_id::{ClientId, DocumentUrl},
        },
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
/// Of these, clients that documents describe, at the most.
pub const DOCUMENT_CLIENTS_MAX: usize = 10_000;
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

/// Whether there is a client with that id: a look-up that reads nothing of it.
pub fn is_there(tx: &dyn Read, id: Id) -> Result<bool, StoreError> {
    Ok(tx.get(Table::Clients, id.as_bytes())?.is_some())
}

/// The client that is called that on the wire.
pub fn find_named(tx: &dyn Read, client_id: &ClientId) -> Result<Option<Client>, StoreError> {
    let found = match client_id {
        ClientId::Registered(id) => find(tx, *id)?,
        ClientId::Document(url) => find_by_document(tx, url)?,
    };
    // A client that a document describes has no second name: not the key that it is kept under.
    Ok(found.filter(|client| client.client_id() == *client_id))
}

fn find_by_document(tx: &dyn Read, url: &DocumentUrl) -> Result<Option<Client>, StoreError> {
    match tx.get(Table::ClientsByDocument, url.as_str().as_bytes())? {
        None => Ok(None),
        Some(id) => find(tx, codec::id(Table::ClientsByDocument, &id)?),
    }
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

/// Whether there is no room for another client that a document describes.
pub fn is_full_of_documents(tx: &dyn Read) -> Result<bool, StoreError> {
    Ok(is_full(tx)? || tx.len(Table::ClientsByDocument)? >= DOCUMENT_CLIENTS_MAX as u64)
}

/// Keeps `client`.
pub fn put(tx: &mut WriteTx<'_>, client: &Client) -> Result<(), StoreError> {
    codec::put(tx, client.id.as_bytes(), client)?;
    if let ClientOrigin::Document { url, .. } = &client.origin {
        let id = client.id.as_bytes().to_vec();
        tx.put(Table::ClientsByDocument, url.as_str().as_bytes(), id);
    }
    Ok(())
}

/// Has `client` looked at again at `at`, and removed if nobody approved it by then.
pub fn expire_unless_approved(tx: &mut WriteTx<'_>, client: &Client, at: Timestamp) {
    sweep::schedule(tx, Swept::UnapprovedClient, at, client.id);
}

/// Removes a client and its secrets; its grants are the caller's to end.
pub fn remove(tx: &mut WriteTx<'_>, id: Id) -> Result<(), StoreError> {
    // Both are read before anything is removed: what cannot be read is not half removed.
    let origin = find(tx, id)?.map(|client| client.origin);
    for secret in secrets(tx, id)? {
        remove_secret(tx, &secret);
    }
    if let Some(ClientOrigin::Document { url, .. }) = origin {
        tx.remove(Table::ClientsByDocument, url.as_str().as_bytes());
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
