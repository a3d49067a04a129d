//! Who is calling: a browser by its cookie, a program by its bearer token, a client by its secret.
//!
//! A scheme answers three ways: nothing was sent, it was right, it was wrong and why. RFC 6750 §3.1
//! wants the first two kept apart.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{
    HeaderValue,
    header::{AUTHORIZATION, SET_COOKIE, WWW_AUTHENTICATE},
};

use crate::{
    accounts::sessions::{self, LiveSession},
    crypto::{entropy::random, keyed::Purpose},
    http::{
        cookies::{self, Transport},
        params::Params,
        request::Head,
        response::Response,
    },
    model::{
        audit::{Actor, Origin},
        credential::{Credential, CredentialKind},
        id::Id,
    },
    oauth2provider::{
        metadata::resource_scopes,
        tokens::{self, AccessError},
    },
    store::StoreError,
    web::{Web, oauth2::error::OAuthError, refusals},
};

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
    /// An access token for the resource at this path of the deployment.
    Bearer(&'static str),
}

/// Who a caller turned out to be.
#[derive(Debug)]
pub enum Caller {
    /// Not looked at.
    Anyone,
    /// A browser, signed in or not.
    Visitor(Option<Box<LiveSession>>),
    /// A program with an access token.
    Bearer(Box<tokens::Access>),
}

impl Caller {
    /// The browser session, if there is one.
    pub fn session(self) -> Option<LiveSession> {
        match self {
            Self::Visitor(session) => session.map(|session| *session),
            Self::Anyone | Self::Bearer(_) => None,
        }
    }
}

impl Web {
    /// Who the caller is, or the answer to one who may not.
    pub async fn admit(&self, access: Access, head: &Head) -> Result<Caller, Response> {
        match access {
            Access::Anyone => Ok(Caller::Anyone),
            Access::Visitor => Ok(Caller::Visitor(self.visitor(head).await?.map(Box::new))),
            Access::SignedIn => match self.visitor(head).await? {
                Some(session) => Ok(Caller::Visitor(Some(Box::new(session)))),
                None => Err(refusals::sign_in_first(self, head)),
            },
            Access::Bearer(path) => self.bearer(head, path).map(Box::new).map(Caller::Bearer),
        }
    }

    async fn visitor(&self, head: &Head) -> Result<Option<LiveSession>, Response> {
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
        let cookie = cookies::get(head, self.session_cookie())
            .and_then(|text| Credential::parse(CredentialKind::Session, text).ok());
        match cookie {
            None => Ok(None),
            Some(cookie) => self.store.read(|tx| sessions::find(tx, head.now, &cookie)),
        }
    }

    /// Checks the access token before anything about the request is looked at, its method included.
    fn bearer(&self, head: &Head, path: &'static str) -> Result<tokens::Access, Response> {
        // RFC 6750 §2.3 would allow it and OAuth 2.1 §5.1 forbids it: a query is logged everywhere.
        if Params::from_query(head).is_ok_and(|query| !query.all("access_token").is_empty()) {
            return Err(self.challenge(path, Some("a token is never sent in the query")));
        }
        if !head.headers.contains_key(AUTHORIZATION) {
            return Err(self.challenge(path, None));
        }
        let resource = self.provider.resource_at(path);
        let token = bearer_of_kind(head, CredentialKind::AccessToken);
        let access = token.ok_or(AccessError::Malformed).and_then(|token| {
            self.store
                .read(|tx| tokens::check_access(tx, head.now, &self.provider, &token, &resource))
        });
        access.map_err(|error| match error {
            AccessError::Store(fault) => refusals::fault(self, head, &fault),
            wrong => self.challenge(path, Some(&wrong.to_string())),
        })
    }

    /// 401 with where to learn how to get a token (RFC 6750 §3, RFC 9728 §5.1).
    fn challenge(&self, path: &str, wrong: Option<&str>) -> Response {
        let metadata = self.provider.resource_metadata_url(path);
        let scopes = resource_scopes().join(" ");
        // RFC 6750 §3.1: no error code where no authentication was attempted.
        let error = wrong.map_or_else(String::new, |why| {
            format!(r#"error="invalid_token", error_description="{why}", "#)
        });
        let challenge = format!(
            r#"Bearer realm="keystead", {error}resource_metadata="{metadata}", scope="{scopes}""#
        );
        let mut response = match wrong {
            Some(why) => OAuthError::invalid_token(why).into_response(),
            None => refusals::unauthorized(),
        };
        let challenge = HeaderValue::from_str(&challenge).expect("our own words and URLs");
        response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        response
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
        let Ok(tag) = URL_SAFE_NO_PAD.decode(sent) else {
            return false;
        };
        self.provider.key.verify(Purpose::FormToken, parts, &tag)
    }
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
    let (scheme, token) = head.header(AUTHORIZATION.as_str())?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    Credential::parse(kind, token.trim()).ok()
}
