//! Who calls the management API, and whether they may do what the route does.
//!
//! A bearer token that is sent is the only credential that counts: a wrong one is never made good by
//! a cookie. What an owner's token lacks in scope its owner's role does not make good either.

use http::{Method, StatusCode};

use crate::{
    accounts::sessions,
    http::{request::Head, response::Response},
    model::{
        audit::{Actor, Origin},
        credential::{Credential, CredentialKind},
        id::Id,
        user::{Role, User},
    },
    oauth2provider::access::{self, AccessError, Opened},
    store::{Read, StoreError},
    web::{
        Web,
        api::error::ApiRefusal,
        credentials::{BearerRefusal, Caller, NO_PERSON, bearer_of_kind, by},
    },
};

/// Where a page sends the token of its session, and where `GET /api/v2/users/me` answers it.
pub const X_CSRF_TOKEN: &str = "x-csrf-token";

/// What a route of the API needs of its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needs {
    /// What a token has to have been allowed. A browser session is its person, and needs none.
    pub scope: &'static str,
    /// The least role of the person.
    pub role: Role,
}

/// Somebody who may do what the route does.
#[derive(Clone, Debug)]
pub struct ApiCaller {
    /// Whose right it is.
    pub user: User,
    /// By what they showed it.
    pub by: ShownBy,
}

/// By what a caller showed who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShownBy {
    /// A browser session.
    Session(Id),
    /// An access token.
    Token {
        /// The client that it was issued to.
        client_id: Id,
        /// The grant that it was issued under.
        grant_id: Id,
    },
}

impl ApiCaller {
    /// Whom what they do in this request is written down as.
    pub fn origin(&self, head: &Head) -> Origin {
        by(head, Actor::User(self.user.id))
    }

    /// The browser session, if that is what they showed.
    pub fn session_id(&self) -> Option<Id> {
        match self.by {
            ShownBy::Session(id) => Some(id),
            ShownBy::Token { .. } => None,
        }
    }
}

/// The credential that somebody showed, to be looked at again while an answer goes on.
#[derive(Debug)]
pub(in crate::web) struct Shown {
    credential: Credential,
    by: ShownBy,
    scope: &'static str,
}

impl Web {
    /// What `caller` showed for a route that needs `scope`; none if that is no longer in the head.
    pub(in crate::web) fn shown(
        &self,
        head: &Head,
        caller: &ApiCaller,
        scope: &'static str,
    ) -> Option<Shown> {
        let credential = match caller.by {
            ShownBy::Session(_) => self.session_cookie_of(head),
            ShownBy::Token { .. } => bearer_of_kind(head, CredentialKind::AccessToken),
        };
        credential.map(|credential| Shown {
            credential,
            by: caller.by,
            scope,
        })
    }

    /// Whether what was shown opens now what it opened then. Looking is no use of it: a page that
    /// is left open keeps no session alive.
    pub(in crate::web) fn is_still_good(
        &self,
        tx: &dyn Read,
        shown: &Shown,
    ) -> Result<bool, StoreError> {
        let now = self.clock.now();
        match shown.by {
            ShownBy::Session(_) => {
                let live = sessions::find(tx, now, &shown.credential)?;
                Ok(live.is_some())
            }
            ShownBy::Token { .. } => {
                let resource = self.provider.resource_at("");
                let credential = &shown.credential;
                match access::check_access(tx, now, &self.provider, credential, &resource) {
                    Ok(Opened::Person(access)) => Ok(access.scopes.contains(shown.scope)),
                    Err(AccessError::Store(fault)) => Err(fault),
                    Ok(Opened::Client(_)) | Err(_) => Ok(false),
                }
            }
        }
    }

    /// Who calls, or the answer to one who may not.
    ///
    /// # Errors
    /// | status | meaning |
    /// |---|---|
    /// | 401 | no credential, or one that opens nothing here |
    /// | 403 | the role, the scope (`insufficient_scope`), or the page's token is not there |
    pub(in crate::web) async fn admit_to_api(
        &self,
        head: &Head,
        needs: Needs,
    ) -> Result<ApiCaller, Response> {
        match self.find_access(head, "") {
            Ok(access) => {
                self.check_role(&access.user, needs)?;
                if !access.scopes.contains(needs.scope) {
                    return Err(self.scope_missing(needs));
                }
                Ok(ApiCaller {
                    user: access.user,
                    by: ShownBy::Token {
                        client_id: access.client_id,
                        grant_id: access.grant_id,
                    },
                })
            }
            Err(BearerRefusal::Missing) => self.admit_session(head, needs).await,
            Err(BearerRefusal::Wrong(why)) => Err(self.unauthorized(needs, Some(&why))),
            Err(BearerRefusal::NoPerson) => Err(ApiRefusal::forbidden(NO_PERSON).into_response()),
            Err(BearerRefusal::Fault(fault)) => Err(ApiRefusal::from(fault).into_response()),
        }
    }

    /// The same where a client may call in its own name, which is in nobody's role.
    pub(in crate::web) async fn admit_client_to_api(
        &self,
        head: &Head,
        needs: Needs,
    ) -> Result<Caller, Response> {
        match self.find_opened(head, "") {
            Ok(Opened::Client(client)) if client.scopes.contains(needs.scope) => {
                Ok(Caller::Client(Box::new(client)))
            }
            Ok(Opened::Client(_)) => Err(self.scope_missing(needs)),
            _ => {
                let caller = self.admit_to_api(head, needs).await?;
                Ok(Caller::Api(Box::new(caller)))
            }
        }
    }

    async fn admit_session(&self, head: &Head, needs: Needs) -> Result<ApiCaller, Response> {
        let live = self.visitor(head).await?;
        let live = live.ok_or_else(|| self.unauthorized(needs, None))?;
        self.check_role(&live.user, needs)?;
        let is_safe = matches!(head.method, Method::GET | Method::HEAD);
        let sent = head.header(X_CSRF_TOKEN).unwrap_or_default();
        if !is_safe && !self.is_csrf_token(live.session.id, sent) {
            let refusal = ApiRefusal::forbidden(
                "X-CSRF-Token: expected the token of this session, which GET /api/v2/users/me \
                 answers in a header of that name; found none or another",
            );
            return Err(refusal.into_response());
        }
        Ok(ApiCaller {
            user: live.user,
            by: ShownBy::Session(live.session.id),
        })
    }

    fn check_role(&self, user: &User, needs: Needs) -> Result<(), Response> {
        if user.role.covers(needs.role) {
            return Ok(());
        }
        let detail = format!(
            "expected an owner of {}, found a member",
            self.provider.public_url.authority()
        );
        Err(ApiRefusal::forbidden(detail).into_response())
    }

    /// RFC 6750 §3.1: no error code where no authentication was attempted.
    fn unauthorized(&self, needs: Needs, wrong: Option<&str>) -> Response {
        let error = wrong.map(|why| ("invalid_token", why));
        let challenge = self.bearer_challenge("", error, needs.scope);
        let detail = wrong.unwrap_or("expected an access token or a browser session, found none");
        ApiRefusal::new(StatusCode::UNAUTHORIZED, "Unauthorized.")
            .because(detail)
            .challenged(challenge)
            .into_response()
    }

    fn scope_missing(&self, needs: Needs) -> Response {
        let why = format!(
            "expected a token with the scope {}, found less",
            needs.scope
        );
        let challenge = self.bearer_challenge("", Some(("insufficient_scope", &why)), needs.scope);
        ApiRefusal::forbidden(why)
            .challenged(challenge)
            .into_response()
    }
}
