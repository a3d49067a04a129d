//! Floor 4: the MCP endpoint.
//!
//! The caller's credential is checked before anything here runs. Then `front` decides what the
//! protocol library leaves to its host, the library (rmcp) speaks the protocol of both eras, and
//! `handler` answers it from the table [`tools::TOOLS`]. There are no sessions: each request
//! stands for itself, and only its token says who calls (threat 33).
//!
//! # Source
//! Model Context Protocol 2025-03-26 to 2025-11-25 (with `initialize`) and 2026-07-28 (stateless).

pub mod tools;

mod front;
mod handler;

#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{
    HeaderName, HeaderValue, Method,
    header::{ACCEPT, CONTENT_TYPE, HOST, ORIGIN},
};
use http_body_util::Full;
use rmcp::transport::streamable_http_server::{
    StreamableHttpServerConfig, StreamableHttpService, session::never::NeverSessionManager,
};

use crate::{
    http::{request::Request, response::Response},
    mcp::{
        front::Refusal,
        handler::{Caller, Handler},
        tools::{TOOLS, Tool},
    },
    model::{
        audit::{Actor, Origin},
        public_url::PublicUrl,
    },
    oauth2provider::{Provider, access::Access},
    store::Store,
};

/// The most bytes of one message.
pub const MCP_BODY_BYTES_MAX: usize = 1024 * 1024;
/// The longest that one call of a tool may take.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// What rmcp gets to see of a caller's headers: no credential is among them, whatever it is called.
static FORWARDED: [HeaderName; 6] = [
    HOST,
    ORIGIN,
    CONTENT_TYPE,
    HeaderName::from_static("mcp-protocol-version"),
    HeaderName::from_static("mcp-method"),
    HeaderName::from_static("mcp-name"),
];
const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// What rmcp wants to read word by word. The front has seen what the caller accepts.
const BOTH_MEDIA_TYPES: HeaderValue =
    HeaderValue::from_static("application/json, text/event-stream");

/// Pages of this machine itself, where a developer's tool may run; the dispatcher lets no other
/// foreign page through.
const OF_THIS_MACHINE: [&str; 3] = ["http://localhost:*", "http://127.0.0.1:*", "http://[::1]:*"];

/// The MCP endpoint at one path.
pub struct Mcp {
    service: StreamableHttpService<Handler, NeverSessionManager>,
    tools: &'static [Tool],
    resource_metadata_url: String,
}

impl Mcp {
    /// The endpoint at `path` of the provider's deployment.
    pub fn new(store: Arc<Store>, provider: &Provider, path: &'static str) -> Self {
        Self::with_tools(store, provider, path, &TOOLS)
    }

    fn with_tools(
        store: Arc<Store>,
        provider: &Provider,
        path: &'static str,
        tools: &'static [Tool],
    ) -> Self {
        let handler = Handler::new(store, tools);
        let service = StreamableHttpService::new(
            move || Ok(handler.clone()),
            Arc::new(NeverSessionManager::default()),
            transport(&provider.public_url),
        );
        Self {
            service,
            tools,
            resource_metadata_url: provider.resource_metadata_url(path),
        }
    }

    /// Answers `request`, whose credential opened `access`.
    pub async fn answer(&self, request: Request, access: Access) -> Response {
        if let Err(refusal) = front::check(&request, &access.scopes, self.tools) {
            return refusal.response(&self.resource_metadata_url);
        }
        let response = self.service.handle(forwarded(request, access)).await;
        let is_json = response.headers().get(CONTENT_TYPE) == Some(&JSON);
        if is_json || !response.status().is_client_error() {
            return response;
        }
        let refusal = Refusal::of_the_library(response).await;
        refusal.response(&self.resource_metadata_url)
    }
}

/// How rmcp serves: without sessions, so that there is nothing to hijack; in JSON, because no tool
/// sends anything before its answer; and with `Host` and `Origin` checked once more, behind the
/// dispatcher's own check (threat 1).
fn transport(public_url: &PublicUrl) -> StreamableHttpServerConfig {
    let scheme = if public_url.is_https() {
        "https"
    } else {
        "http"
    };
    // With its port, because an origin without one would stand for every port.
    let origin = format!("{scheme}://{}:{}", public_url.host(), public_url.port());
    StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .with_allowed_hosts([public_url.authority()])
        .with_allowed_origins(std::iter::once(origin).chain(OF_THIS_MACHINE.map(str::to_owned)))
        .enforce_origin_validation()
        .with_max_request_body_bytes(MCP_BODY_BYTES_MAX)
}

/// `request` as rmcp gets it: the caller beside it instead of a credential in it.
fn forwarded(request: Request, access: Access) -> http::Request<Full<Bytes>> {
    let Request { head, body } = request;
    let mut forwarded = http::Request::new(Full::new(body));
    *forwarded.method_mut() = Method::POST;
    let headers = forwarded.headers_mut();
    for name in &FORWARDED {
        for value in head.headers.get_all(name) {
            headers.append(name, value.clone());
        }
    }
    headers.insert(ACCEPT, BOTH_MEDIA_TYPES);
    let by = Origin {
        at: head.now,
        actor: Actor::User(access.user.id),
        address: Some(head.remote),
        request_id: Some(head.id.to_string()),
    };
    forwarded.extensions_mut().insert(Arc::new(Caller {
        access,
        by,
        now: head.now,
        request_id: head.id,
    }));
    forwarded
}
