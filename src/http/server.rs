//! Listening, accepting, and stopping in order.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use ipnet::IpNet;
use tokio::{
    net::TcpListener,
    sync::{Semaphore, watch},
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::http::{
    connection::Connections,
    dispatch::{Application, Dispatcher},
    forwarded::is_trusted,
    limits::{ACCEPT_PAUSE, Limits},
    tls::Certificates,
};

/// Whom a listener serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerFilter {
    /// Everyone: what goes over the wire is encrypted.
    Everyone,
    /// This machine itself, and these networks: plain http goes no further than a trusted proxy.
    LoopbackAnd(Vec<IpNet>),
}

impl PeerFilter {
    /// Whether `peer` is served.
    pub fn admits(&self, peer: IpAddr) -> bool {
        match self {
            Self::Everyone => true,
            Self::LoopbackAnd(networks) => {
                peer.to_canonical().is_loopback() || is_trusted(peer, networks)
            }
        }
    }
}

/// How far the server is on its way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    Serving,
    /// What runs may finish, nothing begins.
    Stopping,
    /// Whatever is left is dropped.
    Over,
}

/// Listens on `address`; port 0 is any that is free.
pub async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address).await
}

/// Serves `app` on all `listeners` until `stop` is done, then lets what runs finish.
///
/// With `tls` every connection is TLS, and the client chooses HTTP/2 or HTTP/1.1 by ALPN; without
/// it every connection is plain HTTP/1.1. It returns when nothing runs any more, or after
/// [`Limits::grace`], whatever comes first.
pub async fn serve<A: Application>(
    listeners: Vec<TcpListener>,
    app: Arc<A>,
    tls: Option<Arc<Certificates>>,
    peers: PeerFilter,
    limits: Limits,
    stop: impl Future<Output = ()>,
) {
    let phase = Arc::new(watch::Sender::new(Phase::Serving));
    let dispatcher = Dispatcher::new(app, limits, Arc::clone(&phase));
    let tls = tls.map(Certificates::acceptor);
    let connections = Arc::new(Connections::new(dispatcher, tls, peers, limits));
    let room = Arc::new(Semaphore::new(limits.connections_max));

    let mut accepting = JoinSet::new();
    for listener in listeners {
        let connections = Arc::clone(&connections);
        accepting.spawn(accept(
            listener,
            connections,
            Arc::clone(&room),
            Arc::clone(&phase),
        ));
    }
    stop.await;
    // Ends the loops and closes the listeners: who comes now is refused, and may try another.
    accepting.shutdown().await;
    wind_down(&phase, limits).await;
}

/// Accepts for ever.
async fn accept<A: Application>(
    listener: TcpListener,
    connections: Arc<Connections<A>>,
    room: Arc<Semaphore>,
    phase: Arc<watch::Sender<Phase>>,
) {
    loop {
        // Taken before a connection is, so that those beyond the bound wait in the backlog.
        let room = Arc::clone(&room).acquire_owned().await;
        match listener.accept().await {
            Ok((stream, peer)) => {
                let (connections, phase) = (Arc::clone(&connections), phase.subscribe());
                tokio::spawn(async move {
                    connections.serve(stream, peer.ip(), phase).await;
                    drop(room);
                });
            }
            Err(error) if is_of_the_connection(&error) => {
                tracing::debug!(%error, "a connection ended before it was accepted");
            }
            Err(error) => {
                // No file descriptor or memory is left: trying at once would fail at once.
                tracing::warn!(%error, pause = ?ACCEPT_PAUSE, "no connection can be accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Whether `accept` failed for one connection, and not for all.
fn is_of_the_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}

/// Waits until every connection and every handler has ended, which is when no one listens to
/// `phase` any more; at most for the grace.
async fn wind_down(phase: &watch::Sender<Phase>, limits: Limits) {
    phase.send_replace(Phase::Stopping);
    if timeout(limits.grace, phase.closed()).await.is_err() {
        let left = phase.receiver_count();
        tracing::warn!(left, grace = ?limits.grace, "stopping without waiting any longer");
        phase.send_replace(Phase::Over);
    }
}
