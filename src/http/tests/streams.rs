//! Streams over real connections: what becomes of the connection, and of the server that stops.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::{net::TcpStream, time::sleep};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Message, protocol::CloseFrame},
};

use crate::http::{
    limits::{Limits, STREAM_HEARD_BYTES_MAX},
    testing::{Server, get, soon},
};

type Socket = WebSocketStream<TcpStream>;

/// Long, for a limit that a test must not come to.
const LONG: Duration = Duration::from_mins(10);

fn patient() -> Limits {
    Limits {
        header_timeout: LONG,
        idle_timeout: LONG,
        grace: LONG,
        ..Limits::default()
    }
}

async fn open(server: &Server) -> Socket {
    let stream = server.connect().await.0;
    let opened = soon(client_async("ws://box.lan/stream", stream)).await;
    opened.expect("a handshake").0
}

async fn next(socket: &mut Socket) -> Message {
    soon(socket.next()).await.expect("more").expect("a message")
}

/// Why the server closes, when that is what it does next.
async fn closed(socket: &mut Socket) -> (u16, String) {
    match next(socket).await {
        Message::Close(Some(CloseFrame { code, reason })) => (code.into(), reason.to_string()),
        other => panic!("expected a close, found {other:?}"),
    }
}

#[tokio::test]
async fn a_web_socket_is_told_and_goes_when_it_wants() {
    let mut server = Server::start(patient()).await;
    let mut socket = open(&server).await;
    assert_eq!(next(&mut socket).await, Message::text("hello"));
    server.app.gate.add_permits(1);
    assert_eq!(next(&mut socket).await, Message::text("again"));
    socket.close(None).await.expect("closed");
    assert!(matches!(next(&mut socket).await, Message::Close(_)));
    assert_eq!(server.event().await, "ended");
}

#[tokio::test]
async fn a_reader_that_speaks_is_told_why_it_is_over() {
    let server = Server::start(patient()).await;
    let long = "x".repeat(STREAM_HEARD_BYTES_MAX + 1);
    for speech in [
        Message::text("hello"),
        Message::binary(&b"hello"[..]),
        Message::text(long),
    ] {
        let mut socket = open(&server).await;
        assert_eq!(next(&mut socket).await, Message::text("hello"));
        socket.send(speech).await.expect("sent");
        assert_eq!(closed(&mut socket).await.0, 1008);
        let more = soon(socket.next()).await;
        assert!(!matches!(more, Some(Ok(_))), "{more:?} after the end");
    }
    // What every reader may say.
    let mut socket = open(&server).await;
    next(&mut socket).await;
    socket.send(Message::Ping("x".into())).await.expect("sent");
    assert_eq!(next(&mut socket).await, Message::Pong("x".into()));
}

#[tokio::test]
async fn an_open_stream_is_not_idle_and_takes_no_room() {
    let short = Duration::from_millis(50);
    let limits = Limits {
        connections_max: 1,
        requests_max: 1,
        idle_timeout: short,
        ..patient()
    };
    let server = Server::start(limits).await;
    let mut socket = open(&server).await;
    assert_eq!(next(&mut socket).await, Message::text("hello"));
    sleep(short * 4).await;
    let mut client = server.connect().await;
    client.send(get("/hello")).await;
    assert!(client.rest().await.ends_with("hello"));
    server.app.gate.add_permits(1);
    assert_eq!(next(&mut socket).await, Message::text("again"));
}

#[tokio::test]
async fn events_are_told_over_an_answer_that_does_not_end() {
    let short = Duration::from_millis(50);
    let limits = Limits {
        idle_timeout: short,
        ..patient()
    };
    let mut server = Server::start(limits).await;
    let mut client = server.connect().await;
    let ask = "GET /stream HTTP/1.1\r\nHost: box.lan\r\nAccept: text/event-stream\r\n\r\n";
    client.send(ask).await;
    let head = client.until("data: hello\n\n").await;
    assert!(
        head.contains("content-type: text/event-stream\r\n"),
        "{head}"
    );
    sleep(short * 4).await;
    server.app.gate.add_permits(1);
    client.until("data: again\n\n").await;
    server.stop();
    let end = client.until("\n\n").await;
    assert!(end.contains("event: end\ndata: {\"code\":1001,"), "{end}");
    server.stopped().await;
}

#[tokio::test]
async fn a_server_that_stops_says_so_and_waits_for_no_reader() {
    let mut server = Server::start(patient()).await;
    let mut socket = open(&server).await;
    assert_eq!(next(&mut socket).await, Message::text("hello"));
    server.stop();
    assert_eq!(closed(&mut socket).await.0, 1001);
    drop(socket);
    server.stopped().await;
}

/// RFC 6455 §4.2.1 and §4.4.
#[tokio::test]
async fn a_handshake_that_is_none_is_refused() {
    let server = Server::start(patient()).await;
    let whole = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                 Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    for (part, other) in [
        ("Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 8"),
        ("dGhlIHNhbXBsZSBub25jZQ==", "c2hvcnQ="),
        ("Sec-WebSocket-Key", "X-Other"),
        ("Upgrade: websocket", "Upgrade: h2c"),
    ] {
        let mut client = server.connect().await;
        let headers = whole.replace(part, other);
        let ask = format!("GET /stream HTTP/1.1\r\nHost: box.lan\r\n{headers}\r\n");
        client.send(ask).await;
        let answer = client.until("\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 426 "), "{other}: {answer}");
    }
    let mut client = server.connect().await;
    client
        .send(format!(
            "GET /stream HTTP/1.1\r\nHost: box.lan\r\n{whole}\r\n"
        ))
        .await;
    // RFC 6455 §1.3 has this pair.
    let answer = client.until("\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    assert!(answer.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{answer}");
    // A frame that no client may send (RFC 6455 §5.1: it is not masked) ends it.
    client.send([0x81, 0x01, b'x']).await;
    drop(client.until("hello").await);
    assert_eq!(client.rest().await, "");
}
