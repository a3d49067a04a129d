//! Secrets of confidential clients: several each, shown once, kept as digests.

use std::time::Duration;

use crate::{
    audit::{self, Act},
    model::{
        audit::{Action, Change, Object},
        credential::{Credential, CredentialKind},
        id::Id,
        oauth2::client::ClientSecret,
    },
    store::{Read, StoreError, WriteTx, clients},
};

/// How old a "last used" may grow before a use writes it again.
pub const LAST_USE_PRECISION: Duration = Duration::from_hours(1);

/// Makes a secret for a client. The returned credential is the only copy.
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

/// Whether `text` is a secret of the client.
pub fn check(tx: &dyn Read, client_id: Id, text: &str) -> Result<bool, StoreError> {
    let Ok(credential) = Credential::parse(CredentialKind::ClientSecret, text) else {
        return Ok(false);
    };
    let secret = clients::find_secret(tx, client_id, credential.id())?;
    Ok(secret.is_some_and(|secret| secret.digest == credential.digest()))
}
