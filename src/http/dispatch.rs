//! The way of one request from its head to its answer.
//!
//! In this order, and the order is a security property: its name and its `now`; the client's
//! address; the route; `Host` and `Origin`; who calls; the body; room for it; the handler; the
//! headers of every answer; one line in the log.

use std::{net::IpAddr, pin::pin, sync::Arc};

use bytes::Bytes;
use http::{
    HeaderName, HeaderValue, Method, StatusCode,
    header::{ALLOW, CONTENT_LENGTH, RETRY_AFTER},
    request::Parts,
};
use hyper::body::Body;
use ipnet::IpNet;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tracing::Instrument;

pub use crate::http::refusal::Refusal;
use crate::{
    crypto::entropy::Entropy,
    http::{
        body::{self, Incoming},
        cors,
        figures::Figures,
        forwarded,
        guard::{Finishing, Panicked, caught, caught_in},
        limits::Limits,
        log_line::LogLine,
        request::{Head, Request, RequestId, settle_headers},
        response::{Response, empty, full},
        route::{Cors, Found, Index, NoRoute, OnHangUp, Route},
        server::Phase,
        stream::Line,
    },
    model::timestamp::Timestamp,
};

/// What is served: the routes, who may use them, and how a refusal is worded.
pub trait Application: Send + Sync + Sized + 'static {
    /// What a route asks of its caller.
    type Access: Copy + Send + Sync + 'static;
    /// Who a caller turned out to be.
    type Caller: Send + 'static;

    /// The table of routes.
    fn routes(&self) -> &'static [Route<Self>];

    /// The present moment; asked once a request.
    fn now(&self) -> Timestamp;

    /// Where the request's name comes from.
    fn entropy(&self) -> &dyn Entropy;

    /// Where what happens to requests is counted: a room for each row of the table of routes.
    fn figures(&self) -> &Arc<Figures>;

    /// The peers whose word about the client's address counts.
    fn trusted_proxies(&self) -> &[IpNet];

    /// Whether a request may come in at all: its `Host` and its `Origin`. Asked before anything
    /// else is done for it.
    fn screen(&self, route: Option<&Route<Self>>, head: &Head) -> Result<(), Refusal>;

    /// Who the caller is, or the answer to one who may not. Asked before the body is read.
    fn admit(
        self: &Arc<Self>,
        access: Self::Access,
        head: &Head,
    ) -> impl Future<Output = Result<Self::Caller, Response>> + Send;

    /// Words a refusal: JSON for a program, a page for a person. [`Refusal::status`] is its status;
    /// the headers that such a status asks for (`Allow`, `Retry-After`) are added here.
    fn refuse(&self, route: Option<&Route<Self>>, head: &Head, refusal: Refusal) -> Response;

    /// Adds the headers that every answer has.
    fn finish(&self, route: Option<&Route<Self>>, head: &Head, response: &mut Response);
}

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// When to try again after there was no room.
const BUSY_RETRY_SECONDS: HeaderValue = HeaderValue::from_static("1");

/// Takes requests to their handlers.
pub(crate) struct Dispatcher<A: Application> {
    app: Arc<A>,
    index: Index<A>,
    limits: Limits,
    room: Arc<Semaphore>,
    phase: Arc<watch::Sender<Phase>>,
}

impl<A: Application> Dispatcher<A> {
    /// A dispatcher of `app`. Handlers that may not be cancelled subscribe to `phase` while they
    /// run, so that its sender knows when they have ended.
    pub(crate) fn new(app: Arc<A>, limits: Limits, phase: Arc<watch::Sender<Phase>>) -> Self {
        Self {
            index: Index::new(app.routes()),
            room: Arc::new(Semaphore::new(limits.requests_max)),
            app,
            limits,
            phase,
        }
    }

    /// Where what happens is counted.
    pub(crate) fn figures(&self) -> &Arc<Figures> {
        self.app.figures()
    }

    /// The answer to `request`, which came from `peer`. There always is one.
    pub(crate) async fn answer(
        &self,
        peer: IpAddr,
        request: http::Request<impl Incoming>,
    ) -> Response {
        // What an application does is caught closer to where it happens, and answered in its words;
        // this is for the rest, such as a source of entropy that has none.
        caught_in(pin!(self.exchange(peer, request)))
            .await
            .unwrap_or_else(|Panicked| bare_fault())
    }

    async fn exchange(&self, peer: IpAddr, request: http::Request<impl Incoming>) -> Response {
        let (mut parts, mut body) = request.into_parts();
        let version = parts.version;
        let settled = settle_headers(&mut parts);
        let line = Line::new(parts.extensions.remove(), &self.phase);
        let mut head = self.head(peer, parts);
        let mut found = self.index.find(&head.path);
        if let Ok(found) = &mut found {
            head.captures = std::mem::take(&mut found.captures);
        }
        let answer = Answer::new(Arc::clone(&self.app), head, found.as_ref().ok());
        let span = tracing::info_span!("request", id = %answer.head.id);
        let admitted = match settled {
            Ok(()) => {
                let admitted = self.admit(&answer, found, &mut body);
                admitted.instrument(span.clone()).await
            }
            Err(reason) => Err(Refusal::HeadMalformed(reason).into()),
        };
        match admitted {
            Ok(admitted) => self.handle(answer, admitted, line).instrument(span).await,
            Err(early) => {
                body::drain(body, version, &answer.head.headers);
                answer.conclude(early)
            }
        }
    }

    fn head(&self, peer: IpAddr, parts: Parts) -> Head {
        let now = self.app.now();
        let id = RequestId::generate(now, self.app.entropy());
        let remote = forwarded::client(peer, &parts.headers, self.app.trusted_proxies());
        Head::new(parts, id, now, remote)
    }

    /// All checks, in their order, and the body.
    async fn admit(
        &self,
        answer: &Answer<A>,
        found: Result<Found<'_, A>, NoRoute>,
        body: &mut impl Incoming,
    ) -> Result<Admitted<A>, Early> {
        let (app, head) = (&self.app, &answer.head);
        caught(|| app.screen(answer.route, head))??;
        let found = found?;
        let Some(route) = found.by_method(&head.method) else {
            return Err(unrouted(head, &found));
        };
        let caller = caught_in(pin!(app.admit(route.access, head)))
            .await?
            .map_err(Early::Answered)?;
        let bytes_max = route.body_bytes_max;
        // RFC 9110 §9.3.1: content of a GET has no meaning; where none is asked for, none is read.
        let body = if bytes_max == 0 && route.method == Method::GET {
            Bytes::new()
        } else {
            body::read(body, bytes_max, &self.limits).await?
        };
        // Only now, so that clients who send slowly cannot take up all the room there is.
        let room = Arc::clone(&self.room);
        let room = room.try_acquire_owned().map_err(|_| Refusal::Busy)?;
        Ok(Admitted {
            route: route.route,
            caller,
            body,
            room,
        })
    }

    async fn handle(&self, answer: Answer<A>, admitted: Admitted<A>, line: Line) -> Response {
        let Admitted {
            route,
            caller,
            body,
            room,
        } = admitted;
        let app = Arc::clone(&self.app);
        let head = answer.head.clone();
        let handled = async move {
            // Calling it can panic as well, before there is anything to await.
            let request = Request { head, body, line };
            let called = async { (route.handler)(app, request, caller).await };
            let called = caught_in(pin!(called)).await;
            drop(room);
            answer.conclude(called.map_or_else(Early::from, Early::Answered))
        };
        match route.on_hang_up {
            OnHangUp::Cancel => handled.await,
            OnHangUp::Finish => {
                let phase = Arc::clone(&self.phase);
                Finishing::new(handled, phase).await
            }
        }
    }
}

/// The answer to a method that its path does not have.
fn unrouted<A: Application>(head: &Head, found: &Found<'_, A>) -> Early {
    if head.method == Method::OPTIONS && cors::is_open(found) {
        return Early::Answered(cors::preflight(head, found));
    }
    let allow = found.allow();
    Early::Refused(Refusal::MethodNotAllowed { allow })
}

/// An answer that needs no application.
fn bare_fault() -> Response {
    empty(StatusCode::INTERNAL_SERVER_ERROR)
}

/// A request that has passed every check.
struct Admitted<A: Application> {
    route: &'static Route<A>,
    caller: A::Caller,
    body: Bytes,
    /// Its place among [`Limits::requests_max`].
    room: OwnedSemaphorePermit,
}

/// What a request comes to, before it has the headers of every answer.
enum Early {
    Refused(Refusal),
    Answered(Response),
}

impl From<Refusal> for Early {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Panicked> for Early {
    fn from(Panicked: Panicked) -> Self {
        Self::Refused(Refusal::Fault)
    }
}

impl From<NoRoute> for Early {
    fn from(none: NoRoute) -> Self {
        Self::Refused(match none {
            NoRoute::PathUnknown => Refusal::RouteUnknown,
            NoRoute::CaptureMalformed => {
                Refusal::HeadMalformed("expected percent-encoded UTF-8 in the path")
            }
        })
    }
}

/// What is known of a request from its head on, until its answer goes out.
struct Answer<A: Application> {
    app: Arc<A>,
    head: Head,
    route: Option<&'static Route<A>>,
    is_open: bool,
    line: LogLine,
}

impl<A: Application> Answer<A> {
    fn new(app: Arc<A>, head: Head, found: Option<&Found<'_, A>>) -> Self {
        let of_method = found.and_then(|found| found.by_method(&head.method));
        // A preflight stands for the request that will follow it.
        let is_preflight = head.method == Method::OPTIONS;
        let of_preflight = || found.filter(|_| is_preflight).and_then(cors::open_route);
        let route = of_method.or_else(of_preflight);
        let is_open = match route {
            Some(route) => route.cors == Cors::AnyOrigin,
            None => found.is_some_and(cors::is_open),
        };
        let row = route.map(|row| (row.path, row.place));
        let line = LogLine::new(&head, row, app.figures());
        Self {
            app,
            head,
            route: route.map(|row| row.route),
            is_open,
            line,
        }
    }

    /// Gives what it came to the headers of every answer, and writes the line in the log.
    fn conclude(mut self, early: Early) -> Response {
        let added = match &early {
            Early::Refused(refusal) => required_header(refusal),
            Early::Answered(_) => None,
        };
        let mut response = match early {
            Early::Answered(response) => response,
            Early::Refused(refusal) => self.word(refusal),
        };
        if caught(|| self.app.finish(self.route, &self.head, &mut response)).is_err() {
            response = bare_fault();
        }
        let headers = response.headers_mut();
        headers.extend(added);
        headers.insert(X_REQUEST_ID, self.head.id.as_header());
        if self.is_open {
            cors::open(headers);
        }
        if self.head.method == Method::HEAD {
            response = without_body(response);
        }
        self.line.answered(response.status());
        response
    }

    fn word(&self, refusal: Refusal) -> Response {
        tracing::debug!(%refusal, "refused");
        caught(|| self.app.refuse(self.route, &self.head, refusal))
            .unwrap_or_else(|Panicked| bare_fault())
    }
}

/// The header that the status of `refusal` asks for.
fn required_header(refusal: &Refusal) -> Option<(HeaderName, HeaderValue)> {
    match refusal {
        // RFC 9110 §15.5.6: a 405 MUST have an Allow.
        Refusal::MethodNotAllowed { allow } => {
            let allow = HeaderValue::from_str(allow).expect("methods can be a header");
            Some((ALLOW, allow))
        }
        Refusal::Busy => Some((RETRY_AFTER, BUSY_RETRY_SECONDS)),
        _ => None,
    }
}

/// The same answer to a `HEAD`: its length is told, its body is not (RFC 9110 §9.3.2).
fn without_body(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    if let Some(length) = body.size_hint().exact() {
        parts.headers.insert(CONTENT_LENGTH, length.into());
    }
    Response::from_parts(parts, full(Bytes::new()))
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt, Full};

    use super::*;
    use crate::http::testing::{App, FORM_BYTES_MAX};

    struct Answered {
        status: u16,
        headers: http::HeaderMap,
        body: String,
    }

    impl Answered {
        fn header(&self, name: &str) -> &str {
            self.headers
                .get(name)
                .map_or("", |value| value.to_str().expect("text"))
        }
    }

    fn dispatcher(app: &Arc<App>, limits: Limits) -> Dispatcher<App> {
        let phase = Arc::new(watch::Sender::new(Phase::Serving));
        Dispatcher::new(Arc::clone(app), limits, phase)
    }

    /// The answer to a request from 10.0.0.1, a trusted proxy. `request` is a method and a target.
    async fn ask(request: &str, headers: &[(&str, &str)], body: &str) -> Answered {
        let (app, _events) = App::new();
        ask_of(&dispatcher(&app, Limits::default()), request, headers, body).await
    }

    async fn ask_of(
        dispatcher: &Dispatcher<App>,
        request: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answered {
        let (method, target) = request.split_once(' ').expect("a method and a target");
        let host = headers.iter().find(|(name, _)| *name == "host");
        let host = *host.unwrap_or(&("host", "box.lan"));
        let headers = headers
            .iter()
            .filter(|(name, _)| *name != "host")
            .chain([&host]);
        let request = http::Request::builder().method(method).uri(target);
        let request = headers.fold(request, |request, (name, value)| {
            request.header(*name, *value)
        });
        let request = request
            .body(Full::from(body.to_owned()))
            .expect("a request");
        let peer = "10.0.0.1".parse().expect("an address");
        let (parts, body) = dispatcher.answer(peer, request).await.into_parts();
        let Ok(body) = body.collect().await;
        Answered {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: String::from_utf8_lossy(&body.to_bytes()).into_owned(),
        }
    }

    #[tokio::test]
    async fn a_request_reaches_its_handler_and_is_finished() {
        let answered = ask("GET /echo/a%20b?x=1", &[], "").await;
        assert_eq!((answered.status, answered.body.as_str()), (200, "a b"));
        assert_eq!(answered.header("x-route"), "/echo/{name}");
        assert_eq!(answered.header("x-request-id").len(), 22);
    }

    #[tokio::test]
    async fn every_request_has_a_name_of_its_own() {
        let (app, _events) = App::new();
        let dispatcher = dispatcher(&app, Limits::default());
        let one = ask_of(&dispatcher, "GET /hello", &[], "").await;
        let other = ask_of(&dispatcher, "GET /hello", &[("x-request-id", "mine")], "").await;
        assert_ne!(one.header("x-request-id"), other.header("x-request-id"));
        assert_ne!(other.header("x-request-id"), "mine");
    }

    #[tokio::test]
    async fn a_trusted_proxy_says_who_the_client_is() {
        let answered = ask("GET /who", &[("x-forwarded-for", "192.0.2.1")], "").await;
        assert_eq!(answered.body, "anyone at 192.0.2.1");
    }

    #[tokio::test]
    async fn a_foreign_host_is_refused_before_anything_is_said() {
        for request in ["GET /hello", "GET /nowhere", "PUT /hello", "OPTIONS /open"] {
            let answered = ask(request, &[("host", "evil.example")], "").await;
            assert_eq!(answered.status, 403, "{request}");
        }
    }

    #[tokio::test]
    async fn head_has_the_headers_of_get_and_no_body() {
        let answered = ask("HEAD /hello", &[], "").await;
        assert_eq!((answered.status, answered.body.as_str()), (200, ""));
        assert_eq!(answered.header("content-length"), "5");
        assert_eq!(answered.header("content-type"), "text/plain; charset=utf-8");
    }

    #[tokio::test]
    async fn an_unknown_path_and_an_unknown_method_differ() {
        assert_eq!(ask("GET /nowhere", &[], "").await.status, 404);
        let answered = ask("DELETE /hello", &[], "").await;
        assert_eq!(
            (answered.status, answered.header("allow")),
            (405, "GET, POST, HEAD")
        );
        let answered = ask("BREW /form", &[], "").await;
        assert_eq!(
            (answered.status, answered.header("allow")),
            (405, "POST, DELETE, OPTIONS")
        );
        assert_eq!(ask("OPTIONS /hello", &[], "").await.status, 405);
    }

    #[tokio::test]
    async fn a_capture_that_is_no_text_is_a_bad_request() {
        assert_eq!(ask("GET /echo/%ff", &[], "").await.status, 400);
    }

    #[tokio::test]
    async fn who_may_not_is_told_before_the_body_is_looked_at() {
        let long = "x".repeat(FORM_BYTES_MAX + 1);
        assert_eq!(ask("POST /form", &[], &long).await.status, 401);
        let member = [("authorization", "member")];
        assert_eq!(ask("POST /form", &member, &long).await.status, 413);
        let answered = ask("POST /form", &member, &long[1..]).await;
        assert_eq!(
            (answered.status, answered.body.as_str()),
            (200, "member sent 1000")
        );
    }

    #[tokio::test]
    async fn a_body_is_read_only_where_one_is_expected() {
        assert_eq!(ask("GET /hello", &[], "x").await.status, 200);
        assert_eq!(ask("POST /hello", &[], "x").await.status, 413);
        assert_eq!(ask("POST /hello", &[], "").await.status, 200);
    }

    #[tokio::test]
    async fn a_panic_anywhere_is_a_500() {
        let answered = ask("GET /panic", &[], "").await;
        assert_eq!(answered.status, 500);
        assert!(!answered.body.contains("on purpose"));
        for place in ["x-panic-screen", "x-panic-admit", "x-panic-finish"] {
            let answered = ask("GET /hello", &[(place, "")], "").await;
            assert_eq!(answered.status, 500, "{place}");
            assert_eq!(answered.header("x-request-id").len(), 22);
        }
        assert_eq!(
            ask("GET /nowhere", &[("x-panic-refuse", "")], "")
                .await
                .status,
            500
        );
    }

    #[tokio::test]
    async fn without_room_a_request_is_told_when_to_come_again() {
        let limits = Limits {
            requests_max: 1,
            ..Limits::default()
        };
        let (app, mut events) = App::new();
        let dispatcher = dispatcher(&app, limits);
        let (first, second) = tokio::join!(ask_of(&dispatcher, "GET /gate", &[], ""), async {
            assert_eq!(events.recv().await, Some("begun"));
            let second = ask_of(&dispatcher, "GET /hello", &[], "").await;
            app.gate.add_permits(1);
            second
        });
        assert_eq!((second.status, second.header("retry-after")), (503, "1"));
        assert_eq!(first.status, 200);
        assert_eq!(ask_of(&dispatcher, "GET /hello", &[], "").await.status, 200);
    }

    #[tokio::test]
    async fn a_script_of_another_origin_may_read_what_is_open() {
        let origin = ("origin", "https://app.example");
        for (request, is_open) in [
            ("GET /open", true),
            // Refusals as well: 401 carries WWW-Authenticate.
            ("POST /form", true),
            ("GET /hello", false),
            ("DELETE /form", false),
            ("GET /nowhere", false),
        ] {
            let answered = ask(request, &[origin], "").await;
            let allowed = answered.header("access-control-allow-origin");
            assert_eq!(allowed, if is_open { "*" } else { "" }, "{request}");
            assert_eq!(answered.header("access-control-allow-credentials"), "");
        }
    }

    #[tokio::test]
    async fn a_preflight_names_what_is_open() {
        let preflight = [
            ("origin", "https://app.example"),
            ("access-control-request-method", "POST"),
            (
                "access-control-request-headers",
                "Mcp-Param-Region, x-evil, mcp-param-b\"ad",
            ),
        ];
        let answered = ask("OPTIONS /form", &preflight, "").await;
        assert_eq!(answered.status, 204);
        assert_eq!(answered.header("access-control-allow-origin"), "*");
        assert_eq!(answered.header("access-control-allow-methods"), "POST");
        let headers = answered.header("access-control-allow-headers");
        assert!(
            headers.starts_with("Authorization, Content-Type, "),
            "{headers}"
        );
        assert!(
            headers.ends_with(", X-Requested-With, mcp-param-region"),
            "{headers}"
        );
        assert!(
            answered
                .header("access-control-expose-headers")
                .contains("WWW-Authenticate")
        );
        assert_eq!(answered.header("access-control-max-age"), "7200");
        assert_eq!(ask("OPTIONS /hello", &preflight, "").await.status, 405);
    }

    #[tokio::test]
    async fn an_options_that_is_no_preflight_names_the_methods() {
        let answered = ask("OPTIONS /open", &[], "").await;
        assert_eq!(
            (answered.status, answered.header("allow")),
            (204, "GET, HEAD, OPTIONS")
        );
        assert_eq!(answered.header("access-control-allow-methods"), "");
    }
}
