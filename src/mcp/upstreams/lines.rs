//! A child's standard streams: one message a line, and no line longer than it may be.
//!
//! # Source
//! Model Context Protocol, transports, stdio.

use std::{io, sync::Arc};

use rmcp::{
    RoleClient,
    model::ServerJsonRpcMessage,
    service::{RxJsonRpcMessage, TxJsonRpcMessage},
    transport::Transport,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader},
    sync::Mutex,
};

use crate::mcp::upstreams::guard::Cause;

/// Lines in a row that are no message; one more, and the connection ends.
pub(super) const GARBAGE_LINES_MAX: usize = 100;

/// Messages over two streams.
pub(super) struct Lines<R, W> {
    read: BufReader<R>,
    write: Arc<Mutex<Option<W>>>,
    line: Vec<u8>,
    line_bytes_max: usize,
    garbage: usize,
    cause: Cause,
}

impl<R: AsyncRead + Unpin, W> Lines<R, W> {
    pub(super) fn new(read: R, write: W, line_bytes_max: usize, cause: Cause) -> Self {
        Self {
            read: BufReader::new(read),
            write: Arc::new(Mutex::new(Some(write))),
            line: Vec::new(),
            line_bytes_max,
            garbage: 0,
            cause,
        }
    }

    /// Reads on until `line` is a whole one; `false` where there will be none. What was read stays
    /// in `line` when this is given up half-way, so that nothing is lost.
    async fn read_line(&mut self) -> bool {
        loop {
            let read = match self.read.fill_buf().await {
                Ok([]) => {
                    self.cause.say("it closed its standard output");
                    return false;
                }
                Ok(read) => read,
                Err(error) => {
                    self.cause.say(&error);
                    return false;
                }
            };
            let end = read.iter().position(|byte| *byte == b'\n');
            let (taken, used) = end.map_or((read.len(), read.len()), |end| (end, end + 1));
            if self.line.len() + taken > self.line_bytes_max {
                let max = self.line_bytes_max;
                self.cause
                    .say(&format!("it sent a message of more than {max} bytes"));
                return false;
            }
            self.line.extend_from_slice(&read[..taken]);
            self.read.consume(used);
            if end.is_some() {
                return true;
            }
        }
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
        let write = Arc::clone(&self.write);
        async move {
            let mut line = serde_json::to_vec(&item)?;
            line.push(b'\n');
            let mut write = write.lock().await;
            let write = write.as_mut().ok_or(io::ErrorKind::NotConnected)?;
            write.write_all(&line).await?;
            write.flush().await
        }
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleClient>> {
        while self.read_line().await {
            let message = serde_json::from_slice::<ServerJsonRpcMessage>(&self.line);
            let is_blank = self.line.trim_ascii().is_empty();
            self.line.clear();
            match message {
                Ok(message) => {
                    self.garbage = 0;
                    return Some(message);
                }
                Err(_) if is_blank => {}
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
        // The end of its input is how a child is told to end.
        drop(self.write.lock().await.take());
        Ok(())
    }
}
