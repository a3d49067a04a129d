//! How much of everything one process takes on, and how long it waits.

use std::time::Duration;

/// The most headers of one request; more are answered 431.
///
/// It is hyper's own default, and not set: set, it would move every request's headers to the heap.
pub const HEADERS_MAX: usize = 100;
/// The most streams that one HTTP/2 connection has open at once.
pub const STREAMS_MAX: u32 = 128;
/// The most streams that an HTTP/2 client may have reset before they were taken up; one more and
/// the connection is closed (CVE-2023-44487, "rapid reset").
pub const STREAMS_RESET_PENDING_MAX: usize = 20;
/// The most streams of one HTTP/2 connection that our side has reset for a mistake of the
/// client's; one more and the connection is closed (CVE-2025-8671, "made you reset").
pub const STREAMS_RESET_FOR_MISTAKES_MAX: usize = 128;
/// The most bytes that a connection keeps of what it has read and not used.
pub const READ_BUFFER_BYTES_MAX: usize = 64 * 1024;
/// The most bytes of one HTTP/2 stream that wait to be written.
pub const SEND_BUFFER_BYTES_MAX: usize = 256 * 1024;
/// How often a silent HTTP/2 client is asked whether it is still there, and how long it has to
/// say so.
pub const PING_INTERVAL: Duration = Duration::from_secs(20);
/// How often the reader of a stream is pinged, and whether it may still read is looked at.
pub const STREAM_PING_PERIOD: Duration = Duration::from_secs(15);
/// How long the reader of a stream may take nothing of what it is told.
pub const STREAM_WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes that each WebSocket keeps for what it reads.
pub const STREAM_BUFFER_BYTES: usize = 512;
/// The most bytes of a frame from a WebSocket's reader, who has nothing to say.
pub const STREAM_HEARD_BYTES_MAX: usize = 4 * 1024;
/// The most bytes of a WebSocket that wait to be written: the longest message by far.
pub const STREAM_TOLD_BYTES_MAX: usize = 256 * 1024;
/// How long a connection that should close may take to do so in order.
pub const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long accepting pauses when the machine has no socket or memory left.
pub const ACCEPT_PAUSE: Duration = Duration::from_secs(1);
/// The most bytes of a refused body that are read and thrown away, so that its sender, who may be
/// still sending, gets to read the refusal.
pub const DRAIN_BYTES_MAX: usize = 256 * 1024;
/// How long they are waited for.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// The limits that a deployment or a test may set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most connections at once; further ones wait in the system's backlog.
    pub connections_max: usize,
    /// The most handlers at once, of all connections; further requests are answered 503.
    pub requests_max: usize,
    /// The most bytes of a request's head; more are answered 431.
    pub header_bytes_max: usize,
    /// From the connection to the end of its first request's head, TLS handshake and all.
    pub header_timeout: Duration,
    /// From the end of one answer to the end of the next request's head.
    pub idle_timeout: Duration,
    /// From the end of a request's head to the end of its body.
    pub body_timeout: Duration,
    /// The longest that a client may take nothing of what is being written to it.
    pub write_timeout: Duration,
    /// From the wish to stop to the end of whatever still runs.
    pub grace: Duration,
}

impl Limits {
    /// Those of a box.
    pub const ORDINARY: Self = Self {
        connections_max: 1024,
        requests_max: 4096,
        header_bytes_max: 32 * 1024,
        header_timeout: Duration::from_secs(10),
        idle_timeout: Duration::from_secs(65),
        body_timeout: Duration::from_secs(30),
        write_timeout: Duration::from_secs(30),
        grace: Duration::from_secs(10),
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self::ORDINARY
    }
}
