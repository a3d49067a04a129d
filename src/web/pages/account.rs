//! `/account`: the person's password, sessions and grants.

use std::sync::Arc;

use http::StatusCode;

use crate::{
    accounts::{
        AccountError,
        password::Candidate,
        sessions::{self, LiveSession},
        users,
    },
    http::{
        params::Params,
        request::{Head, Request},
        response::{Response, see_other},
    },
    model::{
        audit::Actor,
        id::Id,
        oauth2::{
            client::{Client, ClientOrigin},
            grant::Grant,
            redirect_uri::RedirectUri,
        },
        session::Session,
        user::NewPassword,
    },
    oauth2provider::{Provider, resources, revoke},
    store::{Read, StoreError, clients},
    web::{
        Web,
        credentials::{Caller, by},
        pages::{
            claim::new_password,
            message,
            render::{frame, page},
            views::{AccountPage, FieldError, GrantRow, SessionRow, day, minute},
        },
        refusals,
    },
};

/// What a form did, by the word that stands in the address afterwards.
const NOTICES: [(&str, &str); 5] = [
    (
        "password",
        "Your password is changed. Every other browser is signed out.",
    ),
    ("session", "That browser is signed out."),
    ("sessions", "Every other browser is signed out."),
    (
        "grant",
        "It is taken back. The app can do nothing here any more.",
    ),
    ("gone", "That was over already."),
];

fn done(word: &str) -> Response {
    see_other(&format!("/account?done={word}"))
}

/// `GET /account`.
pub async fn get(web: Arc<Web>, request: Request, caller: Caller) -> Response {
    let head = &request.head;
    let Some(live) = caller.session() else {
        return message::signed_out(&web, head);
    };
    let word = Params::from_query(head).ok().and_then(|query| {
        let word = query.get("done").ok()??;
        NOTICES.iter().find(|(known, _)| *known == word)
    });
    let notice = word.map(|(_, words)| (*words).to_owned());
    show(&web, head, StatusCode::OK, &live, notice, Vec::new())
}

fn show(
    web: &Web,
    head: &Head,
    status: StatusCode,
    live: &LiveSession,
    notice: Option<String>,
    password_errors: Vec<FieldError>,
) -> Response {
    let rows = web.store.read(|tx| {
        let open = sessions::list(tx, head.now, live.user.id)?;
        let given = revoke::list_grants(tx, head.now, live.user.id)?;
        let given = given
            .into_iter()
            .map(|grant| grant_row(tx, &web.provider, &grant));
        Ok((
            session_rows(open, live.session.id),
            given.collect::<Result<Vec<_>, _>>()?,
        ))
    });
    let (sessions, grants) = match rows {
        Ok(rows) => rows,
        Err(fault) => return refusals::fault(web, head, &fault),
    };
    page(
        status,
        &AccountPage {
            frame: frame(web, Some(live)),
            user_name: live.user.name.to_string(),
            role: live.user.role.as_str().to_owned(),
            csrf_token: web.csrf_token(live.session.id),
            sessions,
            grants,
            notice,
            password_chars_min: NewPassword::LEN_MIN,
            password_errors,
        },
    )
}

/// The current session first, then the newest.
fn session_rows(open: Vec<Session>, current: Id) -> Vec<SessionRow> {
    let mut rows: Vec<_> = open
        .into_iter()
        .map(|session| SessionRow {
            current: session.id == current,
            id: session.id.to_string(),
            browser: session.browser,
            address: session.address,
            signed_in_at: minute(session.created_at),
            last_seen_at: minute(session.last_seen_at),
        })
        .collect();
    rows.sort_by_key(|row| !row.current);
    rows
}

fn grant_row(tx: &dyn Read, provider: &Provider, grant: &Grant) -> Result<GrantRow, StoreError> {
    let client = clients::find(tx, grant.client_id)?;
    let resource = resources::find(tx, provider, &grant.resource)?;
    let words = |name| resource.as_ref().map_or(name, |found| found.words_of(name));
    let origin = match client.as_ref().map(|client| &client.origin) {
        Some(ClientOrigin::Administrator) => "set up by an administrator of this box".to_owned(),
        Some(ClientOrigin::SelfRegistered) => "registered itself".to_owned(),
        Some(ClientOrigin::Document { url, .. }) => format!("described by {}", url.host()),
        None => "not registered here any more".to_owned(),
    };
    Ok(GrantRow {
        id: grant.id.to_string(),
        client_name: client.as_ref().map_or_else(
            || grant.client_id.to_string(),
            |client| client.metadata.name.to_string(),
        ),
        client_origin_words: origin,
        redirect_host: grant.redirect_uri.as_ref().map(RedirectUri::shown_host),
        scopes: grant
            .scopes
            .iter()
            .map(|name| words(name).to_owned())
            .collect(),
        resource: grant.resource.to_string(),
        created_at: minute(grant.created_at),
        last_used_at: client
            .and_then(|client: Client| client.last_used_at)
            .map(minute),
        expires_at: day(grant.expires_at),
    })
}

/// The session whose page sent the form, and the form.
pub(super) fn signed_form(
    web: &Web,
    request: &Request,
    caller: Caller,
) -> Result<(LiveSession, Params), Response> {
    let head = &request.head;
    let live = caller
        .session()
        .ok_or_else(|| message::signed_out(web, head))?;
    let form = Params::from_form(request).map_err(|_| message::foreign_form(web, head))?;
    if web.is_from_our_page(live.session.id, &form) {
        Ok((live, form))
    } else {
        Err(message::foreign_form(web, head))
    }
}

/// `POST /account/password`.
pub async fn change_password(web: Arc<Web>, request: Request, caller: Caller) -> Response {
    let (live, form) = match signed_form(&web, &request, caller) {
        Ok(signed) => signed,
        Err(response) => return response,
    };
    let head = &request.head;
    match changed(&web, head, &live, &form).await {
        Ok(()) => done("password"),
        Err(NotChanged::Field(error)) => show(
            &web,
            head,
            StatusCode::UNPROCESSABLE_ENTITY,
            &live,
            None,
            vec![error],
        ),
        Err(NotChanged::Fault(fault)) => refusals::fault(&web, head, &fault),
    }
}

/// Why a password was not changed.
enum NotChanged {
    Field(FieldError),
    Fault(StoreError),
}

async fn changed(
    web: &Web,
    head: &Head,
    live: &LiveSession,
    form: &Params,
) -> Result<(), NotChanged> {
    let field = |field, message: String| NotChanged::Field(FieldError { field, message });
    let fault = |error| {
        tracing::error!(%error, "a password could not be changed");
        NotChanged::Fault(StoreError::Closed)
    };
    web.check_sign_in(head, live.user.name.as_str())
        .map_err(|wait| {
            let message = format!("Too many attempts. Try again in {} seconds.", wait.seconds);
            field("current_password", message)
        })?;
    let current = form
        .get("current_password")
        .ok()
        .flatten()
        .unwrap_or_default()
        .to_owned();
    let candidate = Candidate::of(live.user.clone());
    let user = web
        .passwords
        .verify(candidate, current)
        .await
        .map_err(fault)?;
    let Some(user) = user else {
        let message = "This is not your present password.".to_owned();
        return Err(field("current_password", message));
    };
    let password = new_password(form, &user.name).map_err(NotChanged::Field)?;
    let hash = web
        .passwords
        .hash(password, &web.entropy)
        .await
        .map_err(fault)?;
    let (user_name, keep) = (user.name, live.session.id);
    let change = web.write(by(head, Actor::User(user.id)), move |tx, moment| {
        let user = users::named(tx, &user_name)?;
        users::change_password(tx, moment.act(), user, hash, Some(keep))
    });
    change.await.map_err(|error| {
        NotChanged::Fault(match error {
            AccountError::Store(fault) => fault,
            _ => StoreError::Closed,
        })
    })
}

/// `POST /account/sessions/{id}/revoke`.
pub async fn revoke_session(web: Arc<Web>, request: Request, caller: Caller) -> Response {
    let (live, _) = match signed_form(&web, &request, caller) {
        Ok(signed) => signed,
        Err(response) => return response,
    };
    let Some(id) = id_in_path(&request.head) else {
        return done("gone");
    };
    let user_id = live.user.id;
    let closed = web
        .write(
            by(&request.head, Actor::User(live.user.id)),
            move |tx, moment| sessions::close(tx, moment.by, user_id, id),
        )
        .await;
    match closed {
        Ok(true) if id == live.session.id => {
            let mut response = see_other("/");
            web.expire_session(&mut response);
            response
        }
        Ok(ended) => done(if ended { "session" } else { "gone" }),
        Err(fault) => refusals::fault(&web, &request.head, &fault),
    }
}

/// `POST /account/sessions/revoke-others`.
pub async fn revoke_other_sessions(web: Arc<Web>, request: Request, caller: Caller) -> Response {
    let (live, _) = match signed_form(&web, &request, caller) {
        Ok(signed) => signed,
        Err(response) => return response,
    };
    let closed = web.write(
        by(&request.head, Actor::User(live.user.id)),
        move |tx, moment| sessions::close_others(tx, moment.by, live.user.id, live.session.id),
    );
    match closed.await {
        Ok(_) => done("sessions"),
        Err(fault) => refusals::fault(&web, &request.head, &fault),
    }
}

/// `POST /account/grants/{id}/revoke`.
pub async fn revoke_grant(web: Arc<Web>, request: Request, caller: Caller) -> Response {
    let (live, _) = match signed_form(&web, &request, caller) {
        Ok(signed) => signed,
        Err(response) => return response,
    };
    let Some(id) = id_in_path(&request.head) else {
        return done("gone");
    };
    let revoked = web.write(
        by(&request.head, Actor::User(live.user.id)),
        move |tx, moment| revoke::revoke_grant(tx, moment.by, live.user.id, id),
    );
    match revoked.await {
        Ok(ended) => done(if ended { "grant" } else { "gone" }),
        Err(fault) => refusals::fault(&web, &request.head, &fault),
    }
}

fn id_in_path(head: &Head) -> Option<Id> {
    head.capture("id")?.parse().ok()
}
