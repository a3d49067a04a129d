//! A program of this machine as the protocol library sees it: messages, each with its caller
//! beside it.

use std::{io, sync::Arc};

use rmcp::{
    RoleServer,
    model::{
        ClientJsonRpcMessage, ClientNotification, ClientRequest, GetExtensions as _, RequestId,
        ServerJsonRpcMessage,
    },
    service::{RxJsonRpcMessage, TxJsonRpcMessage},
    transport::Transport,
};
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    task::JoinHandle,
};

use super::{Door, GARBAGE_MAX, calls::Calls};
use crate::mcp::{
    MCP_BODY_BYTES_MAX,
    front::{self, INVALID_REQUEST},
    lines::{LineError, LineReader, LineWriter},
};

/// Messages over the two halves of a stream.
pub(super) struct Messages<R, W> {
    read: LineReader<R>,
    write: LineWriter<W>,
    door: Door,
    calls: Calls,
    /// A refusal that is being written. It is a task, because `receive` is given up half-way.
    saying: Option<JoinHandle<io::Result<()>>>,
    /// Lines in a row that were no message.
    garbage: usize,
    has_begun: bool,
    has_ended: bool,
}

impl<R, W> Messages<R, W>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Send + Unpin + 'static,
{
    pub(super) fn new(read: R, write: W, door: Door) -> Self {
        Self {
            read: LineReader::new(read, MCP_BODY_BYTES_MAX),
            write: LineWriter::new(write),
            door,
            calls: Calls::default(),
            saying: None,
            garbage: 0,
            has_begun: false,
            has_ended: false,
        }
    }

    /// The message that `line` is, if it goes any further.
    fn take(&mut self, line: &[u8]) -> Option<ClientJsonRpcMessage> {
        if line.trim_ascii().is_empty() {
            return None;
        }
        let message = match parse(line) {
            Ok(message) => message,
            Err(refusal) => {
                self.garbage += 1;
                // An answer to every line of something that answers as well would never end.
                self.has_ended = self.garbage > GARBAGE_MAX;
                self.say(refusal);
                return None;
            }
        };
        self.garbage = 0;
        match message {
            ClientJsonRpcMessage::Request(mut request) => {
                if let Err(refusal) = self.admit(&request.id, &mut request.request) {
                    self.say(refusal);
                    return None;
                }
                Some(ClientJsonRpcMessage::Request(request))
            }
            ClientJsonRpcMessage::Notification(notification) => {
                if let ClientNotification::CancelledNotification(cancelled) =
                    &notification.notification
                    && let Some(id) = &cancelled.params.request_id
                {
                    self.calls.end(id);
                }
                // rmcp takes one that comes first for the end of the conversation.
                self.has_begun
                    .then_some(ClientJsonRpcMessage::Notification(notification))
            }
            // Nothing is ever asked of a client, so that none has anything to answer.
            ClientJsonRpcMessage::Response(_) | ClientJsonRpcMessage::Error(_) => None,
        }
    }

    /// Lets a request in, with its caller beside it.
    fn admit(&mut self, id: &RequestId, request: &mut ClientRequest) -> Result<(), Value> {
        let refused = |words: &str| front::error_message(Some(id), INVALID_REQUEST, words);
        let caller = self.door.caller().map_err(|error| {
            self.has_ended = true;
            refused(&error.to_string())
        })?;
        let begun = self.calls.begin(id);
        begun.map_err(|error| refused(&error.to_string()))?;
        request.extensions_mut().insert(Arc::new(caller));
        let is_probe = matches!(
            request,
            ClientRequest::PingRequest(_) | ClientRequest::DiscoverRequest(_)
        );
        self.has_begun |= !is_probe;
        Ok(())
    }

    fn say(&mut self, refusal: Value) {
        self.saying = Some(tokio::spawn(self.write.write(refusal)));
    }

    /// Waits until what was refused has been said.
    async fn said(&mut self) {
        if let Some(saying) = &mut self.saying {
            match saying.await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::debug!(%error, "a program of this machine did not take a refusal");
                    self.has_ended = true;
                }
                Err(error) => tracing::error!(%error, "a refusal was not written"),
            }
            self.saying = None;
        }
    }
}

/// The message that `line` is, or what its sender is told instead.
fn parse(line: &[u8]) -> Result<ClientJsonRpcMessage, Value> {
    front::check_message(line).map_err(|refusal| refusal.message())?;
    serde_json::from_slice(line).map_err(|error| {
        let words = format!("expected a message of MCP: {error}");
        front::error_message(None::<&()>, INVALID_REQUEST, &words)
    })
}

/// Each whole line of `bytes` up to one that is too long, and what comes of it: the message as it
/// was understood, or what its sender is told instead.
#[cfg(any(test, feature = "fuzzing"))]
pub(super) fn read_whole(
    bytes: &[u8],
    line_bytes_max: usize,
) -> Vec<(Vec<u8>, Result<Value, Value>)> {
    use std::{
        pin::pin,
        task::{Context, Poll, Waker},
    };
    let mut lines = LineReader::new(bytes, line_bytes_max);
    let mut next = || {
        // All of it is there, so that nothing is ever waited for.
        match pin!(lines.next()).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(line) => line.ok(),
            Poll::Pending => unreachable!("a slice is always ready"),
        }
    };
    std::iter::from_fn(&mut next)
        .map(|line| {
            let message = parse(&line);
            let message = message
                .map(|message| serde_json::to_value(message).expect("a message can be JSON"));
            (line, message)
        })
        .collect()
}

impl<R, W> Transport<RoleServer> for Messages<R, W>
where
    R: AsyncRead + Send + Unpin,
    W: AsyncWrite + Send + Unpin + 'static,
{
    type Error = io::Error;

    fn send(
        &mut self,
        item: TxJsonRpcMessage<RoleServer>,
    ) -> impl Future<Output = io::Result<()>> + Send + 'static {
        let answered = match &item {
            ServerJsonRpcMessage::Response(response) => Some(response.id.clone()),
            ServerJsonRpcMessage::Error(error) => error.id.clone(),
            ServerJsonRpcMessage::Request(_) | ServerJsonRpcMessage::Notification(_) => None,
        };
        let (calls, written) = (self.calls.clone(), self.write.write(item));
        async move {
            let written = written.await;
            if let Some(id) = answered {
                calls.end(&id);
            }
            written
        }
    }

    /// The next message. At the end of the stream this waits for the answers that are owed.
    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleServer>> {
        loop {
            self.said().await;
            if self.has_ended {
                self.calls.all_ended().await;
                return None;
            }
            let read = tokio::select! {
                read = self.read.next() => read,
                // Whoever does not read what it is told is not listened to.
                () = self.write.given_up() => Err(LineError::Closed),
            };
            match read {
                Ok(line) => {
                    if let Some(message) = self.take(&line) {
                        return Some(message);
                    }
                }
                Err(LineError::Closed) => self.has_ended = true,
                Err(error) => {
                    self.has_ended = true;
                    let words = error.to_string();
                    self.say(front::error_message(None::<&()>, INVALID_REQUEST, &words));
                }
            }
        }
    }

    async fn close(&mut self) -> io::Result<()> {
        self.write.close().await;
        Ok(())
    }
}
