//! Reading the body of a request, within its bounds.

use std::error::Error;

use bytes::Bytes;
use http::{HeaderMap, Version, header::EXPECT};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Body;
use tokio::time::timeout;

use crate::http::{
    limits::{DRAIN_BYTES_MAX, DRAIN_TIMEOUT, Limits},
    refusal::Refusal,
};

/// What any body of a request is: hyper's, or one that a test made.
pub(crate) trait Incoming:
    Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Send + Unpin + 'static
{
}

impl<B> Incoming for B where
    B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Send + Unpin + 'static
{
}

/// Reads `body` to its end.
///
/// A body that announces more than `bytes_max` is refused before any of it is read, one that does
/// not say how long it is as soon as it is longer. What is left of it is still in `body` then.
pub(crate) async fn read(
    body: &mut impl Incoming,
    bytes_max: usize,
    limits: &Limits,
) -> Result<Bytes, Refusal> {
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    if body.size_hint().lower() > u64::try_from(bytes_max).unwrap_or(u64::MAX) {
        return Err(Refusal::BodyTooLarge { bytes_max });
    }
    match timeout(limits.body_timeout, Limited::new(body, bytes_max).collect()).await {
        Err(_) => Err(Refusal::BodyTooSlow),
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            Err(Refusal::BodyTooLarge { bytes_max })
        }
        Ok(Err(error)) => {
            tracing::debug!(%error, "a body broke off");
            Err(Refusal::BodyBroken)
        }
    }
}

/// Throws away what is left of a body that no one will read, for a while.
///
/// A connection that is closed while its client is still sending is reset, and the client never
/// sees why. An HTTP/2 stream needs none of this, and neither does a client that waits for leave
/// to send (`Expect: 100-continue`), for it learns that it has none.
pub(crate) fn drain(body: impl Incoming, version: Version, headers: &HeaderMap) {
    if body.is_end_stream() || version > Version::HTTP_11 || headers.contains_key(EXPECT) {
        return;
    }
    tokio::spawn(async move {
        let mut body = Limited::new(body, DRAIN_BYTES_MAX);
        let rest = async { while let Some(Ok(_)) = body.frame().await {} };
        // Whether it ended, broke or went on too long: the connection is closed if it has not ended.
        drop(timeout(DRAIN_TIMEOUT, rest).await);
    });
}
