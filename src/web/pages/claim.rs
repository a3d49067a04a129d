//! `/claim/{token}`: the first owner chooses a name and a password.

use std::sync::Arc;

use http::{StatusCode, header::SET_COOKIE};

use crate::{
    accounts::{AccountError, claim, sessions},
    http::{
        params::Params,
        request::{Head, Request},
        response::{Response, see_other},
    },
    model::{
        audit::Actor,
        credential::{Credential, CredentialKind},
        user::{NewPassword, UserName},
    },
    store::StoreError,
    web::{
        Web,
        credentials::{Caller, by},
        pages::{
            message,
            render::{frame, page},
            sign_in::origin_of,
            views::{ClaimPage, FieldError},
        },
        refusals,
    },
};

/// `GET /claim/{token}`.
pub async fn get(web: Arc<Web>, request: Request, _: Caller) -> Response {
    let head = &request.head;
    match open_claim(&web, head) {
        Ok(_) => show(&web, head, StatusCode::OK, "", Vec::new()),
        Err(response) => response,
    }
}

/// `POST /claim/{token}`.
pub async fn post(web: Arc<Web>, request: Request, _: Caller) -> Response {
    let head = &request.head;
    let Ok(form) = Params::from_form(&request) else {
        return message::foreign_form(&web, head);
    };
    if !web.is_from_open_form(head, &form) {
        return message::foreign_form(&web, head);
    }
    let credential = match open_claim(&web, head) {
        Ok(credential) => credential,
        Err(response) => return response,
    };
    let typed = form.get("username").ok().flatten().unwrap_or_default();
    match chosen(&form) {
        Err(errors) => show(&web, head, StatusCode::UNPROCESSABLE_ENTITY, typed, errors),
        Ok((name, password)) => match take(&web, head, credential, name, password).await {
            Ok(Some(session)) => {
                let mut response = see_other("/");
                web.set_session(&mut response, &session);
                response
            }
            Ok(None) => see_other("/sign-in"),
            Err(response) => response,
        },
    }
}

/// The claim in the path, if it is the open one.
fn open_claim(web: &Web, head: &Head) -> Result<Credential, Response> {
    let text = head.capture("token").unwrap_or_default();
    let credential = Credential::parse(CredentialKind::Claim, text)
        .map_err(|_| message::claim_closed(web, head))?;
    match web.store.read(|tx| claim::check(tx, head.now, &credential)) {
        Ok(()) => Ok(credential),
        Err(AccountError::Store(fault)) => Err(refusals::fault(web, head, &fault)),
        Err(_) => Err(message::claim_closed(web, head)),
    }
}

fn chosen(form: &Params) -> Result<(UserName, NewPassword), Vec<FieldError>> {
    let field = |name| form.get(name).ok().flatten().unwrap_or_default();
    let wrong = |field, error: &dyn std::fmt::Display| FieldError {
        field,
        message: capitalised(&error.to_string()),
    };
    let name: UserName = field("username")
        .parse()
        .map_err(|error| vec![wrong("username", &error)])?;
    let password = new_password(form, &name).map_err(|error| vec![error])?;
    Ok((name, password))
}

/// The password that was typed twice.
pub(super) fn new_password(form: &Params, name: &UserName) -> Result<NewPassword, FieldError> {
    let field = |name| form.get(name).ok().flatten().unwrap_or_default();
    let password = NewPassword::parse(field("password"), name).map_err(|error| FieldError {
        field: "password",
        message: capitalised(&error.to_string()),
    })?;
    if field("password_again") != password.as_str() {
        let message = "Expected the same password twice, found two that differ.".to_owned();
        return Err(FieldError {
            field: "password_again",
            message,
        });
    }
    Ok(password)
}

/// An error's words as a sentence of a page.
fn capitalised(words: &str) -> String {
    let mut letters = words.chars();
    let first = letters
        .next()
        .map(|letter| letter.to_uppercase().to_string());
    format!("{}{}.", first.unwrap_or_default(), letters.as_str())
}

async fn take(
    web: &Web,
    head: &Head,
    credential: Credential,
    name: UserName,
    password: NewPassword,
) -> Result<Option<Credential>, Response> {
    let hash = web
        .passwords
        .hash(password, &web.entropy)
        .await
        .map_err(|error| {
            tracing::error!(%error, "a claim failed");
            refusals::fault(web, head, &StoreError::Closed)
        })?;
    let origin = origin_of(head);
    let taken = web.write(by(head, Actor::Stranger), move |tx, moment| {
        let owner = claim::take(tx, moment.act(), &credential, name, hash)?;
        let lifetimes = &moment.provider.lifetimes;
        sessions::open(tx, moment.act(), lifetimes, &owner, &origin)
    });
    taken.await.map_err(|error| match error {
        AccountError::Store(fault) => refusals::fault(web, head, &fault),
        AccountError::NameTaken(name) => {
            let message = format!("Somebody has the name {name} already.");
            let errors = vec![FieldError {
                field: "username",
                message,
            }];
            show(web, head, StatusCode::UNPROCESSABLE_ENTITY, &name, errors)
        }
        _ => message::claim_closed(web, head),
    })
}

fn show(
    web: &Web,
    head: &Head,
    status: StatusCode,
    username: &str,
    errors: Vec<FieldError>,
) -> Response {
    let (csrf_token, cookie) = web.open_form(head);
    let view = ClaimPage {
        frame: frame(web, None),
        action: format!("/claim/{}", head.capture("token").unwrap_or_default()),
        csrf_token,
        username: username.to_owned(),
        password_chars_min: NewPassword::LEN_MIN,
        errors,
    };
    let mut response = page(status, &view);
    response
        .headers_mut()
        .extend(cookie.map(|cookie| (SET_COOKIE, cookie)));
    response
}
