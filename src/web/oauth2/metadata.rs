//! Discovery documents: `/.well-known/…`.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header::CACHE_CONTROL};
use serde::Serialize;

use crate::{
    http::{
        dispatch::Refusal,
        request::Request,
        response::{self, Response},
    },
    oauth2provider::{
        OWN_PATHS,
        client_documents::{Documents, documents},
        metadata::Registration,
        registration::registration,
    },
    web::{Web, credentials::Caller, refusals},
};

/// For how long a document may be kept: short, since the owner can turn registration off.
const CACHED: HeaderValue = HeaderValue::from_static("public, max-age=60");

/// The documents as JSON, each rendered when it is first asked for: what they say depends on the
/// deployment, and beyond that on two switches only.
#[derive(Debug, Default)]
pub struct RenderedDocuments {
    /// By whether registration is open, then by whether documents are advertised.
    server: [[OnceLock<Bytes>; 2]; 2],
    /// In the order of [`OWN_PATHS`].
    resources: [OnceLock<Bytes>; OWN_PATHS.len()],
}

/// `GET /.well-known/oauth-authorization-server`, with any path behind it: clients put the path of
/// what they connect to there, and this deployment has one issuer (RFC 8414 §3.1).
pub async fn authorization_server(web: Arc<Web>, request: Request, _: Caller) -> Response {
    let found = web.store.read(|tx| {
        let registration = registration(tx, &web.provider)?;
        let documents = documents(tx, web.outbound.egress())?;
        Ok((registration, documents))
    });
    match found {
        Ok((registration, documents)) => {
            let is_open = registration == Registration::Open;
            let is_advertised = documents == Documents::Advertised;
            let document = &web.rendered.server[usize::from(is_open)][usize::from(is_advertised)];
            let metadata = || web.provider.server_metadata(registration, documents);
            cacheable(document.get_or_init(|| render(&metadata())))
        }
        Err(fault) => refusals::fault(&web, &request.head, &fault),
    }
}

/// `GET /.well-known/oauth-protected-resource…`: of the deployment, or of the resource at the path
/// behind it (RFC 9728 §3.1).
pub async fn protected_resource(web: Arc<Web>, request: Request, _: Caller) -> Response {
    let path = request.head.capture("resource").unwrap_or_default();
    let place = OWN_PATHS
        .iter()
        .position(|known| known.trim_start_matches('/') == path);
    match place {
        Some(place) => {
            let metadata = || web.provider.resource_metadata(OWN_PATHS[place]);
            cacheable(web.rendered.resources[place].get_or_init(|| render(&metadata())))
        }
        None => refusals::refuse(&web, &request.head, &Refusal::RouteUnknown),
    }
}

fn render(document: &impl Serialize) -> Bytes {
    response::json_bytes(document).into()
}

fn cacheable(document: &Bytes) -> Response {
    let mut response = response::rendered_json(StatusCode::OK, document.clone());
    response.headers_mut().insert(CACHE_CONTROL, CACHED);
    response
}
