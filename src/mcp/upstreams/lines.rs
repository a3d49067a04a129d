//! A child's standard streams: what it writes that is no message is passed over, for a while.
//!
//! # Source
//! Model Context Protocol, transports, stdio.

use std::io;

use rmcp::{
    RoleClient,
    model::ServerJsonRpcMessage,
    service::{RxJsonRpcMessage, TxJsonRpcMessage},
    transport::Transport,
};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::mcp::{
    lines::{LineError, LineReader, LineWriter, WRITE_TIMEOUT},
    upstreams::guard::Cause,
};

/// Lines in a row that are no message; one more, and the connection ends.
pub(super) const GARBAGE_LINES_MAX: usize = 100;

/// Messages over two streams.
pub(super) struct Lines<R, W> {
    read: LineReader<R>,
    write: LineWriter<W>,
    garbage: usize,
    cause: Cause,
}

impl<R, W> Lines<R, W>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Send + Unpin + 'static,
{
    pub(super) fn new(read: R, write: W, line_bytes_max: usize, cause: Cause) -> Self {
        Self {
            read: LineReader::new(read, line_bytes_max),
            write: LineWriter::new(write),
            garbage: 0,
            cause,
        }
    }

    async fn next(&mut self) -> Option<Vec<u8>> {
        let read = tokio::select! {
            read = self.read.next() => read,
            () = self.write.given_up() => {
                let seconds = WRITE_TIMEOUT.as_secs();
                self.cause.say(&format!("it did not read a message within {seconds} s"));
                return None;
            }
        };
        match read {
            Ok(line) => return Some(line),
            Err(LineError::Closed) => self.cause.say("it closed its standard output"),
            Err(LineError::System(error)) => self.cause.say(&error),
            Err(LineError::TooLong(max)) => {
                let words = format!("it sent a message of more than {max} bytes");
                self.cause.say(&words);
            }
        }
        None
    }
}

impl<R, W> Transport<RoleClient> for Lines<R, W>
where
    R: AsyncRead + Send + Unpin,
    W: AsyncWrite + Send + Unpin + 'static,
{
    type Error = io::Error;

    fn send(
        &mut self,
        item: TxJsonRpcMessage<RoleClient>,
    ) -> impl Future<Output = io::Result<()>> + Send + 'static {
        self.write.write(item)
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleClient>> {
        while let Some(line) = self.next().await {
            match serde_json::from_slice::<ServerJsonRpcMessage>(&line) {
                Ok(message) => {
                    self.garbage = 0;
                    return Some(message);
                }
                Err(_) if line.trim_ascii().is_empty() => {}
                Err(error) => {
                    tracing::debug!(%error, "an upstream wrote a line that is no message");
                    self.garbage += 1;
                }
            }
            if self.garbage > GARBAGE_LINES_MAX {
                let words = format!("it wrote {GARBAGE_LINES_MAX} lines that are no messages");
                self.cause.say(&words);
                return None;
            }
        }
        None
    }

    async fn close(&mut self) -> io::Result<()> {
        self.write.close().await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Issue 5: a child that hangs is begun again, also one that keeps its output open.
    #[tokio::test(start_paused = true)]
    async fn a_child_that_stops_reading_is_taken_for_ended() {
        let (input, _unread) = tokio::io::duplex(8);
        let (_silent, output) = tokio::io::duplex(8);
        let cause = Cause::default();
        let mut lines = Lines::new(output, input, 1024, cause.clone());
        let stuck = tokio::spawn(lines.write.write("longer than what fits between"));
        assert!(lines.receive().await.is_none());
        assert_eq!(cause.words(), "it did not read a message within 30 s");
        stuck.await.expect("no panic").expect_err("nobody reads");
    }
}
