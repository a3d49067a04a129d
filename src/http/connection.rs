//! One connection, from its handshake to its end.

use std::{convert::Infallible, net::IpAddr, pin::Pin, sync::Arc};

use http::StatusCode;
use hyper::{
    body::Incoming,
    server::conn::{
        http1::{self, UpgradeableConnection},
        http2,
    },
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::watch,
    time::{Instant, timeout, timeout_at},
};
use tokio_rustls::TlsAcceptor;

use crate::http::{
    dispatch::{Application, Dispatcher},
    guard::{Activity, Counted},
    limits::{
        CLOSE_TIMEOUT, Limits, PING_INTERVAL, READ_BUFFER_BYTES_MAX, SEND_BUFFER_BYTES_MAX,
        STREAMS_MAX, STREAMS_RESET_FOR_MISTAKES_MAX, STREAMS_RESET_PENDING_MAX,
    },
    response,
    server::{PeerFilter, Phase},
    stall::Stall,
    tls::ALPN_HTTP_2,
};

const PLAIN_FROM_AFAR: &str = "expected https: plain http is served to this machine and to \
     trusted proxies only\n";

/// What all connections of a server have in common.
pub(crate) struct Connections<A: Application> {
    dispatcher: Arc<Dispatcher<A>>,
    tls: Option<TlsAcceptor>,
    peers: PeerFilter,
    limits: Limits,
    http1: http1::Builder,
    http2: http2::Builder<TokioExecutor>,
}

impl<A: Application> Connections<A> {
    pub(crate) fn new(
        dispatcher: Dispatcher<A>,
        tls: Option<TlsAcceptor>,
        peers: PeerFilter,
        limits: Limits,
    ) -> Self {
        Self {
            dispatcher: Arc::new(dispatcher),
            tls,
            peers,
            limits,
            http1: http1_builder(&limits),
            http2: http2_builder(&limits),
        }
    }

    /// Serves one connection to its end.
    pub(crate) async fn serve(
        &self,
        stream: TcpStream,
        peer: IpAddr,
        phase: watch::Receiver<Phase>,
    ) {
        let first_by = Instant::now() + self.limits.header_timeout;
        let figures = self.dispatcher.figures();
        figures.accepted.add_one();
        let _open = figures.connections.hold();
        let peer = peer.to_canonical();
        if let Err(error) = stream.set_nodelay(true) {
            // The peer has hung up already, or will be answered a little later.
            tracing::debug!(%error, "TCP_NODELAY could not be set");
        }
        let stream = Stall::new(stream, self.limits.write_timeout);
        let watched = Watched {
            activity: Activity::of(figures),
            first_by,
            limits: self.limits,
            phase,
        };
        match &self.tls {
            _ if !self.peers.admits(peer) => {
                figures.turned_away.add_one();
                self.turn_away(stream, watched).await;
            }
            None => self.serve_http1(stream, peer, watched).await,
            Some(tls) => match timeout_at(first_by, tls.accept(stream)).await {
                Ok(Ok(stream)) if stream.get_ref().1.alpn_protocol() == Some(ALPN_HTTP_2) => {
                    self.serve_http2(stream, peer, watched).await;
                }
                Ok(Ok(stream)) => self.serve_http1(stream, peer, watched).await,
                Ok(Err(error)) => {
                    figures.without_tls.add_one();
                    tracing::debug!(%error, "no TLS could be agreed on");
                }
                Err(_) => {
                    figures.without_tls.add_one();
                    tracing::debug!("a TLS handshake took too long");
                }
            },
        }
    }

    async fn serve_http1<S>(&self, stream: S, peer: IpAddr, watched: Watched)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let service = service_fn(self.service(peer, &watched.activity));
        let connection = self.http1.serve_connection(TokioIo::new(stream), service);
        // A connection that becomes a WebSocket has ended here: its stream looks after itself.
        watched
            .run(
                connection.with_upgrades(),
                UpgradeableConnection::graceful_shutdown,
            )
            .await;
    }

    async fn serve_http2<S>(&self, stream: S, peer: IpAddr, watched: Watched)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let service = service_fn(self.service(peer, &watched.activity));
        let connection = self.http2.serve_connection(TokioIo::new(stream), service);
        watched
            .run(connection, http2::Connection::graceful_shutdown)
            .await;
    }

    /// Answers every request of one connection.
    fn service(
        &self,
        peer: IpAddr,
        activity: &Activity,
    ) -> impl Fn(http::Request<Incoming>) -> Answered + use<A> {
        let (dispatcher, activity) = (Arc::clone(&self.dispatcher), activity.clone());
        move |request| {
            let (dispatcher, busy) = (Arc::clone(&dispatcher), activity.begin());
            Box::pin(async move {
                let response = dispatcher.answer(peer, request).await;
                Ok(response.map(|body| Counted::new(body, busy)))
            })
        }
    }

    /// Tells a peer that plain http is not for it, and hangs up.
    async fn turn_away<S>(&self, stream: S, watched: Watched)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let refuse = |_| async {
            Ok::<_, Infallible>(response::text(StatusCode::FORBIDDEN, PLAIN_FROM_AFAR))
        };
        let mut http1 = self.http1.clone();
        http1.keep_alive(false);
        let connection = http1.serve_connection(TokioIo::new(stream), service_fn(refuse));
        watched
            .run(connection, http1::Connection::graceful_shutdown)
            .await;
    }
}

/// The answer to one request of a connection.
type Answered = Pin<Box<dyn Future<Output = Result<http::Response<Counted>, Infallible>> + Send>>;

/// Without `pipeline_flush`: with it hyper does not write an answer while unread bytes are left, and
/// to bytes that cannot be read there would be no answer at all.
fn http1_builder(limits: &Limits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        // hyper counts it from the end of the answer before, so that it bounds idleness as well;
        // the shorter time that a first head has is kept by `Watched`.
        .header_read_timeout(limits.idle_timeout)
        .max_header_size(limits.header_bytes_max)
        .max_buf_size(READ_BUFFER_BYTES_MAX);
    builder
}

fn http2_builder(limits: &Limits) -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(u32::try_from(limits.header_bytes_max).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(STREAMS_RESET_PENDING_MAX)
        .max_local_error_reset_streams(STREAMS_RESET_FOR_MISTAKES_MAX)
        .max_send_buf_size(SEND_BUFFER_BYTES_MAX)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_INTERVAL);
    builder
}

/// A connection's right to go on.
struct Watched {
    activity: Activity,
    first_by: Instant,
    limits: Limits,
    phase: watch::Receiver<Phase>,
}

impl Watched {
    /// Drives `connection` until it ends, has been quiet for too long, or the server stops; `close`
    /// lets it finish what it is at.
    async fn run<C>(mut self, connection: C, close: impl Fn(Pin<&mut C>))
    where
        C: Future<Output = Result<(), hyper::Error>>,
    {
        let mut connection = std::pin::pin!(connection);
        let quiet = self.activity.quiet(self.first_by, self.limits.idle_timeout);
        let mut quiet = std::pin::pin!(quiet);
        tokio::select! {
            ended = connection.as_mut() => return log(ended),
            () = quiet.as_mut() => {}
            () = reached(&mut self.phase, Phase::Stopping) => {
                close(connection.as_mut());
                tokio::select! {
                    ended = connection.as_mut() => return log(ended),
                    () = quiet.as_mut() => {}
                    () = reached(&mut self.phase, Phase::Over) => return,
                }
            }
        }
        close(connection.as_mut());
        if let Ok(ended) = timeout(CLOSE_TIMEOUT, connection).await {
            log(ended);
        }
    }
}

/// Waits until the server has come to `phase`, or is gone.
pub(super) async fn reached(current: &mut watch::Receiver<Phase>, phase: Phase) {
    // The sender is dropped only after the last phase.
    drop(current.wait_for(|now| *now >= phase).await);
}

/// What ends a connection is the client's doing and of interest to its developer only.
fn log(ended: Result<(), hyper::Error>) {
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke off");
    }
}
