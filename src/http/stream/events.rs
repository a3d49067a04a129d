//! Server-sent events (HTML standard, "Server-sent events"): the body of an answer that does not
//! end.

use bytes::Bytes;
use http::{
    HeaderValue,
    header::{ACCEPT, CONTENT_TYPE},
};
use http_body_util::{
    BodyExt as _,
    channel::{Channel, Sender},
};

use super::{Ended, Gone, Reader};
use crate::http::{request::Head, response::Response};

const EVENT_STREAM: &str = "text/event-stream";
/// Messages that wait for the connection.
const WAITING_MAX: usize = 1;

/// Whether a request wants events.
pub(super) fn is_asked_for(head: &Head) -> bool {
    let accepted = head.header(ACCEPT.as_str()).unwrap_or_default();
    let mut kinds = accepted
        .split(',')
        .filter_map(|kind| kind.split(';').next());
    kinds.any(|kind| kind.trim().eq_ignore_ascii_case(EVENT_STREAM))
}

/// A reader of events.
pub(super) struct Events(Sender<Bytes>);

impl Events {
    pub(super) fn begin() -> (Self, Response) {
        let (sender, body) = Channel::new(WAITING_MAX);
        let mut response = Response::new(body.boxed());
        let kind = HeaderValue::from_static(EVENT_STREAM);
        response.headers_mut().insert(CONTENT_TYPE, kind);
        (Self(sender), response)
    }

    async fn send(&mut self, text: String) -> Result<(), Gone> {
        self.0.send_data(text.into()).await.map_err(|_| Gone)
    }
}

impl Reader for Events {
    /// It cannot; that it is gone shows with the next ping.
    async fn speech(&mut self) -> Result<(), Gone> {
        std::future::pending().await
    }

    /// `text` is one line.
    async fn tell(&mut self, text: String) -> Result<(), Gone> {
        self.send(format!("data: {text}\n\n")).await
    }

    async fn ping(&mut self) -> Result<(), Gone> {
        self.send(":\n\n".to_owned()).await
    }

    async fn end(mut self, ended: Ended) {
        let (code, reason) = (ended.code(), ended.reason());
        let event = format!("event: end\ndata: {{\"code\":{code},\"reason\":\"{reason}\"}}\n\n");
        // Whoever is gone needs no reason.
        drop(self.send(event).await);
    }
}
