//! The authorization endpoint's decisions: who may be asked, what for, and what a person's answer
//! gives.
//!
//! The order is a security property. First the client and where its answers go ([`find_target`]);
//! until that is settled an error is a page. Then the request ([`accept`]); an error is now a
//! redirect. Then the person: [`remembered`] or [`allow`].

use subtle::ConstantTimeEq as _;
use url::form_urlencoded;

use crate::{
    audit,
    crypto::{digest::Digest, keyed::Purpose},
    model::{
        audit::{Action, Change, Object},
        credential::{Credential, CredentialKind},
        id::Id,
        oauth2::{
            client::{Client, GrantType},
            client_id::ClientId,
            code::{AuthorizationCode, CodeStage},
            grant::Grant,
            pkce::CodeChallenge,
            redirect_uri::{RedirectKind, RedirectUri},
            resource::ResourceUri,
            scope::ScopeSet,
        },
        timestamp::Timestamp,
    },
    oauth2provider::{
        Moment, Provider,
        resources::{self, Asked, RequestError, Resource},
    },
    store::{Read, StoreError, WriteTx, clients, codes, grants, users},
};

/// Where an answer may be sent: a redirect URI that was checked against its client.
///
/// Only [`find_target`] makes one, so an error can be redirected only once that is safe.
#[derive(Clone, Debug)]
pub struct Target {
    /// Who asks.
    pub client: Client,
    /// Where the answer goes, with the port that was asked for.
    pub redirect_uri: RedirectUri,
    /// Whether the request named it, so that the token request has to as well.
    pub named: Named,
}

/// Whether a request named its redirect URI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    /// It did.
    ByRequest,
    /// The client has only the one.
    ByRegistration,
}

/// Why nobody may be sent anywhere. All of it is a page.
#[derive(Clone, Debug, thiserror::Error)]
pub enum TargetError {
    /// No such client.
    #[error("the app is not registered on this box (any more)")]
    ClientUnknown,
    /// It may not use the code grant.
    #[error("the app is registered without the authorization_code grant")]
    ClientNotForPeople,
    /// Several are registered, and the request names none.
    #[error("expected a redirect_uri, because the app has registered several; found none")]
    RedirectMissing,
    /// Not one that is registered.
    #[error("expected a redirect_uri that the app has registered, found {0}")]
    RedirectForeign(RedirectUri),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The client that asks, and where its answer goes.
///
/// # Source
/// RFC 6749 §3.1.2.4: an invalid redirect URI or client "MUST NOT" be redirected to.
pub fn find_target(
    tx: &dyn Read,
    client_id: &ClientId,
    requested: Option<RedirectUri>,
) -> Result<Target, TargetError> {
    let client = clients::find_named(tx, client_id)?.ok_or(TargetError::ClientUnknown)?;
    if !client.metadata.allows(GrantType::AuthorizationCode) {
        return Err(TargetError::ClientNotForPeople);
    }
    let registered = &client.metadata.redirect_uris;
    match (requested, registered.as_slice()) {
        (Some(requested), registered) => {
            if registered.iter().any(|uri| uri.allows(&requested)) {
                Ok(Target {
                    redirect_uri: requested,
                    client,
                    named: Named::ByRequest,
                })
            } else {
                Err(TargetError::RedirectForeign(requested))
            }
        }
        (None, [only]) => Ok(Target {
            redirect_uri: only.clone(),
            client,
            named: Named::ByRegistration,
        }),
        (None, _) => Err(TargetError::RedirectMissing),
    }
}

impl Target {
    /// The redirect with these parameters, `state` if it came, and always `iss` (RFC 9207 §2).
    pub fn location(
        &self,
        provider: &Provider,
        params: &[(&str, &str)],
        state: Option<&str>,
    ) -> String {
        let uri = self.redirect_uri.as_str();
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(params);
        if let Some(state) = state {
            query.append_pair("state", state);
        }
        query.append_pair("iss", provider.public_url.as_str());
        // RFC 6749 §3.1.2: a query that the redirect URI has "MUST be retained".
        let joint = if uri.contains('?') { '&' } else { '?' };
        format!("{uri}{joint}{}", query.finish())
    }

    /// Whether a person has to be asked each time, because another program could take the
    /// client's place: only an https address is somebody's own.
    pub fn must_ask(&self) -> bool {
        self.redirect_uri.kind() != RedirectKind::Web || self.client.metadata.is_loopback_only()
    }
}

/// What a request asks for, each parameter parsed.
#[derive(Clone, Debug)]
pub struct AuthorizeRequest {
    /// `code_challenge`, S256.
    pub challenge: CodeChallenge,
    /// `scope`.
    pub scopes: Option<ScopeSet>,
    /// `resource`.
    pub resource: Option<ResourceUri>,
    /// `state`.
    pub state: Option<String>,
    /// `prompt=consent`.
    pub prompt: Prompt,
}

/// Whether a remembered consent will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prompt {
    /// It will.
    WhenNeeded,
    /// The client wants the person to be asked.
    Always,
}

/// A request that can succeed: what a person is asked.
#[derive(Clone, Debug)]
pub struct Authorization {
    /// Who asks, and where the answer goes.
    pub target: Target,
    /// What is asked for; never empty.
    pub scopes: ScopeSet,
    /// Where.
    pub resource: Resource,
    /// What the code's verifier has to meet.
    pub challenge: CodeChallenge,
    /// To be echoed.
    pub state: Option<String>,
    /// Whether a remembered consent will do.
    pub prompt: Prompt,
}

/// Checks a request against the resource and the client.
pub fn accept(
    tx: &dyn Read,
    provider: &Provider,
    target: Target,
    request: AuthorizeRequest,
) -> Result<Authorization, RequestError> {
    let AuthorizeRequest {
        challenge,
        scopes,
        resource,
        state,
        prompt,
    } = request;
    let Asked { resource, scopes } =
        resources::ask(tx, provider, &target.client, scopes, resource)?;
    Ok(Authorization {
        target,
        scopes,
        resource,
        challenge,
        state,
        prompt,
    })
}

/// The live grant of `user_id` that already covers `authorization`, where one may be remembered.
pub fn remembered(
    tx: &dyn Read,
    now: Timestamp,
    user_id: Id,
    authorization: &Authorization,
) -> Result<Option<Grant>, StoreError> {
    let target = &authorization.target;
    if authorization.prompt == Prompt::Always || target.must_ask() {
        return Ok(None);
    }
    let client = &target.client;
    grants::find_newest(tx, (user_id, client.id), client.updated_at, |grant| {
        grant.redirect_uri.as_ref() == Some(&target.redirect_uri)
            && grant.resource == *authorization.resource.identifier()
            && authorization.scopes.is_subset(&grant.scopes)
            && !grant.expires_at.has_passed(now)
    })
}

/// The token in a consent page: it says what was shown, to whom, and when.
///
/// It is bound to the browser's session, the client as it was then, the redirect URI, the
/// challenge, the resource, the scopes and the state; it works once, and not for ever.
///
/// # Source
/// Threats 2, 3, 21 and 38.
#[derive(Clone, Copy, Debug)]
pub struct ConsentToken {
    id: Id,
    tag: [u8; 32],
}

/// Why a decision does not count. All of it is a page.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ConsentError {
    /// Made for another browser, another request, or by nobody here.
    #[error("this answer belongs to another browser or another request")]
    Foreign,
    /// Its time is over.
    #[error("the page was open for too long")]
    Expired,
    /// It was answered before.
    #[error("the page was answered before")]
    Answered,
    /// A scope that was not on the page.
    #[error("expected a part of what the page offered, found also {0}")]
    Wider(ScopeSet),
    /// The client is gone, or no longer what it was.
    #[error("the app changed its registration while the page was open")]
    ClientChanged,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ConsentToken {
    /// The token for a page that is shown now.
    pub fn issue(moment: Moment<'_>, session_id: Id, authorization: &Authorization) -> Self {
        let id = Id::generate(moment.now, moment.entropy);
        Self {
            id,
            tag: consent_tag(moment.provider, id, session_id, authorization),
        }
    }

    /// The token's public part and its proof.
    pub const fn parts(&self) -> (Id, &[u8; 32]) {
        (self.id, &self.tag)
    }

    /// The token with these parts, which [`allow`] and [`deny`] still have to believe.
    pub const fn from_parts(id: Id, tag: [u8; 32]) -> Self {
        Self { id, tag }
    }

    /// Checks that the token was made for this page, and uses it up.
    fn spend(
        self,
        tx: &mut WriteTx<'_>,
        moment: Moment<'_>,
        session_id: Id,
        authorization: &Authorization,
    ) -> Result<(), ConsentError> {
        let Moment { provider, now, .. } = moment;
        let expected = consent_tag(provider, self.id, session_id, authorization);
        if !bool::from(expected.ct_eq(&self.tag)) {
            return Err(ConsentError::Foreign);
        }
        let expires_at = self.id.created_at().after(provider.lifetimes.consent_ttl);
        if expires_at.has_passed(now) {
            return Err(ConsentError::Expired);
        }
        if grants::spend_consent(tx, self.id, expires_at)? {
            Ok(())
        } else {
            Err(ConsentError::Answered)
        }
    }
}

fn consent_tag(
    provider: &Provider,
    id: Id,
    session_id: Id,
    authorization: &Authorization,
) -> [u8; 32] {
    let Authorization {
        target,
        scopes,
        resource,
        challenge,
        state,
        ..
    } = authorization;
    provider.key.derive(
        Purpose::ConsentToken,
        &[
            id.as_bytes(),
            session_id.as_bytes(),
            target.client.id.as_bytes(),
            &target.client.updated_at.millis().to_be_bytes(),
            target.redirect_uri.as_str().as_bytes(),
            &[u8::from(target.named == Named::ByRequest)],
            challenge.as_str().as_bytes(),
            resource.identifier().as_str().as_bytes(),
            scopes.to_string().as_bytes(),
            &[u8::from(state.is_some())],
            state.as_deref().unwrap_or_default().as_bytes(),
        ],
    )
}

/// Who answers: a user, in one of their browsers.
#[derive(Clone, Copy, Debug)]
pub struct Person {
    /// The user.
    pub user_id: Id,
    /// The browser session in which they answer.
    pub session_id: Id,
}

/// Allows what was shown, or the part of it that `chosen` names, and issues the code.
///
/// # Errors
/// | variant | meaning |
/// |---|---|
/// | [`ConsentError::Foreign`] | another browser, another request |
/// | [`ConsentError::Expired`], [`ConsentError::Answered`] | too late, or again |
/// | [`ConsentError::Wider`] | more than was offered |
pub fn allow(
    tx: &mut WriteTx<'_>,
    moment: Moment<'_>,
    person: Person,
    token: ConsentToken,
    authorization: &Authorization,
    chosen: ScopeSet,
) -> Result<Credential, ConsentError> {
    let Moment {
        provider,
        now,
        entropy,
        ..
    } = moment;
    token.spend(tx, moment, person.session_id, authorization)?;
    let wider = chosen.difference(&authorization.scopes);
    if !wider.is_empty() {
        return Err(ConsentError::Wider(wider));
    }
    let shown = &authorization.target.client;
    approve_client(tx, now, shown.id, shown.updated_at)?;
    let grant = Grant {
        id: Id::generate(now, entropy),
        user_id: person.user_id,
        client_id: authorization.target.client.id,
        scopes: chosen,
        resource: authorization.resource.identifier().clone(),
        redirect_uri: Some(authorization.target.redirect_uri.clone()),
        created_at: now,
        expires_at: now.after(provider.lifetimes.refresh_absolute_ttl),
    };
    add_grant(tx, moment, &grant)?;
    let scopes = grant.scopes.clone();
    Ok(issue_code(
        tx,
        moment,
        person,
        &grant,
        authorization,
        scopes,
    )?)
}

/// Uses the page up without allowing anything.
pub fn deny(
    tx: &mut WriteTx<'_>,
    moment: Moment<'_>,
    person: Person,
    token: ConsentToken,
    authorization: &Authorization,
) -> Result<(), ConsentError> {
    token.spend(tx, moment, person.session_id, authorization)?;
    let client_id = authorization.target.client.id;
    let changes = [
        Change::to("scope", &authorization.scopes),
        Change::to("resource", authorization.resource.identifier()),
    ];
    audit::record(
        tx,
        moment.by,
        Action::ConsentRefused,
        Object::Client(client_id),
        changes,
    )?;
    Ok(())
}

/// Issues a code under a grant that [`remembered`] found. `None` if it has ended since.
pub fn allow_again(
    tx: &mut WriteTx<'_>,
    moment: Moment<'_>,
    person: Person,
    authorization: &Authorization,
) -> Result<Option<Credential>, StoreError> {
    let Moment { now, .. } = moment;
    let client_id = authorization.target.client.id;
    // Both may be gone since the page was asked for, and their grants not swept yet.
    if !clients::is_there(tx, client_id)? || users::find(tx, person.user_id)?.is_none() {
        return Ok(None);
    }
    let Some(grant) = remembered(tx, now, person.user_id, authorization)? else {
        return Ok(None);
    };
    let scopes = authorization.scopes.clone();
    issue_code(tx, moment, person, &grant, authorization, scopes).map(Some)
}

/// A client that a user approved is never pruned; one that changed since the page was shown was
/// not what they approved.
pub(super) fn approve_client(
    tx: &mut WriteTx<'_>,
    now: Timestamp,
    shown_id: Id,
    shown_as_of: Timestamp,
) -> Result<(), ConsentError> {
    let mut client = clients::find(tx, shown_id)?
        .filter(|client| client.updated_at == shown_as_of)
        .ok_or(ConsentError::ClientChanged)?;
    if client.approved_at.is_none() {
        client.approved_at = Some(now);
        clients::put(tx, &client)?;
    }
    Ok(())
}

/// Keeps what a person allows, in the place of what they or the client have too much of.
pub(super) fn add_grant(
    tx: &mut WriteTx<'_>,
    moment: Moment<'_>,
    grant: &Grant,
) -> Result<(), StoreError> {
    for ended in grants::make_room(tx, grant.user_id, grant.client_id)? {
        audit::record(
            tx,
            moment.by,
            Action::GrantRevoked,
            Object::Grant(ended.id),
            [],
        )?;
    }
    grants::add(tx, grant)?;
    let changes = [
        Change::to("client_id", &grant.client_id),
        Change::to("scope", &grant.scopes),
        Change::to("resource", &grant.resource),
    ];
    let redirect_uri = grant.redirect_uri.as_ref();
    let redirect_uri = redirect_uri.map(|uri| Change::to("redirect_uri", uri));
    audit::record(
        tx,
        moment.by,
        Action::ConsentGiven,
        Object::Grant(grant.id),
        changes.into_iter().chain(redirect_uri),
    )
}

fn issue_code(
    tx: &mut WriteTx<'_>,
    moment: Moment<'_>,
    person: Person,
    grant: &Grant,
    authorization: &Authorization,
    scopes: ScopeSet,
) -> Result<Credential, StoreError> {
    let Moment {
        provider,
        now,
        entropy,
        ..
    } = moment;
    let credential = Credential::generate(CredentialKind::AuthorizationCode, now, entropy);
    let target = &authorization.target;
    let code = AuthorizationCode {
        id: credential.id(),
        digest: credential.digest(),
        grant_id: grant.id,
        user_id: person.user_id,
        client_id: target.client.id,
        session_id: person.session_id,
        redirect_uri: (target.named == Named::ByRequest).then(|| target.redirect_uri.clone()),
        challenge: authorization.challenge.clone(),
        resource: authorization.resource.identifier().clone(),
        scopes,
        state_digest: authorization
            .state
            .as_deref()
            .map(|state| Digest::of(state.as_bytes())),
        expires_at: now.after(provider.lifetimes.code_ttl),
        stage: CodeStage::Issued,
    };
    codes::put(tx, &code)?;
    Ok(credential)
}
