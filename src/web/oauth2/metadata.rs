//! Discovery documents: `/.well-known/…`.

use std::sync::Arc;

use http::{HeaderValue, StatusCode, header::CACHE_CONTROL};

use crate::{
    http::{
        dispatch::Refusal,
        request::Request,
        response::{Response, json},
    },
    oauth2provider::{RESOURCE_PATHS, client_documents::documents, registration::registration},
    web::{Web, credentials::Caller, refusals},
};

/// For how long a document may be kept: short, since the owner can turn registration off.
const CACHED: HeaderValue = HeaderValue::from_static("public, max-age=60");

/// `GET /.well-known/oauth-authorization-server`, with any path behind it: clients put the path of
/// what they connect to there, and this deployment has one issuer (RFC 8414 §3.1).
pub async fn authorization_server(web: Arc<Web>, request: Request, _: Caller) -> Response {
    let found = web.store.read(|tx| {
        let registration = registration(tx, &web.provider)?;
        let documents = documents(tx, web.outbound.egress())?;
        Ok(web.provider.server_metadata(registration, documents))
    });
    match found {
        Ok(metadata) => cacheable(json(StatusCode::OK, &metadata)),
        Err(fault) => refusals::fault(&web, &request.head, &fault),
    }
}

/// `GET /.well-known/oauth-protected-resource…`: of the deployment, or of the resource at the path
/// behind it (RFC 9728 §3.1).
pub async fn protected_resource(web: Arc<Web>, request: Request, _: Caller) -> Response {
    let path = request.head.capture("resource").unwrap_or_default();
    let known = RESOURCE_PATHS
        .into_iter()
        .find(|known| known.trim_start_matches('/') == path);
    match known {
        Some(path) => cacheable(json(StatusCode::OK, &web.provider.resource_metadata(path))),
        None => refusals::refuse(&web, &request.head, &Refusal::RouteUnknown),
    }
}

fn cacheable(mut response: Response) -> Response {
    response.headers_mut().insert(CACHE_CONTROL, CACHED);
    response
}
