//! Floor 4: the MCP endpoint.
//!
//! The caller's credential is checked before anything here runs. Then `front` decides what the
//! protocol library leaves to its host, the library (rmcp) speaks the protocol of both eras, and
//! `handler` answers it from the table [`tools::TOOLS`]; a plain call of a tool, which is most of
//! what comes, takes the short way to it that `direct` is. There are no sessions: each request
//! stands for itself, and only its token says who calls (threat 33). A program of this machine
//! reaches the same handler over a stream, by way of [`local`].
//!
//! # Source
//! Model Context Protocol 2025-03-26 to 2025-11-25 (with `initialize`) and 2026-07-28 (stateless).

pub mod figures;
pub mod local;
pub mod shown;
pub mod tools;
pub mod upstreams;

mod catalogue;
mod direct;
#[cfg(feature = "conformance-fixtures")]
mod fixtures;
mod front;
mod handler;
mod lines;
mod person;

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
    config::McpOff,
    crypto::entropy::Entropy,
    experiments::Experiments,
    http::{request::Request, response::Response},
    mcp::{
        catalogue::Catalogue,
        direct::DirectCall,
        figures::Figures,
        front::Refusal,
        handler::Caller,
        tools::{Allowance, Desk, TOOLS, Tool},
        upstreams::Upstreams,
    },
    model::{public_url::PublicUrl, upstream::UpstreamName},
    oauth2provider::{Provider, access::Access, toolset_at, upstream_at},
    store::Store,
};

#[cfg(feature = "conformance-fixtures")]
use fixtures::Fixtures as Answers;
#[cfg(not(feature = "conformance-fixtures"))]
use handler::Handler as Answers;

/// The most bytes of one message.
pub const MCP_BODY_BYTES_MAX: usize = 1024 * 1024;
/// The most bytes of what a tool returns, written as JSON.
pub const ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// Objects and lists of a tool's arguments that may stand in each other.
pub const ARGUMENTS_DEPTH_MAX: usize = 32;
/// The longest that one call of a tool may take.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(30);

const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
const MCP_METHOD: HeaderName = HeaderName::from_static("mcp-method");
const MCP_NAME: HeaderName = HeaderName::from_static("mcp-name");
/// What rmcp gets to see of a caller's headers, beside [`ARGUMENT`]: no credential is among them,
/// whatever it is called.
static FORWARDED: [HeaderName; 6] = [
    HOST,
    ORIGIN,
    CONTENT_TYPE,
    PROTOCOL_VERSION,
    MCP_METHOD,
    MCP_NAME,
];
/// What the headers begin with in which arguments stand once more; rmcp compares them.
const ARGUMENT: &str = "mcp-param-";
const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// What rmcp wants to read word by word. The front has seen what the caller accepts.
const BOTH_MEDIA_TYPES: HeaderValue =
    HeaderValue::from_static("application/json, text/event-stream");

/// Pages of this machine itself, where a developer's tool may run; the dispatcher lets no other
/// foreign page through.
const OF_THIS_MACHINE: [&str; 3] = ["http://localhost:*", "http://127.0.0.1:*", "http://[::1]:*"];

/// The configuration switches a tool off that there is not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "mcp_tools_off: expected names of tools, found {0:?}; docs/tools.md lists those of this version"
)]
pub struct UnknownTool(String);

/// The MCP endpoint, at every path that it is served at.
pub struct Mcp {
    service: StreamableHttpService<Answers, NeverSessionManager>,
    answers: Answers,
    catalogue: Catalogue,
    provider: Arc<Provider>,
    store: Arc<Store>,
    /// What `Host` has to be.
    authority: String,
}

impl Mcp {
    /// The endpoint of the provider's deployment.
    ///
    /// # Errors
    /// If a tool is to be off that there is not: its owner believes to be rid of something.
    pub fn new(
        store: Arc<Store>,
        provider: Arc<Provider>,
        entropy: Arc<dyn Entropy>,
        allowance: Allowance,
        experiments: Experiments,
        off: McpOff,
        upstreams: Arc<Upstreams>,
    ) -> Result<Self, UnknownTool> {
        let desk = Desk {
            store,
            provider,
            entropy,
            allowance,
            experiments: Arc::new(experiments),
            off: Arc::new(off),
        };
        // An upstream may be added after the start, and has its tools when it runs.
        let is_known = |name: &&String| {
            TOOLS.iter().any(|tool| tool.name == **name) || UpstreamName::split(name).is_some()
        };
        match desk.off.tools.iter().find(|name| !is_known(name)) {
            Some(unknown) => Err(UnknownTool(unknown.clone())),
            None => Ok(Self::with_tools(desk, &TOOLS, upstreams)),
        }
    }

    fn with_tools(desk: Desk, tools: &'static [Tool], upstreams: Arc<Upstreams>) -> Self {
        let (provider, store) = (Arc::clone(&desk.provider), Arc::clone(&desk.store));
        let catalogue = Catalogue::new(tools, Arc::clone(&desk.off), upstreams);
        let answers = Answers::new(desk, catalogue.clone());
        let for_each = answers.clone();
        let service = StreamableHttpService::new(
            move || Ok(for_each.clone()),
            Arc::new(NeverSessionManager::default()),
            transport(&provider.public_url),
        );
        Self {
            service,
            answers,
            catalogue,
            authority: provider.public_url.authority().to_owned(),
            provider,
            store,
        }
    }

    /// What is counted of calls.
    pub fn figures(&self) -> &Figures {
        self.catalogue.figures()
    }

    /// Answers `request` to `path`, whose credential opened `access`.
    pub async fn answer(&self, request: Request, access: Access, path: &str) -> Response {
        match self.try_answer(&request, access, path).await {
            Ok(response) => response,
            Err(refusal) => refusal.response(&self.provider.resource_metadata_url(path)),
        }
    }

    async fn try_answer(
        &self,
        request: &Request,
        access: Access,
        path: &str,
    ) -> Result<Response, Refusal> {
        let on = self.catalogue.toolsets();
        let toolset = front::read_head(&request.head, toolset_at(path), &on)?;
        let caller = Caller::new(&request.head, access, toolset, upstream_at(path));
        let caller = Arc::new(caller);
        if let Some(call) = DirectCall::read(request, &self.authority)
            && let Some(handler) = self.answers.direct(&call.name)
        {
            return call.answer(handler, caller).await;
        }
        let asked = front::read(request)?;
        if let Some(name) = &asked.tool
            && let Some(offer) = self.catalogue.find_closed(&caller, name).await
        {
            self.catalogue.calls_of(&offer).refused();
            return Err(Refusal::lacks(asked.id, &offer));
        }
        // It is large, and most calls do not come here.
        let answered = Box::pin(self.service.handle(forwarded(request, caller)));
        let response = answered.await;
        let is_json = response.headers().get(CONTENT_TYPE) == Some(&JSON);
        if is_json || !response.status().is_client_error() {
            return Ok(response);
        }
        Err(Refusal::of_the_library(response).await)
    }
}

/// The answer to a caller who has to wait so many seconds, whatever it asked for.
pub fn too_often(seconds: u64) -> Response {
    Refusal::TooOften { seconds }.response("")
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
fn forwarded(request: &Request, caller: Arc<Caller>) -> http::Request<Full<Bytes>> {
    let Request { head, body, .. } = request;
    let mut forwarded = http::Request::new(Full::new(body.clone()));
    *forwarded.method_mut() = Method::POST;
    let headers = forwarded.headers_mut();
    let is_forwarded =
        |name: &HeaderName| FORWARDED.contains(name) || name.as_str().starts_with(ARGUMENT);
    for (name, value) in head.headers.iter().filter(|(name, _)| is_forwarded(name)) {
        headers.append(name, value.clone());
    }
    headers.insert(ACCEPT, BOTH_MEDIA_TYPES);
    forwarded.extensions_mut().insert(caller);
    forwarded
}
