//! The token endpoint's decisions.
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
            token::{AccessToken, Holder, RefreshChain, TokenFamily},
        },
        timestamp::Timestamp,
    },
    oauth2provider::{
        Moment,
        access::{live_holder, may_act_for_itself},
        app_secrets::{self, LAST_USE_PRECISION},
        apps::ProvenClient,
        resources::{self, Asked, RequestError},
        revoke,
        rotation::{Position, position, successor},
    },
    store::{Read, StoreError, WriteTx, clients, codes, tokens},
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

/// Why a client gets no token.
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
    /// An administrator gave the client no scope, so there is nothing it may do by itself.
    #[error("expected a client with a scope, which an administrator gives; found one without")]
    ScopeNotGiven,
    /// It asks for something that it cannot be given.
    #[error("{description}")]
    Request {
        /// The error's word on the wire.
        code: &'static str,
        /// What was expected and what was found.
        description: String,
    },
    /// No such device code, or not its secret.
    #[error("the device code is unknown; ask for a new one")]
    DeviceUnknown,
    /// Issued to another client.
    #[error("the device code was issued to another client")]
    DeviceForeign,
    /// Nobody has answered.
    #[error("the person has not answered yet")]
    DevicePending,
    /// Nobody has answered, and the device asks too often.
    #[error(
        "the person has not answered yet; wait {interval_seconds} seconds between two requests"
    )]
    DeviceTooFast {
        /// What the device has to keep from now on.
        interval_seconds: u32,
    },
    /// The person said no.
    #[error("the person did not allow it")]
    DeviceDenied,
    /// Too late.
    #[error("the device code has expired; ask for a new one")]
    DeviceExpired,
    /// It gave its tokens before; they are revoked.
    #[error("the device code was used before; everything that it gave is revoked")]
    DeviceReplayed,
    /// The resource server has been removed from the box.
    #[error("resource: expected a resource that this server protects, found {0}")]
    ResourceGone(ResourceUri),
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
            Self::ScopeWider(_) | Self::ScopeNotGiven => "invalid_scope",
            Self::ResourceDiffers { .. } | Self::ResourceGone(_) => "invalid_target",
            Self::Request { code, .. } => code,
            // RFC 8628 §3.5.
            Self::DevicePending => "authorization_pending",
            Self::DeviceTooFast { .. } => "slow_down",
            Self::DeviceDenied => "access_denied",
            Self::DeviceExpired => "expired_token",
            _ => "invalid_grant",
        }
    }
}

/// A refusal may have changed something, so it is a value; a fault has changed nothing.
pub type Outcome<T> = Result<Result<T, TokenError>, StoreError>;

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
            revoke::end_replayed(tx, moment, Action::CodeReplayed, family_id)?;
            return Ok(Err(TokenError::CodeReplayed));
        }
    }
    let issued = match check_code(now, client, &code, exchange) {
        Err(refusal) => Err(refusal),
        Ok(entitlement) => begin_family(tx, moment, proven, entitlement)?,
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

/// What a code gives to whoever may have it.
fn check_code(
    now: Timestamp,
    client: &Client,
    code: &AuthorizationCode,
    exchange: &CodeExchange,
) -> Result<Entitlement, TokenError> {
    // Threats 6 and 8: each of these on its own is enough to refuse.
    if code.client_id != client.id {
        return Err(TokenError::CodeForeign);
    }
    if code.expires_at.has_passed(now) {
        return Err(TokenError::CodeExpired);
    }
    // RFC 6749 §4.1.3: required, and identical, if it was in the authorization request.
    if code.redirect_uri.is_some() && code.redirect_uri != exchange.redirect_uri {
        return Err(TokenError::RedirectMismatch);
    }
    // RFC 7636 §4.6: "If the values are not equal, an error … MUST be returned".
    if !code.challenge.is_met_by(&exchange.verifier) {
        return Err(TokenError::VerifierMismatch);
    }
    if let Some(found) = exchange
        .resource
        .as_ref()
        .filter(|found| **found != code.resource)
    {
        let (expected, found) = (code.resource.clone(), found.clone());
        return Err(TokenError::ResourceDiffers { expected, found });
    }
    Ok(Entitlement {
        holder: Holder::Person {
            user_id: code.user_id,
            grant_id: code.grant_id,
        },
        resource: code.resource.clone(),
        scopes: code.scopes.clone(),
    })
}

/// What a family is begun with.
pub(super) struct Entitlement {
    /// In whose name.
    pub(super) holder: Holder,
    /// Where.
    pub(super) resource: ResourceUri,
    /// What.
    pub(super) scopes: ScopeSet,
}

/// Begins a family, with a refresh token for a client that may refresh for a person.
pub(super) fn begin_family(
    tx: &mut WriteTx<'_>,
    moment: Moment<'_>,
    proven: &ProvenClient,
    entitlement: Entitlement,
) -> Outcome<(Id, Issued)> {
    let client = &proven.client;
    let Moment {
        provider,
        now,
        entropy,
        ..
    } = moment;
    let Entitlement {
        holder,
        resource,
        scopes,
    } = entitlement;
    let lifetimes = &provider.lifetimes;
    // RFC 6749 §4.4.3: for a client's own token "A refresh token SHOULD NOT be included".
    let refreshes = holder != Holder::Client && client.metadata.allows(GrantType::RefreshToken);
    let refresh_token = Credential::generate(CredentialKind::RefreshToken, now, entropy);
    let ttl = if refreshes {
        lifetimes.refresh_absolute_ttl
    } else {
        lifetimes.access_ttl
    };
    let family = TokenFamily {
        id: refresh_token.id(),
        holder,
        client_id: client.id,
        resource: resource.clone(),
        scopes: scopes.clone(),
        expires_at: now.after(ttl),
        refresh: refreshes.then(|| RefreshChain {
            generation: 0,
            digest: refresh_token.digest(),
            predecessor: None,
            idle_expires_at: now.after(lifetimes.refresh_idle_ttl),
        }),
        secret_id: proven.secret_id,
    };
    if let Err(refusal) = check_family(tx, moment, &family)? {
        return Ok(Err(refusal));
    }
    tokens::add_family(tx, &family)?;
    note_issue(tx, moment, &family)?;
    note_use(tx, now, proven)?;
    let refresh_token = refreshes.then_some(refresh_token);
    let issued = issue_access_token(tx, moment, &family, scopes, resource, refresh_token)?;
    Ok(Ok((family.id, issued)))
}

fn note_issue(
    tx: &mut WriteTx<'_>,
    moment: Moment<'_>,
    family: &TokenFamily,
) -> Result<(), StoreError> {
    let user = match family.holder {
        Holder::Person { user_id, .. } => Some(Change::to("user_id", &user_id)),
        Holder::Client => None,
    };
    let changes = [
        Change::to("scope", &family.scopes),
        Change::to("resource", &family.resource),
    ];
    audit::record(
        tx,
        moment.by,
        Action::TokenIssued,
        Object::Family(family.id),
        user.into_iter().chain(changes),
    )
}

/// What has to hold whenever anything is issued in a family: somebody still stands behind it, and
/// what it is for is still there.
fn check_family(tx: &dyn Read, moment: Moment<'_>, family: &TokenFamily) -> Outcome<()> {
    if live_holder(tx, moment.now, family)?.is_none() {
        return Ok(Err(TokenError::GrantEnded));
    }
    if resources::find(tx, moment.provider, &family.resource)?.is_none() {
        return Ok(Err(TokenError::ResourceGone(family.resource.clone())));
    }
    Ok(Ok(()))
}

/// Issues a token in the client's own name: no person, no grant, no refresh token.
///
/// Only a confidential client that an administrator made, gave this grant type and gave a scope
/// gets one: what nobody allowed, nobody may do.
///
/// # Source
/// RFC 6749 §4.4; OAuth 2.1 §4.2: "MUST only be used by confidential clients".
pub fn issue_to_client(
    tx: &mut WriteTx<'_>,
    moment: Moment<'_>,
    proven: &ProvenClient,
    scopes: Option<ScopeSet>,
    resource: Option<ResourceUri>,
) -> Outcome<Issued> {
    let client = &proven.client;
    if !may_act_for_itself(client) {
        let found = GrantType::ClientCredentials.as_str();
        return Ok(Err(TokenError::GrantTypeNotAllowed(found)));
    }
    if client.metadata.scope.is_none() {
        return Ok(Err(TokenError::ScopeNotGiven));
    }
    let asked = match resources::ask(tx, moment.provider, client, scopes, resource) {
        Ok(asked) => asked,
        Err(RequestError::Store(fault)) => return Err(fault),
        Err(refusal) => {
            let (code, description) = (refusal.code(), refusal.to_string());
            return Ok(Err(TokenError::Request { code, description }));
        }
    };
    let Asked { resource, scopes } = asked;
    let entitlement = Entitlement {
        holder: Holder::Client,
        resource: resource.identifier().clone(),
        scopes,
    };
    let begun = begin_family(tx, moment, proven, entitlement)?;
    Ok(begun.map(|(_, issued)| issued))
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
            revoke::end_replayed(tx, moment, Action::TokenReplayed, family.id)?;
            return Ok(Err(TokenError::RefreshReplayed));
        }
        Position::Current | Position::JustReplaced => {}
    }
    let (scopes, resource) = match check_refresh(tx, moment, &family, &chain, refresh)? {
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
        let ended_at = family.ends_at();
        family.refresh = Some(chain.rotated(now, &successor, idle_expires_at));
        tokens::put_family(tx, &family)?;
        // The owner has made lifetimes shorter since.
        if family.ends_at() < ended_at {
            tokens::schedule_family(tx, &family);
        }
        note_use(tx, now, proven)?;
    }
    issue_access_token(tx, moment, &family, scopes, resource, Some(successor)).map(Ok)
}

fn check_refresh(
    tx: &dyn Read,
    moment: Moment<'_>,
    family: &TokenFamily,
    chain: &RefreshChain,
    refresh: &Refresh,
) -> Outcome<(ScopeSet, ResourceUri)> {
    let Moment { provider, now, .. } = moment;
    if chain.idle_expires_at.has_passed(now) || family.expires_at.has_passed(now) {
        return Ok(Err(TokenError::RefreshExpired));
    }
    if let Err(refusal) = check_family(tx, moment, family)? {
        return Ok(Err(refusal));
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
                || family.resource == *provider.resource_at("")
                    && resources::find_path(tx, provider, &asked)?.is_some() =>
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
