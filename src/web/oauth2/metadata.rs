//! Discovery documents: `/.well-known/…`.

use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header::CACHE_CONTROL};
use serde::Serialize;

use crate::{
    http::{
        dispatch::Refusal,
        request::Request,
        response::{self, Response},
    },
    model::upstream::UpstreamScope,
    oauth2provider::{
        OWN_PATHS, Provider,
        client_documents::{Documents, documents},
        metadata::Registration,
        registration::registration,
        upstream_at, upstreams,
    },
    store::{Read, StoreError},
    web::{Web, credentials::Caller, refusals},
};

/// For how long a document may be kept: short, since the owner can turn registration off.
const CACHED: HeaderValue = HeaderValue::from_static("public, max-age=60");

/// The documents as JSON, as long as the upstreams are the same.
#[derive(Debug, Default)]
pub struct RenderedDocuments(RwLock<Arc<Documented>>);

/// The documents as JSON, each rendered when it is first asked for: what they say depends on the
/// deployment, on the upstreams behind it, and beyond that on two switches only.
#[derive(Debug, Default)]
struct Documented {
    /// The scopes of the upstreams of which they speak.
    upstreams: Vec<UpstreamScope>,
    /// By whether registration is open, then by whether documents are advertised.
    server: [[OnceLock<Bytes>; 2]; 2],
    /// In the order of [`OWN_PATHS`].
    own: [OnceLock<Bytes>; OWN_PATHS.len()],
}

impl RenderedDocuments {
    /// Those that speak of the upstreams that `tx` sees. Where upstreams came or went since, all
    /// are to be rendered again.
    fn at(&self, tx: &dyn Read, provider: &Provider) -> Result<Arc<Documented>, StoreError> {
        let upstreams = upstreams::scopes(tx, provider)?;
        let rendered = Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner));
        if rendered.upstreams == upstreams {
            return Ok(rendered);
        }
        let renewed = Arc::new(Documented {
            upstreams,
            ..Documented::default()
        });
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&renewed);
        Ok(renewed)
    }
}

/// `GET /.well-known/oauth-authorization-server`, with any path behind it: clients put the path of
/// what they connect to there, and this deployment has one issuer (RFC 8414 §3.1).
pub async fn authorization_server(web: Arc<Web>, request: Request, _: Caller) -> Response {
    let found = web.store.read(|tx| {
        let registration = registration(tx, &web.provider)?;
        let documents = documents(tx, web.outbound.egress())?;
        Ok((registration, documents, web.rendered.at(tx, &web.provider)?))
    });
    match found {
        Ok((registration, documents, rendered)) => {
            let is_open = registration == Registration::Open;
            let is_advertised = documents == Documents::Advertised;
            let document = &rendered.server[usize::from(is_open)][usize::from(is_advertised)];
            let metadata = || {
                let upstreams = &rendered.upstreams;
                web.provider
                    .server_metadata(registration, documents, upstreams)
            };
            cacheable(document.get_or_init(|| render(&metadata())).clone())
        }
        Err(fault) => refusals::fault(&web, &request.head, &fault),
    }
}

/// `GET /.well-known/oauth-protected-resource…`: of the deployment, or of the resource at the path
/// behind it (RFC 9728 §3.1).
pub async fn protected_resource(web: Arc<Web>, request: Request, _: Caller) -> Response {
    let path = request.head.capture("resource").unwrap_or_default();
    let path = Some(path).filter(|path| !path.is_empty());
    let path = path.map_or_else(String::new, |path| format!("/{path}"));
    match web.store.read(|tx| find_resource(tx, &web, &path)) {
        Ok(Some(document)) => cacheable(document),
        Ok(None) => refusals::refuse(&web, &request.head, &Refusal::RouteUnknown),
        Err(fault) => refusals::fault(&web, &request.head, &fault),
    }
}

/// The document of the resource at `path`, if there is one.
fn find_resource(tx: &dyn Read, web: &Web, path: &str) -> Result<Option<Bytes>, StoreError> {
    let metadata = || web.provider.resource_metadata(tx, path);
    if let Some(place) = OWN_PATHS.iter().position(|known| *known == path) {
        let document = &web.rendered.at(tx, &web.provider)?.own[place];
        if let Some(rendered) = document.get() {
            return Ok(Some(rendered.clone()));
        }
        let rendered = render(&metadata()?);
        return Ok(Some(document.get_or_init(|| rendered).clone()));
    }
    let Some(name) = upstream_at(path) else {
        return Ok(None);
    };
    let found = upstreams::find(tx, &web.provider, &name)?;
    found.map(|_| Ok(render(&metadata()?))).transpose()
}

fn render(document: &impl Serialize) -> Bytes {
    response::json_bytes(document).into()
}

fn cacheable(document: Bytes) -> Response {
    let mut response = response::rendered_json(StatusCode::OK, document);
    response.headers_mut().insert(CACHE_CONTROL, CACHED);
    response
}
