//! What the tests of this floor share: a head, a small application, and a server that runs it.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use http::{
    HeaderName, HeaderValue, Method, StatusCode,
    header::{AUTHORIZATION, HOST},
};
use ipnet::IpNet;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::{Semaphore, mpsc, oneshot},
    task::JoinHandle,
    time::timeout,
};

use crate::{
    crypto::entropy::Entropy,
    http::{
        dispatch::{Application, Refusal},
        figures::Figures,
        limits::Limits,
        request::{Head, Request, RequestId},
        response::{Response, bytes, text},
        route::{Captures, Cors, OnHangUp, Route},
        server::{PeerFilter, bind, serve},
        stream::{Ended, Opening, Source},
        tls::Certificates,
    },
    model::timestamp::Timestamp,
    route,
    runtime::entropy::SeededEntropy,
};

/// The longest form of the application, in bytes.
pub(crate) const FORM_BYTES_MAX: usize = 1000;
/// More than any socket holds for a peer that does not read.
pub(crate) const LARGE_BYTES: usize = 32 * 1024 * 1024;
/// A test that waits this long has failed.
const PATIENCE: Duration = Duration::from_mins(1);

/// A head with these headers and nothing else of note.
pub(crate) fn head(headers: &[(&str, &str)]) -> Head {
    let headers = headers.iter().map(|(name, value)| {
        let name: HeaderName = name.parse().expect("a header's name");
        (
            name,
            HeaderValue::from_str(value).expect("a header's value"),
        )
    });
    Head {
        id: RequestId::generate(Timestamp::EPOCH, &SeededEntropy::new(1)),
        now: Timestamp::EPOCH,
        method: Method::GET,
        path: "/".into(),
        query: None,
        headers: headers.collect(),
        remote: IpAddr::V4(Ipv4Addr::LOCALHOST),
        captures: Captures::default(),
    }
}

/// Waits for something that must happen soon.
pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    timeout(PATIENCE, what).await.expect("it happens soon")
}

#[derive(Clone, Copy)]
pub(crate) enum Access {
    Anyone,
    Member,
}

/// An application that tells the test what its handlers do.
pub(crate) struct App {
    entropy: SeededEntropy,
    pub(crate) figures: Arc<Figures>,
    trusted: Vec<IpNet>,
    events: mpsc::UnboundedSender<&'static str>,
    /// One permit lets one `/gate` answer.
    pub(crate) gate: Semaphore,
}

pub(crate) type Events = mpsc::UnboundedReceiver<&'static str>;

impl App {
    pub(crate) fn new() -> (Arc<Self>, Events) {
        let (events, seen) = mpsc::unbounded_channel();
        let app = Self {
            entropy: SeededEntropy::new(1),
            figures: Arc::new(Figures::new(ROUTES.len())),
            trusted: vec!["10.0.0.0/8".parse().expect("a network")],
            events,
            gate: Semaphore::new(0),
        };
        (Arc::new(app), seen)
    }

    fn tell(&self, event: &'static str) {
        // A test that is over hears no more.
        let _ = self.events.send(event);
    }
}

static ROUTES: [Route<App>; 12] = [
    route!(GET "/hello", Access::Anyone, hello),
    route!(POST "/hello", Access::Anyone, hello),
    route!(GET "/who", Access::Anyone, who),
    route!(GET "/echo/{name}", Access::Anyone, echo),
    route!(GET "/open", Access::Anyone, hello).cors(Cors::AnyOrigin),
    route!(POST "/form", Access::Member, form)
        .body_bytes_max(FORM_BYTES_MAX)
        .cors(Cors::AnyOrigin),
    route!(DELETE "/form", Access::Member, form),
    route!(GET "/panic", Access::Anyone, panic),
    route!(GET "/gate", Access::Anyone, gate),
    route!(GET "/gate/cancel", Access::Anyone, gate).on_hang_up(OnHangUp::Cancel),
    route!(GET "/large", Access::Anyone, large),
    route!(GET "/stream", Access::Anyone, stream),
];

async fn hello(_: Arc<App>, _: Request, _: &'static str) -> Response {
    text(StatusCode::OK, "hello")
}

async fn who(_: Arc<App>, request: Request, caller: &'static str) -> Response {
    text(
        StatusCode::OK,
        format!("{caller} at {}", request.head.remote),
    )
}

async fn echo(_: Arc<App>, request: Request, _: &'static str) -> Response {
    text(
        StatusCode::OK,
        request.head.capture("name").unwrap_or("nothing"),
    )
}

async fn form(_: Arc<App>, request: Request, caller: &'static str) -> Response {
    text(
        StatusCode::OK,
        format!("{caller} sent {}", request.body.len()),
    )
}

async fn panic(_: Arc<App>, _: Request, _: &'static str) -> Response {
    tokio::task::yield_now().await;
    panic!("on purpose");
}

async fn gate(app: Arc<App>, _: Request, _: &'static str) -> Response {
    struct Ends(Arc<App>);
    impl Drop for Ends {
        fn drop(&mut self) {
            self.0.tell("ended");
        }
    }
    let _ends = Ends(Arc::clone(&app));
    app.tell("begun");
    app.gate.acquire().await.expect("never closed").forget();
    app.tell("passed");
    text(StatusCode::OK, "passed")
}

async fn large(_: Arc<App>, _: Request, _: &'static str) -> Response {
    bytes("text/plain", vec![b'x'; LARGE_BYTES].into())
}

async fn stream(app: Arc<App>, request: Request, _: &'static str) -> Response {
    match Opening::of(&request) {
        Ok(opening) => opening.begin(Gated {
            app,
            is_begun: false,
        }),
        Err(unfit) => text(StatusCode::UPGRADE_REQUIRED, unfit.to_string()),
    }
}

/// Says hello, and then something for every permit of the gate.
struct Gated {
    app: Arc<App>,
    is_begun: bool,
}

impl Source for Gated {
    async fn next(&mut self) -> Result<String, Ended> {
        if !std::mem::replace(&mut self.is_begun, true) {
            return Ok("hello".to_owned());
        }
        self.app
            .gate
            .acquire()
            .await
            .expect("never closed")
            .forget();
        Ok("again".to_owned())
    }

    fn check(&mut self) -> Result<(), Ended> {
        Ok(())
    }
}

impl Drop for Gated {
    fn drop(&mut self) {
        self.app.tell("ended");
    }
}

impl Application for App {
    type Access = Access;
    type Caller = &'static str;

    fn routes(&self) -> &'static [Route<Self>] {
        &ROUTES
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_790_000_000_000)
    }

    fn entropy(&self) -> &dyn Entropy {
        &self.entropy
    }

    fn figures(&self) -> &Arc<Figures> {
        &self.figures
    }

    fn trusted_proxies(&self) -> &[IpNet] {
        &self.trusted
    }

    fn screen(&self, _: Option<&Route<Self>>, head: &Head) -> Result<(), Refusal> {
        assert!(!head.headers.contains_key("x-panic-screen"), "on purpose");
        match head.headers.get(HOST) {
            Some(host) if host != "box.lan" => Err(Refusal::HostForeign {
                found: String::from_utf8_lossy(host.as_bytes()).into_owned(),
            }),
            _ => Ok(()),
        }
    }

    async fn admit(
        self: &Arc<Self>,
        access: Access,
        head: &Head,
    ) -> Result<&'static str, Response> {
        tokio::task::yield_now().await;
        assert!(!head.headers.contains_key("x-panic-admit"), "on purpose");
        match (access, head.headers.get(AUTHORIZATION)) {
            (Access::Anyone, _) => Ok("anyone"),
            (Access::Member, Some(token)) if token == "member" => Ok("member"),
            (Access::Member, _) => Err(text(StatusCode::UNAUTHORIZED, "who are you?")),
        }
    }

    fn refuse(&self, _: Option<&Route<Self>>, head: &Head, refusal: Refusal) -> Response {
        assert!(!head.headers.contains_key("x-panic-refuse"), "on purpose");
        text(refusal.status(), refusal.to_string())
    }

    fn finish(&self, route: Option<&Route<Self>>, head: &Head, response: &mut Response) {
        assert!(!head.headers.contains_key("x-panic-finish"), "on purpose");
        let path = route.map_or("none", |route| route.path);
        response
            .headers_mut()
            .insert("x-route", HeaderValue::from_static(path));
    }
}

/// A server on a port of its own.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) app: Arc<App>,
    pub(crate) events: Events,
    stop: Option<oneshot::Sender<()>>,
    running: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start(limits: Limits) -> Self {
        Self::start_with(limits, PeerFilter::LoopbackAnd(Vec::new()), None).await
    }

    pub(crate) async fn start_with(
        limits: Limits,
        peers: PeerFilter,
        tls: Option<Arc<Certificates>>,
    ) -> Self {
        let listener = bind((Ipv4Addr::LOCALHOST, 0).into()).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (app, events) = App::new();
        let (stop, stopped) = oneshot::channel();
        let serving = Arc::clone(&app);
        let running = tokio::spawn(async move {
            let stop = async { drop(stopped.await) };
            serve(vec![listener], serving, tls, peers, limits, stop).await;
        });
        Self {
            address,
            app,
            events,
            stop: Some(stop),
            running,
        }
    }

    /// The next thing that a handler did.
    pub(crate) async fn event(&mut self) -> &'static str {
        soon(self.events.recv())
            .await
            .expect("the server holds the application")
    }

    pub(crate) async fn connect(&self) -> Client {
        Client(
            TcpStream::connect(self.address)
                .await
                .expect("a connection"),
        )
    }

    /// Asks it to stop; [`Server::stopped`] waits until it has.
    pub(crate) fn stop(&mut self) {
        drop(self.stop.take());
    }

    pub(crate) async fn stopped(self) {
        soon(self.running).await.expect("serving does not panic");
    }
}

/// A client that sends what it is told to.
pub(crate) struct Client(pub(crate) TcpStream);

impl Client {
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).await.expect("sent");
    }

    /// Everything until the server closes the connection.
    pub(crate) async fn rest(mut self) -> String {
        let mut bytes = Vec::new();
        soon(self.0.read_to_end(&mut bytes))
            .await
            .expect("closed in order");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// What comes up to and with `end`.
    pub(crate) async fn until(&mut self, end: &str) -> String {
        let mut text = String::new();
        while !text.ends_with(end) {
            let byte = soon(self.0.read_u8()).await;
            text.push(char::from(byte.expect("more to read")));
        }
        text
    }
}

/// A plain `GET` after which the server closes the connection.
pub(crate) fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: box.lan\r\nConnection: close\r\n\r\n")
}
