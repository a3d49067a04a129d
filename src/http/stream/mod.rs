//! Streams on which only the server speaks: a WebSocket, or server-sent events.
//!
//! What is told comes from a [`Source`]; how it gets to its reader is the same for it in either
//! case. A stream ends when its source says so, when its reader speaks, is gone or does not read,
//! and when the server stops.

mod events;
mod websocket;

use std::{sync::Arc, time::Duration};

use hyper::upgrade::OnUpgrade;
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval_at, timeout},
};
use tracing::Instrument as _;

pub use self::websocket::{Handshake, Unfit};
use self::{events::Events, websocket::is_asked_for};
use crate::http::{
    connection::reached,
    limits::{STREAM_PING_PERIOD, STREAM_WRITE_TIMEOUT},
    request::Request,
    response::Response,
    server::Phase,
};

/// Where what a stream tells comes from.
pub trait Source: Send + 'static {
    /// The next message; waits until there is one. Dropped before its end it must have lost nothing.
    fn next(&mut self) -> impl Future<Output = Result<String, Ended>> + Send;

    /// Whether its reader may still be told; asked every [`STREAM_PING_PERIOD`].
    fn check(&mut self) -> Result<(), Ended>;
}

/// Why we end a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The server stops.
    Stopping,
    /// The reader sent something.
    Spoken,
    /// What opened the stream opens it no longer.
    Unauthorized,
    /// Something failed here.
    Fault,
    /// More happened than its reader took.
    Slow,
}

impl Ended {
    /// The status code of RFC 6455 §7.4.1 (1013: the registry of that section).
    pub const fn code(self) -> u16 {
        match self {
            Self::Stopping => 1001,
            Self::Spoken | Self::Unauthorized => 1008,
            Self::Fault => 1011,
            Self::Slow => 1013,
        }
    }

    /// What its reader is told beside the code; at most 123 bytes (RFC 6455 §5.5).
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Stopping => "the server stops; connect again",
            Self::Spoken => "only the server speaks on this stream",
            Self::Unauthorized => "the credential that opened this stream has ended",
            Self::Fault => "something failed here; connect again",
            Self::Slow => "more happened than was read; connect again and list what was missed",
        }
    }
}

/// What a stream needs of the connection over which its request came.
#[derive(Clone, Debug, Default)]
pub struct Line {
    upgrade: Option<OnUpgrade>,
    phase: Option<Arc<watch::Sender<Phase>>>,
}

impl Line {
    pub(super) fn new(upgrade: Option<OnUpgrade>, phase: &Arc<watch::Sender<Phase>>) -> Self {
        Self {
            upgrade,
            phase: Some(Arc::clone(phase)),
        }
    }

    /// Counts among those for whom the server waits when it stops. A line that no server made never
    /// hears of one.
    fn phase(self) -> watch::Receiver<Phase> {
        let lasting = || watch::Sender::new(Phase::Serving).subscribe();
        self.phase.map_or_else(lasting, |phase| phase.subscribe())
    }
}

/// A stream that a request asks for, in order.
#[derive(Debug)]
pub enum Opening {
    /// A WebSocket.
    WebSocket(Handshake),
    /// Server-sent events.
    Events(Line),
}

impl Opening {
    /// The stream that `request` asks for.
    pub fn of(request: &Request) -> Result<Self, Unfit> {
        if is_asked_for(&request.head) {
            let line = request.line.clone();
            return Handshake::of(&request.head, line).map(Self::WebSocket);
        }
        if events::is_asked_for(&request.head) {
            return Ok(Self::Events(request.line.clone()));
        }
        Err(Unfit::NotAsked)
    }

    /// Answers the request, and tells what `source` has from then on.
    pub fn begin(self, source: impl Source) -> Response {
        match self {
            Self::WebSocket(handshake) => handshake.begin(source),
            Self::Events(line) => {
                let (events, response) = Events::begin();
                let phase = line.phase();
                tokio::spawn(run(source, events, phase).in_current_span());
                response
            }
        }
    }
}

/// A reader who is gone.
#[derive(Debug)]
struct Gone;

/// The way to one reader.
trait Reader: Send {
    /// Waits until the reader speaks, or is gone. Dropped before its end it has lost nothing.
    fn speech(&mut self) -> impl Future<Output = Result<(), Gone>> + Send;

    /// Tells it something.
    fn tell(&mut self, text: String) -> impl Future<Output = Result<(), Gone>> + Send;

    /// Shows that the stream is alive, and finds out whether the reader is.
    fn ping(&mut self) -> impl Future<Output = Result<(), Gone>> + Send;

    /// Says why it is over.
    fn end(self, ended: Ended) -> impl Future<Output = ()> + Send;
}

/// Drives a stream to its end.
async fn run(mut source: impl Source, mut reader: impl Reader, mut phase: watch::Receiver<Phase>) {
    let mut pings = interval_at(Instant::now() + STREAM_PING_PERIOD, STREAM_PING_PERIOD);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let ended = loop {
        let told = tokio::select! {
            () = reached(&mut phase, Phase::Stopping) => break Ended::Stopping,
            speech = reader.speech() => match speech {
                Ok(()) => break Ended::Spoken,
                Err(Gone) => return,
            },
            next = source.next() => match next {
                Ok(text) => in_time(reader.tell(text)).await,
                Err(ended) => break ended,
            },
            _ = pings.tick() => match source.check() {
                Ok(()) => in_time(reader.ping()).await,
                Err(ended) => break ended,
            },
        };
        if told.is_err() {
            return;
        }
    };
    // Whoever is told of must not be counted any more when it connects again.
    drop(source);
    tracing::debug!(?ended, "a stream ends");
    let end = async {
        reader.end(ended).await;
        Ok(())
    };
    // A reader that does not take the reason is gone without it.
    drop(in_time(end).await);
}

/// `write`, whose reader may not take longer than [`STREAM_WRITE_TIMEOUT`].
async fn in_time(write: impl Future<Output = Result<(), Gone>> + Send) -> Result<(), Gone> {
    timeout(STREAM_WRITE_TIMEOUT, write)
        .await
        .unwrap_or(Err(Gone))
}

/// Longest wait from the end of a credential to that of a stream that it opened.
pub const CHECKED_WITHIN: Duration = STREAM_PING_PERIOD;

#[cfg(test)]
mod tests;
