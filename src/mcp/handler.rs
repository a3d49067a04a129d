//! What is said to the protocol library: who we are, which tools the caller may see, and what a
//! call of one gives.

use std::{borrow::Cow, pin::pin, sync::Arc, time::Duration};

use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CacheScope, CallToolRequestParams, CallToolResponse, CallToolResult, CompleteRequestMethod,
        CompleteRequestParams, CompleteResult, ContentBlock, CustomRequest, CustomResult,
        ErrorCode, Implementation, JsonObject, ListPromptsRequestMethod, ListPromptsResult,
        ListResourceTemplatesRequestMethod, ListResourceTemplatesResult,
        ListResourcesRequestMethod, ListResourcesResult, ListToolsResult, PaginatedRequestParams,
        ProtocolVersion, ServerCapabilities, ServerConfig,
    },
    service::RequestContext,
};
use serde_json::Value;
use tokio::time::timeout;

use crate::{
    http::{
        guard::{Panicked, caught_in},
        request::{Head, RequestId},
    },
    mcp::{
        ARGUMENTS_DEPTH_MAX,
        catalogue::{Catalogue, Offer, Unknowable},
        figures::{Counting, Ended, Outcome},
        person::Person,
        tools::{Call, Desk, ToolError},
    },
    model::{
        audit::{Actor, Origin},
        timestamp::Timestamp,
        toolset::Toolset,
        upstream::UpstreamName,
    },
    oauth2provider::access::Access,
};

/// How long a client may keep the list of tools: it changes only with the token's scopes and with
/// our version.
pub(super) const TOOLS_TTL_MS: u64 = 60_000;

/// What becomes of a call whose answer nobody waits for.
const GIVEN_UP: &str = "the call was given up: it was cancelled, or the server is stopping";

/// What a model reads before it uses any tool.
const INSTRUCTIONS: &str = "Keystead is the box where the signed-in person keeps who may do what \
     in their name. Its tools act as that person, and only within what they allowed this client.";

/// The revisions that are spoken. The first one of the protocol had another transport.
pub(super) static PROTOCOL_VERSIONS: [ProtocolVersion; 4] = [
    ProtocolVersion::V_2025_03_26,
    ProtocolVersion::V_2025_06_18,
    ProtocolVersion::V_2025_11_25,
    ProtocolVersion::V_2026_07_28,
];

/// The methods that are answered here. rmcp takes one whose parameters it cannot read for one that
/// nobody knows.
const SERVED: [&str; 5] = [
    "initialize",
    "ping",
    "server/discover",
    "tools/list",
    "tools/call",
];

/// Those of them that ended with the revision of 2026-07-28.
const ENDED: [&str; 2] = ["initialize", "ping"];

/// Characters of a method that is told back as unknown.
const METHOD_LEN_MAX: usize = 128;

/// Who calls, and when: what stands beside every message.
#[derive(Debug)]
pub(super) struct Caller {
    pub(super) person: Person,
    pub(super) toolset: Toolset,
    /// The upstream at whose path it calls; it gets nothing else there.
    pub(super) upstream: Option<UpstreamName>,
    pub(super) now: Timestamp,
    pub(super) request_id: RequestId,
    pub(super) by: Origin,
}

impl Caller {
    pub(super) fn new(
        head: &Head,
        access: Access,
        toolset: Toolset,
        upstream: Option<UpstreamName>,
    ) -> Self {
        let mut caller = Self::local(access.into(), toolset, head.now, head.id);
        caller.upstream = upstream;
        caller.by.address = Some(head.remote);
        caller
    }

    /// A program of this machine that acts for `person`.
    pub(super) fn local(
        person: Person,
        toolset: Toolset,
        now: Timestamp,
        request_id: RequestId,
    ) -> Self {
        let actor = Actor::User(person.user.id);
        Self {
            by: Origin {
                request_id: Some(request_id.to_string()),
                ..Origin::local(now, actor)
            },
            person,
            toolset,
            upstream: None,
            now,
            request_id,
        }
    }
}

/// Why a call has no result.
#[derive(Debug)]
pub(super) enum Denied {
    /// The caller's token does not open the tool.
    Closed(Offer),
    /// An error of the protocol.
    Error(ErrorData),
}

impl From<ErrorData> for Denied {
    fn from(error: ErrorData) -> Self {
        Self::Error(error)
    }
}

impl From<Denied> for ErrorData {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Closed(offer) => {
                let needed = offer.scopes();
                let words = format!("expected a token with the scope {needed}, found less");
                Self::invalid_params(words, None)
            }
            Denied::Error(error) => error,
        }
    }
}

/// Answers one message. Everything that differs between callers comes with the message.
#[derive(Clone)]
pub(super) struct Handler {
    desk: Desk,
    catalogue: Catalogue,
}

impl Handler {
    pub(super) fn new(desk: Desk, catalogue: Catalogue) -> Self {
        Self { desk, catalogue }
    }

    async fn list(&self, caller: &Caller) -> Result<ListToolsResult, ErrorData> {
        let offers = self.catalogue.list(caller).await;
        let offers = offers.map_err(|error| unknowable(&error, caller.request_id))?;
        let mut result =
            ListToolsResult::with_all_items(offers.iter().map(Offer::listed).collect());
        result.ttl_ms = Some(TOOLS_TTL_MS);
        result.cache_scope = Some(CacheScope::Private);
        Ok(result)
    }

    /// The handler of a call of that tool that needs nothing of the library's service.
    #[cfg(not(feature = "conformance-fixtures"))]
    #[expect(clippy::unnecessary_wraps, reason = "a fixture has none")]
    pub(super) const fn direct(&self, _: &str) -> Option<&Self> {
        Some(self)
    }

    /// Calls the tool of that name for `caller`.
    ///
    /// The scope is checked here as well, where the tool is run: the front may decide early, this
    /// decides (threats 32 and 39).
    pub(super) async fn try_call(
        &self,
        caller: Arc<Caller>,
        name: &str,
        arguments: JsonObject,
    ) -> Result<CallToolResult, Denied> {
        let mut counting = self.catalogue.figures().begin();
        let ended = self.count(&mut counting, caller, name, arguments).await;
        let (outcome, answer) = ended;
        counting.end(outcome);
        answer
    }

    async fn count(
        &self,
        counting: &mut Counting<'_>,
        caller: Arc<Caller>,
        name: &str,
        arguments: JsonObject,
    ) -> Ended {
        let offer = match self.catalogue.find(&caller, name).await {
            Ok(Some(offer)) => offer,
            Ok(None) => {
                let words = format!("expected a tool that tools/list shows, found {name:?}");
                let error = ErrorData::invalid_params(words, None);
                return (Outcome::Refused, Err(error.into()));
            }
            // Its model reads why, as it would of a call.
            Err(Unknowable::Upstream(error)) => {
                if let Some(calls) = self.catalogue.calls_of_upstream(error.upstream()) {
                    counting.is_of(&calls);
                }
                return (error.outcome(), Ok(failed(error.to_string())));
            }
            Err(error) => {
                let error = unknowable(&error, caller.request_id);
                return (Outcome::Fault, Err(error.into()));
            }
        };
        counting.is_of(self.catalogue.calls_of(&offer));
        if !offer.is_open_to(&caller.person.scopes) {
            return (Outcome::Refused, Err(Denied::Closed(offer)));
        }
        if depth(&arguments) > ARGUMENTS_DEPTH_MAX {
            let words = format!(
                "arguments: expected at most {ARGUMENTS_DEPTH_MAX} levels of nesting, found more"
            );
            return (Outcome::Refused, Ok(failed(words)));
        }
        let request_id = caller.request_id;
        let desk = self.desk.clone();
        match run(&offer, Call { desk, caller }, arguments).await {
            Ok(result) => (Outcome::of(&result), Ok(result)),
            Err(failure) => {
                let outcome = failure.outcome();
                let answer = failure.into_result(&offer, request_id);
                (outcome, answer.map_err(Denied::from))
            }
        }
    }
}

/// Why a call gave nothing.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Tool(#[from] ToolError),
    #[error(
        "expected an answer within {} s, found none: what the call began may still be done",
        .0.as_secs()
    )]
    TooSlow(Duration),
    #[error("it panicked, and the line before this one says where")]
    Panicked,
}

/// Runs `offer`. A panic in it ends here, and whoever waits no more ends it. A write that has
/// reached the store is finished by the store all the same.
async fn run(offer: &Offer, call: Call, arguments: JsonObject) -> Result<CallToolResult, Failure> {
    // To begin it can panic as well, before there is anything to await.
    let running = pin!(async { offer.run(call, arguments).await });
    let limit = offer.call_timeout();
    match timeout(limit, caught_in(running)).await {
        Err(_) => Err(Failure::TooSlow(limit)),
        Ok(Err(Panicked)) => Err(Failure::Panicked),
        Ok(Ok(outcome)) => Ok(outcome?),
    }
}

/// What the caller's model reads of a call that gave nothing.
fn failed(words: String) -> CallToolResult {
    CallToolResult::error(vec![ContentBlock::text(words)])
}

impl Failure {
    const fn outcome(&self) -> Outcome {
        match self {
            Self::TooSlow(_) => Outcome::Timeout,
            Self::Panicked => Outcome::Fault,
            Self::Tool(error) => match error {
                ToolError::Arguments(_) | ToolError::NotFound(_) => Outcome::Error,
                ToolError::TooLong { .. } => Outcome::TooLarge,
                ToolError::Upstream(error) => error.outcome(),
                ToolError::Later(_) => Outcome::Refused,
                ToolError::Store(error) if error.is_busy() => Outcome::Refused,
                ToolError::Store(_) => Outcome::Fault,
            },
        }
    }

    /// What the caller can do something about is a result that its model reads; a fault of ours is
    /// an error of the protocol, and a line of the log.
    fn into_result(self, offer: &Offer, request: RequestId) -> Result<CallToolResult, ErrorData> {
        let error = match self {
            Self::Tool(ToolError::Store(error)) if !error.is_busy() => error.to_string(),
            Self::Panicked => self.to_string(),
            Self::Tool(_) | Self::TooSlow(_) => return Ok(failed(self.to_string())),
        };
        tracing::error!(tool = offer.name(), %request, error, "a tool failed");
        let words =
            format!("something failed here; the log has more under the request's id {request}");
        Err(ErrorData::internal_error(words, None))
    }
}

/// What is offered cannot be said: a fault of ours, and a line of the log.
fn unknowable(error: &Unknowable, request: RequestId) -> ErrorData {
    tracing::error!(%request, %error, "the tools cannot be found");
    let words = format!("something failed here; the log has more under the request's id {request}");
    ErrorData::internal_error(words, None)
}

/// How deeply objects and lists stand in each other. The parser's own bound, which is above
/// [`ARGUMENTS_DEPTH_MAX`], is the bound of this recursion.
fn depth(arguments: &JsonObject) -> usize {
    fn of(value: &Value) -> usize {
        match value {
            Value::Array(items) => 1 + items.iter().map(of).max().unwrap_or(0),
            Value::Object(members) => depth(members),
            _ => 0,
        }
    }
    1 + arguments.values().map(of).max().unwrap_or(0)
}

/// Who calls. It stands beside every message, over HTTP beside the request that brought it; without
/// it nothing is answered.
fn caller_of(context: &RequestContext<RoleServer>) -> Result<Arc<Caller>, ErrorData> {
    let extensions = &context.extensions;
    let of_request = || {
        let parts = extensions.get::<http::request::Parts>()?;
        parts.extensions.get::<Arc<Caller>>()
    };
    extensions
        .get::<Arc<Caller>>()
        .or_else(of_request)
        .cloned()
        .ok_or_else(|| ErrorData::internal_error("expected a caller, found none", None))
}

impl ServerHandler for Handler {
    fn get_info(&self) -> ServerConfig {
        let implementation =
            Implementation::new("keystead", env!("CARGO_PKG_VERSION")).with_title("Keystead");
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(implementation)
            .with_instructions(INSTRUCTIONS)
    }

    fn supported_protocol_versions(&self) -> Cow<'static, [ProtocolVersion]> {
        Cow::Borrowed(&PROTOCOL_VERSIONS)
    }

    async fn list_tools(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        if request.is_some_and(|page| page.cursor.is_some()) {
            let words = "cursor: expected none, for the list has one page";
            return Err(ErrorData::invalid_params(words, None));
        }
        self.list(caller_of(&context)?.as_ref()).await
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let caller = caller_of(&context)?;
        let arguments = request.arguments.unwrap_or_default();
        // The library says that nobody waits for the answer any more, and leaves the rest to us.
        let call = self.try_call(caller, &request.name, arguments);
        tokio::select! {
            result = call => Ok(result?.into()),
            () = context.ct.cancelled() => Err(ErrorData::internal_error(GIVEN_UP, None)),
        }
    }

    async fn on_custom_request(
        &self,
        request: CustomRequest,
        context: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        let CustomRequest { method, .. } = request;
        let is_stateless = context.meta.protocol_version() == Some(ProtocolVersion::V_2026_07_28);
        let has_ended = is_stateless && ENDED.contains(&method.as_str());
        if SERVED.contains(&method.as_str()) && !has_ended {
            let words = format!("expected the parameters that {method} has, found others");
            return Err(ErrorData::invalid_params(words, None));
        }
        // As rmcp answers it, but for what no method is called: at `debug` it writes it into the log.
        let found: String = method.chars().take(METHOD_LEN_MAX).collect();
        Err(ErrorData::new(ErrorCode::METHOD_NOT_FOUND, found, None))
    }

    // What follows is not offered, and rmcp would answer it with an empty list, which says that it
    // is.

    async fn list_prompts(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        Err(ErrorData::method_not_found::<ListPromptsRequestMethod>())
    }

    async fn list_resources(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        Err(ErrorData::method_not_found::<ListResourcesRequestMethod>())
    }

    async fn list_resource_templates(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        Err(ErrorData::method_not_found::<
            ListResourceTemplatesRequestMethod,
        >())
    }

    async fn complete(
        &self,
        _: CompleteRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        Err(ErrorData::method_not_found::<CompleteRequestMethod>())
    }
}
