//! The way of one request from its head to its answer.
//!
//! In this order, and the order is a security property: its name and its `now`; the client's
//! address; the route; `Host` and `Origin`; room for it; who calls; the body; the handler; the
//! headers of every answer; one line in the log.

use std::{net::IpAddr, sync::Arc};

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
        cors, forwarded,
        guard::{Panicked, caught, caught_in},
        limits::Limits,
        log_line::LogLine,
        request::{Head, Request, RequestId, settle_headers},
        response::{Response, empty, full},
        route::{Cors, Found, Index, NoRoute, OnHangUp, Route},
        server::Phase,
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

    /// The answer to `request`, which came from `peer`. There always is one.
    pub(crate) async fn answer(
        &self,
        peer: IpAddr,
        request: http::Request<impl Incoming>,
    ) -> Response {
        // What an application does is caught closer to where it happens, and answered in its words;
        // this is for the rest, such as a source of entropy that has none.
        caught_in(self.exchange(peer, request))
            .await
            .unwrap_or_else(|Panicked| bare_fault())
    }

    async fn exchange(&self, peer: IpAddr, request: http::Request<impl Incoming>) -> Response {
        let (mut parts, mut body) = request.into_parts();
        let version = parts.version;
        let settled = settle_headers(&mut parts);
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
            Ok(admitted) => self.handle(answer, admitted).instrument(span).await,
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
        let room = Arc::clone(&self.room);
        let room = room.try_acquire_owned().map_err(|_| Refusal::Busy)?;
        let caller = caught_in(app.admit(route.access, head))
            .await?
            .map_err(Early::Answered)?;
        let bytes_max = route.body_bytes_max;
        // RFC 9110 §9.3.1: content of a GET has no meaning; where none is asked for, none is read.
        let body = if bytes_max == 0 && route.method == Method::GET {
            Bytes::new()
        } else {
            body::read(body, bytes_max, &self.limits).await?
        };
        Ok(Admitted {
            route,
            caller,
            body,
            room,
        })
    }

    async fn handle(&self, answer: Answer<A>, admitted: Admitted<A>) -> Response {
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
            let called = async { (route.handler)(app, Request { head, body }, caller).await };
            let called = caught_in(called).await;
            drop(room);
            answer.conclude(called.map_or_else(Early::from, Early::Answered))
        };
        match route.on_hang_up {
            OnHangUp::Cancel => handled.await,
            OnHangUp::Finish => {
                let phase = self.phase.subscribe();
                let handled = handled.in_current_span();
                let task = tokio::spawn(async move { (handled.await, phase).0 });
                // Dropping `task` leaves it running, which is the point. That it did not finish
                // can only mean that the runtime is going down.
                task.await.unwrap_or_else(|_| bare_fault())
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
        let line = LogLine::new(&head, route.map(|route| route.path));
        Self {
            app,
            head,
            route,
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
