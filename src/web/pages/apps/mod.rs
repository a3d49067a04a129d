//! `/admin/apps`: the owner sees the apps of the box, adds one, gives it secrets, removes it.

mod views;

#[cfg(test)]
pub(super) mod samples;

use std::sync::Arc;

use http::StatusCode;

use views::{AppPage, AppRow, AppsPage, NewAppForm, SecretRow, ShownSecret};

use crate::{
    accounts::sessions::LiveSession,
    http::{
        dispatch::Refusal,
        params::Params,
        request::{Head, Request},
        response::{Response, see_other},
    },
    model::{
        audit::{Actor, Origin},
        credential::Credential,
        id::Id,
        oauth2::{
            client::{
                AuthMethod, Client, ClientName, ClientOrigin, ClientSecret, GrantType,
                REDIRECT_URIS_MAX,
            },
            redirect_uri::RedirectUri,
        },
    },
    oauth2provider::{
        app_secrets::{self, SecretError},
        apps::{self, AppError, AppFields, FirstSecret, Page, Search},
    },
    store::{StoreError, clients},
    web::{
        Web,
        api::{LIMIT_DEFAULT, OFFSET_MAX},
        credentials::{Caller, by},
        headers::never_stored,
        pages::{
            account::signed_form,
            message,
            render::{frame, page},
            views::{FieldError, minute},
        },
        refusals,
    },
};

/// What an app for people does.
const GRANT_TYPES: [GrantType; 2] = [GrantType::AuthorizationCode, GrantType::RefreshToken];
/// What a form did, by the word that stands in the address afterwards.
const NOTICES: [(&str, &str); 4] = [
    ("added", "The app is added."),
    (
        "removed",
        "The app is removed, and all that was allowed to it has ended.",
    ),
    (
        "secret",
        "The secret is removed. What was issued under it works no more.",
    ),
    ("gone", "That was over already."),
];

fn notice(head: &Head) -> Option<String> {
    let query = Params::from_query(head).ok()?;
    let word = query.get("done").ok()??;
    let (_, words) = NOTICES.iter().find(|(known, _)| *known == word)?;
    Some((*words).to_owned())
}

/// `GET /admin/apps`.
pub async fn list(web: Arc<Web>, request: Request, caller: Caller) -> Response {
    let head = &request.head;
    match caller.session() {
        Some(live) => show_list(&web, head, StatusCode::OK, &live, NewAppForm::default()),
        None => message::signed_out(&web, head),
    }
}

fn show_list(
    web: &Web,
    head: &Head,
    status: StatusCode,
    live: &LiveSession,
    form: NewAppForm,
) -> Response {
    let wanted = Page {
        limit: LIMIT_DEFAULT,
        offset: offset(head),
    };
    let found = web
        .store
        .read(|tx| apps::search(tx, head.now, &Search::default(), wanted));
    let (found, count) = match found {
        Ok(found) => found,
        Err(fault) => return refusals::fault(web, head, &fault),
    };
    let next = wanted.offset + wanted.limit;
    page(
        status,
        &AppsPage {
            frame: frame(web, Some(live)),
            csrf_token: web.csrf_token(live.session.id),
            apps: found.iter().map(app_row).collect(),
            count,
            newer: (wanted.offset > 0).then(|| wanted.offset.saturating_sub(wanted.limit)),
            older: (next < count).then_some(next),
            notice: notice(head),
            form,
        },
    )
}

fn offset(head: &Head) -> usize {
    let query = Params::from_query(head).unwrap_or_default();
    let text = query.get("offset").ok().flatten();
    let offset = text.and_then(|text| text.parse().ok()).unwrap_or_default();
    usize::min(offset, OFFSET_MAX)
}

fn app_row(client: &Client) -> AppRow {
    let metadata = &client.metadata;
    AppRow {
        id: client.id.to_string(),
        name: metadata.name.to_string(),
        origin_words: match &client.origin {
            ClientOrigin::Administrator => "Set up by an administrator of this box".to_owned(),
            ClientOrigin::SelfRegistered => "Registered itself".to_owned(),
            ClientOrigin::Document { url, .. } => format!("Described by {}", url.host()),
        },
        redirect_uris: metadata
            .redirect_uris
            .iter()
            .map(ToString::to_string)
            .collect(),
        is_public: client.is_public(),
        created_at: minute(client.created_at),
        last_used_at: client.last_used_at.map(minute),
    }
}

/// `POST /admin/apps`: the answer shows the secret, the only time that it is shown. Without one it
/// is a redirect, as after every form.
pub async fn create(web: Arc<Web>, request: Request, caller: Caller) -> Response {
    let (live, form) = match signed_form(&web, &request, caller) {
        Ok(signed) => signed,
        Err(response) => return response,
    };
    let head = &request.head;
    let typed = NewAppForm::typed(&form);
    let fields = match app_fields(&typed) {
        Ok(fields) => fields,
        Err(errors) => {
            let form = NewAppForm { errors, ..typed };
            return show_list(&web, head, StatusCode::UNPROCESSABLE_ENTITY, &live, form);
        }
    };
    let made = web.write(origin(head, &live), move |tx, moment| {
        let metadata = fields.into_metadata();
        apps::create(tx, moment.act(), metadata, FirstSecret::AtOnce)
    });
    match made.await {
        Ok((client, Some(secret))) => shown_once(&web, head, &live, client.id, &secret),
        Ok((client, None)) => see_other(&format!("/admin/apps/{}?done=added", client.id)),
        Err(AppError::Store(fault)) => refusals::fault(&web, head, &fault),
        Err(refused) => {
            let error = field_error("name", &refused);
            let errors = vec![error];
            let form = NewAppForm { errors, ..typed };
            show_list(&web, head, StatusCode::UNPROCESSABLE_ENTITY, &live, form)
        }
    }
}

fn origin(head: &Head, live: &LiveSession) -> Origin {
    by(head, Actor::User(live.user.id))
}

fn app_fields(typed: &NewAppForm) -> Result<AppFields, Vec<FieldError>> {
    let mut errors = Vec::new();
    let name = ClientName::parse(&typed.name);
    if let Err(error) = &name {
        errors.push(field_error("name", error));
    }
    let lines = typed.redirect_uris.split_whitespace();
    let parse = |line: &str| {
        let parsed = line.parse::<RedirectUri>();
        parsed.map_err(|error| format!("{line}: {error}"))
    };
    let uris: Result<Vec<_>, _> = lines.take(REDIRECT_URIS_MAX + 1).map(parse).collect();
    let uris = uris.and_then(|uris| match uris.len() {
        1..=REDIRECT_URIS_MAX => Ok(uris),
        _ => Err(format!("Expected 1 to {REDIRECT_URIS_MAX} addresses.")),
    });
    if let Err(error) = &uris {
        errors.push(field_error("redirect_uris", error));
    }
    match (name, uris) {
        (Ok(name), Ok(redirect_uris)) => Ok(AppFields {
            name,
            redirect_uris,
            icon: None,
            scope: None,
            auth_method: if typed.is_public {
                AuthMethod::None
            } else {
                AuthMethod::ClientSecretBasic
            },
            grant_types: GRANT_TYPES.to_vec(),
        }),
        _ => Err(errors),
    }
}

fn field_error(field: &'static str, error: &impl ToString) -> FieldError {
    FieldError {
        field,
        message: error.to_string(),
    }
}

/// `GET /admin/apps/{id}`.
pub async fn get(web: Arc<Web>, request: Request, caller: Caller) -> Response {
    let head = &request.head;
    let Some(live) = caller.session() else {
        return message::signed_out(&web, head);
    };
    match id_in_path(head, "id") {
        Some(id) => show(&web, head, StatusCode::OK, &live, id, None),
        None => refusals::refuse(&web, head, &Refusal::RouteUnknown),
    }
}

/// The page of an app, with the secret that was just made.
fn shown_once(web: &Web, head: &Head, live: &LiveSession, id: Id, secret: &Credential) -> Response {
    let shown = ShownSecret {
        text: secret.reveal(),
    };
    never_stored(show(web, head, StatusCode::CREATED, live, id, Some(shown)))
}

fn show(
    web: &Web,
    head: &Head,
    status: StatusCode,
    live: &LiveSession,
    id: Id,
    shown: Option<ShownSecret>,
) -> Response {
    let found = web.store.read(|tx| {
        let client = clients::find(tx, id)?;
        Ok::<_, StoreError>(client.zip(app_secrets::list(tx, id)?))
    });
    match found {
        Err(fault) => refusals::fault(web, head, &fault),
        Ok(None) => refusals::refuse(web, head, &Refusal::RouteUnknown),
        Ok(Some((client, secrets))) => page(
            status,
            &AppPage {
                frame: frame(web, Some(live)),
                csrf_token: web.csrf_token(live.session.id),
                app: app_row(&client),
                secrets: secrets.iter().map(secret_row).collect(),
                shown,
                notice: notice(head),
            },
        ),
    }
}

fn secret_row(secret: &ClientSecret) -> SecretRow {
    SecretRow {
        id: secret.id.to_string(),
        beginning: secret.truncated(),
        created_at: minute(secret.created_at),
        last_used_at: secret.last_used_at.map(minute),
    }
}

/// `POST /admin/apps/{id}/secrets`: one more, shown once.
pub async fn add_secret(web: Arc<Web>, request: Request, caller: Caller) -> Response {
    let (live, _) = match signed_form(&web, &request, caller) {
        Ok(signed) => signed,
        Err(response) => return response,
    };
    let head = &request.head;
    let Some(id) = id_in_path(head, "id") else {
        return refusals::refuse(&web, head, &Refusal::RouteUnknown);
    };
    let added = web.write(origin(head, &live), move |tx, moment| {
        app_secrets::add(tx, moment.act(), id)
    });
    match added.await {
        Ok(secret) => shown_once(&web, head, &live, id, &secret),
        Err(SecretError::Store(fault)) => refusals::fault(&web, head, &fault),
        Err(SecretError::ClientUnknown) => refusals::refuse(&web, head, &Refusal::RouteUnknown),
        Err(refused) => message::secret_refused(&web, head, &live, &refused.to_string()),
    }
}

/// `POST /admin/apps/{id}/secrets/{sid}/remove`.
pub async fn remove_secret(web: Arc<Web>, request: Request, caller: Caller) -> Response {
    let (live, _) = match signed_form(&web, &request, caller) {
        Ok(signed) => signed,
        Err(response) => return response,
    };
    let head = &request.head;
    let Some((id, secret_id)) = id_in_path(head, "id").zip(id_in_path(head, "sid")) else {
        return done("/admin/apps", "gone");
    };
    let removed = web.write(origin(head, &live), move |tx, moment| {
        app_secrets::remove(tx, moment.by, id, secret_id)
    });
    match removed.await {
        Ok(true) => done(&format!("/admin/apps/{id}"), "secret"),
        Ok(false) => done("/admin/apps", "gone"),
        Err(fault) => refusals::fault(&web, head, &fault),
    }
}

/// `POST /admin/apps/{id}/remove`.
pub async fn remove(web: Arc<Web>, request: Request, caller: Caller) -> Response {
    let (live, _) = match signed_form(&web, &request, caller) {
        Ok(signed) => signed,
        Err(response) => return response,
    };
    let head = &request.head;
    let Some(id) = id_in_path(head, "id") else {
        return done("/admin/apps", "gone");
    };
    let removed = web.write(origin(head, &live), move |tx, moment| {
        apps::remove(tx, moment.act(), id)
    });
    match removed.await {
        Ok(was_there) => done("/admin/apps", if was_there { "removed" } else { "gone" }),
        Err(fault) => refusals::fault(&web, head, &fault),
    }
}

fn done(path: &str, word: &str) -> Response {
    see_other(&format!("{path}?done={word}"))
}

fn id_in_path(head: &Head, name: &str) -> Option<Id> {
    head.capture(name)?.parse().ok()
}
