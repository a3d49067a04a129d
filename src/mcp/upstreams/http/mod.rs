//! The HTTP side of a server that speaks streamable HTTP: our own way out instead of the
//! library's, which would resolve and follow as it likes.

mod events;
mod pool;

use std::{borrow::Cow, collections::HashMap, error::Error, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode,
    header::{ACCEPT, CONTENT_TYPE, HOST, USER_AGENT},
};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use rmcp::{
    model::{ClientJsonRpcMessage, ServerJsonRpcMessage},
    transport::{
        StreamableHttpClientTransport,
        common::{
            client_side_sse::{BoxedSseResponse, SseRetryPolicy},
            http_header::{HEADER_LAST_EVENT_ID, HEADER_SESSION_ID},
        },
        streamable_http_client::{
            StreamableHttpClient, StreamableHttpClientTransportConfig, StreamableHttpError,
            StreamableHttpPostResponse,
        },
    },
};
use sse_stream::SseStream;
use url::{Position, Url};

use self::{events::Bounded, pool::Pool};
use super::{BACKOFF_MAX, CALLS_MAX};
use crate::{
    model::upstream::UpstreamUrl,
    runtime::outbound::{NamedServers, OutboundError},
};

const JSON: &str = "application/json";
const EVENTS: &str = "text/event-stream";
/// What this server calls itself.
const AGENT: &str = concat!("Keystead/", env!("CARGO_PKG_VERSION"));

type Failure = StreamableHttpError<HttpFailure>;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum HttpFailure {
    /// There is no way there.
    #[error("{}", why_no_way(.0))]
    Way(#[from] OutboundError),
    /// Not HTTP, or not to its end.
    #[error("expected an HTTP answer, found one that breaks off or is none")]
    Broken(#[from] hyper::Error),
    /// What is to be sent cannot be.
    #[error("expected what HTTP can hold: {0}")]
    Request(#[from] http::Error),
    /// Longer than it may be, or broken off.
    #[error("expected a whole answer of at most {0} bytes, found none")]
    Body(usize),
    /// An answer that is no message.
    #[error("expected a message in JSON, found none: {0}")]
    NotAMessage(#[from] serde_json::Error),
}

/// With what the system says: the owner named the server, and has to find what is wrong with it.
fn why_no_way(error: &OutboundError) -> String {
    match error {
        OutboundError::Unreachable { cause, .. } => format!("{error}: {}", cause.kind()),
        other => other.to_string(),
    }
}

/// Why a message did not go out, if it is one of our own failures.
pub(super) fn why_not_sent(error: &(dyn Error + 'static)) -> Option<String> {
    Some(match error.downcast_ref::<Failure>()? {
        Failure::Client(failure) => failure.to_string(),
        Failure::UnexpectedServerResponse(words) => format!("expected an answer, found {words}"),
        other => other.to_string(),
    })
}

/// The transport to the server at `url`.
pub(super) fn transport(
    servers: Arc<NamedServers>,
    url: &UpstreamUrl,
    secret: Option<(HeaderName, HeaderValue)>,
    answer_bytes_max: usize,
) -> StreamableHttpClientTransport<HttpClient> {
    let client = HttpClient {
        pool: Arc::new(Pool::new(servers, url.to_url())),
        url: Arc::new(url.to_url()),
        secret,
        answer_bytes_max,
    };
    let mut config = StreamableHttpClientTransportConfig::with_uri(url.as_str())
        .max_concurrent_requests(CALLS_MAX)
        .max_sse_event_size(answer_bytes_max);
    config.retry_config = Arc::new(Retry);
    StreamableHttpClientTransport::with_client(client, config)
}

/// How often a stream that broke off is opened again.
#[derive(Debug)]
struct Retry;

impl SseRetryPolicy for Retry {
    fn retry(&self, tried: usize) -> Option<Duration> {
        let doublings = u32::try_from(tried).unwrap_or(u32::MAX);
        let pause = Duration::from_secs(1).saturating_mul(2_u32.saturating_pow(doublings));
        Some(pause.min(BACKOFF_MAX))
    }
}

/// Asks one server.
#[derive(Clone)]
pub(super) struct HttpClient {
    pool: Arc<Pool>,
    url: Arc<Url>,
    secret: Option<(HeaderName, HeaderValue)>,
    answer_bytes_max: usize,
}

impl HttpClient {
    /// The answer to a request with these headers and that body. Nothing is followed.
    async fn ask(
        &self,
        method: Method,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Response<Incoming>, Failure> {
        let mut request = Request::builder()
            .method(method)
            .uri(&self.url[Position::BeforePath..Position::AfterQuery])
            .header(HOST, &self.url[Position::BeforeHost..Position::AfterPort])
            .header(USER_AGENT, AGENT)
            .body(Full::new(body))
            .map_err(|error| Failure::Client(error.into()))?;
        request.headers_mut().extend(headers);
        if let Some((name, value)) = &self.secret {
            request.headers_mut().insert(name, value.clone());
        }
        self.pool.send(request).await.map_err(Failure::Client)
    }

    /// A whole answer of JSON.
    async fn message(&self, body: Incoming) -> Result<ServerJsonRpcMessage, Failure> {
        let max = self.answer_bytes_max;
        let collected = Limited::new(body, max).collect().await;
        let collected = collected.map_err(|_| Failure::Client(HttpFailure::Body(max)))?;
        serde_json::from_slice(&collected.to_bytes()).map_err(|error| Failure::Client(error.into()))
    }

    fn events(&self, body: Incoming) -> BoxedSseResponse {
        Box::pin(SseStream::new(Bounded::new(body, self.answer_bytes_max)))
    }
}

fn headers_of(
    custom: HashMap<HeaderName, HeaderValue>,
    session_id: Option<&str>,
) -> Result<HeaderMap, Failure> {
    let mut headers: HeaderMap = custom.into_iter().collect();
    if let Some(id) = session_id {
        let id = HeaderValue::from_str(id).map_err(|error| client_error(error.into()))?;
        headers.insert(HeaderName::from_static("mcp-session-id"), id);
    }
    Ok(headers)
}

fn client_error(error: http::Error) -> Failure {
    Failure::Client(error.into())
}

/// An answer that is no good, in words that say what to do.
fn refused(status: StatusCode) -> Failure {
    let words = match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Cow::Owned(format!(
            "{status}: the owner of this box has to check the header that proves who it is"
        )),
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => Cow::Owned(format!(
            "{status}: the owner of this box has to check the path of its URL"
        )),
        status if status.is_redirection() => {
            Cow::Owned(format!("{status}: a redirect, which is not followed"))
        }
        status => Cow::Owned(status.to_string()),
    };
    Failure::UnexpectedServerResponse(words)
}

fn media_type(headers: &HeaderMap) -> String {
    let value = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let essence = value.and_then(|value| value.split(';').next());
    essence.unwrap_or_default().trim().to_ascii_lowercase()
}

impl StreamableHttpClient for HttpClient {
    type Error = HttpFailure;

    async fn post_message(
        &self,
        _: Arc<str>,
        message: ClientJsonRpcMessage,
        session_id: Option<Arc<str>>,
        _: Option<String>,
        custom_headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<StreamableHttpPostResponse, Failure> {
        let body = serde_json::to_vec(&message).map_err(|error| Failure::Client(error.into()))?;
        let mut headers = headers_of(custom_headers, session_id.as_deref())?;
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
        let both = HeaderValue::from_static("application/json, text/event-stream");
        headers.insert(ACCEPT, both);
        let response = self.ask(Method::POST, headers, body.into()).await?;
        let status = response.status();
        if status == StatusCode::NOT_FOUND && session_id.is_some() {
            return Err(Failure::SessionExpired);
        }
        if matches!(status, StatusCode::ACCEPTED | StatusCode::NO_CONTENT) {
            return Ok(StreamableHttpPostResponse::Accepted);
        }
        if !status.is_success() {
            return Err(refused(status));
        }
        let session = response.headers().get(HEADER_SESSION_ID);
        let session = session.and_then(|id| id.to_str().ok()).map(str::to_owned);
        match media_type(response.headers()).as_str() {
            JSON => {
                let message = self.message(response.into_body()).await?;
                Ok(StreamableHttpPostResponse::Json(message, session))
            }
            EVENTS => {
                let events = self.events(response.into_body());
                Ok(StreamableHttpPostResponse::Sse(events, session))
            }
            _ if !matches!(message, ClientJsonRpcMessage::Request(_)) => {
                Ok(StreamableHttpPostResponse::Accepted)
            }
            other => Err(Failure::UnexpectedContentType(Some(other.to_owned()))),
        }
    }

    async fn delete_session(
        &self,
        _: Arc<str>,
        session_id: Arc<str>,
        _: Option<String>,
        custom_headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<(), Failure> {
        let headers = headers_of(custom_headers, Some(&session_id))?;
        let response = self.ask(Method::DELETE, headers, Bytes::new()).await?;
        match response.status() {
            status if status.is_success() => Ok(()),
            // A server may keep its sessions (MCP, session management).
            StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_FOUND => Ok(()),
            status => Err(refused(status)),
        }
    }

    async fn get_stream(
        &self,
        _: Arc<str>,
        session_id: Option<Arc<str>>,
        last_event_id: Option<String>,
        _: Option<String>,
        custom_headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<BoxedSseResponse, Failure> {
        let mut headers = headers_of(custom_headers, session_id.as_deref())?;
        headers.insert(ACCEPT, HeaderValue::from_static(EVENTS));
        if let Some(id) = last_event_id {
            let id = HeaderValue::from_str(&id).map_err(|error| client_error(error.into()))?;
            let name = HeaderName::from_bytes(HEADER_LAST_EVENT_ID.as_bytes());
            headers.insert(name.map_err(|error| client_error(error.into()))?, id);
        }
        let response = self.ask(Method::GET, headers, Bytes::new()).await?;
        match (response.status(), media_type(response.headers()).as_str()) {
            (StatusCode::OK, EVENTS) => Ok(self.events(response.into_body())),
            (StatusCode::METHOD_NOT_ALLOWED, _) => Err(Failure::ServerDoesNotSupportSse),
            (StatusCode::OK, other) => Err(Failure::UnexpectedContentType(Some(other.to_owned()))),
            (status, _) => Err(refused(status)),
        }
    }
}
