//! Connections to one server, kept while they can be used again.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::{
    body::Incoming,
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use url::Url;

use super::HttpFailure;
use crate::runtime::outbound::{HEAD_BYTES_MAX, HEADERS_MAX, NamedServers};

/// Connections that are kept; more are closed after their answer.
const KEPT_MAX: usize = 16;

/// The connections to a server.
pub(super) struct Pool {
    servers: Arc<NamedServers>,
    url: Url,
    kept: Mutex<Vec<SendRequest<Full<Bytes>>>>,
}

impl Pool {
    pub(super) fn new(servers: Arc<NamedServers>, url: Url) -> Self {
        Self {
            servers,
            url,
            kept: Mutex::default(),
        }
    }

    /// Sends `request` on a connection that is free, or on a new one.
    ///
    /// What was sent on a connection that turns out to be closed is not sent again, unless not a
    /// byte of it can have gone out: a call may not be made twice.
    pub(super) async fn send(
        &self,
        mut request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, HttpFailure> {
        while let Some(mut sender) = self.take_free() {
            match sender.try_send_request(request).await {
                Ok(response) => {
                    self.keep(sender);
                    return Ok(response);
                }
                Err(mut error) => match error.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(error.into_error().into()),
                },
            }
        }
        let mut sender = self.connect().await?;
        let response = sender.send_request(request).await?;
        self.keep(sender);
        Ok(response)
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, HttpFailure> {
        let stream = self.servers.connect(&self.url).await?;
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(HEAD_BYTES_MAX)
            .max_headers(HEADERS_MAX)
            .handshake(TokioIo::new(stream))
            .await?;
        // It ends by itself when its sender and its body are gone.
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to an upstream broke off");
            }
        });
        Ok(sender)
    }

    /// One whose last answer has been read to its end.
    fn take_free(&self) -> Option<SendRequest<Full<Bytes>>> {
        let mut kept = self.kept();
        kept.retain(|sender| !sender.is_closed());
        let place = kept.iter().position(SendRequest::is_ready)?;
        Some(kept.swap_remove(place))
    }

    fn keep(&self, sender: SendRequest<Full<Bytes>>) {
        let mut kept = self.kept();
        if kept.len() < KEPT_MAX {
            kept.push(sender);
        }
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Vec<SendRequest<Full<Bytes>>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
