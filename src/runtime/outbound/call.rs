//! One request and its answer, on a connection that is already proved.

use std::future::pending;

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode,
    header::{ACCEPT, CONNECTION, CONTENT_TYPE, HOST, USER_AGENT},
};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::{
    body::{Body, Incoming},
    client::conn::http1,
};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use url::{Position, Url};

use super::{
    Fetched, HEAD_BYTES_MAX, HEADERS_MAX, OutboundError, Posted,
    freshness::{fresh_for, retry_after},
};

/// What this server calls itself. Some hosts answer nothing without it.
const AGENT: &str = concat!("Keystead/", env!("CARGO_PKG_VERSION"));

/// Asks for `url` on `stream`, and reads the answer.
pub(super) async fn get_json(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    url: &Url,
    bytes_max: usize,
) -> Result<Fetched, OutboundError> {
    let mut request = request(Method::GET, url, Bytes::new());
    let json = HeaderValue::from_static("application/json");
    request.headers_mut().insert(ACCEPT, json);
    exchange(stream, request, |response| read(response, bytes_max)).await
}

/// Sends `body` to `url` on `stream`. Of the answer only the head is read: what is behind it goes
/// with the connection.
pub(super) async fn post(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    url: &Url,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Posted, OutboundError> {
    let mut request = request(Method::POST, url, body);
    request.headers_mut().extend(headers);
    exchange(stream, request, async |response| {
        Ok(Posted {
            status: response.status(),
            retry_after: retry_after(response.headers()),
        })
    })
    .await
}

/// Sends `request` on `stream`, and has `read` make what it wants of the answer.
async fn exchange<T>(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    request: Request<Full<Bytes>>,
    read: impl AsyncFnOnce(Response<Incoming>) -> Result<T, OutboundError>,
) -> Result<T, OutboundError> {
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .handshake(TokioIo::new(stream))
        .await?;
    // The connection has to be polled for anything to move; an end of it that matters shows in
    // the answer.
    let driven = async {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "an outbound connection broke off");
        }
        pending().await
    };
    let answered = async { read(sender.send_request(request).await?).await };
    tokio::select! {
        answer = answered => answer,
        never = driven => never,
    }
}

/// Nothing of the caller is in it: no cookie, no credential, no referrer.
fn request(method: Method, url: &Url, body: Bytes) -> Request<Full<Bytes>> {
    Request::builder()
        .method(method)
        .uri(&url[Position::BeforePath..Position::AfterQuery])
        .header(HOST, &url[Position::BeforeHost..Position::AfterPort])
        .header(USER_AGENT, AGENT)
        .header(CONNECTION, "close")
        .body(Full::new(body))
        .expect("an HttpsUrl has only what a request line and a header can hold")
}

async fn read(response: Response<Incoming>, bytes_max: usize) -> Result<Fetched, OutboundError> {
    let status = response.status();
    if status.is_redirection() {
        return Err(OutboundError::Redirect(status));
    }
    if status != StatusCode::OK {
        return Err(OutboundError::Status(status));
    }
    if !is_json(response.headers()) {
        return Err(OutboundError::NotJson);
    }
    let fresh_for = fresh_for(response.headers());
    let too_large = || OutboundError::TooLarge { bytes_max };
    let body = response.into_body();
    if body.size_hint().lower() > u64::try_from(bytes_max).unwrap_or(u64::MAX) {
        return Err(too_large());
    }
    match Limited::new(body, bytes_max).collect().await {
        Ok(collected) => Ok(Fetched {
            body: collected.to_bytes(),
            fresh_for,
        }),
        Err(error) => match error.downcast::<hyper::Error>() {
            Ok(broken) => Err(OutboundError::Broken(*broken)),
            Err(error) => {
                debug_assert!(error.is::<LengthLimitError>());
                Err(too_large())
            }
        },
    }
}

/// `application/json`, or a type that is made of it (RFC 6839 §3.1).
fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .map(|kind| kind.trim().to_ascii_lowercase());
    kind.is_some_and(|kind| {
        kind == "application/json" || kind.starts_with("application/") && kind.ends_with("+json")
    })
}
