//! Clients: who they are, how they prove it, and what the owner of the box does with them.

use crate::{
    audit::{self, Act},
    model::{
        audit::{Action, Change, Object},
        credential::Credential,
        id::Id,
        oauth2::{
            client::{AuthMethod, Client, ClientMetadata, ClientOrigin},
            client_id::ClientId,
            redirect_uri::RedirectUri,
        },
    },
    oauth2provider::app_secrets,
    store::{Read, StoreError, WriteTx, clients, grants},
};

/// What a client presented to say who it is.
#[derive(Clone)]
pub struct ClientCredentials {
    /// The `client_id`.
    pub client_id: ClientId,
    /// The `client_secret`, from the header or the body.
    pub secret: Option<String>,
}

impl std::fmt::Debug for ClientCredentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientCredentials")
            .field("client_id", &self.client_id)
            .finish_non_exhaustive()
    }
}

/// Why a client is not believed. All of it is `invalid_client`.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ClientError {
    /// No such client.
    #[error("the client is not registered here (any more): register again")]
    Unknown,
    /// A confidential client without its secret.
    #[error("expected the client's secret, found none")]
    SecretMissing,
    /// Not one of its secrets.
    #[error("expected one of the client's secrets, found another value")]
    SecretWrong,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The client that `credentials` prove.
///
/// A public client proves nothing here: what it presents next is bound to it by PKCE, or by the
/// refresh token itself. A secret that it sends all the same is ignored.
///
/// # Source
/// RFC 6749 §2.3 and §3.2.1.
pub fn authenticate(tx: &dyn Read, credentials: &ClientCredentials) -> Result<Client, ClientError> {
    let client = clients::find_named(tx, &credentials.client_id)?.ok_or(ClientError::Unknown)?;
    if client.is_public() {
        return Ok(client);
    }
    let secret = credentials
        .secret
        .as_deref()
        .ok_or(ClientError::SecretMissing)?;
    if app_secrets::check(tx, client.id, secret)? {
        Ok(client)
    } else {
        Err(ClientError::SecretWrong)
    }
}

/// Makes a client for the owner of the box; with a secret unless it is public.
pub fn create(
    tx: &mut WriteTx<'_>,
    act: Act<'_>,
    metadata: ClientMetadata,
) -> Result<(Client, Option<Credential>), StoreError> {
    let Act { now, entropy, by } = act;
    let client = Client {
        id: Id::generate(now, entropy),
        origin: ClientOrigin::Administrator,
        metadata,
        registration_digest: None,
        created_at: now,
        updated_at: now,
        approved_at: None,
        last_used_at: None,
    };
    clients::put(tx, &client)?;
    let changes = described(&client.metadata);
    audit::record(
        tx,
        by,
        Action::ClientCreated,
        Object::Client(client.id),
        changes,
    )?;
    let secret = match client.metadata.auth_method {
        AuthMethod::None => None,
        _ => Some(app_secrets::create(tx, act, client.id)?),
    };
    Ok((client, secret))
}

/// What an audit entry says of a client that was made.
pub(super) fn described(metadata: &ClientMetadata) -> Vec<Change> {
    let uris: Vec<_> = metadata
        .redirect_uris
        .iter()
        .map(RedirectUri::as_str)
        .collect();
    vec![
        Change::to("client_name", &metadata.name),
        Change::to("redirect_uris", &uris.join(" ")),
        Change::to("token_endpoint_auth_method", metadata.auth_method.as_str()),
    ]
}

/// What an audit entry says of a client that changed.
pub(super) fn compared(old: &ClientMetadata, new: &ClientMetadata) -> Vec<Change> {
    let pairs = described(old).into_iter().zip(described(new));
    pairs
        .filter(|(old, new)| old.new != new.new)
        .map(|(old, new)| Change {
            old: old.new,
            ..new
        })
        .collect()
}

/// Removes a client, and ends everything that was allowed to it. `false` if there is none.
pub fn remove(tx: &mut WriteTx<'_>, act: Act<'_>, id: Id) -> Result<bool, StoreError> {
    if clients::find(tx, id)?.is_none() {
        return Ok(false);
    }
    end_grants(tx, act, id)?;
    clients::remove(tx, id)?;
    audit::record(tx, act.by, Action::ClientRemoved, Object::Client(id), [])?;
    Ok(true)
}

/// Ends everything that was allowed to a client.
pub fn end_grants(tx: &mut WriteTx<'_>, act: Act<'_>, client_id: Id) -> Result<(), StoreError> {
    for grant in grants::list_of_client(tx, client_id)? {
        grants::remove(tx, &grant);
        audit::record(
            tx,
            act.by,
            Action::GrantRevoked,
            Object::Grant(grant.id),
            [],
        )?;
    }
    Ok(())
}
