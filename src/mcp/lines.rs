//! Messages over two streams of bytes: one message a line, and no line longer than it may be.
//!
//! # Source
//! Model Context Protocol, transports, stdio.

use std::{io, mem, sync::Arc, time::Duration};

use serde::Serialize;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader},
    sync::{Mutex, Notify},
    time::timeout,
};

/// The longest that the other end may take to read one message.
pub(super) const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// The longest that a close waits for a message that is being written.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Why there is no further line.
#[derive(Debug, thiserror::Error)]
pub(super) enum LineError {
    /// The other end will say no more.
    #[error("the stream was closed")]
    Closed,
    /// What has come of a line is more than a line may have.
    #[error("expected a message of at most {0} bytes, found more")]
    TooLong(usize),
    /// The system refuses.
    #[error(transparent)]
    System(#[from] io::Error),
}

/// The lines that come.
pub(super) struct LineReader<R> {
    read: BufReader<R>,
    line: Vec<u8>,
    bytes_max: usize,
}

impl<R: AsyncRead + Unpin> LineReader<R> {
    /// Reads lines of at most `bytes_max` bytes.
    pub(super) fn new(read: R, bytes_max: usize) -> Self {
        Self {
            read: BufReader::new(read),
            line: Vec::new(),
            bytes_max,
        }
    }

    /// The next line, without its end. What was read of it is kept when this is given up half-way,
    /// so that nothing is lost; a last line that has no end is none.
    pub(super) async fn next(&mut self) -> Result<Vec<u8>, LineError> {
        loop {
            let read = self.read.fill_buf().await?;
            if read.is_empty() {
                return Err(LineError::Closed);
            }
            let end = read.iter().position(|byte| *byte == b'\n');
            let (taken, used) = end.map_or((read.len(), read.len()), |end| (end, end + 1));
            if self.line.len() + taken > self.bytes_max {
                return Err(LineError::TooLong(self.bytes_max));
            }
            self.line.extend_from_slice(&read[..taken]);
            self.read.consume(used);
            if end.is_some() {
                return Ok(mem::take(&mut self.line));
            }
        }
    }
}

/// Where lines go; whoever holds it writes whole ones.
pub(super) struct LineWriter<W> {
    held: Arc<Mutex<Option<W>>>,
    given_up: Arc<Notify>,
}

impl<W> Clone for LineWriter<W> {
    fn clone(&self) -> Self {
        Self {
            held: Arc::clone(&self.held),
            given_up: Arc::clone(&self.given_up),
        }
    }
}

impl<W: AsyncWrite + Send + Unpin + 'static> LineWriter<W> {
    pub(super) fn new(write: W) -> Self {
        Self {
            held: Arc::new(Mutex::new(Some(write))),
            given_up: Arc::default(),
        }
    }

    /// Once the other end has not read a message in time: then it reads no other either. For one
    /// who waits.
    pub(super) async fn given_up(&self) {
        self.given_up.notified().await;
    }

    /// Writes `message` as one line.
    pub(super) fn write<M: Serialize + Send + 'static>(
        &self,
        message: M,
    ) -> impl Future<Output = io::Result<()>> + Send + use<M, W> {
        let Self { held, given_up } = self.clone();
        async move {
            let mut line = serde_json::to_vec(&message)?;
            drop(message);
            line.push(b'\n');
            let mut held = held.lock().await;
            let write = held.as_mut().ok_or(io::ErrorKind::NotConnected)?;
            let whole = async {
                write.write_all(&line).await?;
                write.flush().await
            };
            timeout(WRITE_TIMEOUT, whole).await.unwrap_or_else(|_| {
                // Half a line may be written, so that no other can follow.
                drop(held.take());
                given_up.notify_one();
                Err(io::ErrorKind::TimedOut.into())
            })
        }
    }

    /// Tells the other end that nothing more will come. Whoever waits for an end that does not read
    /// keeps nobody from ending: what holds the other end is let go after this.
    pub(super) async fn close(&self) {
        // The end of its input is how a child is told to end.
        if let Ok(mut held) = timeout(CLOSE_TIMEOUT, self.held.lock()).await {
            drop(held.take());
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    /// Whoever does not read holds up neither a stop nor, for long, who writes.
    #[tokio::test(start_paused = true)]
    async fn an_end_that_does_not_read_is_given_up() {
        let (ours, _theirs) = tokio::io::duplex(8);
        let writer = LineWriter::new(ours);
        let stuck = tokio::spawn(writer.write("longer than what fits between"));
        tokio::task::yield_now().await;
        let begun = Instant::now();
        writer.close().await;
        assert!(begun.elapsed() < WRITE_TIMEOUT);
        let given_up = stuck.await.expect("no panic").expect_err("nobody reads");
        assert_eq!(given_up.kind(), io::ErrorKind::TimedOut);
        let after = writer
            .write("more")
            .await
            .expect_err("half a line is there");
        assert_eq!(after.kind(), io::ErrorKind::NotConnected);
    }

    #[tokio::test]
    async fn a_line_is_whole_or_is_none() {
        let mut lines = LineReader::new(&b"one\n\n12345678\nlast"[..], 8);
        assert_eq!(lines.next().await.expect("a line"), b"one");
        assert_eq!(lines.next().await.expect("a line"), b"");
        assert_eq!(lines.next().await.expect("a line"), b"12345678");
        assert!(matches!(lines.next().await, Err(LineError::Closed)));
    }

    #[tokio::test]
    async fn a_line_that_is_too_long_is_refused_before_it_ends() {
        let endless = tokio::io::repeat(b'x');
        let mut lines = LineReader::new(endless, 8);
        assert!(matches!(lines.next().await, Err(LineError::TooLong(8))));
        let mut lines = LineReader::new(&b"123456789\n"[..], 8);
        assert!(matches!(lines.next().await, Err(LineError::TooLong(8))));
    }

    #[tokio::test]
    async fn a_read_that_was_given_up_loses_nothing() {
        let (mut write, read) = tokio::io::duplex(64);
        let mut lines = LineReader::new(read, 64);
        write.write_all(b"half").await.expect("room");
        let none = timeout(Duration::from_millis(10), lines.next()).await;
        assert!(none.is_err());
        write.write_all(b" and half\n").await.expect("room");
        assert_eq!(lines.next().await.expect("a line"), b"half and half");
    }

    #[tokio::test]
    async fn nothing_is_written_after_the_close() {
        let lines = LineWriter::new(Vec::new());
        lines.write("a").await.expect("a line");
        lines.close().await;
        let refused = lines.write("b").await.expect_err("a closed stream");
        assert_eq!(refused.kind(), io::ErrorKind::NotConnected);
    }
}
