//! Discovery documents: `/.well-known/…`.

use std::sync::Arc;

use http::{HeaderValue, StatusCode, header::CACHE_CONTROL};

use crate::{
    http::{
        dispatch::Refusal,
        request::Request,
        response::{Response, json},
    },
    oauth2provider::{
        RESOURCE_PATHS, client_documents::documents, registration::registration, upstream_at,
        upstreams,
    },
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
        let upstreams = upstreams::scopes(tx, &web.provider)?;
        Ok(web
            .provider
            .server_metadata(registration, documents, upstreams))
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
    let path = Some(path).filter(|path| !path.is_empty());
    let path = path.map_or_else(String::new, |path| format!("/{path}"));
    let found = web.store.read(|tx| {
        let is_one = RESOURCE_PATHS.contains(&path.as_str())
            || match upstream_at(&path) {
                Some(name) => upstreams::find(tx, &web.provider, &name)?.is_some(),
                None => false,
            };
        is_one
            .then(|| web.provider.resource_metadata(tx, &path))
            .transpose()
    });
    match found {
        Ok(Some(metadata)) => cacheable(json(StatusCode::OK, &metadata)),
        Ok(None) => refusals::refuse(&web, &request.head, &Refusal::RouteUnknown),
        Err(fault) => refusals::fault(&web, &request.head, &fault),
    }
}

fn cacheable(mut response: Response) -> Response {
    response.headers_mut().insert(CACHE_CONTROL, CACHED);
    response
}
