//! A stream of events, none of which is longer than it may be.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming};

/// Why a stream of events ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum EventsError {
    /// One event is too long.
    #[error("expected events of at most {0} bytes, found a longer one")]
    TooLong(usize),
    /// The connection broke off.
    #[error(transparent)]
    Broken(#[from] hyper::Error),
}

/// The body of an answer that is a stream of events. It ends where one is too long, before that
/// one is in memory.
pub(super) struct Bounded<B = Incoming> {
    body: B,
    event_bytes_max: usize,
    /// Bytes since the last empty line, which ends an event.
    bytes: usize,
    is_line_empty: bool,
}

impl<B> Bounded<B> {
    pub(super) fn new(body: B, event_bytes_max: usize) -> Self {
        Self {
            body,
            event_bytes_max,
            bytes: 0,
            is_line_empty: true,
        }
    }

    fn count(&mut self, data: &[u8]) -> Result<(), EventsError> {
        for byte in data {
            match byte {
                b'\n' if self.is_line_empty => self.bytes = 0,
                b'\n' => self.is_line_empty = true,
                b'\r' => {}
                _ => self.is_line_empty = false,
            }
            self.bytes += 1;
            if self.bytes > self.event_bytes_max {
                return Err(EventsError::TooLong(self.event_bytes_max));
            }
        }
        Ok(())
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Bounded<B>
where
    EventsError: From<B::Error>,
{
    type Data = Bytes;
    type Error = EventsError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, EventsError>>> {
        let polled = ready!(Pin::new(&mut self.body).poll_frame(context));
        Poll::Ready(polled.map(|frame| {
            let frame = frame?;
            if let Some(data) = frame.data_ref() {
                self.count(data)?;
            }
            Ok(frame)
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_counted_from_one_empty_line_to_the_next() {
        let of = |text: &str| Bounded::new((), 10).count(text.as_bytes());
        assert!(of("data: a\n\ndata: b\n\n").is_ok());
        assert!(
            of("data: a\r\n\r\ndata: b\r\n").is_ok(),
            "nine bytes and the next line's return"
        );
        assert!(of("data: abcd\n\n").is_err());
        assert!(of("data: a\ndata: b\n").is_err(), "two lines of one event");
        assert!(of(&"\n".repeat(100)).is_ok());
    }
}
