//! Plain HTTP/1.1: limits, hang-ups, stopping. Byte by byte, as no well-behaved client would.

use std::{net::Ipv4Addr, sync::Arc, time::Duration};

use tokio::{
    io::AsyncReadExt,
    net::TcpStream,
    sync::{oneshot, watch},
    time::{sleep, timeout},
};

use crate::http::{
    connection::Connections,
    dispatch::Dispatcher,
    limits::{HEADERS_MAX, Limits},
    server::{PeerFilter, Phase, bind},
    testing::{App, Client, FORM_BYTES_MAX, LARGE_BYTES, Server, get, soon},
};

/// Short, for a limit that a test waits for.
const SHORT: Duration = Duration::from_millis(250);
/// Long, for one that it must not come to.
const LONG: Duration = Duration::from_mins(10);

/// Limits that no test comes to.
fn patient() -> Limits {
    Limits {
        header_timeout: LONG,
        idle_timeout: LONG,
        body_timeout: LONG,
        write_timeout: LONG,
        grace: LONG,
        ..Limits::default()
    }
}

/// What the server answers to `bytes`, to the end of the connection.
async fn answer_to(limits: Limits, bytes: impl AsRef<[u8]>) -> String {
    let server = Server::start(limits).await;
    let mut client = server.connect().await;
    client.send(bytes).await;
    client.rest().await
}

fn post(length: &str, body: &str) -> String {
    format!(
        "POST /form HTTP/1.1\r\nHost: box.lan\r\nAuthorization: member\r\nConnection: close\r\n\
         {length}\r\n\r\n{body}"
    )
}

#[tokio::test]
async fn a_request_is_answered() {
    let answer = answer_to(patient(), get("/hello")).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nhello"), "{answer}");
}

#[tokio::test]
async fn head_tells_the_length_of_what_it_leaves_out() {
    let answer = answer_to(patient(), get("/hello").replace("GET", "HEAD")).await;
    assert!(answer.contains("\r\ncontent-length: 5\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\n"), "{answer}");
}

#[tokio::test]
async fn bytes_that_are_no_request_are_answered_400() {
    for bytes in [
        "\u{16}\u{3}\u{1}\u{2}\u{0} a TLS handshake\r\n\r\n",
        "GET /hello HTTP/1.1\r\nno colon\r\n\r\n",
        "GET /hel\u{0}lo HTTP/1.1\r\nHost: box.lan\r\n\r\n",
        "POST /form HTTP/1.1\r\nHost: box.lan\r\nContent-Length: many\r\n\r\n",
        "POST /form HTTP/1.1\r\nHost: box.lan\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    ] {
        let answer = answer_to(patient(), bytes).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{bytes:?}: {answer}");
    }
}

#[tokio::test]
async fn a_request_without_a_host_or_with_two_is_answered_400() {
    for hosts in ["", "Host: box.lan\r\nHost: evil.example\r\n"] {
        let request = format!("GET /hello HTTP/1.1\r\nConnection: close\r\n{hosts}\r\n");
        let answer = answer_to(patient(), request).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    }
}

#[tokio::test]
async fn as_many_headers_as_allowed_and_not_one_more() {
    let headers = |count: usize| "X-Header: x\r\n".repeat(count);
    // Host and Connection are two of them.
    let request =
        |count| get("/hello").replace("\r\n\r\n", &format!("\r\n{}\r\n", headers(count - 2)));
    let answer = answer_to(patient(), request(HEADERS_MAX)).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let answer = answer_to(patient(), request(HEADERS_MAX + 1)).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
}

#[tokio::test]
async fn too_long_a_head_is_answered_431() {
    let long = "x".repeat(patient().header_bytes_max);
    let answer = answer_to(patient(), get(&format!("/hello?{long}"))).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
}

#[tokio::test]
async fn a_connection_that_says_nothing_is_closed() {
    let limits = Limits {
        header_timeout: SHORT,
        ..patient()
    };
    assert_eq!(answer_to(limits, "").await, "");
}

#[tokio::test]
async fn a_head_that_takes_too_long_is_given_up() {
    let limits = Limits {
        header_timeout: SHORT,
        ..patient()
    };
    let server = Server::start(limits).await;
    let mut client = server.connect().await;
    client.send("GET /hello HTTP/1.1\r\nHost: ").await;
    assert_eq!(client.rest().await, "");
}

#[tokio::test]
async fn an_idle_connection_is_closed_and_a_busy_one_is_not() {
    let limits = Limits {
        header_timeout: SHORT,
        idle_timeout: SHORT,
        ..patient()
    };
    let mut server = Server::start(limits).await;
    let mut client = server.connect().await;
    client
        .send("GET /gate HTTP/1.1\r\nHost: box.lan\r\n\r\n")
        .await;
    assert_eq!(server.event().await, "begun");
    sleep(SHORT * 4).await;
    server.app.gate.add_permits(1);
    assert!(client.rest().await.ends_with("passed"));
}

#[tokio::test]
async fn a_body_that_announces_too_much_is_refused_unread() {
    let length = format!("Content-Length: {}", FORM_BYTES_MAX + 1);
    let server = Server::start(patient()).await;
    let mut client = server.connect().await;
    // Not one byte of it is sent before the answer is there.
    client.send(post(&length, "")).await;
    let head = client.until("\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 413 "), "{head}");
}

#[tokio::test]
async fn who_is_still_sending_gets_to_read_the_refusal() {
    let part = "x".repeat(FORM_BYTES_MAX);
    let server = Server::start(patient()).await;
    let mut client = server.connect().await;
    let length = format!("Content-Length: {}", 3 * part.len());
    client.send(post(&length, &part)).await;
    let head = client.until("\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 413 "), "{head}");
    // A connection that was closed by now would be reset by the first of these.
    client.send(&part).await;
    client.send(&part).await;
    let text = client.rest().await;
    assert!(text.contains("at most 1000 bytes"), "{text}");
}

#[tokio::test]
async fn leave_to_send_is_given_only_where_the_body_will_be_read() {
    let server = Server::start(patient()).await;
    let mut client = server.connect().await;
    let expect = |bytes: usize| {
        post(
            &format!("Expect: 100-continue\r\nContent-Length: {bytes}"),
            "",
        )
    };
    client.send(expect(4)).await;
    assert_eq!(
        client.until("\r\n\r\n").await,
        "HTTP/1.1 100 Continue\r\n\r\n"
    );
    client.send("four").await;
    assert!(client.rest().await.ends_with("member sent 4"));

    let mut client = server.connect().await;
    client.send(expect(FORM_BYTES_MAX + 1)).await;
    assert!(client.rest().await.starts_with("HTTP/1.1 413 "));
}

#[tokio::test]
async fn chunks_are_counted() {
    let chunked = |bytes: usize| {
        let body = format!("{bytes:x}\r\n{}\r\n0\r\n\r\n", "x".repeat(bytes));
        post("Transfer-Encoding: chunked", &body)
    };
    let answer = answer_to(patient(), chunked(FORM_BYTES_MAX)).await;
    assert!(answer.ends_with("member sent 1000"), "{answer}");
    let answer = answer_to(patient(), chunked(FORM_BYTES_MAX + 1)).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}

#[tokio::test]
async fn a_body_that_takes_too_long_is_answered_408() {
    let limits = Limits {
        body_timeout: SHORT,
        ..patient()
    };
    let server = Server::start(limits).await;
    let mut client = server.connect().await;
    client.send(post("Content-Length: 10", "half")).await;
    let head = client.until("\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 408 "), "{head}");
}

#[tokio::test]
async fn a_body_whose_chunks_are_broken_is_answered_400() {
    let answer = answer_to(patient(), post("Transfer-Encoding: chunked", "zz\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
}

#[tokio::test]
async fn a_connection_outlives_a_panic_and_so_does_the_server() {
    let server = Server::start(patient()).await;
    let mut client = server.connect().await;
    client
        .send("GET /panic HTTP/1.1\r\nHost: box.lan\r\n\r\n")
        .await;
    client.send(get("/hello")).await;
    let answers = client.rest().await;
    assert!(answers.starts_with("HTTP/1.1 500 "), "{answers}");
    assert!(answers.ends_with("hello"), "{answers}");
}

#[tokio::test]
async fn a_hang_up_does_not_cancel_what_must_finish() {
    let limits = Limits {
        connections_max: 1,
        ..patient()
    };
    let mut server = Server::start(limits).await;
    let mut client = server.connect().await;
    client.send(get("/gate")).await;
    assert_eq!(server.event().await, "begun");
    drop(client);
    // There is room for another only once the server has seen the hang-up.
    let mut other = server.connect().await;
    other.send(get("/hello")).await;
    assert!(other.rest().await.ends_with("hello"));
    server.app.gate.add_permits(1);
    assert_eq!(server.event().await, "passed");
}

#[tokio::test]
async fn a_hang_up_cancels_what_may_be_cancelled() {
    let mut server = Server::start(patient()).await;
    let mut client = server.connect().await;
    client.send(get("/gate/cancel")).await;
    assert_eq!(server.event().await, "begun");
    drop(client);
    assert_eq!(server.event().await, "ended");
}

#[tokio::test]
async fn a_client_that_does_not_read_is_given_up() {
    let limits = Limits {
        write_timeout: SHORT,
        ..patient()
    };
    let mut server = Server::start(limits).await;
    let mut client = server.connect().await;
    client.send(get("/large")).await;
    client.until("\r\n\r\n").await;
    // Stopping waits for the answer to be written, which it never is.
    server.stop();
    server.stopped().await;
    let mut read = Vec::new();
    // Cut off: by an end or by a reset, the rest never comes.
    let _ = soon(client.0.read_to_end(&mut read)).await;
    assert!(read.len() < LARGE_BYTES, "{}", read.len());
}

#[tokio::test]
async fn stopping_lets_a_request_finish_and_takes_no_other() {
    let mut server = Server::start(patient()).await;
    let mut busy = server.connect().await;
    let idle = server.connect().await;
    busy.send("GET /gate HTTP/1.1\r\nHost: box.lan\r\n\r\n")
        .await;
    assert_eq!(server.event().await, "begun");
    server.stop();
    assert_eq!(
        idle.rest().await,
        "",
        "an idle connection is closed at once"
    );
    let address = server.address;
    assert!(TcpStream::connect(address).await.is_err());
    server.app.gate.add_permits(1);
    assert!(busy.rest().await.ends_with("passed"));
    server.stopped().await;
}

#[tokio::test]
async fn stopping_waits_for_a_handler_whose_client_has_gone() {
    let mut server = Server::start(patient()).await;
    let mut client = server.connect().await;
    client.send(get("/gate")).await;
    assert_eq!(server.event().await, "begun");
    drop(client);
    server.stop();
    let (app, (passed, mut is_passed)) = (server.app.clone(), oneshot::channel());
    tokio::spawn(async move {
        sleep(SHORT).await;
        let _ = passed.send(());
        app.gate.add_permits(1);
    });
    server.stopped().await;
    assert_eq!(is_passed.try_recv(), Ok(()));
}

#[tokio::test]
async fn stopping_does_not_wait_for_ever() {
    let limits = Limits {
        grace: SHORT,
        ..patient()
    };
    let mut server = Server::start(limits).await;
    let mut client = server.connect().await;
    client.send(get("/gate/cancel")).await;
    assert_eq!(server.event().await, "begun");
    server.stop();
    assert_eq!(server.event().await, "ended");
    server.stopped().await;
}

#[tokio::test]
async fn connections_beyond_the_bound_wait_their_turn() {
    let limits = Limits {
        connections_max: 1,
        ..patient()
    };
    let mut server = Server::start(limits).await;
    let mut first = server.connect().await;
    first.send(get("/gate")).await;
    assert_eq!(server.event().await, "begun");
    let mut second = server.connect().await;
    second.send(get("/hello")).await;
    let mut byte = [0];
    let early = timeout(SHORT, second.0.read(&mut byte)).await;
    assert!(
        early.is_err(),
        "the second is served while the first is there"
    );
    server.app.gate.add_permits(1);
    assert!(first.rest().await.ends_with("passed"));
    assert!(second.rest().await.ends_with("hello"));
}

#[tokio::test]
async fn plain_http_from_afar_is_told_to_come_by_https() {
    let listener = bind((Ipv4Addr::LOCALHOST, 0).into()).await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let mut client = Client(TcpStream::connect(address).await.expect("a connection"));
    let (stream, _) = listener.accept().await.expect("a connection");
    let phase = Arc::new(watch::Sender::new(Phase::Serving));
    let dispatcher = Dispatcher::new(App::new().0, patient(), Arc::clone(&phase));
    let filter = PeerFilter::LoopbackAnd(Vec::new());
    let connections = Connections::new(dispatcher, None, filter, patient());
    // No machine has a foreign address of its own to come from, so that one is given.
    let peer = "192.168.1.2".parse().expect("an address");
    let serving = connections.serve(stream, peer, phase.subscribe());
    client
        .send("GET /hello HTTP/1.1\r\nHost: box.lan\r\n\r\n")
        .await;
    let (answer, ()) = tokio::join!(client.rest(), serving);
    assert!(
        answer.starts_with("HTTP/1.1 403 ") && answer.contains("expected https"),
        "{answer}"
    );
}

#[test]
fn the_filter_knows_this_machine_and_its_networks() {
    let filter = PeerFilter::LoopbackAnd(vec!["10.1.0.0/16".parse().expect("a network")]);
    for (peer, is_admitted) in [
        ("127.0.0.1", true),
        ("127.9.9.9", true),
        ("::1", true),
        ("::ffff:127.0.0.1", true),
        ("10.1.2.3", true),
        ("::ffff:10.1.2.3", true),
        ("10.2.0.1", false),
        ("192.168.1.2", false),
        ("2001:db8::1", false),
    ] {
        let peer = peer.parse().expect("an address");
        assert_eq!(filter.admits(peer), is_admitted, "{peer}");
        assert!(PeerFilter::Everyone.admits(peer));
    }
}
