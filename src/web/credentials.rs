//! Who is calling: a browser by its cookie, a program by its bearer token, a client by its secret.
//!
//! A scheme answers three ways: nothing was sent, it was right, it was wrong and why. RFC 6750 §3.1
//! wants the first two kept apart.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{
    HeaderValue, StatusCode,
    header::{AUTHORIZATION, SET_COOKIE, WWW_AUTHENTICATE},
};

use crate::{
    accounts::sessions::{self, LiveSession},
    crypto::{digest::Digest, entropy::random, keyed::Purpose},
    http::{
        cookies::{self, Transport},
        dispatch::Refusal,
        params::Params,
        request::Head,
        response::Response,
    },
    model::{
        audit::{Actor, Origin},
        credential::{Credential, CredentialKind},
        id::Id,
        upstream::UpstreamName,
        user::Role,
    },
    oauth2provider::{
        access::{self, AccessError, Opened, OwnAccess},
        metadata::resource_scopes,
        upstream_path, upstreams,
    },
    store::StoreError,
    web::{
        Web,
        api::caller::{ApiCaller, Needs},
        oauth2::error::OAuthError,
        pages::message,
        refusals,
        throttle::{Endpoint, Subject},
    },
};

/// Why a client's own token does not open what is a person's.
pub(super) const NO_PERSON: &str =
    "expected a token that a person allowed, found one that a client got for itself";

/// Where what a request does comes from, with `actor` as who asks for it.
pub fn by(head: &Head, actor: Actor) -> Origin {
    Origin {
        at: head.now,
        actor,
        address: Some(head.remote),
        request_id: Some(head.id.to_string()),
    }
}

/// What a route asks of its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Nothing; no credential is looked at.
    Anyone,
    /// A browser session if there is one: the endpoint decides.
    Visitor,
    /// A browser session; without one, `GET` goes to the sign-in page and comes back.
    SignedIn,
    /// A browser session of an owner; without a session, as [`Access::SignedIn`].
    Owner,
    /// Nothing yet: what an OAuth client sends proves it, and its endpoint checks that. Its
    /// address may call only so often.
    Client(Endpoint),
    /// An access token for the resource at this path of the deployment.
    Bearer(&'static str),
    /// An access token for the upstream that the path names.
    Upstream,
    /// What the management API asks for.
    Api(Needs),
    /// The token of who reads the metrics; where there is none, there is no such page.
    Metrics,
    /// The same, or a client's own token with that scope.
    ApiOrClient(Needs),
}

impl Access {
    /// Whether the management API asks for it.
    pub const fn is_of_api(self) -> bool {
        matches!(self, Self::Api(_) | Self::ApiOrClient(_))
    }
}

/// Who a caller turned out to be.
#[derive(Debug)]
pub enum Caller {
    /// Not looked at.
    Anyone,
    /// A browser, signed in or not.
    Visitor(Option<Box<LiveSession>>),
    /// A program with an access token.
    Bearer(Box<access::Access>),
    /// A person or their program, who may do what the route does.
    Api(Box<ApiCaller>),
    /// A client in its own name.
    Client(Box<OwnAccess>),
}

/// Why a request has no access token that opens something.
pub(super) enum BearerRefusal {
    /// It has none.
    Missing,
    /// It has one that opens nothing here.
    Wrong(String),
    /// It has one that a client got for itself, and what it would open is a person's.
    NoPerson,
    /// It cannot be known.
    Fault(StoreError),
}

impl Caller {
    /// The browser session, if there is one.
    pub fn session(self) -> Option<LiveSession> {
        match self {
            Self::Visitor(session) => session.map(|session| *session),
            Self::Anyone | Self::Bearer(_) | Self::Api(_) | Self::Client(_) => None,
        }
    }
}

impl Web {
    /// Who the caller is, or the answer to one who may not.
    pub async fn admit(&self, access: Access, head: &Head) -> Result<Caller, Response> {
        match access {
            Access::Anyone => Ok(Caller::Anyone),
            Access::Client(endpoint) => {
                let address = Subject::Address(head.remote);
                let checked = self.throttle.check(head.now, endpoint, address);
                checked
                    .map(|()| Caller::Anyone)
                    .map_err(|wait| OAuthError::too_often(wait).into_response())
            }
            Access::Visitor => Ok(Caller::Visitor(self.visitor(head).await?.map(Box::new))),
            Access::SignedIn => match self.visitor(head).await? {
                Some(session) => Ok(Caller::Visitor(Some(Box::new(session)))),
                None => Err(refusals::sign_in_first(self, head)),
            },
            Access::Owner => match self.visitor(head).await? {
                Some(live) if live.user.role == Role::Owner => {
                    Ok(Caller::Visitor(Some(Box::new(live))))
                }
                Some(live) => Err(message::owners_only(self, head, &live)),
                None => Err(refusals::sign_in_first(self, head)),
            },
            Access::Bearer(path) => self.bearer(head, path).map(Box::new).map(Caller::Bearer),
            Access::Upstream => {
                let path = self.find_upstream_path(head)?;
                self.bearer(head, &path).map(Box::new).map(Caller::Bearer)
            }
            Access::Api(needs) => {
                let caller = self.admit_to_api(head, needs).await?;
                Ok(Caller::Api(Box::new(caller)))
            }
            Access::Metrics => self.admit_to_metrics(head).map(|()| Caller::Anyone),
            Access::ApiOrClient(needs) => self.admit_client_to_api(head, needs).await,
        }
    }

    /// What is compared are digests, in constant time (threat 27).
    fn admit_to_metrics(&self, head: &Head) -> Result<(), Response> {
        let Some(expected) = &self.metrics_token else {
            return Err(refusals::refuse(self, head, &Refusal::RouteUnknown));
        };
        let shown = bearer(head).map(|token| Digest::of(token.as_bytes()));
        if shown.as_ref() == Some(expected) {
            return Ok(());
        }
        let (message, challenge) = match shown {
            Some(_) => (
                "Expected the token of --metrics-token-file, found another.",
                r#"Bearer realm="keystead metrics", error="invalid_token""#,
            ),
            None => (
                "Expected the token of --metrics-token-file, found none.",
                r#"Bearer realm="keystead metrics""#,
            ),
        };
        let mut response = refusals::unauthorized_because(message);
        let challenge = HeaderValue::from_static(challenge);
        response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        Err(response)
    }

    pub(super) async fn visitor(&self, head: &Head) -> Result<Option<LiveSession>, Response> {
        let found = self
            .find_session(head)
            .map_err(|fault| refusals::fault(self, head, &fault))?;
        if let Some(live) = found.as_ref().filter(|live| live.needs_touch(head.now)) {
            let id = live.session.id;
            let by = by(head, Actor::User(live.user.id));
            let touched = self.write(by, move |tx, moment| {
                sessions::touch(tx, moment.now, &moment.provider.lifetimes, id)
            });
            touched
                .await
                .map_err(|fault| refusals::fault(self, head, &fault))?;
        }
        Ok(found)
    }

    fn find_session(&self, head: &Head) -> Result<Option<LiveSession>, StoreError> {
        match self.session_cookie_of(head) {
            None => Ok(None),
            Some(cookie) => self.store.read(|tx| sessions::find(tx, head.now, &cookie)),
        }
    }

    /// The credential of the session that a request comes with.
    pub(super) fn session_cookie_of(&self, head: &Head) -> Option<Credential> {
        let text = cookies::get(head, self.session_cookie())?;
        Credential::parse(CredentialKind::Session, text).ok()
    }

    /// Checks the access token before anything about the request is looked at, its method included.
    fn bearer(&self, head: &Head, path: &str) -> Result<access::Access, Response> {
        self.find_access(head, path)
            .map_err(|refusal| match refusal {
                BearerRefusal::Missing => self.challenge(head, path, None),
                BearerRefusal::Wrong(why) => self.challenge(head, path, Some(&why)),
                BearerRefusal::NoPerson => no_person(),
                BearerRefusal::Fault(fault) => refusals::fault(self, head, &fault),
            })
    }

    /// The path of the upstream that the request names; an unknown one is a page that is not there.
    fn find_upstream_path(&self, head: &Head) -> Result<String, Response> {
        let named = head
            .capture("upstream")
            .and_then(|name| name.parse::<UpstreamName>().ok());
        let found = match named {
            None => Ok(None),
            Some(name) => self
                .store
                .read(|tx| upstreams::find(tx, &self.provider, &name)),
        };
        match found {
            Ok(Some(upstream)) => Ok(upstream_path(&upstream.name)),
            Ok(None) => Err(refusals::refuse(self, head, &Refusal::RouteUnknown)),
            Err(fault) => Err(refusals::fault(self, head, &fault)),
        }
    }

    /// What the access token of a request opens at `path` of the deployment, where everything is
    /// some person's.
    pub(super) fn find_access(
        &self,
        head: &Head,
        path: &str,
    ) -> Result<access::Access, BearerRefusal> {
        match self.find_opened(head, path)? {
            Opened::Person(access) => Ok(access),
            Opened::Client(_) => Err(BearerRefusal::NoPerson),
        }
    }

    /// The same where a client may do something in its own name.
    pub(super) fn find_opened(&self, head: &Head, path: &str) -> Result<Opened, BearerRefusal> {
        // RFC 6750 §2.3 would allow it and OAuth 2.1 §5.1 forbids it: a query is logged everywhere.
        if Params::from_query(head).is_ok_and(|query| !query.all("access_token").is_empty()) {
            let why = "a token is never sent in the query";
            return Err(BearerRefusal::Wrong(why.to_owned()));
        }
        if !head.headers.contains_key(AUTHORIZATION) {
            return Err(BearerRefusal::Missing);
        }
        let resource = self.provider.resource_at(path);
        let token = bearer_of_kind(head, CredentialKind::AccessToken);
        let opened = token.ok_or(AccessError::Malformed).and_then(|token| {
            self.store
                .read(|tx| access::check_access(tx, head.now, &self.provider, &token, &resource))
        });
        opened.map_err(|error| match error {
            AccessError::Store(fault) => BearerRefusal::Fault(fault),
            wrong => BearerRefusal::Wrong(wrong.to_string()),
        })
    }

    /// 401 with where to learn how to get a token (RFC 6750 §3, RFC 9728 §5.1).
    fn challenge(&self, head: &Head, path: &str, wrong: Option<&str>) -> Response {
        let scopes = self
            .store
            .read(|tx| resource_scopes(tx, &self.provider, path));
        let scopes = match scopes {
            Ok(scopes) => scopes.join(" "),
            Err(fault) => return refusals::fault(self, head, &fault),
        };
        let mut response = match wrong {
            Some(why) => OAuthError::invalid_token(why).into_response(),
            None => refusals::unauthorized(),
        };
        // RFC 6750 §3.1: no error code where no authentication was attempted.
        let error = wrong.map(|why| ("invalid_token", why));
        let challenge = self.bearer_challenge(path, error, &scopes);
        response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        response
    }

    /// What a client needs to know to get a token that opens `path` (RFC 6750 §3).
    pub(super) fn bearer_challenge(
        &self,
        path: &str,
        error: Option<(&str, &str)>,
        scopes: &str,
    ) -> HeaderValue {
        let metadata = self.provider.resource_metadata_url(path);
        let error = error.map_or_else(String::new, |(code, why)| {
            format!(r#"error="{code}", error_description="{why}", "#)
        });
        let challenge = format!(
            r#"Bearer realm="keystead", {error}resource_metadata="{metadata}", scope="{scopes}""#
        );
        HeaderValue::from_str(&challenge).expect("our own words and URLs")
    }

    /// The name of the session cookie. The prefix makes a browser refuse one that another host
    /// set; without https no browser would keep it.
    pub fn session_cookie(&self) -> &'static str {
        match self.cookie_transport() {
            Transport::Secure => "__Host-keystead_session",
            Transport::Plain => "keystead_session",
        }
    }

    fn form_cookie(&self) -> &'static str {
        match self.cookie_transport() {
            Transport::Secure => "__Host-keystead_form",
            Transport::Plain => "keystead_form",
        }
    }

    fn cookie_transport(&self) -> Transport {
        if self.provider.public_url.is_https() {
            Transport::Secure
        } else {
            Transport::Plain
        }
    }

    /// Gives the browser its session.
    pub fn set_session(&self, response: &mut Response, session: &Credential) {
        let max_age = Some(self.provider.lifetimes.session_absolute_ttl);
        let (name, transport) = (self.session_cookie(), self.cookie_transport());
        let cookie = cookies::set(name, &session.reveal(), max_age, transport);
        response.headers_mut().append(SET_COOKIE, cookie);
        let form = cookies::expire(self.form_cookie(), transport);
        response.headers_mut().append(SET_COOKIE, form);
    }

    /// Takes the session from the browser.
    pub fn expire_session(&self, response: &mut Response) {
        let cookie = cookies::expire(self.session_cookie(), self.cookie_transport());
        response.headers_mut().append(SET_COOKIE, cookie);
    }

    /// What a form of a signed-in person has to send: only this deployment can make it, and only
    /// for this session.
    pub fn csrf_token(&self, session_id: Id) -> String {
        let parts: [&[u8]; 2] = [b"session", session_id.as_bytes()];
        URL_SAFE_NO_PAD.encode(self.provider.key.derive(Purpose::FormToken, &parts))
    }

    /// Whether a form of a signed-in person sent what its page gave it.
    pub fn is_from_our_page(&self, session_id: Id, form: &Params) -> bool {
        self.matches(form, &[b"session", session_id.as_bytes()])
    }

    /// Whether `sent` is what [`Web::csrf_token`] gave that session.
    pub fn is_csrf_token(&self, session_id: Id, sent: &str) -> bool {
        self.is_tag(sent, &[b"session", session_id.as_bytes()])
    }

    /// For a page that somebody sees who is not signed in: the token of its form, and the cookie
    /// that it is bound to where the browser has none yet.
    pub fn open_form(&self, head: &Head) -> (String, Option<HeaderValue>) {
        let known = cookies::get(head, self.form_cookie()).filter(|value| is_form_cookie(value));
        let (value, cookie) = known.map_or_else(
            || {
                let value = URL_SAFE_NO_PAD.encode(random::<FORM_COOKIE_BYTES>(&*self.entropy));
                let (name, transport) = (self.form_cookie(), self.cookie_transport());
                let cookie = cookies::set(name, &value, None, transport);
                (value, Some(cookie))
            },
            |value| (value.to_owned(), None),
        );
        let parts: [&[u8]; 2] = [b"form", value.as_bytes()];
        (
            URL_SAFE_NO_PAD.encode(self.provider.key.derive(Purpose::FormToken, &parts)),
            cookie,
        )
    }

    /// Whether such a form came from the browser that saw its page.
    pub fn is_from_open_form(&self, head: &Head, form: &Params) -> bool {
        cookies::get(head, self.form_cookie())
            .is_some_and(|value| self.matches(form, &[b"form", value.as_bytes()]))
    }

    fn matches(&self, form: &Params, parts: &[&[u8]]) -> bool {
        let Ok(Some(sent)) = form.get("csrf_token") else {
            return false;
        };
        self.is_tag(sent, parts)
    }

    fn is_tag(&self, sent: &str, parts: &[&[u8]]) -> bool {
        let Ok(tag) = URL_SAFE_NO_PAD.decode(sent) else {
            return false;
        };
        self.provider.key.verify(Purpose::FormToken, parts, &tag)
    }
}

/// 403 for a client's own token. Not 401: another token of its own would not do either, so it must
/// not be told to fetch one.
fn no_person() -> Response {
    let refusal = OAuthError::new(StatusCode::FORBIDDEN, "insufficient_scope", NO_PERSON);
    refusal.into_response()
}

const FORM_COOKIE_BYTES: usize = 16;

fn is_form_cookie(value: &str) -> bool {
    URL_SAFE_NO_PAD
        .decode(value)
        .is_ok_and(|bytes| bytes.len() == FORM_COOKIE_BYTES)
}

/// The credential of that kind in an `Authorization: Bearer` header (RFC 6750 §2.1; the scheme's
/// case does not matter, RFC 9110 §11.1).
pub fn bearer_of_kind(head: &Head, kind: CredentialKind) -> Option<Credential> {
    Credential::parse(kind, bearer(head)?).ok()
}

fn bearer(head: &Head) -> Option<&str> {
    let (scheme, token) = head.header(AUTHORIZATION.as_str())?.split_once(' ')?;
    let is_bearer = scheme.eq_ignore_ascii_case("bearer");
    is_bearer.then(|| token.trim())
}
