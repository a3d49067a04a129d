//! `/oauth2/authorize`: asks the person, and sends the answer to the client.

use std::{str::FromStr, sync::Arc};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderValue, StatusCode, header::X_FRAME_OPTIONS};

use crate::{
    accounts::sessions::LiveSession,
    http::{
        params::Params,
        request::{Head, Request},
        response::{Response, html, see_other},
    },
    model::{
        audit::Actor,
        oauth2::{client_id::ClientId, redirect_uri::RedirectUri, scope::ScopeSet},
    },
    oauth2provider::{
        authorize::{
            self, Authorization, AuthorizeRequest, ConsentError, ConsentToken, Person, Prompt,
            Target, TargetError,
        },
        resources::{RequestError, Resource},
    },
    store::{StoreError, clients},
    web::{
        Web,
        credentials::{Caller, by},
        headers::{page_policy, with_policy},
        oauth2::{client_documents, error::describe, token::parse_resources},
        pages::{consent, message, sign_in::RETURN_TO_BYTES_MAX},
        refusals,
    },
};

/// Path of the endpoint, for its own form and for the way back from signing in.
pub const AUTHORIZE_PATH: &str = "/oauth2/authorize";
/// Bytes of a `state` at the most.
const STATE_BYTES_MAX: usize = 4_096;
/// The form's name for the scopes that were asked for; `scope` has those that stayed ticked.
pub const REQUESTED_SCOPE: &str = "requested_scope";
/// The request's own parameters, which the consent form sends back.
pub const ECHOED: [&str; 8] = [
    "client_id",
    "redirect_uri",
    "response_type",
    "code_challenge",
    "code_challenge_method",
    "state",
    "resource",
    "prompt",
];

/// Where the request's parameters come from.
#[derive(Clone, Copy)]
enum Source {
    /// The client's own request.
    Query,
    /// The consent form, which sends them back beside its own.
    ConsentForm,
}

impl Source {
    /// The name of the scopes that were asked for.
    const fn scope(self) -> &'static str {
        match self {
            Self::Query => "scope",
            Self::ConsentForm => REQUESTED_SCOPE,
        }
    }

    /// What may come more than once; the boxes of the form are all named `scope`.
    const fn may_repeat(self) -> &'static [&'static str] {
        match self {
            Self::Query => &["resource"],
            Self::ConsentForm => &["resource", "scope"],
        }
    }
}

/// `GET /oauth2/authorize`.
pub async fn get(web: Arc<Web>, request: Request, caller: Caller) -> Response {
    let head = &request.head;
    let params = match Params::from_query(head) {
        Ok(params) => params,
        Err(error) => return message::bad_request_of_app(&web, head, &error.to_string()),
    };
    let session = caller.session();
    if let Err(answer) = know_client(&web, head, &params, session.as_ref()).await {
        return answer;
    }
    match accept(&web, head, &params, Source::Query) {
        Err(refusal) => refusal,
        Ok(authorization) if return_path(head).len() > RETURN_TO_BYTES_MAX => {
            too_long(&web, &authorization)
        }
        Ok(authorization) => match session {
            // RFC 6749 §3.1: who the person is comes from the session, not from the request.
            None => sign_in_first(head),
            Some(session) => ask_or_remember(&web, head, session, authorization, &params).await,
        },
    }
}

/// `POST /oauth2/authorize`.
pub async fn post(web: Arc<Web>, request: Request, caller: Caller) -> Response {
    let head = &request.head;
    let form = match Params::from_form(&request) {
        Ok(form) => form,
        Err(error) => return message::bad_request_of_app(&web, head, &error.to_string()),
    };
    let Some(session) = caller.session() else {
        return message::signed_out(&web, head);
    };
    if !web.is_from_our_page(session.session.id, &form) {
        return message::foreign_form(&web, head);
    }
    match accept(&web, head, &form, Source::ConsentForm) {
        Err(refusal) => refusal,
        Ok(authorization) => decide(&web, head, session, authorization, &form).await,
    }
}

/// To the sign-in page, and back to this request.
fn sign_in_first(head: &Head) -> Response {
    see_other(&refusals::sign_in_location(&return_path(head)))
}

/// A request that would be lost on the way through the sign-in page is refused before anybody is
/// asked to sign in, and alike for who is signed in: whether it works must not depend on that.
fn too_long(web: &Web, authorization: &Authorization) -> Response {
    let why = format!("the request: expected at most {RETURN_TO_BYTES_MAX} bytes, found more");
    let state = authorization.state.as_deref();
    redirect_error(web, &authorization.target, state, "invalid_request", &why)
}

fn return_path(head: &Head) -> String {
    format!(
        "{AUTHORIZE_PATH}?{}",
        head.query.as_deref().unwrap_or_default()
    )
}

/// Looks at the document of a client that is named by one.
///
/// "No request of a stranger makes the server call out": somebody who is not signed in gets to the
/// sign-in page first, unless the client is known already.
async fn know_client(
    web: &Web,
    head: &Head,
    params: &Params,
    session: Option<&LiveSession>,
) -> Result<(), Response> {
    let client_id = params.get("client_id").ok().flatten();
    let Some(Ok(ClientId::Document(url))) = client_id.map(str::parse) else {
        return Ok(());
    };
    if let Some(live) = session {
        return client_documents::refresh(web, head, &live.user, &url).await;
    }
    let known = web
        .store
        .read(|tx| clients::find_named(tx, &ClientId::Document(url)));
    match known {
        Ok(Some(_)) => Ok(()),
        Ok(None) => Err(sign_in_first(head)),
        Err(fault) => Err(refusals::fault(web, head, &fault)),
    }
}

/// The request in `params`, or the answer to one that cannot succeed: a page while it is not known
/// where an answer may go, a redirect from then on. `GET` and `POST` run the same checks.
fn accept(
    web: &Web,
    head: &Head,
    params: &Params,
    source: Source,
) -> Result<Authorization, Response> {
    let target = find_target(web, head, params)?;
    // A state that came twice cannot be told apart, so none is echoed.
    let state = params.get("state").ok().flatten().map(str::to_owned);
    let refuse = |target: &Target, code: &str, why: &str| {
        redirect_error(web, target, state.as_deref(), code, why)
    };
    let request = parse(params, source).map_err(|(code, why)| refuse(&target, code, &why))?;
    let described = target.clone();
    web.store
        .read(|tx| authorize::accept(tx, &web.provider, target, request))
        .map_err(|error| match error {
            RequestError::Store(fault) => refusals::fault(web, head, &fault),
            wrong => refuse(&described, wrong.code(), &wrong.to_string()),
        })
}

/// The client and where its answer goes. Until this is settled, nobody is sent anywhere.
fn find_target(web: &Web, head: &Head, params: &Params) -> Result<Target, Response> {
    let page = |why: &str| message::bad_request_of_app(web, head, why);
    let once = |name| {
        params
            .get(name)
            .map_err(|error| page(&format!("{name}: {error}")))
    };
    let client_id =
        once("client_id")?.ok_or_else(|| page("client_id: expected one, found none"))?;
    let requested = once("redirect_uri")?
        .map(str::parse::<RedirectUri>)
        .transpose()
        .map_err(|error| page(&format!("redirect_uri: {error}")))?;
    let client_id: ClientId = client_id
        .parse()
        .map_err(|_| page(&TargetError::ClientUnknown.to_string()))?;
    web.store
        .read(|tx| authorize::find_target(tx, &client_id, requested))
        .map_err(|error| match error {
            TargetError::Store(fault) => refusals::fault(web, head, &fault),
            wrong => page(&wrong.to_string()),
        })
}

type Wrong = (&'static str, String);

/// Every parameter through its parser. All that is wrong is named at once; the code is that of the
/// first.
fn parse(params: &Params, source: Source) -> Result<AuthorizeRequest, Wrong> {
    let mut wrong: Vec<Wrong> = Vec::new();
    // RFC 6749 §3.1: "Request and response parameters MUST NOT be included more than once".
    if let Some(name) = params.first_repeated(source.may_repeat()) {
        wrong.push((
            "invalid_request",
            format!("{name}: expected once, found twice"),
        ));
    }
    check_response_type(params, &mut wrong);
    let challenge = parse_challenge(params, &mut wrong);
    let scopes = parse_field::<ScopeSet>(params, source.scope(), "invalid_scope", &mut wrong);
    let resource = parse_resources(params).unwrap_or_else(|why| {
        wrong.push(("invalid_target", why));
        None
    });
    let state = params.get("state").ok().flatten();
    if state.is_some_and(|state| state.len() > STATE_BYTES_MAX) {
        wrong.push((
            "invalid_request",
            format!("state: expected at most {STATE_BYTES_MAX} bytes"),
        ));
    }
    let asks = params
        .all("prompt")
        .iter()
        .any(|words| words.split(' ').any(|w| w == "consent"));
    match (wrong.first(), challenge) {
        (None, Some(challenge)) => Ok(AuthorizeRequest {
            challenge,
            scopes,
            resource,
            state: state.map(str::to_owned),
            prompt: if asks {
                Prompt::Always
            } else {
                Prompt::WhenNeeded
            },
        }),
        (first, _) => {
            let code = first.map_or("invalid_request", |(code, _)| code);
            let why: Vec<_> = wrong.iter().map(|(_, why)| why.as_str()).collect();
            Err((code, why.join("; ")))
        }
    }
}

fn check_response_type(params: &Params, wrong: &mut Vec<Wrong>) {
    match params.all("response_type").first() {
        Some(&"code") => {}
        None => {
            let why = "response_type: expected code, found none".to_owned();
            wrong.push(("invalid_request", why));
        }
        Some(_) => {
            let why = "response_type: expected code, found another".to_owned();
            wrong.push(("unsupported_response_type", why));
        }
    }
}

/// RFC 7636 §4.3 would take an absent method as `plain`; here it is S256, and `plain` is refused
/// for every client (RFC 9700 §2.1.1; threats 16 and 18).
fn parse_challenge<T: FromStr<Err: std::fmt::Display>>(
    params: &Params,
    wrong: &mut Vec<Wrong>,
) -> Option<T> {
    if params
        .all("code_challenge_method")
        .first()
        .is_some_and(|method| *method != "S256")
    {
        let why = "code_challenge_method: expected S256, found another".to_owned();
        wrong.push(("invalid_request", why));
    }
    let challenge = parse_field(params, "code_challenge", "invalid_request", wrong);
    if params.all("code_challenge").is_empty() {
        let why = "code_challenge: expected the S256 of a code_verifier, found none".to_owned();
        wrong.push(("invalid_request", why));
    }
    challenge
}

fn parse_field<T: FromStr<Err: std::fmt::Display>>(
    params: &Params,
    name: &str,
    code: &'static str,
    wrong: &mut Vec<Wrong>,
) -> Option<T> {
    let text = params.all(name).first().copied()?;
    match text.parse() {
        Ok(value) => Some(value),
        Err(error) => {
            wrong.push((code, format!("{name}: {error}")));
            None
        }
    }
}

fn redirect_error(
    web: &Web,
    target: &Target,
    state: Option<&str>,
    code: &str,
    why: &str,
) -> Response {
    let why = describe(why);
    let params = [("error", code), ("error_description", why.as_str())];
    see_other(&target.location(&web.provider, &params, state))
}

fn redirect_code(web: &Web, authorization: &Authorization, code: &str) -> Response {
    let state = authorization.state.as_deref();
    see_other(
        &authorization
            .target
            .location(&web.provider, &[("code", code)], state),
    )
}

/// Who answers a page of that session.
pub fn person(session: &LiveSession) -> Person {
    Person {
        user_id: session.user.id,
        session_id: session.session.id,
    }
}

async fn ask_or_remember(
    web: &Web,
    head: &Head,
    session: LiveSession,
    authorization: Authorization,
    params: &Params,
) -> Response {
    let found = web
        .store
        .read(|tx| authorize::remembered(tx, head.now, session.user.id, &authorization));
    match found {
        Err(fault) => refusals::fault(web, head, &fault),
        Ok(None) => ask(web, head, &session, &authorization, params),
        Ok(Some(_)) => {
            let (person, asked) = (person(&session), authorization.clone());
            let issued = web
                .write(by(head, Actor::User(person.user_id)), move |tx, moment| {
                    authorize::allow_again(tx, moment, person, &asked)
                })
                .await;
            match issued {
                Err(fault) => refusals::fault(web, head, &fault),
                Ok(Some(code)) => redirect_code(web, &authorization, &code.reveal()),
                // It was taken back in between.
                Ok(None) => ask(web, head, &session, &authorization, params),
            }
        }
    }
}

fn ask(
    web: &Web,
    head: &Head,
    session: &LiveSession,
    authorization: &Authorization,
    params: &Params,
) -> Response {
    let by = by(head, Actor::User(session.user.id));
    let moment = web.moment(&by);
    let token = ConsentToken::issue(moment, session.session.id, authorization);
    let page = consent::page(
        web,
        session,
        authorization,
        &print_consent_token(&token),
        params,
    );
    let policy = page_policy(Some(
        &authorization.target.redirect_uri.form_action_source(),
    ));
    let mut response = with_policy(html(StatusCode::OK, page), policy);
    response
        .headers_mut()
        .insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    response
}

async fn decide(
    web: &Web,
    head: &Head,
    session: LiveSession,
    authorization: Authorization,
    form: &Params,
) -> Response {
    let Some(token) = form
        .get("consent_token")
        .ok()
        .flatten()
        .and_then(parse_consent_token)
    else {
        return message::foreign_form(web, head);
    };
    let decision = form.get("decision").ok().flatten();
    let chosen = chosen_scopes(form, &authorization.resource, &authorization.scopes);
    let (person, asked) = (person(&session), authorization.clone());
    let decided: Result<Option<String>, ConsentError> = match decision {
        // With every box unticked and nothing that only reads, nothing is left to allow.
        Some("allow") if !chosen.is_empty() => {
            let allow = web.write(by(head, Actor::User(person.user_id)), move |tx, moment| {
                authorize::allow(tx, moment, person, token, &asked, chosen)
            });
            allow.await.map(|code| Some(code.reveal()))
        }
        Some("allow" | "deny") => {
            let deny = web.write(by(head, Actor::User(person.user_id)), move |tx, moment| {
                authorize::deny(tx, moment, person, token, &asked)
            });
            deny.await.map(|()| None)
        }
        _ => return message::foreign_form(web, head),
    };
    match decided {
        Ok(Some(code)) => redirect_code(web, &authorization, &code),
        Ok(None) => {
            let state = authorization.state.as_deref();
            let why = "the person did not allow it";
            redirect_error(web, &authorization.target, state, "access_denied", why)
        }
        Err(ConsentError::Store(fault)) => refusals::fault(web, head, &fault),
        Err(refusal) => message::consent_refused(web, head, &session, &refusal),
    }
}

/// What stayed ticked, and what cannot be unticked. The form can name more; the service refuses
/// that.
pub fn chosen_scopes(form: &Params, resource: &Resource, offered: &ScopeSet) -> ScopeSet {
    let fixed = offered.iter().filter(|name| !resource.can_leave_out(name));
    ScopeSet::of(form.all("scope").into_iter().chain(fixed))
}

fn print_consent_token(token: &ConsentToken) -> String {
    let (id, tag) = token.parts();
    format!("{id}.{}", URL_SAFE_NO_PAD.encode(tag))
}

fn parse_consent_token(text: &str) -> Option<ConsentToken> {
    let (id, tag) = text.split_once('.')?;
    let tag = URL_SAFE_NO_PAD.decode(tag).ok()?.try_into().ok()?;
    Some(ConsentToken::from_parts(id.parse().ok()?, tag))
}

/// For the sign-in page that leads to `path`: who it is for, and where its redirects will go.
pub fn asking(web: &Web, path: &str) -> Result<Option<Target>, StoreError> {
    let query = path
        .strip_prefix(AUTHORIZE_PATH)
        .or_else(|| path.strip_prefix("/authorize"))
        .and_then(|rest| rest.strip_prefix('?'));
    let Some(params) = query.and_then(|query| Params::parse(query).ok()) else {
        return Ok(None);
    };
    let client_id = params.get("client_id").ok().flatten();
    let Some(Ok(client_id)) = client_id.map(str::parse) else {
        return Ok(None);
    };
    let requested = params
        .get("redirect_uri")
        .ok()
        .flatten()
        .and_then(|uri| uri.parse().ok());
    match web
        .store
        .read(|tx| authorize::find_target(tx, &client_id, requested))
    {
        Ok(target) => Ok(Some(target)),
        Err(TargetError::Store(fault)) => Err(fault),
        Err(_) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::id::Id;

    proptest! {
        #[test]
        fn a_consent_token_is_read_as_it_was_printed(id: [u8; 16], tag: [u8; 32]) {
            let token = ConsentToken::from_parts(Id::from_bytes(id), tag);
            let read = parse_consent_token(&print_consent_token(&token)).expect("our own text");
            prop_assert_eq!(read.parts(), token.parts());
        }

        /// One token has one text: another text is another token, or none.
        #[test]
        fn no_other_text_is_the_same_consent_token(text in "[0-9A-Za-z]{22}[.][A-Za-z0-9_-]{43}=?|.{0,80}") {
            if let Some(token) = parse_consent_token(&text) {
                prop_assert_eq!(print_consent_token(&token), text);
            }
        }
    }
}
