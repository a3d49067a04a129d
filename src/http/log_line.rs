//! The one line that the log has about every request, and what is counted with it.

use std::{net::IpAddr, sync::Arc};

use http::{Method, StatusCode};
use tokio::time::Instant;

use crate::http::{
    figures::Figures,
    request::{Head, RequestId},
};

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
    /// The row of the table of routes.
    place: Option<usize>,
    figures: Arc<Figures>,
}

impl LogLine {
    /// Of a request for `row`: the pattern of a route, and its place in the table.
    pub(crate) fn new(
        head: &Head,
        row: Option<(&'static str, usize)>,
        figures: &Arc<Figures>,
    ) -> Self {
        figures.in_flight.add_one();
        Self {
            id: head.id,
            method: head.method.clone(),
            route: row.map_or("none", |(route, _)| route),
            remote: head.remote,
            begun: Instant::now(),
            status: None,
            place: row.map(|(_, place)| place),
            figures: Arc::clone(figures),
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
        let method = named(&self.method);
        let took = self.begun.elapsed();
        self.figures.in_flight.take_one();
        self.figures.ended(self.place, self.status, took);
        let duration_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        if let Some(status) = self.status.map(|status| status.as_u16()) {
            tracing::info!(%id, method, route, status, duration_us, %remote, "answered");
        } else {
            tracing::info!(%id, method, route, duration_us, %remote, "client hung up");
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{http::testing::head, runtime::log_lines::testing::Lines};

    /// What the log has after `what`.
    fn logged(what: impl FnOnce()) -> String {
        let lines = Lines::default();
        tracing::subscriber::with_default(lines.subscriber(), what);
        lines.text()
    }

    #[test]
    fn the_line_has_the_pattern_and_nothing_that_a_client_wrote() {
        let mut head = head(&[("authorization", "hush")]);
        head.path = "/claim/hush".into();
        head.query = Some("code=hush".into());
        head.method = "HUSH".parse().expect("a method");
        let line = logged(|| {
            LogLine::new(&head, Some(("/claim/{token}", 0)), &Arc::default())
                .answered(StatusCode::OK);
        });
        assert!(
            line.contains("/claim/{token}") && line.contains("status=200"),
            "{line}"
        );
        assert!(!line.to_lowercase().contains("hush"), "{line}");
        assert_eq!(line.lines().count(), 1);
    }

    #[test]
    fn a_request_without_an_answer_has_its_line() {
        let line = logged(|| drop(LogLine::new(&head(&[]), None, &Arc::default())));
        assert!(
            line.contains("client hung up") && line.contains("remote=127.0.0.1"),
            "{line}"
        );
    }
}
