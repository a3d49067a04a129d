//! `/sign-in` and `/sign-out`.

use std::sync::Arc;

use http::{
    HeaderValue, StatusCode,
    header::{CONTENT_SECURITY_POLICY, RETRY_AFTER, SET_COOKIE, USER_AGENT},
};

use crate::{
    accounts::{
        AccountError,
        password::Candidate,
        sessions::{self, SignInOrigin},
    },
    http::{
        params::Params,
        request::{Head, Request},
        response::{Response, see_other},
    },
    model::{audit::Actor, credential::Credential, user::NewPassword},
    store::StoreError,
    web::{
        Web,
        credentials::{Caller, by},
        figures::SignInOutcome,
        headers::page_policy,
        oauth2::authorize::asking,
        pages::{
            message,
            render::{frame, page},
            views::SignInPage,
        },
        refusals,
        throttle::Wait,
    },
};

/// Bytes of a path to return to at the most.
pub const RETURN_TO_BYTES_MAX: usize = 8_192;
/// What every failed sign-in is told, whether or not the account exists.
const WRONG: &str = "The name or the password is not right.";

/// `GET /sign-in`.
pub async fn get(web: Arc<Web>, request: Request, caller: Caller) -> Response {
    let head = &request.head;
    let return_to = match Params::from_query(head) {
        Ok(query) => own_path(query.get("return_to").ok().flatten()),
        Err(_) => HOME.to_owned(),
    };
    if caller.session().is_some() {
        return see_other(&return_to);
    }
    show(&web, head, StatusCode::OK, &return_to, "", None)
}

/// `POST /sign-in`.
pub async fn post(web: Arc<Web>, request: Request, _: Caller) -> Response {
    let head = &request.head;
    let Ok(form) = Params::from_form(&request) else {
        return message::foreign_form(&web, head);
    };
    if !web.is_from_open_form(head, &form) {
        return message::foreign_form(&web, head);
    }
    let field = |name| form.get(name).ok().flatten().unwrap_or_default();
    let return_to = own_path(Some(field("return_to")));
    let name = field("username");
    let again = |status, error: &str| show(&web, head, status, &return_to, name, Some(error));
    let signed_in = sign_in(&web, head, name, field("password")).await;
    web.figures.signed_in(outcome(&signed_in));
    match signed_in {
        Ok(session) => {
            let mut response = see_other(&return_to);
            web.set_session(&mut response, &session);
            response
        }
        Err(Refused::Wrong) => again(StatusCode::FORBIDDEN, WRONG),
        Err(Refused::TooOften(wait)) => {
            let error = format!("Too many attempts. Try again in {} seconds.", wait.seconds);
            let mut response = again(StatusCode::TOO_MANY_REQUESTS, &error);
            response
                .headers_mut()
                .insert(RETRY_AFTER, HeaderValue::from(wait.seconds));
            response
        }
        Err(Refused::Fault(fault)) => refusals::fault(&web, head, &fault),
    }
}

/// `POST /sign-out`.
pub async fn sign_out(web: Arc<Web>, request: Request, caller: Caller) -> Response {
    let head = &request.head;
    let Some(live) = caller.session() else {
        return see_other(HOME);
    };
    let is_ours =
        Params::from_form(&request).is_ok_and(|form| web.is_from_our_page(live.session.id, &form));
    if !is_ours {
        return message::foreign_form(&web, head);
    }
    let closed = web.write(by(head, Actor::User(live.user.id)), move |tx, moment| {
        sessions::close(tx, moment.by, live.user.id, live.session.id)
    });
    if let Err(fault) = closed.await {
        return refusals::fault(&web, head, &fault);
    }
    let mut response = see_other(HOME);
    web.expire_session(&mut response);
    response
}

const HOME: &str = "/";

/// Why nobody was signed in.
enum Refused {
    Wrong,
    TooOften(Wait),
    Fault(StoreError),
}

impl From<AccountError> for Refused {
    fn from(error: AccountError) -> Self {
        match error {
            AccountError::Store(fault) => Self::Fault(fault),
            _ => Self::Wrong,
        }
    }
}

/// What is counted of a try.
const fn outcome(signed_in: &Result<Credential, Refused>) -> SignInOutcome {
    match signed_in {
        Ok(_) => SignInOutcome::SignedIn,
        Err(Refused::Wrong) => SignInOutcome::Wrong,
        Err(Refused::TooOften(_)) => SignInOutcome::TooOften,
        Err(Refused::Fault(_)) => SignInOutcome::Fault,
    }
}

async fn sign_in(
    web: &Web,
    head: &Head,
    name: &str,
    password: &str,
) -> Result<Credential, Refused> {
    web.check_sign_in(head, name).map_err(Refused::TooOften)?;
    if password.chars().count() > NewPassword::LEN_MAX {
        return Err(Refused::Wrong);
    }
    let name = name.parse().ok();
    let candidate = web
        .store
        .read(|tx| Candidate::find(tx, name.as_ref()))
        .map_err(Refused::Fault)?;
    let verified = web.passwords.verify(candidate, password.to_owned()).await;
    let user = verified.map_err(|error| {
        tracing::error!(%error, "a sign-in failed");
        Refused::Fault(StoreError::Closed)
    })?;
    let checked = user.ok_or(Refused::Wrong)?;
    let origin = origin_of(head);
    let opened = web.write(by(head, Actor::User(checked.id)), move |tx, moment| {
        sessions::open(
            tx,
            moment.act(),
            &moment.provider.lifetimes,
            &checked,
            &origin,
        )
    });
    opened.await?.ok_or(Refused::Wrong)
}

/// From where a browser signs in.
pub(super) fn origin_of(head: &Head) -> SignInOrigin {
    SignInOrigin {
        browser: head
            .header(USER_AGENT.as_str())
            .unwrap_or_default()
            .to_owned(),
        address: head.remote,
    }
}

fn show(
    web: &Web,
    head: &Head,
    status: StatusCode,
    return_to: &str,
    username: &str,
    error: Option<&str>,
) -> Response {
    let target = match asking(web, return_to) {
        Ok(target) => target,
        Err(fault) => return refusals::fault(web, head, &fault),
    };
    let (csrf_token, cookie) = web.open_form(head);
    let view = SignInPage {
        frame: frame(web, None),
        csrf_token,
        return_to: return_to.to_owned(),
        username: username.to_owned(),
        error: error.map(str::to_owned),
        asking: target
            .as_ref()
            .map(|target| target.client.metadata.name.to_string()),
    };
    let mut response = page(status, &view);
    // A remembered consent answers at once, so this form's redirects can end at the client.
    let source = target.map(|target| target.redirect_uri.form_action_source());
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, page_policy(source.as_deref()));
    headers.extend(cookie.map(|cookie| (SET_COOKIE, cookie)));
    response
}

/// `path` if it is one of this deployment, else the start page: nobody is sent elsewhere from here.
fn own_path(path: Option<&str>) -> String {
    let is_own = |path: &&str| {
        path.len() <= RETURN_TO_BYTES_MAX
            && path.starts_with('/')
            // Browsers read `//host` and `/\host` as another host.
            && !path[1..].starts_with(['/', '\\'])
            && path.bytes().all(|b| b.is_ascii_graphic() && b != b'\\')
    };
    path.filter(is_own).unwrap_or(HOME).to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use url::Url;

    use super::*;

    proptest! {
        /// Read as a browser reads it, with its repairs.
        #[test]
        fn nobody_is_sent_to_another_origin(path in "[/\\\\.:@a-z?#%0-9\t\n]{0,24}|[ -~]{0,40}|.{0,20}") {
            let base = Url::parse("https://box.lan/sign-in").expect("a URL");
            let target = base.join(&own_path(Some(&path))).expect("a path");
            prop_assert_eq!(target.origin(), base.origin(), "{}", path);
        }

        #[test]
        fn an_own_path_is_kept_as_it_is(path in "/([a-z0-9][a-z0-9/]{0,20})?([?][a-z0-9&=%]{0,20})?") {
            prop_assert_eq!(own_path(Some(&path)), path);
        }
    }

    #[test]
    fn one_returns_to_an_own_path_only() {
        for path in [
            "/",
            "/account",
            "/oauth2/authorize?client_id=x&state=%2F%2F",
            "/a//b",
        ] {
            assert_eq!(own_path(Some(path)), path);
        }
        for path in [
            "",
            "account",
            "//evil.example",
            "/\\evil.example",
            "https://evil.example",
            "/a\nb",
            "/a\\b",
            "/é",
            "\t//evil.example",
        ] {
            assert_eq!(own_path(Some(path)), "/", "{path:?}");
        }
        assert_eq!(own_path(None), "/");
        assert_eq!(
            own_path(Some(&format!("/{}", "a".repeat(RETURN_TO_BYTES_MAX)))),
            "/"
        );
    }
}
