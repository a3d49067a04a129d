//! `/api/v2/users/me/sessions`: in which browsers the caller is signed in.

use std::sync::Arc;

use http::StatusCode;
use serde::Serialize;

use crate::{
    accounts::sessions,
    http::{
        params::Params,
        request::Request,
        response::{Response, json},
    },
    web::{
        Web,
        api::{caller::ApiCaller, error::ApiRefusal, page},
    },
};

/// A browser session.
#[derive(Serialize)]
struct Open {
    id: String,
    browser: String,
    address: String,
    created_at: String,
    last_seen_at: String,
    expires_at: String,
    current: bool,
}

/// A page of sessions, and how many there are on all pages.
#[derive(Serialize)]
struct Sessions {
    sessions: Vec<Open>,
    count: usize,
}

/// `GET`: what is live, newest first.
pub async fn list(
    web: Arc<Web>,
    request: Request,
    caller: ApiCaller,
) -> Result<Response, ApiRefusal> {
    let head = &request.head;
    let page = page(&Params::from_query(head)?)?;
    let open = web
        .store
        .read(|tx| sessions::list(tx, head.now, caller.user.id))?;
    let count = open.len();
    let sessions = page.of(open).into_iter().map(|session| Open {
        current: Some(session.id) == caller.session_id(),
        id: session.id.to_string(),
        created_at: session.created_at.to_string(),
        last_seen_at: session.last_seen_at.to_string(),
        expires_at: session.ends_at().to_string(),
        browser: session.browser,
        address: session.address,
    });
    let sessions = sessions.collect();
    Ok(json(StatusCode::OK, &Sessions { sessions, count }))
}
