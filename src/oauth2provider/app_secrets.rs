//! Secrets of confidential clients: several each, so that one can be replaced while it is still in
//! use; shown once, kept as digests.

use std::time::Duration;

use crate::{
    audit::{self, Act},
    model::{
        audit::{Action, Change, Object, Origin},
        credential::{Credential, CredentialKind},
        id::Id,
        oauth2::client::{Client, ClientSecret},
        timestamp::Timestamp,
    },
    store::{
        Read, StoreError, WriteTx,
        clients::{self, SECRETS_PER_CLIENT_MAX},
    },
};

/// How old a "last used" may grow before a use writes it again.
pub const LAST_USE_PRECISION: Duration = Duration::from_hours(1);

/// Why a client gets no secret.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SecretError {
    /// No such client.
    #[error("expected the id of an app of this box, found another")]
    ClientUnknown,
    /// It proves nothing by a secret.
    #[error("expected an app with token_endpoint_auth_method other than none, found a public one")]
    ClientPublic,
    /// It has as many as it may have.
    #[error("expected fewer than {SECRETS_PER_CLIENT_MAX} secrets; remove one first")]
    TooMany,
    /// The store failed; nothing was changed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Makes one more secret for a client that has some. The returned credential is the only copy.
///
/// # Errors
/// | variant | wire | meaning |
/// |---|---|---|
/// | [`SecretError::ClientUnknown`] | 404 | there is no such client |
/// | [`SecretError::ClientPublic`] | 409 | it has no use for one |
/// | [`SecretError::TooMany`] | 409 | it has [`SECRETS_PER_CLIENT_MAX`] |
pub fn add(tx: &mut WriteTx<'_>, act: Act<'_>, client_id: Id) -> Result<Credential, SecretError> {
    let client = clients::find(tx, client_id)?.ok_or(SecretError::ClientUnknown)?;
    if client.is_public() {
        return Err(SecretError::ClientPublic);
    }
    if clients::secrets(tx, client_id)?.len() >= SECRETS_PER_CLIENT_MAX {
        return Err(SecretError::TooMany);
    }
    Ok(create(tx, act, client_id)?)
}

/// Makes the first secret of a client. The returned credential is the only copy.
pub fn create(tx: &mut WriteTx<'_>, act: Act<'_>, client_id: Id) -> Result<Credential, StoreError> {
    let Act { now, entropy, by } = act;
    let credential = Credential::generate(CredentialKind::ClientSecret, now, entropy);
    let secret = ClientSecret {
        id: credential.id(),
        client_id,
        digest: credential.digest(),
        created_at: now,
        last_used_at: None,
    };
    clients::put_secret(tx, &secret)?;
    let changes = [Change::to("client_id", &client_id)];
    audit::record(
        tx,
        by,
        Action::SecretCreated,
        Object::Secret(secret.id),
        changes,
    )?;
    Ok(credential)
}

/// A client's secrets, oldest first; `None` if there is no such client.
pub fn list(tx: &dyn Read, client_id: Id) -> Result<Option<Vec<ClientSecret>>, StoreError> {
    if clients::find(tx, client_id)?.is_none() {
        return Ok(None);
    }
    clients::secrets(tx, client_id).map(Some)
}

/// Removes a secret, and with it everything that was issued under it. `false` if the client has no
/// such secret.
pub fn remove(
    tx: &mut WriteTx<'_>,
    by: &Origin,
    client_id: Id,
    id: Id,
) -> Result<bool, StoreError> {
    match clients::find_secret(tx, client_id, id)? {
        None => Ok(false),
        Some(secret) => {
            clients::remove_secret(tx, &secret);
            let changes = [Change::to("client_id", &client_id)];
            audit::record(tx, by, Action::SecretRemoved, Object::Secret(id), changes)?;
            Ok(true)
        }
    }
}

/// The secret of the client that `text` is.
pub fn check(tx: &dyn Read, client_id: Id, text: &str) -> Result<Option<ClientSecret>, StoreError> {
    let Ok(credential) = Credential::parse(CredentialKind::ClientSecret, text) else {
        return Ok(None);
    };
    let secret = clients::find_secret(tx, client_id, credential.id())?;
    Ok(secret.filter(|secret| secret.digest == credential.digest()))
}

/// Whether what was issued under that secret still works: `None` was issued under none.
pub fn is_live(tx: &dyn Read, client_id: Id, id: Option<Id>) -> Result<bool, StoreError> {
    match id {
        None => Ok(true),
        Some(id) => Ok(clients::find_secret(tx, client_id, id)?.is_some()),
    }
}

/// Writes down that a client got a token under that secret, to within [`LAST_USE_PRECISION`].
pub fn note_use(
    tx: &mut WriteTx<'_>,
    now: Timestamp,
    client: &Client,
    id: Id,
) -> Result<(), StoreError> {
    let is_fresh = |at: Timestamp| now.since(at) < LAST_USE_PRECISION;
    let found = clients::find_secret(tx, client.id, id)?;
    match found.filter(|secret| !secret.last_used_at.is_some_and(is_fresh)) {
        None => Ok(()),
        Some(mut secret) => {
            secret.last_used_at = Some(now);
            clients::put_secret(tx, &secret)
        }
    }
}
