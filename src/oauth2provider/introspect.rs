//! What a token is, for those whom it concerns: RFC 7662.

use crate::{
    model::{
        credential::{Credential, CredentialKind},
        oauth2::{
            client::Client, resource::ResourceUri, resource_server::ResourceServer,
            scope::ScopeSet, token::TokenFamily,
        },
        timestamp::Timestamp,
    },
    oauth2provider::{
        Provider,
        access::{self, AccessError, LiveHolder},
        apps::{self, ClientCredentials, ClientError},
        resources,
    },
    store::{Read, StoreError, tokens},
};

/// Who asks.
#[derive(Clone, Debug)]
pub enum Introspector {
    /// A confidential client, about tokens of its own.
    Client(Box<Client>),
    /// A resource server, about access tokens for it.
    Server(Box<ResourceServer>),
}

/// Who it is that `credentials` prove.
///
/// # Source
/// RFC 7662 §2.1: the endpoint "MUST also require some form of authorization", or tokens could be
/// guessed there; a public client has none to show.
pub fn authenticate(
    tx: &dyn Read,
    credentials: &ClientCredentials,
) -> Result<Introspector, ClientError> {
    if let Some(server) = resources::authenticate(tx, credentials)? {
        return Ok(Introspector::Server(Box::new(server)));
    }
    let client = apps::authenticate(tx, credentials)?.client;
    if client.is_public() {
        return Err(ClientError::Public);
    }
    Ok(Introspector::Client(Box::new(client)))
}

/// What an active token is.
#[derive(Clone, Debug)]
pub struct Introspection {
    /// Which kind it is.
    pub kind: CredentialKind,
    /// What it may do.
    pub scopes: ScopeSet,
    /// Whose client's it is.
    pub client_id: String,
    /// The name of the person it acts for, if it acts for one.
    pub username: Option<String>,
    /// The identifier of the person, or of the client that acts for itself.
    pub subject: String,
    /// What it is for.
    pub audience: ResourceUri,
    /// When it was made.
    pub issued_at: Timestamp,
    /// When it stops working.
    pub expires_at: Timestamp,
}

/// What `token` is. `None` for whatever is not active and whatever does not concern who asks: the
/// two cannot be told apart.
///
/// # Source
/// RFC 7662 §2.2; §4 (a protected resource learns of its own tokens only).
pub fn introspect(
    tx: &dyn Read,
    now: Timestamp,
    provider: &Provider,
    introspector: &Introspector,
    token: &str,
) -> Result<Option<Introspection>, StoreError> {
    let found = if let Ok(access) = Credential::parse(CredentialKind::AccessToken, token) {
        access_token(tx, now, introspector, &access)?
    } else if let Ok(refresh) = Credential::parse(CredentialKind::RefreshToken, token) {
        refresh_token(tx, now, introspector, &refresh)?
    } else {
        None
    };
    // A resource that has been removed has no tokens any more.
    match found {
        Some(found) if resources::find(tx, provider, &found.audience)?.is_some() => Ok(Some(found)),
        _ => Ok(None),
    }
}

fn access_token(
    tx: &dyn Read,
    now: Timestamp,
    introspector: &Introspector,
    token: &Credential,
) -> Result<Option<Introspection>, StoreError> {
    let live = match access::find_live(tx, now, token) {
        Ok(live) => live,
        Err(AccessError::Store(fault)) => return Err(fault),
        Err(_) => return Ok(None),
    };
    let concerns = match introspector {
        Introspector::Client(client) => client.id == live.family.client_id,
        Introspector::Server(server) => *server.identifier.as_resource() == live.record.resource,
    };
    Ok(concerns.then(|| Introspection {
        expires_at: live.record.expires_at,
        audience: live.record.resource,
        scopes: live.record.scopes,
        ..of_family(
            CredentialKind::AccessToken,
            token,
            &live.family,
            &live.holder,
        )
    }))
}

/// A refresh token concerns its client alone: a resource server that took one for an access token
/// would let in who stole it.
fn refresh_token(
    tx: &dyn Read,
    now: Timestamp,
    introspector: &Introspector,
    token: &Credential,
) -> Result<Option<Introspection>, StoreError> {
    let Introspector::Client(client) = introspector else {
        return Ok(None);
    };
    let found = tokens::find_family(tx, token.id())?;
    let Some(family) = found.filter(|family| family.client_id == client.id) else {
        return Ok(None);
    };
    let Some(chain) = family.refresh.as_ref() else {
        return Ok(None);
    };
    let expires_at = family.expires_at.min(chain.idle_expires_at);
    if chain.digest != token.digest() || expires_at.has_passed(now) {
        return Ok(None);
    }
    let holder = access::live_holder(tx, now, &family)?;
    let rotated_at = chain.predecessor.as_ref().map(|before| before.rotated_at);
    Ok(holder.map(|holder| Introspection {
        expires_at,
        issued_at: rotated_at.unwrap_or(family.id.created_at()),
        ..of_family(CredentialKind::RefreshToken, token, &family, &holder)
    }))
}

fn of_family(
    kind: CredentialKind,
    token: &Credential,
    family: &TokenFamily,
    holder: &LiveHolder,
) -> Introspection {
    let (username, subject) = match holder {
        LiveHolder::Person { user, .. } => (Some(user.name.to_string()), user.id),
        LiveHolder::Client => (None, family.client_id),
    };
    Introspection {
        kind,
        scopes: family.scopes.clone(),
        client_id: family.client_id.to_string(),
        username,
        subject: subject.to_string(),
        audience: family.resource.clone(),
        issued_at: token.id().created_at(),
        expires_at: family.expires_at,
    }
}
