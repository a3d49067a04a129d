//! Clients: who they are, how they prove it, and what the owner of the box does with them.

use std::collections::BTreeSet;

use crate::{
    audit::{self, Act},
    model::{
        audit::{Action, Change, Object},
        credential::Credential,
        id::Id,
        oauth2::{
            client::{AuthMethod, Client, ClientMetadata, ClientName, ClientOrigin, GrantType},
            client_id::ClientId,
            redirect_uri::RedirectUri,
            scope::ScopeSet,
        },
        timestamp::Timestamp,
        upstream::Upstream,
    },
    oauth2provider::{app_secrets, revoke, scopes},
    store::{Read, StoreError, WriteTx, clients, grants},
};

/// Clients that a search reads at a time.
const SEARCH_STEP: usize = 256;

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
    /// It has no secret, where one is needed.
    #[error("expected a client that has a secret, found a public one")]
    Public,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A client that has shown who it is.
#[derive(Clone, Debug)]
pub struct ProvenClient {
    /// The client.
    pub client: Client,
    /// The secret it showed; what is issued to it now ends with that.
    pub secret_id: Option<Id>,
}

/// The client that `credentials` prove.
///
/// A public client proves nothing here: what it presents next is bound to it by PKCE, or by the
/// refresh token itself. A secret that it sends all the same is ignored.
///
/// # Source
/// RFC 6749 §2.3 and §3.2.1.
pub fn authenticate(
    tx: &dyn Read,
    credentials: &ClientCredentials,
) -> Result<ProvenClient, ClientError> {
    let client = clients::find_named(tx, &credentials.client_id)?.ok_or(ClientError::Unknown)?;
    if client.is_public() {
        return Ok(ProvenClient {
            client,
            secret_id: None,
        });
    }
    let secret = credentials
        .secret
        .as_deref()
        .ok_or(ClientError::SecretMissing)?;
    let secret = app_secrets::check(tx, client.id, secret)?.ok_or(ClientError::SecretWrong)?;
    Ok(ProvenClient {
        client,
        secret_id: Some(secret.id),
    })
}

/// Which clients are looked for.
#[derive(Clone, Debug, Default)]
pub struct Search {
    /// A part of the name, in whatever case.
    pub name_part: Option<String>,
    /// Only those that this user has allowed something, and not taken it back.
    pub approved_by: Option<Id>,
}

/// Which part of a list is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// Entries at the most.
    pub limit: usize,
    /// Entries before the first.
    pub offset: usize,
}

impl Page {
    /// The part of `list` that is wanted.
    pub fn of<T>(self, list: Vec<T>) -> Vec<T> {
        list.into_iter()
            .skip(self.offset)
            .take(self.limit)
            .collect()
    }
}

/// The clients that `search` finds, newest first: the page of them, and how many there are.
pub fn search(
    tx: &dyn Read,
    now: Timestamp,
    search: &Search,
    page: Page,
) -> Result<(Vec<Client>, usize), StoreError> {
    let part = search.name_part.as_ref().map(|part| part.to_lowercase());
    let is_named = |client: &Client| {
        let name = || client.metadata.name.as_str().to_lowercase();
        part.as_ref().is_none_or(|part| name().contains(part))
    };
    let (mut found, mut count) = (Vec::new(), 0);
    let mut meet = |client: Client| {
        if is_named(&client) {
            if count >= page.offset && found.len() < page.limit {
                found.push(client);
            }
            count += 1;
        }
    };
    if let Some(user_id) = search.approved_by {
        for id in approved_by(tx, now, user_id)?.into_iter().rev() {
            clients::find(tx, id)?.into_iter().for_each(&mut meet);
        }
        return Ok((found, count));
    }
    let mut last = None;
    loop {
        let step = clients::list_before(tx, last, SEARCH_STEP)?;
        let Some(oldest) = step.last() else {
            return Ok((found, count));
        };
        last = Some(oldest.id);
        step.into_iter().for_each(&mut meet);
    }
}

/// The clients that `user_id` has allowed something.
fn approved_by(tx: &dyn Read, now: Timestamp, user_id: Id) -> Result<BTreeSet<Id>, StoreError> {
    let given = revoke::list_grants(tx, now, user_id)?;
    Ok(given.into_iter().map(|grant| grant.client_id).collect())
}

/// What the owner of the box says of a client. The rest of its metadata is the client's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppFields {
    /// The name that people read.
    pub name: ClientName,
    /// Where codes may be sent.
    pub redirect_uris: Vec<RedirectUri>,
    /// Its picture, https; never fetched.
    pub icon: Option<String>,
    /// The most it may ask for.
    pub scope: Option<ScopeSet>,
    /// How it proves who it is.
    pub auth_method: AuthMethod,
    /// What it may present at the token endpoint, each once.
    pub grant_types: Vec<GrantType>,
}

impl AppFields {
    /// The metadata of a client of which nothing else is known.
    pub fn into_metadata(self) -> ClientMetadata {
        ClientMetadata {
            name: self.name,
            redirect_uris: self.redirect_uris,
            auth_method: self.auth_method,
            grant_types: self.grant_types,
            scope: self.scope,
            client_uri: None,
            logo_uri: self.icon,
            tos_uri: None,
            policy_uri: None,
            software_id: None,
            software_version: None,
            contacts: Vec::new(),
            application_type: None,
        }
    }

    fn replace_in(self, metadata: &mut ClientMetadata) {
        metadata.name = self.name;
        metadata.redirect_uris = self.redirect_uris;
        metadata.auth_method = self.auth_method;
        metadata.grant_types = self.grant_types;
        metadata.scope = self.scope;
        metadata.logo_uri = self.icon;
    }
}

/// Why the owner of the box cannot make or change a client.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AppError {
    /// No such client.
    #[error("expected the id of an app of this box, found another")]
    Unknown,
    /// The box has as many clients as it may have.
    #[error("expected fewer than {max} apps; remove one first", max = clients::CLIENTS_MAX)]
    Full,
    /// A client cannot turn from public to confidential, or back: its tokens would outlive the
    /// change.
    #[error("expected it to stay what it was, {0}: make another app instead")]
    AuthMethodFixed(&'static str),
    /// Nothing has such scopes.
    #[error("expected scopes of this box or of a resource server, found {0}")]
    UnknownScopes(ScopeSet),
    /// The store failed; nothing was changed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Whether a client can be given `scope`, which nobody need have given it: something has each, in
/// this box, beside upstreams that are `configured`, or in a resource server.
///
/// # Errors
/// [`AppError::UnknownScopes`].
pub fn check_scope(
    tx: &dyn Read,
    configured: &[Upstream],
    scope: Option<&ScopeSet>,
) -> Result<(), AppError> {
    let Some(scope) = scope else { return Ok(()) };
    let unknown = scopes::unknown(tx, configured, scope)?;
    if unknown.is_empty() {
        Ok(())
    } else {
        Err(AppError::UnknownScopes(unknown))
    }
}

/// Replaces what the owner of the box says of a client.
///
/// What people allowed stays, but is no longer remembered at consent.
///
/// # Errors
/// | variant | wire | meaning |
/// |---|---|---|
/// | [`AppError::Unknown`] | 404 | there is no such client |
/// | [`AppError::AuthMethodFixed`] | 400 | public stays public |
pub fn update(
    tx: &mut WriteTx<'_>,
    act: Act<'_>,
    id: Id,
    fields: AppFields,
) -> Result<Client, AppError> {
    let mut client = clients::find(tx, id)?.ok_or(AppError::Unknown)?;
    let was = client.metadata.auth_method;
    if (was == AuthMethod::None) != (fields.auth_method == AuthMethod::None) {
        return Err(AppError::AuthMethodFixed(was.as_str()));
    }
    let before = client.metadata.clone();
    fields.replace_in(&mut client.metadata);
    client.updated_at = act.now;
    clients::put(tx, &client)?;
    let changes = compared(&before, &client.metadata);
    audit::record(
        tx,
        act.by,
        Action::ClientChanged,
        Object::Client(id),
        changes,
    )?;
    Ok(client)
}

/// Whether a client that is made gets its first secret at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstSecret {
    /// It does, unless it is public.
    AtOnce,
    /// Its owner asks for one when it is to be shown.
    Later,
}

/// Makes a client for the owner of the box.
///
/// # Errors
/// [`AppError::Full`].
pub fn create(
    tx: &mut WriteTx<'_>,
    act: Act<'_>,
    metadata: ClientMetadata,
    first_secret: FirstSecret,
) -> Result<(Client, Option<Credential>), AppError> {
    let Act { now, entropy, by } = act;
    if clients::is_full(tx)? {
        return Err(AppError::Full);
    }
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
    let secret = if first_secret == FirstSecret::AtOnce && !client.is_public() {
        Some(app_secrets::create(tx, act, client.id)?)
    } else {
        None
    };
    Ok((client, secret))
}

/// What an audit entry says of a client that was made.
pub(super) fn described(metadata: &ClientMetadata) -> Vec<Change> {
    let mut fields = audited_fields(metadata);
    fields.retain(|field| field.new.is_some());
    fields
}

/// The fields of a client that decide what it may do and how it is shown, in one order.
fn audited_fields(metadata: &ClientMetadata) -> Vec<Change> {
    let uris = metadata.redirect_uris.iter().map(RedirectUri::as_str);
    let grants = metadata.grant_types.iter().map(|grant| grant.as_str());
    let texts = [
        ("client_name", Some(metadata.name.to_string())),
        ("redirect_uris", Some(uris.collect::<Vec<_>>().join(" "))),
        (
            "token_endpoint_auth_method",
            Some(metadata.auth_method.as_str().to_owned()),
        ),
        ("grant_types", Some(grants.collect::<Vec<_>>().join(" "))),
        ("scope", metadata.scope.as_ref().map(ToString::to_string)),
        ("client_uri", metadata.client_uri.clone()),
        ("logo_uri", metadata.logo_uri.clone()),
    ];
    let change = |(field, new): (&str, Option<String>)| Change {
        field: field.to_owned(),
        old: None,
        new,
    };
    texts.map(change).into()
}

/// What an audit entry says of a client that changed.
pub(super) fn compared(old: &ClientMetadata, new: &ClientMetadata) -> Vec<Change> {
    let pairs = audited_fields(old).into_iter().zip(audited_fields(new));
    pairs
        .filter(|(old, new)| old.new != new.new)
        .map(|(old, new)| Change {
            old: old.new,
            ..new
        })
        .collect()
}

/// Removes a client, and ends everything that was allowed to it. `false` if there is none.
///
/// From here on nothing of it works, because every use of a token looks for its client. The grants
/// themselves, which are as many as the client has people, leave with the sweeper.
pub fn remove(tx: &mut WriteTx<'_>, act: Act<'_>, id: Id) -> Result<bool, StoreError> {
    if clients::find(tx, id)?.is_none() {
        return Ok(false);
    }
    clients::remove(tx, id)?;
    grants::end_of_removed_client(tx, act.now, id);
    audit::record(tx, act.by, Action::ClientRemoved, Object::Client(id), [])?;
    Ok(true)
}
