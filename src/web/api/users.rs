//! `/api/v2/users/me`: who the caller is.

use std::sync::Arc;

use http::{HeaderName, HeaderValue, StatusCode};
use serde::Serialize;

use crate::{
    http::{
        request::Request,
        response::{Response, json},
    },
    model::user::Role,
    web::{
        Web,
        api::{
            caller::{ApiCaller, X_CSRF_TOKEN},
            error::ApiRefusal,
        },
    },
};

/// The caller.
#[derive(Serialize)]
struct Me {
    id: String,
    name: String,
    role: Role,
    created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_sign_in_at: Option<String>,
}

/// `GET`: and, for a browser session, the token that it has to send with whatever changes
/// something. No page of another origin can read it.
///
/// # Panics
/// Never: base64 can be a header.
pub async fn me(web: Arc<Web>, _: Request, caller: ApiCaller) -> Result<Response, ApiRefusal> {
    let user = &caller.user;
    let me = Me {
        id: user.id.to_string(),
        name: user.name.to_string(),
        role: user.role,
        created_at: user.created_at.to_string(),
        last_sign_in_at: user.last_sign_in_at.map(|at| at.to_string()),
    };
    let mut response = json(StatusCode::OK, &me);
    if let Some(id) = caller.session_id() {
        let token = HeaderValue::from_str(&web.csrf_token(id)).expect("base64 can be a header");
        let name = HeaderName::from_static(X_CSRF_TOKEN);
        response.headers_mut().insert(name, token);
    }
    Ok(response)
}
