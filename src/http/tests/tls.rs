//! TLS, the choice between HTTP/2 and HTTP/1.1, and certificates that change under way.

use std::{fs, path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{
    ClientConfig, RootCertStore, SupportedProtocolVersion,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::{
    http::{
        limits::{Limits, STREAMS_MAX},
        server::PeerFilter,
        testing::{Client, FORM_BYTES_MAX, Server, get, soon},
        tls::{CertificateError, Certificates, provider},
    },
    model::timestamp::Timestamp,
    runtime::clock::{Clock, SystemClock},
};

const BOTH: [&SupportedProtocolVersion; 2] = [&rustls::version::TLS13, &rustls::version::TLS12];

/// A TLS server with a CA of its own.
struct Box {
    server: Server,
    certificates: Arc<Certificates>,
    _directory: TempDir,
}

impl Box {
    async fn start(limits: Limits) -> Self {
        let directory = TempDir::new().expect("a directory");
        let names = vec!["box.lan".to_owned(), "127.0.0.1".to_owned()];
        let certificates = Certificates::from_built_in_ca(directory.path(), names, now());
        let certificates = Arc::new(certificates.expect("a CA"));
        let tls = Some(Arc::clone(&certificates));
        Self {
            server: Server::start_with(limits, PeerFilter::Everyone, tls).await,
            certificates,
            _directory: directory,
        }
    }

    async fn connect(&self, alpn: &[&str]) -> TlsStream<TcpStream> {
        self.connect_with(alpn, &BOTH, "box.lan")
            .await
            .expect("a handshake")
    }

    async fn connect_with(
        &self,
        alpn: &[&str],
        versions: &[&'static SupportedProtocolVersion],
        name: &'static str,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        let ca = self.certificates.ca_pem().expect("a built-in CA");
        let ca = CertificateDer::from_pem_slice(ca.as_bytes()).expect("a certificate");
        roots.add(ca).expect("a root");
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(versions)
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        let stream = TcpStream::connect(self.server.address).await?;
        let name = ServerName::try_from(name).expect("a name");
        soon(TlsConnector::from(Arc::new(config)).connect(name, stream)).await
    }
}

/// The clients here read the machine's clock as well.
fn now() -> Timestamp {
    SystemClock.now()
}

fn shown(stream: &TlsStream<TcpStream>) -> Vec<u8> {
    let chain = stream
        .get_ref()
        .1
        .peer_certificates()
        .expect("a certificate");
    chain[0].to_vec()
}

async fn ask_http1(stream: &mut TlsStream<TcpStream>) -> String {
    let request = get("/hello").replace("Connection: close\r\n", "");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    while !answer.ends_with("hello") {
        answer.push(char::from(
            soon(stream.read_u8()).await.expect("more to read"),
        ));
    }
    answer
}

#[tokio::test]
async fn the_client_chooses_the_version_of_http() {
    let tls = Box::start(Limits::default()).await;
    for (alpn, chosen) in [
        (&["h2", "http/1.1"][..], Some(&b"h2"[..])),
        (&["http/1.1"], Some(b"http/1.1")),
        (&[], None),
    ] {
        let mut stream = tls.connect(alpn).await;
        assert_eq!(stream.get_ref().1.alpn_protocol(), chosen);
        if chosen != Some(b"h2") {
            assert!(ask_http1(&mut stream).await.starts_with("HTTP/1.1 200 "));
        }
    }
}

#[tokio::test]
async fn tls_1_2_is_spoken_too_and_addresses_are_names() {
    let tls = Box::start(Limits::default()).await;
    let connected = tls
        .connect_with(&[], &[&rustls::version::TLS12], "127.0.0.1")
        .await;
    assert!(
        ask_http1(&mut connected.expect("a handshake"))
            .await
            .ends_with("hello")
    );
    let stranger = tls.connect_with(&[], &BOTH, "other.lan").await;
    assert!(stranger.is_err(), "the certificate is not for every name");
}

type Http2 = hyper::client::conn::http2::SendRequest<Full<Bytes>>;

async fn http2(tls: &Box) -> Http2 {
    let stream = TokioIo::new(tls.connect(&["h2"]).await);
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream);
    let (sender, connection) = handshake.await.expect("HTTP/2");
    tokio::spawn(connection);
    sender
}

fn request(target: &str) -> http::request::Builder {
    http::Request::builder().uri(format!("https://box.lan{target}"))
}

async fn ask_http2(sender: &mut Http2, request: http::request::Builder) -> (u16, String) {
    send_http2(sender, request, "").await
}

async fn send_http2(
    sender: &mut Http2,
    request: http::request::Builder,
    body: impl Into<Bytes>,
) -> (u16, String) {
    let request = request.body(Full::new(body.into())).expect("a request");
    let response = soon(sender.send_request(request)).await.expect("an answer");
    let status = response.status().as_u16();
    let body = response
        .into_body()
        .collect()
        .await
        .expect("a body")
        .to_bytes();
    (status, String::from_utf8_lossy(&body).into_owned())
}

#[tokio::test]
async fn http2_reaches_the_same_routes() {
    let tls = Box::start(Limits::default()).await;
    let mut sender = http2(&tls).await;
    let hello = ask_http2(&mut sender, request("/hello")).await;
    assert_eq!(hello, (200, "hello".to_owned()));
    assert_eq!(ask_http2(&mut sender, request("/nowhere")).await.0, 404);
    let head = ask_http2(&mut sender, request("/hello").method("HEAD")).await;
    assert_eq!(head, (200, String::new()));
    let foreign = http::Request::builder().uri("https://evil.example/hello");
    assert_eq!(ask_http2(&mut sender, foreign).await.0, 403);
}

#[tokio::test]
async fn http2_bodies_are_bounded_and_a_refusal_is_one_streams_affair() {
    let tls = Box::start(Limits::default()).await;
    let mut sender = http2(&tls).await;
    let post = || {
        request("/form")
            .method("POST")
            .header("authorization", "member")
    };
    // More than the client may send before it is told to go on.
    for bytes in [FORM_BYTES_MAX + 1, 1024 * 1024] {
        let (status, text) = send_http2(&mut sender, post(), vec![b'x'; bytes]).await;
        assert_eq!(status, 413);
        assert!(text.contains("at most 1000 bytes"), "{text}");
    }
    let sent = send_http2(&mut sender, post(), vec![b'x'; FORM_BYTES_MAX]).await;
    assert_eq!(sent, (200, "member sent 1000".to_owned()));
}

#[tokio::test]
async fn http2_has_a_bound_on_headers() {
    let limits = Limits {
        header_bytes_max: 2000,
        ..Limits::default()
    };
    let tls = Box::start(limits).await;
    let mut sender = http2(&tls).await;
    let long = request("/hello").header("x-long", "x".repeat(4000));
    assert_eq!(ask_http2(&mut sender, long).await.0, 431);
}

/// One frame of HTTP/2 (RFC 9113 §4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len())
        .expect("a short payload")
        .to_be_bytes();
    let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
    [&head, payload].concat()
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const SETTINGS: u8 = 4;

#[tokio::test]
async fn http2_clients_are_told_the_bounds() {
    const MAX_CONCURRENT_STREAMS: u8 = 3;
    const MAX_HEADER_LIST_SIZE: u8 = 6;

    let tls = Box::start(Limits::default()).await;
    let mut stream = tls.connect(&["h2"]).await;
    stream
        .write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat())
        .await
        .expect("sent");
    let mut head = [0; 9];
    soon(stream.read_exact(&mut head)).await.expect("a frame");
    assert_eq!(head[3], SETTINGS, "the first frame of a server");
    let mut settings = vec![0; usize::from(head[2])];
    soon(stream.read_exact(&mut settings))
        .await
        .expect("its payload");
    let setting = |id: u8, value: u32| [&[0, id], &value.to_be_bytes()[..]].concat();
    for expected in [
        setting(MAX_CONCURRENT_STREAMS, STREAMS_MAX),
        setting(MAX_HEADER_LIST_SIZE, 32 * 1024),
    ] {
        assert!(
            settings.chunks(6).any(|found| found == expected),
            "{settings:?}"
        );
    }
}

#[tokio::test]
async fn rapid_resets_end_the_connection() {
    const HEADERS: u8 = 1;
    const RST_STREAM: u8 = 3;
    const GOAWAY: u8 = 7;
    const ENDS: u8 = 0x1 | 0x4;
    const CANCEL: [u8; 4] = [0, 0, 0, 8];
    const ENHANCE_YOUR_CALM: [u8; 4] = [0, 0, 0, 11];

    let tls = Box::start(Limits::default()).await;
    let mut stream = tls.connect(&["h2"]).await;
    // `GET https://box.lan/`, in HPACK's static table but for the host.
    let get = [&[0x82, 0x87, 0x84, 0x41, 7][..], b"box.lan"].concat();
    let mut bytes = PREFACE.to_vec();
    bytes.extend(frame(SETTINGS, 0, 0, &[]));
    for number in 0..500 {
        let id = 2 * number + 1;
        bytes.extend(frame(HEADERS, ENDS, id, &get));
        bytes.extend(frame(RST_STREAM, 0, id, &CANCEL));
    }
    stream.write_all(&bytes).await.expect("sent");
    let mut answer = Vec::new();
    // An end, or a reset: the rest of what was sent is not read.
    let _ = soon(stream.read_to_end(&mut answer)).await;
    let calm = answer
        .windows(17)
        .any(|bytes| bytes[3] == GOAWAY && bytes[13..] == ENHANCE_YOUR_CALM);
    assert!(calm, "{answer:?}");
}

#[tokio::test]
async fn http2_requests_finish_when_the_server_stops() {
    let mut tls = Box::start(Limits::default()).await;
    let mut sender = http2(&tls).await;
    let mut other = sender.clone();
    let asked = tokio::spawn(async move { ask_http2(&mut other, request("/gate")).await });
    assert_eq!(tls.server.event().await, "begun");
    tls.server.stop();
    tls.server.app.gate.add_permits(1);
    let answered = asked.await.expect("an answer");
    assert_eq!(answered, (200, "passed".to_owned()));
    tls.server.stopped().await;
    assert!(
        soon(sender.ready()).await.is_err(),
        "the connection is closed"
    );
}

#[tokio::test]
async fn a_silent_handshake_and_a_plain_request_are_closed_and_the_server_lives() {
    let limits = Limits {
        header_timeout: Duration::from_millis(50),
        ..Limits::default()
    };
    let tls = Box::start(limits).await;
    assert_eq!(tls.server.connect().await.rest().await, "");
    let mut plain = tls.server.connect().await;
    plain.send(get("/hello")).await;
    let mut answer = Vec::new();
    // An alert and an end, or a reset; never an answer.
    let Client(stream) = &mut plain;
    let _ = soon(stream.read_to_end(&mut answer)).await;
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
}

#[tokio::test]
async fn another_certificate_is_shown_to_new_connections_and_old_ones_go_on() {
    let tls = Box::start(Limits::default()).await;
    let mut old = tls.connect(&[]).await;
    ask_http1(&mut old).await;
    tls.certificates.reload(now()).expect("another leaf");
    let mut new = tls.connect(&[]).await;
    assert_ne!(shown(&old), shown(&new));
    ask_http1(&mut new).await;
    ask_http1(&mut old).await;
}

#[test]
fn a_leaf_is_renewed_when_a_third_of_its_life_is_left() {
    let directory = TempDir::new().expect("a directory");
    let names = vec!["box.lan".to_owned()];
    let start = now();
    let certificates = Certificates::from_built_in_ca(directory.path(), names, start);
    let certificates = certificates.expect("a CA");
    let days = |days: u64| start.after(Duration::from_hours(24 * days));
    assert!(!certificates.renew_if_due(days(59)).expect("nothing to do"));
    assert!(certificates.renew_if_due(days(60)).expect("another leaf"));
    assert!(!certificates.renew_if_due(days(61)).expect("nothing to do"));
}

/// Writes a certificate for `name` and its key, as someone with a CA of their own would.
fn write_pair(directory: &Path, name: &str) -> (std::path::PathBuf, std::path::PathBuf) {
    let pair = rcgen::generate_simple_self_signed(vec![name.to_owned()]).expect("a pair");
    let (certificate, key) = (directory.join("tls.crt"), directory.join("tls.key"));
    fs::write(&certificate, pair.cert.pem()).expect("written");
    fs::write(&key, pair.signing_key.serialize_pem()).expect("written");
    (certificate, key)
}

#[test]
fn files_are_read_again_and_broken_ones_change_nothing() {
    let directory = TempDir::new().expect("a directory");
    let (certificate, key) = write_pair(directory.path(), "one.lan");
    let certificates = Certificates::from_files(&certificate, &key, now()).expect("a pair");
    let shown = || certificates.shown().key.cert[0].to_vec();
    let first = shown();

    fs::write(&key, "junk").expect("written");
    let error = certificates.reload(now()).expect_err("junk");
    assert!(matches!(error, CertificateError::Content { .. }), "{error}");
    assert_eq!(shown(), first);

    write_pair(directory.path(), "two.lan");
    certificates.reload(now()).expect("a pair");
    assert_ne!(shown(), first);
    assert_eq!(certificates.ca_pem(), None);
    assert!(
        !certificates
            .renew_if_due(Timestamp::NEVER.before(Duration::from_hours(1)))
            .expect("ok")
    );
}
