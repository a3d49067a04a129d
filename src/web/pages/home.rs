//! `/`, the assets that pages link to, and the certificate of the built-in CA.

use std::sync::Arc;

use bytes::Bytes;
use http::{
    HeaderValue, StatusCode,
    header::{CACHE_CONTROL, CONTENT_DISPOSITION},
};

use crate::{
    accounts::users,
    http::{
        dispatch::Refusal,
        request::Request,
        response::{Response, bytes, see_other},
    },
    model::user::Role,
    oauth2provider::MCP_PATH,
    web::{
        Web,
        credentials::Caller,
        pages::{
            assets,
            render::{frame, page},
            views::HomePage,
        },
        refusals,
    },
};

/// `GET /`.
pub async fn get(web: Arc<Web>, request: Request, caller: Caller) -> Response {
    let session = caller.session();
    let claimed = match web.store.read(|tx| users::has_owner(tx)) {
        Ok(claimed) => claimed,
        Err(fault) => return refusals::fault(&web, &request.head, &fault),
    };
    page(
        StatusCode::OK,
        &HomePage {
            frame: frame(&web, session.as_ref()),
            public_url: web.provider.public_url.to_string(),
            mcp_url: web.provider.public_url.join(MCP_PATH),
            claimed,
            ca_offered: web.ca_pem.is_some(),
            administers: session.is_some_and(|live| live.user.role == Role::Owner),
        },
    )
}

/// `GET /assets/{*path}`.
pub async fn asset(web: Arc<Web>, request: Request, _: Caller) -> Response {
    let Some(asset) = assets::asset(&request.head.path) else {
        return refusals::refuse(&web, &request.head, &Refusal::RouteUnknown);
    };
    let mut response = bytes(asset.content_type, Bytes::from_static(asset.bytes));
    let cached = if asset.immutable {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static(cached));
    response
}

/// `GET /favicon.ico`: what browsers ask for unasked.
pub async fn favicon(_: Arc<Web>, _: Request, _: Caller) -> Response {
    see_other(assets::icon_href())
}

/// `GET /ca.crt`: what a machine has to trust to reach this one.
pub async fn ca_certificate(web: Arc<Web>, request: Request, _: Caller) -> Response {
    let Some(pem) = &web.ca_pem else {
        return refusals::refuse(&web, &request.head, &Refusal::RouteUnknown);
    };
    let mut response = bytes("application/x-x509-ca-cert", Bytes::from(pem.clone()));
    let headers = response.headers_mut();
    let file = HeaderValue::from_static(r#"attachment; filename="keystead-ca.crt""#);
    headers.insert(CONTENT_DISPOSITION, file);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}
