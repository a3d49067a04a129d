//! The way out against a network that is made up.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    time::Instant,
};

use super::{
    testing::{
        GLOBAL, HOST, Says, World, addresses, answer, empty_world, json_answer, served, world,
    },
    *,
};

const URL: &str = "https://app.example/client.json?a=b";
const BYTES_MAX: usize = 64;

impl World {
    async fn fetch(&self) -> Result<Fetched, OutboundError> {
        let url = URL.parse().expect("a URL");
        self.outbound.fetch_json(&url, BYTES_MAX).await
    }
}

async fn fetch_said(says: Says) -> Result<Fetched, OutboundError> {
    served(&[&[GLOBAL]], says).await.fetch().await
}

#[tokio::test]
async fn a_document_is_fetched_from_the_address_of_its_host() {
    let world = served(&[&[GLOBAL]], json_answer("{}")).await;
    let fetched = world.fetch().await.expect("a document");
    assert_eq!(fetched.body, "{}");
    assert_eq!(fetched.fresh_for, None);
    assert_eq!(world.asked.names(), [HOST]);
    let expected: SocketAddr = "8.8.8.8:443".parse().expect("an address");
    assert_eq!(world.asked.addresses(), [expected]);
    let request = world.asked.requests().concat().to_ascii_lowercase();
    assert!(
        request.starts_with("get /client.json?a=b http/1.1\r\n"),
        "{request}"
    );
    assert!(request.contains("\r\nhost: app.example\r\n"), "{request}");
    for private in ["cookie", "authorization", "referer", "origin"] {
        assert!(!request.contains(private), "{request}");
    }
}

#[tokio::test]
async fn headers_say_how_long_it_may_be_kept() {
    let headers = "content-type: application/json; charset=utf-8\r\ncache-control: max-age=300\r\n";
    let fetched = fetch_said(Says::Bytes(answer("200 OK", headers, "{}"))).await;
    let expected = Some(Duration::from_mins(5));
    assert_eq!(fetched.expect("a document").fresh_for, expected);
}

/// Threat 23: every class of address, alone and behind a good one.
#[tokio::test]
async fn no_address_off_the_public_internet_is_ever_called() {
    for address in [
        "0.0.0.0",
        "10.0.0.5",
        "100.64.0.1",
        "127.0.0.1",
        "169.254.169.254",
        "172.16.0.1",
        "192.0.0.1",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.1.1",
        "198.18.0.1",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::a00:1",
        "100::1",
        "2001::1",
        "2001:2::1",
        "2001:db8::1",
        "2002:7f00:1::1",
        "3fff::1",
        "fc00::1",
        "fd00::1",
        "fe80::1",
        "fec0::1",
        "ff02::1",
    ] {
        for answer in [&[address][..], &[GLOBAL, address], &[address, GLOBAL]] {
            let world = empty_world(&[answer]);
            let error = world.fetch().await.expect_err(address);
            assert!(
                matches!(error, OutboundError::NotGlobal { .. }),
                "{address}: {error}"
            );
            assert_eq!(world.asked.addresses(), [], "{address}");
            assert!(!error.to_string().contains(address), "{error}");
        }
    }
}

/// Threat 23: an address in the URL is judged like one that a name resolves to.
#[tokio::test]
async fn an_address_in_the_url_is_judged_and_not_resolved() {
    for url in [
        "https://127.0.0.1/x",
        "https://10.0.0.1:8443/x",
        "https://[::1]/x",
        "https://[::ffff:7f00:1]/x",
    ] {
        let world = empty_world(&[&[GLOBAL]]);
        let parsed = url.parse().expect(url);
        let error = world.outbound.fetch_json(&parsed, BYTES_MAX).await;
        let error = error.expect_err(url);
        assert!(
            matches!(error, OutboundError::NotGlobal { .. }),
            "{url}: {error}"
        );
        assert!(world.asked.names().is_empty() && world.asked.addresses().is_empty());
    }
}

/// Threat 23: a name that is on the public internet when it is checked and elsewhere when it is
/// called.
#[tokio::test]
async fn a_rebound_name_is_called_where_it_was_checked() {
    let answers: [&[&str]; 2] = [&[GLOBAL], &["127.0.0.1"]];
    let world = served(&answers, json_answer("{}")).await;
    world.fetch().await.expect("a document");
    assert_eq!(world.asked.names().len(), 1);
    let called: Vec<_> = world.asked.addresses().iter().map(SocketAddr::ip).collect();
    assert_eq!(called, addresses(&[GLOBAL]));
    // The second call resolves anew, and is refused.
    let error = world.fetch().await.expect_err("this machine");
    assert!(matches!(error, OutboundError::NotGlobal { .. }), "{error}");
    assert_eq!(world.asked.addresses().len(), 1);
}

#[tokio::test]
async fn a_network_that_the_owner_names_is_called() {
    let mut world = served(&[&["10.0.0.5"], &["10.0.1.5"]], json_answer("{}")).await;
    let way = world.outbound.0.as_mut().expect("a way out");
    way.allowed = vec!["10.0.0.0/24".parse().expect("a network")];
    world.fetch().await.expect("a document");
    let error = world.fetch().await.expect_err("another network");
    assert!(matches!(error, OutboundError::NotGlobal { .. }), "{error}");
}

#[tokio::test]
async fn every_address_of_a_name_is_tried_in_turn() {
    let world = empty_world(&[&[GLOBAL, "1.1.1.1"]]);
    let error = world.fetch().await.expect_err("nobody answers");
    assert!(
        matches!(error, OutboundError::Unreachable { .. }),
        "{error}"
    );
    let called: Vec<_> = world.asked.addresses().iter().map(SocketAddr::ip).collect();
    assert_eq!(called, addresses(&[GLOBAL, "1.1.1.1"]));
}

#[tokio::test]
async fn a_name_without_an_address_or_with_too_many_is_refused() {
    for answers in [&[][..], &[&[][..]]] {
        let error = empty_world(answers).fetch().await.expect_err("no address");
        assert!(matches!(error, OutboundError::Unresolved { .. }), "{error}");
    }
    let many = vec![GLOBAL; ADDRESSES_MAX + 1];
    let error = empty_world(&[&many]).fetch().await.expect_err("many");
    assert!(
        matches!(error, OutboundError::TooManyAddresses { found: 33 }),
        "{error}"
    );
}

#[tokio::test]
async fn with_egress_off_nothing_is_resolved_or_called() {
    let outbound = Outbound::off();
    assert_eq!(outbound.egress(), Switch::Off);
    let url = URL.parse().expect("a URL");
    let error = outbound.fetch_json(&url, BYTES_MAX).await.expect_err("off");
    assert!(matches!(error, OutboundError::Off), "{error}");
}

/// Threat 23: a redirect leads around the check of the address.
#[tokio::test]
async fn a_redirect_is_not_followed() {
    for status in ["301 Moved", "302 Found", "303 See Other", "307 T", "308 P"] {
        let headers = "location: https://127.0.0.1/\r\ncontent-type: application/json\r\n";
        let world = served(&[&[GLOBAL]], Says::Bytes(answer(status, headers, "{}"))).await;
        let error = world.fetch().await.expect_err(status);
        assert!(
            matches!(error, OutboundError::Redirect(_)),
            "{status}: {error}"
        );
        assert_eq!(world.asked.addresses().len(), 1);
    }
}

#[tokio::test]
async fn only_status_200_is_a_document() {
    for status in [
        "201 Created",
        "204 No Content",
        "403 Forbidden",
        "404 N",
        "500 E",
    ] {
        let headers = "content-type: application/json\r\n";
        let error = fetch_said(Says::Bytes(answer(status, headers, "{}"))).await;
        let error = error.expect_err(status);
        assert!(
            matches!(error, OutboundError::Status(_)),
            "{status}: {error}"
        );
    }
}

#[tokio::test]
async fn only_json_is_a_document() {
    for (kind, is_json) in [
        ("application/json", true),
        ("Application/JSON; charset=utf-8", true),
        ("application/client-metadata+json", true),
        ("text/html", false),
        ("text/json", false),
        ("application/jsonp", false),
        ("application/octet-stream", false),
    ] {
        let headers = format!("content-type: {kind}\r\n");
        let fetched = fetch_said(Says::Bytes(answer("200 OK", &headers, "{}"))).await;
        match fetched {
            Ok(_) => assert!(is_json, "{kind}"),
            Err(error) => {
                assert!(
                    !is_json && matches!(error, OutboundError::NotJson),
                    "{kind}: {error}"
                );
            }
        }
    }
    let error = fetch_said(Says::Bytes(answer("200 OK", "", "{}"))).await;
    assert!(matches!(error, Err(OutboundError::NotJson)));
}

#[tokio::test]
async fn a_body_that_is_too_large_is_given_up() {
    let json = "content-type: application/json\r\n";
    let large = "x".repeat(BYTES_MAX + 1);
    let chunked = format!(
        "HTTP/1.1 200 OK\r\n{json}transfer-encoding: chunked\r\n\r\n41\r\n{large}\r\n0\r\n\r\n"
    );
    let unending = format!("HTTP/1.1 200 OK\r\n{json}content-length: 99999999999\r\n\r\n");
    let until_the_end = format!("HTTP/1.1 200 OK\r\n{json}\r\n{large}");
    for says in [
        Says::Bytes(answer("200 OK", json, &large)),
        Says::Bytes(chunked.into_bytes()),
        Says::ThenSilence(unending.into_bytes()),
        Says::Bytes(until_the_end.into_bytes()),
    ] {
        let error = fetch_said(says).await.expect_err("too large");
        assert!(
            matches!(
                error,
                OutboundError::TooLarge {
                    bytes_max: BYTES_MAX
                }
            ),
            "{error}"
        );
    }
    let largest = "x".repeat(BYTES_MAX);
    let fetched = fetch_said(json_answer(&largest))
        .await
        .expect("at the bound");
    assert_eq!(fetched.body, largest);
}

#[tokio::test]
async fn a_head_that_is_too_large_is_given_up() {
    for says in [
        Says::WithoutEnd(b"HTTP/1.1 200 OK\r\nx-long: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
        Says::Bytes(answer("200 OK", &"a: b\r\n".repeat(HEADERS_MAX + 1), "{}")),
    ] {
        let error = fetch_said(says).await.expect_err("too large");
        assert!(matches!(error, OutboundError::Broken(_)), "{error}");
    }
}

#[tokio::test]
async fn what_is_no_http_or_breaks_off_is_given_up() {
    let cut = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{";
    for bytes in [
        &b"220 mail.example ESMTP\r\n"[..],
        b"",
        b"HTTP/1.1 200",
        cut,
    ] {
        let error = fetch_said(Says::Bytes(bytes.to_vec()))
            .await
            .expect_err("no answer");
        assert!(matches!(error, OutboundError::Broken(_)), "{error}");
    }
}

#[tokio::test]
async fn a_silent_server_has_until_the_deadline() {
    let begun = Instant::now();
    let head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{";
    let error = fetch_said(Says::ThenSilence(head.to_vec())).await;
    assert!(matches!(error, Err(OutboundError::TooSlow)), "{error:?}");
    assert!(begun.elapsed() >= DEADLINE, "it was not waited for");
}

/// A server that speaks no TLS, and one that proves to be another host.
#[tokio::test]
async fn only_the_host_itself_is_believed() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await?;
        let garbage = answer("200 OK", "content-type: application/json\r\n", "{}");
        stream.write_all(&garbage).await?;
        stream.read_u8().await
    });
    let plain = world(&[&[GLOBAL]], Some(address), RootCertStore::empty());
    let error = plain.fetch().await.expect_err("plain text");
    assert!(matches!(error, OutboundError::Untrusted { .. }), "{error}");

    let world = served(&[&[GLOBAL]], json_answer("{}")).await;
    let other = "https://other.example/x".parse().expect("a URL");
    let error = world.outbound.fetch_json(&other, BYTES_MAX).await;
    let error = error.expect_err("another's certificate");
    assert!(matches!(error, OutboundError::Untrusted { .. }), "{error}");
}

/// What a POST of `hello` is answered.
async fn post_said(says: Says) -> (Result<Posted, OutboundError>, World) {
    let world = served(&[&[GLOBAL]], says).await;
    let posted = world.post().await;
    (posted, world)
}

impl World {
    async fn post(&self) -> Result<Posted, OutboundError> {
        let url = URL.parse().expect("a URL");
        let mut headers = HeaderMap::new();
        headers.insert("ttl", 60.into());
        self.outbound.post(&url, headers, "hello".into()).await
    }
}

#[tokio::test]
async fn a_message_is_sent_and_every_status_is_an_answer() {
    for (status, expected) in [("201 Created", 201), ("404 N", 404), ("503 S", 503)] {
        let says = Says::Bytes(answer(status, "retry-after: 7\r\n", "what nobody reads"));
        let (posted, world) = post_said(says).await;
        let expected = Posted {
            status: StatusCode::from_u16(expected).expect("a status"),
            retry_after: Some(Duration::from_secs(7)),
        };
        assert_eq!(posted.expect("an answer"), expected);
        assert_eq!(world.asked.bodies(), [b"hello".to_vec()]);
        let request = world.asked.requests().concat().to_ascii_lowercase();
        assert!(
            request.starts_with("post /client.json?a=b http/1.1\r\n"),
            "{request}"
        );
        assert!(request.contains("\r\nttl: 60\r\n"), "{request}");
        for private in ["cookie", "authorization", "referer", "origin", "accept:"] {
            assert!(!request.contains(private), "{request}");
        }
    }
}

/// Threats 23 and 40: a message goes through the same checks as everything else.
#[tokio::test]
async fn a_message_goes_to_no_address_off_the_public_internet() {
    for address in ["127.0.0.1", "10.0.0.5", "169.254.169.254", "::1", "fd00::1"] {
        let world = empty_world(&[&[GLOBAL, address]]);
        let error = world.post().await.expect_err(address);
        assert!(
            matches!(error, OutboundError::NotGlobal { .. }),
            "{address}: {error}"
        );
        assert_eq!(world.asked.addresses(), [], "{address}");
    }
    let off = Outbound::off();
    let url = URL.parse().expect("a URL");
    let error = off.post(&url, HeaderMap::new(), Bytes::new()).await;
    assert!(matches!(error, Err(OutboundError::Off)), "{error:?}");
}

#[tokio::test]
async fn a_message_is_not_sent_where_a_redirect_leads() {
    let headers = "location: https://app.example/other\r\n";
    let (posted, world) = post_said(Says::Bytes(answer("307 T", headers, ""))).await;
    assert_eq!(posted.expect("an answer").status, 307);
    assert_eq!(world.asked.requests().len(), 1);
}

/// Threat 24: an answer without end, in its head, in its body, or never begun.
#[tokio::test]
async fn an_answer_to_a_message_costs_no_more_than_its_head_and_the_deadline() {
    let head = b"HTTP/1.1 200 OK\r\nx-long: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    let (posted, _) = post_said(Says::WithoutEnd(head)).await;
    assert!(
        matches!(posted, Err(OutboundError::Broken(_))),
        "{posted:?}"
    );
    let (posted, _) = post_said(Says::Bytes(b"220 mail ESMTP\r\n".to_vec())).await;
    assert!(
        matches!(posted, Err(OutboundError::Broken(_))),
        "{posted:?}"
    );

    let endless = b"HTTP/1.1 201 Created\r\ncontent-length: 99999999999\r\n\r\nx";
    let (posted, _) = post_said(Says::ThenSilence(endless.to_vec())).await;
    // Whoever waited for the body would find the server too slow.
    assert_eq!(posted.expect("its head").status, 201);

    let (posted, _) = post_said(Says::ThenSilence(Vec::new())).await;
    assert!(matches!(posted, Err(OutboundError::TooSlow)), "{posted:?}");
}
