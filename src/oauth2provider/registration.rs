//! Clients that register themselves: RFC 7591, and what they do with it later: RFC 7592.

use crate::{
    audit::{self, Act},
    model::{
        audit::{Action, Change, Object},
        credential::{Credential, CredentialKind},
        id::Id,
        oauth2::client::{AuthMethod, Client, ClientMetadata, ClientOrigin},
    },
    oauth2provider::{Moment, Provider, app_secrets, apps, metadata::Registration},
    store::{Read, StoreError, WriteTx, clients, meta},
};

/// A client that was just registered, with everything that is shown once.
#[derive(Debug)]
pub struct Registered {
    /// The client.
    pub client: Client,
    /// Its secret, unless it is public.
    pub secret: Option<Credential>,
    /// What it manages its registration with.
    pub registration_token: Credential,
}

/// Why a registration, or a change of one, is refused.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RegistrationError {
    /// The owner switched it off.
    #[error("clients cannot register themselves here; the owner of the box can add one")]
    Off,
    /// The box has as many clients as it may have.
    #[error("this box has no room for another client")]
    Full,
    /// Not the registration access token of that client, or there is no such client.
    #[error("the registration access token is not one of this client")]
    TokenWrong,
    /// RFC 7592 §2.2: a client cannot turn from public to confidential, or back.
    #[error("expected token_endpoint_auth_method to stay what it was: {0}")]
    AuthMethodFixed(&'static str),
    /// The store failed; nothing was changed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Whether clients may register themselves: the owner's switch, else the configuration's.
pub fn registration(tx: &dyn Read, provider: &Provider) -> Result<Registration, StoreError> {
    let switched = meta::settings(tx)?.registration_enabled;
    Ok(switched.map_or(provider.registration_by_default, Registration::from))
}

/// Opens or closes registration, whatever the configuration says.
pub fn switch_registration(
    tx: &mut WriteTx<'_>,
    moment: Moment<'_>,
    to: Registration,
) -> Result<(), StoreError> {
    let was = registration(tx, moment.provider)?;
    let mut settings = meta::settings(tx)?;
    settings.registration_enabled = Some(to == Registration::Open);
    meta::put_settings(tx, &settings)?;
    let field = "dynamic_client_registration_enabled";
    let is_open = |registration| registration == Registration::Open;
    let change = Change::between(field, &is_open(was), &is_open(to));
    audit::record(tx, moment.by, Action::SettingChanged, Object::Box, change)
}

/// Registers a client that no user has approved yet; until one does, it expires.
///
/// # Errors
/// | variant | wire | meaning |
/// |---|---|---|
/// | [`RegistrationError::Off`] | 403 `access_denied` | switched off |
/// | [`RegistrationError::Full`] | 503 `temporarily_unavailable` | the total quota |
///
/// # Source
/// RFC 7591 §3.
pub fn register(
    tx: &mut WriteTx<'_>,
    moment: Moment<'_>,
    metadata: ClientMetadata,
) -> Result<Registered, RegistrationError> {
    let Moment {
        provider,
        now,
        entropy,
        by,
    } = moment;
    if registration(tx, provider)? == Registration::Closed {
        return Err(RegistrationError::Off);
    }
    if clients::is_full(tx)? {
        return Err(RegistrationError::Full);
    }
    let id = Id::generate(now, entropy);
    let registration_token = Credential::with_id(CredentialKind::RegistrationToken, id, entropy);
    let client = Client {
        id,
        origin: ClientOrigin::SelfRegistered,
        metadata,
        registration_digest: Some(registration_token.digest()),
        created_at: now,
        updated_at: now,
        approved_at: None,
        last_used_at: None,
    };
    clients::put(tx, &client)?;
    let changes = apps::described(&client.metadata);
    audit::record(
        tx,
        by,
        Action::ClientRegistered,
        Object::Client(id),
        changes,
    )?;
    clients::expire_unless_approved(
        tx,
        &client,
        now.after(provider.lifetimes.unapproved_client_ttl),
    );
    let secret = match client.metadata.auth_method {
        AuthMethod::None => None,
        _ => Some(app_secrets::create(tx, moment.act(), client.id)?),
    };
    Ok(Registered {
        client,
        secret,
        registration_token,
    })
}

/// The client that `token` manages.
///
/// # Errors
/// [`RegistrationError::TokenWrong`] for a wrong token and for an unknown client alike (RFC 7592
/// §2.1).
pub fn find_managed(
    tx: &dyn Read,
    client_id: Id,
    token: &Credential,
) -> Result<Client, RegistrationError> {
    let client = clients::find(tx, client_id)?.filter(|client| {
        token.id() == client.id && client.registration_digest == Some(token.digest())
    });
    client.ok_or(RegistrationError::TokenWrong)
}

/// Replaces everything that a client registered.
///
/// What people allowed under the old metadata stays, but is no longer remembered at consent.
///
/// # Source
/// RFC 7592 §2.2: the request "MUST" replace all, and what it leaves out is deleted.
pub fn replace(
    tx: &mut WriteTx<'_>,
    act: Act<'_>,
    client_id: Id,
    token: &Credential,
    metadata: ClientMetadata,
) -> Result<Client, RegistrationError> {
    let mut client = find_managed(tx, client_id, token)?;
    let was = client.metadata.auth_method;
    if (was == AuthMethod::None) != (metadata.auth_method == AuthMethod::None) {
        return Err(RegistrationError::AuthMethodFixed(was.as_str()));
    }
    let changes = apps::compared(&client.metadata, &metadata);
    audit::record(
        tx,
        act.by,
        Action::ClientChanged,
        Object::Client(client.id),
        changes,
    )?;
    client.metadata = metadata;
    client.updated_at = act.now;
    clients::put(tx, &client)?;
    Ok(client)
}

/// Removes a client at its own wish (RFC 7592 §2.3).
pub fn unregister(
    tx: &mut WriteTx<'_>,
    act: Act<'_>,
    client_id: Id,
    token: &Credential,
) -> Result<(), RegistrationError> {
    let client = find_managed(tx, client_id, token)?;
    apps::remove(tx, act, client.id)?;
    Ok(())
}
