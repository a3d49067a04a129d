//! The front of the endpoint: what must be decided before the protocol library sees a message,
//! because it would not decide it, or would say too little.
//!
//! A message is read here as strictly as its outline allows (a member that stands twice is
//! refused), so that nobody behind can read another tool's name out of the same bytes.

use std::borrow::Cow;

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode,
    header::{ACCEPT, ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
};
use http_body_util::BodyExt as _;
use rmcp::model::{ProtocolVersion, RequestId};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, error::Category, json};

use crate::{
    http::{
        params::{Params, ParamsError, Repeated},
        request::{Head, Request},
        response::{self, Response},
    },
    mcp::{PROTOCOL_VERSION, catalogue::Offer, handler::PROTOCOL_VERSIONS},
    model::toolset::Toolset,
};

/// JSON-RPC 2.0 §5.1: what came is not JSON.
const PARSE_ERROR: i32 = -32700;
/// JSON-RPC 2.0 §5.1: what came is JSON and not a request.
pub(super) const INVALID_REQUEST: i32 = -32600;
/// MCP 2026-07-28: the revision is not spoken.
const UNSUPPORTED_PROTOCOL_VERSION: i32 = -32022;

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
    /// No such set of tools, or none that can be had here.
    #[error("toolset: expected {expected}, found {found:?}", expected = or(.on))]
    Toolset {
        /// The sets that can be had.
        on: Vec<Toolset>,
        /// What was asked for.
        found: String,
    },
    /// The set of tools at this path is switched off, or all are.
    #[error("expected a set of tools that is switched on: the owner of this box decides")]
    ToolsetOff,
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
    /// The caller has used up its allowance.
    #[error("expected fewer messages; try again in {seconds} seconds")]
    TooOften {
        /// Until there is room for one more.
        seconds: u64,
    },
    /// What rmcp says in plain text: that `Host` or `Origin` is foreign, say.
    #[error("{words}")]
    Library {
        /// Its status.
        status: StatusCode,
        /// Its words.
        words: String,
    },
    /// The token does not open the tool.
    #[error("expected a token with the scope {scopes} for the tool {name}, found less")]
    Scope {
        /// Of the message.
        id: Option<MessageId>,
        /// What it calls.
        name: String,
        /// All that it needs.
        scopes: String,
    },
}

/// What a message wants, as far as the front has to know.
pub(super) struct Asked {
    /// Of the message.
    pub(super) id: Option<MessageId>,
    /// The name of the tool, if it calls one.
    pub(super) tool: Option<String>,
}

/// The set of tools that a request is about, if its head is that of a message. `of_path` is the set
/// that its path stands for, and `on` are those that can be had.
///
/// # Errors
/// | variant | wire | meaning |
/// |---|---|---|
/// | [`Refusal::Method`] | 405 | only POST is served |
/// | [`Refusal::ContentType`] | 415 | not JSON by its own word |
/// | [`Refusal::Accept`] | 406 | it would not read JSON |
/// | [`Refusal::Query`], [`Refusal::Repeated`], [`Refusal::Toolset`] | 400, -32600 | the query |
/// | [`Refusal::ToolsetOff`] | 404, -32600 | the owner has switched the path's set off |
pub(super) fn read_head(
    head: &Head,
    of_path: Option<Toolset>,
    on: &[Toolset],
) -> Result<Toolset, Refusal> {
    if head.method != Method::POST {
        return Err(Refusal::Method(head.method.clone()));
    }
    check_content_type(&head.headers)?;
    check_accept(&head.headers)?;
    toolset(head, of_path, on)
}

/// What `request`, whose head was read, wants, if it is one message.
///
/// # Errors
/// | variant | wire | meaning |
/// |---|---|---|
/// | [`Refusal::NotJson`] | 400, -32700 | the body is not JSON |
/// | [`Refusal::Batch`], [`Refusal::NotAMessage`] | 400, -32600 | the body is no message |
/// | [`Refusal::Version`] | 400, -32022 | a revision that is not spoken |
pub(super) fn read(request: &Request) -> Result<Asked, Refusal> {
    let message = Message::parse(&request.body)?;
    check_version(&request.head.headers, &message)?;
    let tool = message.called_tool().map(str::to_owned);
    Ok(Asked {
        id: message.id,
        tool,
    })
}

/// Whether `body` is one message.
///
/// # Errors
/// [`Refusal::NotJson`], [`Refusal::Batch`], [`Refusal::NotAMessage`].
pub(super) fn check_message(body: &[u8]) -> Result<(), Refusal> {
    Message::parse(body).map(drop)
}

/// The error of JSON-RPC for the message with that id, where it could be told.
pub(super) fn error_message(id: Option<&impl Serialize>, code: i32, words: &str) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": words } })
}

fn check_content_type(headers: &HeaderMap) -> Result<(), Refusal> {
    let found = text_of(headers, &CONTENT_TYPE);
    if essence(&found).eq_ignore_ascii_case("application/json") {
        Ok(())
    } else {
        Err(Refusal::ContentType(found.into_owned()))
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
        Err(Refusal::Accept(found.into_owned()))
    }
}

/// The set of tools that a request is about: that of its path, which the query may name as well,
/// or that of its query, or the first that there is.
fn toolset(head: &Head, of_path: Option<Toolset>, on: &[Toolset]) -> Result<Toolset, Refusal> {
    let offered = of_path.as_ref().map_or(on, std::slice::from_ref);
    let first = offered.first().filter(|first| on.contains(first));
    let first = *first.ok_or(Refusal::ToolsetOff)?;
    let query = Params::from_query(head)?;
    let Some(found) = query.get("toolset")? else {
        return Ok(first);
    };
    let asked = offered.iter().find(|set| set.as_str() == found);
    asked.copied().ok_or_else(|| Refusal::Toolset {
        on: offered.to_vec(),
        found: found.to_owned(),
    })
}

fn or(sets: &[Toolset]) -> String {
    let names: Vec<_> = sets.iter().map(|set| set.as_str()).collect();
    match names.split_last() {
        Some((last, before)) if !before.is_empty() => format!("{} or {last}", before.join(", ")),
        _ => names.concat(),
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
    let (id, found) = (message.id.clone(), found.into_owned());
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
fn text_of<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Cow<'a, str> {
    let values = headers.get_all(name).iter();
    let mut texts = values.map(|value| String::from_utf8_lossy(value.as_bytes()));
    let first = texts.next().unwrap_or_default();
    texts.fold(first, |list, text| list + ", " + text)
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
pub(super) struct Message {
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
    /// The message that `body` is.
    pub(super) fn parse(body: &[u8]) -> Result<Self, Refusal> {
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

impl From<MessageId> for RequestId {
    fn from(id: MessageId) -> Self {
        match id {
            MessageId::Number(number) => Self::Number(number),
            MessageId::Text(text) => Self::String(text.into()),
        }
    }
}

impl Refusal {
    /// Why the message with that id goes no further, whose token does not open what it calls.
    pub(super) fn lacks(id: Option<MessageId>, offer: &Offer) -> Self {
        Self::Scope {
            id,
            name: offer.name().to_owned(),
            scopes: offer.scopes(),
        }
    }

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
        let (status, _) = self.codes();
        let mut response = response::json(status, &self.message());
        if let Some((name, value)) = self.header(resource_metadata_url) {
            response.headers_mut().insert(name, value);
        }
        response
    }

    /// The error of JSON-RPC alone.
    pub(super) fn message(&self) -> Value {
        let (_, code) = self.codes();
        let mut message = error_message(self.id(), code, &self.to_string());
        if let Some(data) = self.data() {
            message["error"]["data"] = data;
        }
        message
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
            | Self::Toolset { .. }
            | Self::Batch
            | Self::NotAMessage(_) => (StatusCode::BAD_REQUEST, INVALID_REQUEST),
            Self::ToolsetOff => (StatusCode::NOT_FOUND, INVALID_REQUEST),
            Self::TooOften { .. } => (StatusCode::TOO_MANY_REQUESTS, INVALID_REQUEST),
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
            Self::Scope { scopes, .. } => {
                Some(json!({ "error": "insufficient_scope", "scope": scopes }))
            }
            _ => None,
        }
    }

    fn header(&self, resource_metadata_url: &str) -> Option<(HeaderName, HeaderValue)> {
        match self {
            Self::Method(_) => Some((ALLOW, HeaderValue::from_static("POST"))),
            Self::TooOften { seconds } => Some((RETRY_AFTER, HeaderValue::from(*seconds))),
            Self::Scope { scopes, .. } => {
                // RFC 6750 §3.1; the MCP specification has all the scopes that the operation
                // needs in one challenge, so that the client asks its person once.
                let challenge = format!(
                    "Bearer error=\"insufficient_scope\", scope=\"{scopes}\", \
                     resource_metadata=\"{resource_metadata_url}\", error_description=\"{self}\""
                );
                // Names from our own tables and the parsed public URL, none with a quote (threat 5).
                let challenge = HeaderValue::from_str(&challenge);
                Some((WWW_AUTHENTICATE, challenge.expect("it can be a header")))
            }
            _ => None,
        }
    }
}
