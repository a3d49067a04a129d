//! The front of the endpoint: what must be decided before the protocol library sees a message,
//! because it would not decide it, or would say too little.
//!
//! A message is read here as strictly as its outline allows (a member that stands twice is
//! refused), so that nobody behind can read another tool's name out of the same bytes.

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode,
    header::{ACCEPT, ALLOW, CONTENT_TYPE, WWW_AUTHENTICATE},
};
use http_body_util::BodyExt as _;
use rmcp::model::ProtocolVersion;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, error::Category, json};

use crate::{
    http::{
        params::{Params, ParamsError, Repeated},
        request::{Head, Request},
        response::{self, Response},
    },
    mcp::{
        handler::PROTOCOL_VERSIONS,
        tools::{self, TOOLSETS, Tool},
    },
    model::oauth2::scope::ScopeSet,
};

/// JSON-RPC 2.0 §5.1: what came is not JSON.
const PARSE_ERROR: i32 = -32700;
/// JSON-RPC 2.0 §5.1: what came is JSON and not a request.
const INVALID_REQUEST: i32 = -32600;
/// MCP 2026-07-28: the revision is not spoken.
const UNSUPPORTED_PROTOCOL_VERSION: i32 = -32022;

const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");

/// Why a request goes no further than the front.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    /// There is no stream to open and no session to end.
    #[error("expected POST, found {0}")]
    Method(Method),
    /// Threat 34: a form of a foreign page can send every type but this one.
    #[error("Content-Type: expected application/json, found {0:?}")]
    ContentType(String),
    /// The caller would not read what it gets.
    #[error("Accept: expected application/json and text/event-stream, found {0:?}")]
    Accept(String),
    /// The query cannot be read.
    #[error("query: {0}")]
    Query(#[from] ParamsError),
    /// A parameter of the query came twice.
    #[error("query: {0}")]
    Repeated(#[from] Repeated),
    /// No such set of tools.
    #[error("toolset: expected {expected}, found {0:?}", expected = TOOLSETS.join(" or "))]
    Toolset(String),
    /// The body is not JSON.
    #[error("expected a message in JSON: {0}")]
    NotJson(serde_json::Error),
    /// Batches have ended with protocol revision 2025-06-18.
    #[error("expected one message, found a batch: send each message in a request of its own")]
    Batch,
    /// The revision that the headers name is not spoken, and the message names none.
    #[error(
        "MCP-Protocol-Version: expected one of {expected}, found {found:?}",
        expected = spoken()
    )]
    Version {
        /// Of the message.
        id: Option<MessageId>,
        /// What they name.
        found: String,
    },
    /// The body is JSON, and neither a request nor a notification.
    #[error("expected one JSON-RPC 2.0 request or notification: {0}")]
    NotAMessage(String),
    /// What rmcp says in plain text: that `Host` or `Origin` is foreign, say.
    #[error("{words}")]
    Library {
        /// Its status.
        status: StatusCode,
        /// Its words.
        words: String,
    },
    /// The token does not open the tool.
    #[error(
        "expected a token with the scope {scope} for the tool {name}, found less",
        scope = tool.scopes.join(" "), name = tool.name
    )]
    Scope {
        /// Of the message.
        id: Option<MessageId>,
        /// What it calls.
        tool: &'static Tool,
    },
}

/// Lets `request` through if it is one message that `scopes` allow.
///
/// # Errors
/// | variant | wire | meaning |
/// |---|---|---|
/// | [`Refusal::Method`] | 405 | only POST is served |
/// | [`Refusal::ContentType`] | 415 | not JSON by its own word |
/// | [`Refusal::Accept`] | 406 | it would not read JSON |
/// | [`Refusal::Query`], [`Refusal::Repeated`], [`Refusal::Toolset`] | 400, -32600 | the query |
/// | [`Refusal::NotJson`] | 400, -32700 | the body is not JSON |
/// | [`Refusal::Batch`], [`Refusal::NotAMessage`] | 400, -32600 | the body is no message |
/// | [`Refusal::Version`] | 400, -32022 | a revision that is not spoken |
/// | [`Refusal::Scope`] | 403, `insufficient_scope` | the tool needs more |
pub(super) fn check(
    request: &Request,
    scopes: &ScopeSet,
    tools: &'static [Tool],
) -> Result<(), Refusal> {
    let head = &request.head;
    if head.method != Method::POST {
        return Err(Refusal::Method(head.method.clone()));
    }
    check_content_type(&head.headers)?;
    check_accept(&head.headers)?;
    check_toolset(head)?;
    let message = Message::parse(&request.body)?;
    check_version(&head.headers, &message)?;
    let called = message.called_tool();
    match called.and_then(|name| tools::find(tools, name)) {
        Some(tool) if !tool.is_open_to(scopes) => {
            let id = message.id;
            Err(Refusal::Scope { id, tool })
        }
        _ => Ok(()),
    }
}

fn check_content_type(headers: &HeaderMap) -> Result<(), Refusal> {
    let found = text_of(headers, &CONTENT_TYPE);
    if essence(&found).eq_ignore_ascii_case("application/json") {
        Ok(())
    } else {
        Err(Refusal::ContentType(found))
    }
}

/// The specification has a client accept both types. Every answer is JSON, so that who accepts
/// that, or anything, or does not say, gets it.
fn check_accept(headers: &HeaderMap) -> Result<(), Refusal> {
    if !headers.contains_key(ACCEPT) {
        return Ok(());
    }
    let found = text_of(headers, &ACCEPT);
    let takes_json = |range: &str| {
        ["application/json", "application/*", "*/*"]
            .iter()
            .any(|taken| essence(range).eq_ignore_ascii_case(taken))
    };
    if found.split(',').any(takes_json) {
        Ok(())
    } else {
        Err(Refusal::Accept(found))
    }
}

fn check_toolset(head: &Head) -> Result<(), Refusal> {
    let query = Params::from_query(head)?;
    match query.get("toolset")? {
        Some(found) if !TOOLSETS.contains(&found) => Err(Refusal::Toolset(found.to_owned())),
        _ => Ok(()),
    }
}

/// A message that opens a connection negotiates its revision, and one that names a revision itself
/// is for rmcp to compare with the header.
fn check_version(headers: &HeaderMap, message: &Message) -> Result<(), Refusal> {
    if !headers.contains_key(&PROTOCOL_VERSION) || message.names_its_version() {
        return Ok(());
    }
    let found = text_of(headers, &PROTOCOL_VERSION);
    if PROTOCOL_VERSIONS
        .iter()
        .any(|spoken| spoken.as_str() == found)
    {
        return Ok(());
    }
    let id = message.id.clone();
    Err(Refusal::Version { id, found })
}

fn spoken() -> String {
    let versions: Vec<_> = PROTOCOL_VERSIONS
        .iter()
        .map(ProtocolVersion::as_str)
        .collect();
    versions.join(", ")
}

/// All values of a header, as one list (RFC 9110 §5.3).
fn text_of(headers: &HeaderMap, name: &HeaderName) -> String {
    let values = headers.get_all(name).iter();
    let texts: Vec<_> = values
        .map(|value| String::from_utf8_lossy(value.as_bytes()))
        .collect();
    texts.join(", ")
}

/// A media type without its parameters.
fn essence(media_type: &str) -> &str {
    media_type
        .split_once(';')
        .map_or(media_type, |(essence, _)| essence)
        .trim()
}

/// The outline of a message: what the front decides by, and what makes it a message at all.
#[derive(Deserialize)]
struct Message {
    jsonrpc: String,
    method: String,
    #[serde(default, deserialize_with = "some")]
    id: Option<MessageId>,
    #[serde(default)]
    params: Option<MessageParams>,
}

/// The MCP specification: a string or an integer, and not null.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected an id that is a string or an integer")]
pub(super) enum MessageId {
    /// An integer.
    Number(i64),
    /// A string.
    Text(String),
}

#[derive(Deserialize)]
struct MessageParams {
    name: Option<Value>,
    #[serde(rename = "_meta")]
    meta: Option<MessageMeta>,
}

#[derive(Deserialize)]
struct MessageMeta {
    #[serde(rename = "io.modelcontextprotocol/protocolVersion")]
    protocol_version: Option<Value>,
}

/// Reads a member that may be absent, and may not be null.
fn some<'de, D: Deserializer<'de>, T: Deserialize<'de>>(value: D) -> Result<Option<T>, D::Error> {
    T::deserialize(value).map(Some)
}

impl Message {
    fn parse(body: &[u8]) -> Result<Self, Refusal> {
        if body.trim_ascii_start().starts_with(b"[") {
            return Err(Refusal::Batch);
        }
        let message: Self =
            serde_json::from_slice(body).map_err(|error| match error.classify() {
                Category::Data => Refusal::NotAMessage(error.to_string()),
                Category::Io | Category::Syntax | Category::Eof => Refusal::NotJson(error),
            })?;
        if message.jsonrpc == "2.0" {
            return Ok(message);
        }
        let found = format!("expected \"2.0\" as jsonrpc, found {:?}", message.jsonrpc);
        Err(Refusal::NotAMessage(found))
    }

    fn names_its_version(&self) -> bool {
        let meta = self.params.as_ref().and_then(|params| params.meta.as_ref());
        self.method == "initialize" || meta.is_some_and(|meta| meta.protocol_version.is_some())
    }

    /// The name of the tool, if this is a call of one. Both eras write it in the same place.
    fn called_tool(&self) -> Option<&str> {
        let params = self.params.as_ref().filter(|_| self.method == "tools/call");
        params?.name.as_ref()?.as_str()
    }
}

impl Refusal {
    /// What rmcp refused in plain text, after the front had let it through.
    pub(super) async fn of_the_library(response: Response) -> Self {
        let status = response.status();
        let Ok(body) = response.into_body().collect().await;
        let words = String::from_utf8_lossy(&body.to_bytes()).into_owned();
        // The front has checked the type: what rmcp means by this is a message it cannot read.
        if status == StatusCode::UNSUPPORTED_MEDIA_TYPE {
            return Self::NotAMessage(words);
        }
        Self::Library { status, words }
    }

    /// The answer that says so: an error of JSON-RPC, whatever the status.
    pub(super) fn response(&self, resource_metadata_url: &str) -> Response {
        let (status, code) = self.codes();
        let mut error = json!({ "code": code, "message": self.to_string() });
        if let Some(data) = self.data() {
            error["data"] = data;
        }
        let body = json!({ "jsonrpc": "2.0", "id": self.id(), "error": error });
        let mut response = response::json(status, &body);
        if let Some((name, value)) = self.header(resource_metadata_url) {
            response.headers_mut().insert(name, value);
        }
        response
    }

    fn codes(&self) -> (StatusCode, i32) {
        match self {
            Self::Method(_) => (StatusCode::METHOD_NOT_ALLOWED, INVALID_REQUEST),
            Self::ContentType(_) => (StatusCode::UNSUPPORTED_MEDIA_TYPE, INVALID_REQUEST),
            Self::Accept(_) => (StatusCode::NOT_ACCEPTABLE, INVALID_REQUEST),
            Self::NotJson(_) => (StatusCode::BAD_REQUEST, PARSE_ERROR),
            Self::Version { .. } => (StatusCode::BAD_REQUEST, UNSUPPORTED_PROTOCOL_VERSION),
            Self::Query(_)
            | Self::Repeated(_)
            | Self::Toolset(_)
            | Self::Batch
            | Self::NotAMessage(_) => (StatusCode::BAD_REQUEST, INVALID_REQUEST),
            Self::Library { status, .. } => (*status, INVALID_REQUEST),
            Self::Scope { .. } => (StatusCode::FORBIDDEN, INVALID_REQUEST),
        }
    }

    /// JSON-RPC 2.0 §5: null where the request's could not be told.
    fn id(&self) -> Option<&MessageId> {
        match self {
            Self::Version { id, .. } | Self::Scope { id, .. } => id.as_ref(),
            _ => None,
        }
    }

    fn data(&self) -> Option<Value> {
        match self {
            Self::Version { found, .. } => {
                Some(json!({ "supported": PROTOCOL_VERSIONS, "requested": found }))
            }
            Self::Scope { tool, .. } => {
                Some(json!({ "error": "insufficient_scope", "scope": tool.scopes.join(" ") }))
            }
            _ => None,
        }
    }

    fn header(&self, resource_metadata_url: &str) -> Option<(HeaderName, HeaderValue)> {
        match self {
            Self::Method(_) => Some((ALLOW, HeaderValue::from_static("POST"))),
            Self::Scope { tool, .. } => {
                // RFC 6750 §3.1; the MCP specification has all the scopes that the operation
                // needs in one challenge, so that the client asks its person once.
                let challenge = format!(
                    "Bearer error=\"insufficient_scope\", scope=\"{}\", \
                     resource_metadata=\"{resource_metadata_url}\", error_description=\"{self}\"",
                    tool.scopes.join(" ")
                );
                // Constants of ours and the parsed public URL, none with a quote (threat 5).
                let challenge = HeaderValue::from_str(&challenge);
                Some((WWW_AUTHENTICATE, challenge.expect("it can be a header")))
            }
            _ => None,
        }
    }
}
