//! The token endpoint's decisions, and what a token opens.
//!
//! A refusal that also changes something (a code that a wrong verifier spends, a family that a
//! replay ends) is a value inside `Ok`, so that the change is kept; a fault is an `Err`.

use crate::{
    audit,
    model::{
        audit::{Action, Change, Object},
        credential::{Credential, CredentialKind},
        id::Id,
        oauth2::{
            client::{Client, GrantType},
            code::{AuthorizationCode, CodeStage},
            pkce::CodeVerifier,
            redirect_uri::RedirectUri,
            resource::ResourceUri,
            scope::ScopeSet,
            token::{AccessToken, RefreshChain, TokenFamily},
        },
        timestamp::Timestamp,
        user::User,
    },
    oauth2provider::{
        Moment, Provider,
        app_secrets::{self, LAST_USE_PRECISION},
        apps::ProvenClient,
        rotation::{Position, position, successor},
    },
    store::{Read, StoreError, WriteTx, clients, codes, grants, tokens, users},
};

/// What a client gets (RFC 6749 §5.1).
#[derive(Debug)]
pub struct Issued {
    /// The access token.
    pub access_token: Credential,
    /// When it stops working.
    pub expires_at: Timestamp,
    /// The refresh token, for a client that may refresh.
    pub refresh_token: Option<Credential>,
    /// What the access token may do.
    pub scopes: ScopeSet,
}

/// Why a code or a refresh token gives nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// No such code, or not its secret.
    #[error("the code is unknown; ask for a new one")]
    CodeUnknown,
    /// Issued to another client; it is spent now.
    #[error("the code was issued to another client")]
    CodeForeign,
    /// Too late.
    #[error("the code has expired; ask for a new one")]
    CodeExpired,
    /// It was presented before; what it gave is revoked.
    #[error("the code was used before; everything that it gave is revoked")]
    CodeReplayed,
    /// The PKCE proof does not match; the code is spent.
    #[error("the code_verifier does not match the code_challenge; the code is spent")]
    VerifierMismatch,
    /// Not the redirect URI of the authorization request; the code is spent.
    #[error("expected the redirect_uri of the authorization request; the code is spent")]
    RedirectMismatch,
    /// No such refresh token.
    #[error("the refresh token is unknown")]
    RefreshUnknown,
    /// Issued to another client.
    #[error("the refresh token was issued to another client")]
    RefreshForeign,
    /// Too late.
    #[error("the refresh token has expired")]
    RefreshExpired,
    /// It was used before; its family is revoked.
    #[error("the refresh token was used before; every token of its family is revoked")]
    RefreshReplayed,
    /// The grant has been taken back, or its user is gone or disabled.
    #[error("the person has taken the grant back")]
    GrantEnded,
    /// The secret that the refresh token was issued under is gone.
    #[error("the secret that the refresh token was issued under has been removed")]
    SecretRemoved,
    /// The client may not use the grant type.
    #[error("expected a grant type that the client is registered for, found {0}")]
    GrantTypeNotAllowed(&'static str),
    /// More than was granted.
    #[error("scope: expected at most what was granted, found also {0}")]
    ScopeWider(ScopeSet),
    /// Another resource than what was granted.
    #[error("resource: expected {expected}, found {found}")]
    ResourceDiffers {
        /// What was granted.
        expected: ResourceUri,
        /// What was asked for.
        found: ResourceUri,
    },
}

impl TokenError {
    /// The error's word on the wire (RFC 6749 §5.2, RFC 8707 §2).
    pub const fn code(&self) -> &'static str {
        match self {
            Self::GrantTypeNotAllowed(_) => "unauthorized_client",
            Self::ScopeWider(_) => "invalid_scope",
            Self::ResourceDiffers { .. } => "invalid_target",
            _ => "invalid_grant",
        }
    }
}

type Outcome<T> = Result<Result<T, TokenError>, StoreError>;

/// What a client presents to exchange a code.
#[derive(Debug)]
pub struct CodeExchange {
    /// `code`.
    pub code: Credential,
    /// `code_verifier`.
    pub verifier: CodeVerifier,
    /// `redirect_uri`.
    pub redirect_uri: Option<RedirectUri>,
    /// `resource`.
    pub resource: Option<ResourceUri>,
}

/// Exchanges an authorization code for an access token and, where the client may refresh, a
/// refresh token.
///
/// The first attempt that finds the code spends it, whether or not it succeeds; a second attempt
/// revokes everything that the first one gave.
///
/// # Errors
/// | variant | wire | meaning |
/// |---|---|---|
/// | [`TokenError::CodeReplayed`] | `invalid_grant` | used before; its tokens are now revoked |
/// | [`TokenError::VerifierMismatch`] | `invalid_grant` | the PKCE proof does not match |
/// | [`TokenError::ResourceDiffers`] | `invalid_target` | threat 12 |
///
/// # Source
/// RFC 6749 §4.1.3; replay: RFC 6749 §4.1.2; PKCE: RFC 7636 §4.6.
pub fn exchange_code(
    tx: &mut WriteTx<'_>,
    moment: Moment<'_>,
    proven: &ProvenClient,
    exchange: &CodeExchange,
) -> Outcome<Issued> {
    let Moment { now, .. } = moment;
    let client = &proven.client;
    if !client.metadata.allows(GrantType::AuthorizationCode) {
        let found = GrantType::AuthorizationCode.as_str();
        return Ok(Err(TokenError::GrantTypeNotAllowed(found)));
    }
    let found = codes::find(tx, exchange.code.id())?;
    let Some(mut code) = found.filter(|code| code.digest == exchange.code.digest()) else {
        return Ok(Err(TokenError::CodeUnknown));
    };
    match code.stage {
        CodeStage::Issued => {}
        CodeStage::Spent => return Ok(Err(TokenError::CodeReplayed)),
        // RFC 6749 §4.1.2: "SHOULD revoke (when possible) all tokens previously issued based on
        // that authorization code". Threat 11.
        CodeStage::Exchanged { family_id } => {
            tokens::remove_family(tx, family_id);
            audit::record(
                tx,
                moment.by,
                Action::CodeReplayed,
                Object::Family(family_id),
                [],
            )?;
            return Ok(Err(TokenError::CodeReplayed));
        }
    }
    let issued = match check_code(tx, now, client, &code, exchange)? {
        Err(refusal) => Err(refusal),
        Ok(()) => Ok(begin_family(tx, moment, proven, &code)?),
    };
    code.stage = match &issued {
        Err(_) => CodeStage::Spent,
        Ok((family_id, _)) => CodeStage::Exchanged {
            family_id: *family_id,
        },
    };
    codes::put(tx, &code)?;
    Ok(issued.map(|(_, issued)| issued))
}

fn check_code(
    tx: &dyn Read,
    now: Timestamp,
    client: &Client,
    code: &AuthorizationCode,
    exchange: &CodeExchange,
) -> Outcome<()> {
    // Threats 6 and 8: each of these on its own is enough to refuse.
    if code.client_id != client.id {
        return Ok(Err(TokenError::CodeForeign));
    }
    if code.expires_at.has_passed(now) {
        return Ok(Err(TokenError::CodeExpired));
    }
    // RFC 6749 §4.1.3: required, and identical, if it was in the authorization request.
    if code.redirect_uri.is_some() && code.redirect_uri != exchange.redirect_uri {
        return Ok(Err(TokenError::RedirectMismatch));
    }
    // RFC 7636 §4.6: "If the values are not equal, an error … MUST be returned".
    if !code.challenge.is_met_by(&exchange.verifier) {
        return Ok(Err(TokenError::VerifierMismatch));
    }
    if let Some(found) = exchange
        .resource
        .as_ref()
        .filter(|found| **found != code.resource)
    {
        let (expected, found) = (code.resource.clone(), found.clone());
        return Ok(Err(TokenError::ResourceDiffers { expected, found }));
    }
    if live_user_of(tx, now, code.grant_id, code.user_id)?.is_none() {
        return Ok(Err(TokenError::GrantEnded));
    }
    Ok(Ok(()))
}

/// Who a grant is from, while it lives and they may sign in.
fn live_user_of(
    tx: &dyn Read,
    now: Timestamp,
    grant_id: Id,
    user_id: Id,
) -> Result<Option<User>, StoreError> {
    let grant = grants::find(tx, grant_id)?.filter(|grant| !grant.expires_at.has_passed(now));
    if grant.is_none() {
        return Ok(None);
    }
    Ok(users::find(tx, user_id)?.filter(|user| user.disabled_at.is_none()))
}

fn begin_family(
    tx: &mut WriteTx<'_>,
    moment: Moment<'_>,
    proven: &ProvenClient,
    code: &AuthorizationCode,
) -> Result<(Id, Issued), StoreError> {
    let client = &proven.client;
    let Moment {
        provider,
        now,
        entropy,
        ..
    } = moment;
    let lifetimes = &provider.lifetimes;
    let refreshes = client.metadata.allows(GrantType::RefreshToken);
    let refresh_token = Credential::generate(CredentialKind::RefreshToken, now, entropy);
    let ttl = if refreshes {
        lifetimes.refresh_absolute_ttl
    } else {
        lifetimes.access_ttl
    };
    let family = TokenFamily {
        id: refresh_token.id(),
        grant_id: code.grant_id,
        user_id: code.user_id,
        client_id: client.id,
        resource: code.resource.clone(),
        scopes: code.scopes.clone(),
        expires_at: now.after(ttl),
        refresh: refreshes.then(|| RefreshChain {
            generation: 0,
            digest: refresh_token.digest(),
            predecessor: None,
            idle_expires_at: now.after(lifetimes.refresh_idle_ttl),
        }),
        secret_id: proven.secret_id,
    };
    tokens::add_family(tx, &family)?;
    let changes = [
        Change::to("user_id", &family.user_id),
        Change::to("scope", &family.scopes),
        Change::to("resource", &family.resource),
    ];
    audit::record(
        tx,
        moment.by,
        Action::TokenIssued,
        Object::Family(family.id),
        changes,
    )?;
    note_use(tx, now, proven)?;
    let refresh_token = refreshes.then_some(refresh_token);
    let (scopes, resource) = (code.scopes.clone(), code.resource.clone());
    let issued = issue_access_token(tx, moment, &family, scopes, resource, refresh_token)?;
    Ok((family.id, issued))
}

fn issue_access_token(
    tx: &mut WriteTx<'_>,
    moment: Moment<'_>,
    family: &TokenFamily,
    scopes: ScopeSet,
    resource: ResourceUri,
    refresh_token: Option<Credential>,
) -> Result<Issued, StoreError> {
    let Moment {
        provider,
        now,
        entropy,
        ..
    } = moment;
    let access_token = Credential::generate(CredentialKind::AccessToken, now, entropy);
    let expires_at = now
        .after(provider.lifetimes.access_ttl)
        .min(family.expires_at);
    let record = AccessToken {
        id: access_token.id(),
        digest: access_token.digest(),
        family_id: family.id,
        resource,
        scopes: scopes.clone(),
        expires_at,
        secret_id: family.secret_id,
    };
    tokens::put_access_token(tx, &record)?;
    Ok(Issued {
        access_token,
        expires_at,
        refresh_token,
        scopes,
    })
}

/// Writes down that a client got a token, and under which secret, to within an hour.
fn note_use(tx: &mut WriteTx<'_>, now: Timestamp, proven: &ProvenClient) -> Result<(), StoreError> {
    let client = &proven.client;
    if let Some(secret_id) = proven.secret_id {
        app_secrets::note_use(tx, now, client, secret_id)?;
    }
    let fresh = |at: Timestamp| now.since(at) < LAST_USE_PRECISION;
    if client.last_used_at.is_some_and(fresh) {
        return Ok(());
    }
    if let Some(mut current) = clients::find(tx, client.id)? {
        current.last_used_at = Some(now);
        clients::put(tx, &current)?;
    }
    Ok(())
}

/// What a client presents to refresh.
#[derive(Debug)]
pub struct Refresh {
    /// `refresh_token`.
    pub token: Credential,
    /// `scope`: for the next access token only.
    pub scopes: Option<ScopeSet>,
    /// `resource`: for the next access token only.
    pub resource: Option<ResourceUri>,
}

/// Rotates a refresh token and issues an access token.
///
/// The direct predecessor of the current token keeps answering with the same successor for the
/// replay window, so that two nodes of one client do not lose each other. Anything older, or
/// later, is a replay and revokes the family.
///
/// # Source
/// RFC 6749 §6; OAuth 2.1 §4.3.1 (rotation, and revocation on replay); RFC 8707 §2.2.
pub fn refresh(
    tx: &mut WriteTx<'_>,
    moment: Moment<'_>,
    proven: &ProvenClient,
    refresh: &Refresh,
) -> Outcome<Issued> {
    let Moment { provider, now, .. } = moment;
    let client = &proven.client;
    if !client.metadata.allows(GrantType::RefreshToken) {
        return Ok(Err(TokenError::GrantTypeNotAllowed(
            GrantType::RefreshToken.as_str(),
        )));
    }
    let Some(mut family) = tokens::find_family(tx, refresh.token.id())? else {
        return Ok(Err(TokenError::RefreshUnknown));
    };
    let Some(chain) = family.refresh.clone() else {
        return Ok(Err(TokenError::RefreshUnknown));
    };
    if family.client_id != client.id {
        return Ok(Err(TokenError::RefreshForeign));
    }
    let position = position(provider, now, &family, &chain, &refresh.token);
    match position {
        Position::Invented => return Ok(Err(TokenError::RefreshUnknown)),
        Position::Replayed => {
            tokens::remove_family(tx, family.id);
            audit::record(
                tx,
                moment.by,
                Action::TokenReplayed,
                Object::Family(family.id),
                [],
            )?;
            return Ok(Err(TokenError::RefreshReplayed));
        }
        Position::Current | Position::JustReplaced => {}
    }
    let (scopes, resource) = match check_refresh(tx, now, provider, &family, &chain, refresh)? {
        Err(refusal) => return Ok(Err(refusal)),
        Ok(narrowed) => narrowed,
    };
    let successor = successor(provider, &refresh.token);
    let changes = [Change::to("generation", &successor.generation())];
    audit::record(
        tx,
        moment.by,
        Action::TokenRefreshed,
        Object::Family(family.id),
        changes,
    )?;
    // A client that replaces its secret takes its family along with its next refresh.
    family.secret_id = proven.secret_id;
    if matches!(position, Position::Current) {
        let idle_expires_at = now.after(provider.lifetimes.refresh_idle_ttl);
        family.refresh = Some(chain.rotated(now, &successor, idle_expires_at));
        tokens::put_family(tx, &family)?;
        note_use(tx, now, proven)?;
    }
    issue_access_token(tx, moment, &family, scopes, resource, Some(successor)).map(Ok)
}

fn check_refresh(
    tx: &dyn Read,
    now: Timestamp,
    provider: &Provider,
    family: &TokenFamily,
    chain: &RefreshChain,
    refresh: &Refresh,
) -> Outcome<(ScopeSet, ResourceUri)> {
    if chain.idle_expires_at.has_passed(now) || family.expires_at.has_passed(now) {
        return Ok(Err(TokenError::RefreshExpired));
    }
    if live_user_of(tx, now, family.grant_id, family.user_id)?.is_none() {
        return Ok(Err(TokenError::GrantEnded));
    }
    if !app_secrets::is_live(tx, family.client_id, family.secret_id)? {
        return Ok(Err(TokenError::SecretRemoved));
    }
    let scopes = match refresh.scopes.as_ref().filter(|scopes| !scopes.is_empty()) {
        None => family.scopes.clone(),
        Some(asked) => {
            // RFC 6749 §6: "MUST NOT include any scope not originally granted".
            let wider = asked.difference(&family.scopes);
            if !wider.is_empty() {
                return Ok(Err(TokenError::ScopeWider(wider)));
            }
            asked.clone()
        }
    };
    let resource = match refresh.resource.clone() {
        None => family.resource.clone(),
        // A token for the whole deployment narrows to one resource of it; nothing ever widens.
        Some(asked)
            if asked == family.resource
                || family.resource == provider.resource_at("")
                    && provider.find_resource(&asked).is_some() =>
        {
            asked
        }
        Some(found) => {
            let expected = family.resource.clone();
            return Ok(Err(TokenError::ResourceDiffers { expected, found }));
        }
    };
    Ok(Ok((scopes, resource)))
}

/// What an access token opens, for one request.
#[derive(Clone, Debug)]
pub struct Access {
    /// Whose it is.
    pub user: User,
    /// Which client presents it.
    pub client_id: Id,
    /// The grant it comes from.
    pub grant_id: Id,
    /// What it may do.
    pub scopes: ScopeSet,
}

/// Why an access token opens nothing here. All of it is `invalid_token` (RFC 6750 §3.1).
#[derive(Clone, Debug, thiserror::Error)]
pub enum AccessError {
    /// Not a token, or a damaged one.
    #[error("the access token is malformed")]
    Malformed,
    /// No such token.
    #[error("the access token is unknown")]
    Unknown,
    /// Its time is over.
    #[error("the access token has expired")]
    Expired,
    /// It, its family, its grant, its user or its client's secret is gone.
    #[error("the access token has been revoked")]
    Revoked,
    /// It is for another resource.
    #[error("the access token is for another audience")]
    OtherAudience,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What `token` opens at `resource`.
///
/// # Source
/// RFC 6750 §3; RFC 8707 §3 (audience); threats 30 and 35.
pub fn check_access(
    tx: &dyn Read,
    now: Timestamp,
    provider: &Provider,
    token: &Credential,
    resource: &ResourceUri,
) -> Result<Access, AccessError> {
    let record = tokens::find_access_token(tx, token.id())?
        .filter(|record| record.digest == token.digest())
        .ok_or(AccessError::Unknown)?;
    if record.expires_at.has_passed(now) {
        return Err(AccessError::Expired);
    }
    if !provider.accepts(&record.resource, resource) {
        return Err(AccessError::OtherAudience);
    }
    let family = tokens::find_family(tx, record.family_id)?.ok_or(AccessError::Revoked)?;
    if !app_secrets::is_live(tx, family.client_id, record.secret_id)? {
        return Err(AccessError::Revoked);
    }
    let user = live_user_of(tx, now, family.grant_id, family.user_id)?;
    Ok(Access {
        user: user.ok_or(AccessError::Revoked)?,
        client_id: family.client_id,
        grant_id: family.grant_id,
        scopes: record.scopes,
    })
}
