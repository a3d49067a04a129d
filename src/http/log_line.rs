//! The one line that the log has about every request.

use std::net::IpAddr;

use http::{Method, StatusCode};
use tokio::time::Instant;

use crate::http::request::{Head, RequestId};

/// Written when it is dropped, so that a request that ends early has its line as well.
///
/// It names the pattern of the route and never the path or the query, which can hold secrets.
#[derive(Debug)]
pub(crate) struct LogLine {
    id: RequestId,
    method: Method,
    route: &'static str,
    remote: IpAddr,
    begun: Instant,
    status: Option<StatusCode>,
}

impl LogLine {
    pub(crate) fn new(head: &Head, route: Option<&'static str>) -> Self {
        Self {
            id: head.id,
            method: head.method.clone(),
            route: route.unwrap_or("none"),
            remote: head.remote,
            begun: Instant::now(),
            status: None,
        }
    }

    /// The request was answered.
    pub(crate) fn answered(&mut self, status: StatusCode) {
        self.status = Some(status);
    }
}

impl Drop for LogLine {
    fn drop(&mut self) {
        let Self {
            id, remote, route, ..
        } = self;
        let (method, duration) = (named(&self.method), self.begun.elapsed());
        if let Some(status) = self.status.map(|status| status.as_u16()) {
            tracing::info!(%id, method, route, status, ?duration, %remote, "answered");
        } else {
            tracing::info!(%id, method, route, ?duration, %remote, "client hung up");
        }
    }
}

/// The method if it is one that exists. Any other is text of a stranger's, of any length.
fn named(method: &Method) -> &str {
    const KNOWN: [Method; 7] = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::DELETE,
        Method::PATCH,
        Method::OPTIONS,
    ];
    if KNOWN.contains(method) {
        method.as_str()
    } else {
        "other"
    }
}
