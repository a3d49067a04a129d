//! The WebSocket: its handshake, and the way to a reader that has one (RFC 6455).

use base64::{Engine as _, engine::general_purpose::STANDARD};
use futures_util::{SinkExt as _, StreamExt as _};
use http::{
    HeaderName, HeaderValue, Method, StatusCode,
    header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE},
};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::{io::AsyncReadExt as _, time::timeout};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error, Message,
        handshake::derive_accept_key,
        protocol::{CloseFrame, Role, WebSocketConfig},
    },
};
use tracing::Instrument as _;

use super::{Ended, Gone, Line, Reader, Source, run};
use crate::http::{
    limits::{CLOSE_TIMEOUT, STREAM_BUFFER_BYTES, STREAM_HEARD_BYTES_MAX, STREAM_TOLD_BYTES_MAX},
    request::Head,
    response::{Response, empty},
};

/// Why a request gets no stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// It asks for none.
    #[error("expected a WebSocket handshake (Upgrade: websocket), found another request")]
    NotAsked,
    /// It asks for a version of the protocol that there is not.
    #[error("Sec-WebSocket-Version: expected 13")]
    Version,
    /// It has no key, or one that is none.
    #[error("Sec-WebSocket-Key: expected 16 bytes in base64")]
    Key,
    /// It came over something that cannot become a WebSocket.
    #[error("expected a connection of HTTP/1.1 for a WebSocket, found another")]
    Connection,
}

/// A handshake that is in order.
#[derive(Debug)]
pub struct Handshake {
    accept: HeaderValue,
    upgrade: OnUpgrade,
    line: Line,
}

/// Whether a request wants to become a WebSocket (RFC 6455 §4.2.1).
pub(super) fn is_asked_for(head: &Head) -> bool {
    head.method == Method::GET
        && names(head, &UPGRADE, "websocket")
        && names(head, &CONNECTION, "upgrade")
}

fn names(head: &Head, header: &HeaderName, wanted: &str) -> bool {
    let values = head.headers.get_all(header).iter();
    let mut names = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    names.any(|name| name.trim().eq_ignore_ascii_case(wanted))
}

impl Handshake {
    pub(super) fn of(head: &Head, mut line: Line) -> Result<Self, Unfit> {
        if head.header(SEC_WEBSOCKET_VERSION.as_str()) != Some("13") {
            return Err(Unfit::Version);
        }
        let key = head.header(SEC_WEBSOCKET_KEY.as_str()).unwrap_or_default();
        if STANDARD.decode(key).map_or(0, |bytes| bytes.len()) != 16 {
            return Err(Unfit::Key);
        }
        let accept = HeaderValue::from_str(&derive_accept_key(key.as_bytes()));
        Ok(Self {
            accept: accept.expect("base64 can be a header"),
            upgrade: line.upgrade.take().ok_or(Unfit::Connection)?,
            line,
        })
    }

    pub(super) fn begin(self, source: impl Source) -> Response {
        let mut response = empty(StatusCode::SWITCHING_PROTOCOLS);
        let headers = response.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(SEC_WEBSOCKET_ACCEPT, self.accept);
        let phase = self.line.phase();
        let upgrade = self.upgrade;
        let serve = async move {
            match upgrade.await {
                Ok(upgraded) => run(source, Socket::new(upgraded).await, phase).await,
                Err(error) => tracing::debug!(%error, "a connection became no WebSocket"),
            }
        };
        tokio::spawn(serve.in_current_span());
        response
    }
}

/// A reader at a WebSocket.
struct Socket {
    stream: WebSocketStream<TokioIo<Upgraded>>,
    /// Whether anything came from it since it was last asked.
    is_alive: bool,
}

impl Socket {
    async fn new(upgraded: Upgraded) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(STREAM_BUFFER_BYTES)
            .write_buffer_size(0)
            .max_write_buffer_size(STREAM_TOLD_BYTES_MAX)
            .max_message_size(Some(STREAM_HEARD_BYTES_MAX))
            .max_frame_size(Some(STREAM_HEARD_BYTES_MAX));
        let (io, role) = (TokioIo::new(upgraded), Role::Server);
        Self {
            stream: WebSocketStream::from_raw_socket(io, role, Some(config)).await,
            is_alive: true,
        }
    }

    async fn send(&mut self, message: Message) -> Result<(), Gone> {
        self.stream.send(message).await.map_err(|error| {
            tracing::debug!(%error, "a WebSocket broke off");
            Gone
        })
    }
}

impl Reader for Socket {
    async fn speech(&mut self) -> Result<(), Gone> {
        loop {
            match self.stream.next().await {
                // A frame that is longer than any that a silent reader sends.
                Some(Ok(Message::Text(_) | Message::Binary(_)) | Err(Error::Capacity(_))) => {
                    return Ok(());
                }
                Some(Ok(_)) => self.is_alive = true,
                Some(Err(_)) | None => return Err(Gone),
            }
        }
    }

    async fn tell(&mut self, text: String) -> Result<(), Gone> {
        self.send(Message::text(text)).await
    }

    async fn ping(&mut self) -> Result<(), Gone> {
        if !std::mem::take(&mut self.is_alive) {
            return Err(Gone);
        }
        self.send(Message::Ping(bytes::Bytes::new())).await
    }

    async fn end(mut self, ended: Ended) {
        let frame = CloseFrame {
            code: ended.code().into(),
            reason: ended.reason().into(),
        };
        if self.send(Message::Close(Some(frame))).await.is_err() {
            return;
        }
        // What it still sends is read: closed over unread bytes, the connection would be reset, and
        // the reason be lost on its way. A reader whose frames are none is read byte by byte.
        let rest = async {
            let last = loop {
                match self.stream.next().await {
                    Some(Ok(_)) => {}
                    last => break last,
                }
            };
            if last.is_some() {
                let (mut io, mut nowhere) = (self.stream.into_inner(), [0; STREAM_BUFFER_BYTES]);
                while let Ok(1..) = io.read(&mut nowhere).await {}
            }
        };
        drop(timeout(CLOSE_TIMEOUT, rest).await);
    }
}
