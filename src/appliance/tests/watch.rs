//! The watched inbox: what a reader is told, when it ends, and that nothing is lost.
//!
//! Over server-sent events, whose messages are those of the WebSocket; `http/tests/streams.rs` has
//! what is different between the two.

use std::{net::Ipv4Addr, time::Duration};

use http::Method;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{
    browser::Browser,
    client_app::ClientApp,
    house::{House, LOCAL},
    notifications::{ask, id_of, listed, told},
    wire::Ask,
};
use crate::{
    accounts::sessions,
    http::response::Body,
    model::{credential::CredentialKind, user::Role},
    store::{StoreError, notifications::MARK_STEP},
    web::watchers::{WAITING_MAX, WATCHERS_PER_USER_MAX},
};

const WATCH: &str = "/api/v2/notifications/inbox/watch";
const INBOX: &str = "/api/v2/notifications/inbox";

fn events(query: &str) -> Ask {
    Ask::get(&format!("{WATCH}{query}")).header("accept", "text/event-stream")
}

/// One reader.
struct Reader {
    body: Body,
    read: String,
}

impl Reader {
    async fn open(house: &House, ask: Ask) -> Self {
        let response = house.begin(Ipv4Addr::LOCALHOST.into(), ask).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["deprecation"], "@1795305600");
        Self {
            body: response.into_body(),
            read: String::new(),
        }
    }

    async fn of(browser: &Browser<'_>, house: &House) -> Self {
        let ask = browser.dress(events(""));
        Self::open(house, ask.header("accept", "text/event-stream")).await
    }

    /// The next event: its kind and what it says. None at the end.
    async fn event(&mut self) -> Option<(String, Value)> {
        loop {
            if let Some((event, rest)) = self.read.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.read = rest;
                let field = |name: &str| {
                    let mut lines = event.lines();
                    lines.find_map(|line| line.strip_prefix(name).map(str::to_owned))
                };
                let Some(data) = field("data: ") else {
                    continue;
                };
                let kind = field("event: ").unwrap_or_else(|| "message".to_owned());
                return Some((kind, serde_json::from_str(&data).expect("JSON")));
            }
            let frame = timeout(Duration::from_secs(20), self.body.frame()).await;
            let Ok(frame) = frame.expect("it comes soon")?;
            let data = frame.into_data().expect("no trailers");
            self.read
                .push_str(std::str::from_utf8(&data).expect("UTF-8"));
        }
    }

    async fn message(&mut self) -> Value {
        let (kind, message) = self.event().await.expect("a message");
        assert_eq!(kind, "message", "{message}");
        message
    }

    /// The code with which it ends, after any messages.
    async fn end(mut self) -> Value {
        loop {
            let (kind, message) = self.event().await.expect("an end");
            if kind == "end" {
                assert_eq!(self.event().await, None, "nothing after the end");
                return message["code"].clone();
            }
        }
    }
}

#[tokio::test]
async fn the_state_comes_first_and_then_what_happens() {
    let house = House::open();
    let (ada, bob) = (house.member("ada").await, house.member("bob").await);
    let (me, other) = (id_of(&ada).await, id_of(&bob).await);
    let mut empty = Reader::of(&ada, &house).await;
    let nothing = json!({ "notification": null, "unread_count": 0, "newest_id": null });
    assert_eq!(empty.message().await, nothing);

    let first = told(&house, &me, "One").await;
    let mut reader = Reader::of(&ada, &house).await;
    let state = json!({ "notification": null, "unread_count": 1, "newest_id": first });
    assert_eq!(reader.message().await, state);
    told(&house, &other, "Not hers").await;
    let second = told(&house, &me, "Two").await;
    let message = reader.message().await;
    let listed = ada.get(INBOX).await.json();
    assert_eq!(message["notification"], listed["notifications"][0]);
    assert_eq!(
        (&message["unread_count"], &message["notification"]["id"]),
        (&json!(2), &json!(second))
    );

    // Another tab marks one as read and removes another: this one learns of both.
    let path = format!("{INBOX}/{first}/read-status");
    ask(
        &house,
        &ada,
        Method::PUT,
        &path,
        &json!({ "is_read": true }),
    )
    .await
    .expect(200);
    let message = reader.message().await;
    assert_eq!(message["unread_count"], 1);
    assert_eq!(message["notification"]["read_at"], house.now().to_string());
    ask(
        &house,
        &ada,
        Method::DELETE,
        &format!("{INBOX}/{second}"),
        &json!({}),
    )
    .await
    .expect(204);
    let state = json!({ "notification": null, "unread_count": 0, "newest_id": first });
    assert_eq!(reader.message().await, state);
    // The other tab was told all of it as well, each time with what is so when it is told.
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.push(empty.message().await["unread_count"].clone());
    }
    assert_eq!(seen.last(), Some(&json!(0)));
}

#[tokio::test]
async fn the_content_comes_as_it_is_asked_for() {
    let house = House::open();
    let ada = house.member("ada").await;
    let me = id_of(&ada).await;
    let asked = |query| {
        ada.dress(events(query))
            .header("accept", "text/event-stream")
    };
    let mut plain = Reader::open(&house, asked("?format=plaintext")).await;
    plain.message().await;
    told(&house, &me, "One").await;
    assert_eq!(
        plain.message().await["notification"]["content"],
        "Done: see"
    );
    let refused = house.ask(asked("?format=html")).await.expect(400);
    assert_eq!(refused.json()["validations"][0]["field"], "format");
}

#[tokio::test]
async fn many_changes_at_once_are_one_message() {
    let house = House::open();
    let ada = house.member("ada").await;
    let me = id_of(&ada).await;
    for number in 0..20 {
        told(&house, &me, &format!("{number}")).await;
    }
    let mut reader = Reader::of(&ada, &house).await;
    assert_eq!(reader.message().await["unread_count"], 20);
    let path = format!("{INBOX}/mark-all-as-read");
    const { assert!(20 < MARK_STEP) };
    ask(&house, &ada, Method::PUT, &path, &json!({}))
        .await
        .expect(204);
    let message = reader.message().await;
    assert_eq!(
        (&message["notification"], &message["unread_count"]),
        (&Value::Null, &json!(0))
    );
}

/// What is written while the stream opens is in its state or comes after it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_between_the_state_and_the_stream() {
    let house = House::open();
    let ada = house.member("ada").await;
    let me = id_of(&ada).await;
    for number in 0..50 {
        let title = format!("{number}");
        let (id, mut reader) = tokio::join!(told(&house, &me, &title), Reader::of(&ada, &house));
        let state = reader.message().await;
        if state["newest_id"] != json!(id) {
            assert_eq!(reader.message().await["notification"]["id"], json!(id));
        }
    }
}

#[tokio::test]
async fn a_slow_reader_is_told_that_it_missed_something_and_finds_it_in_the_list() {
    let house = House::open();
    let ada = house.member("ada").await;
    let me = id_of(&ada).await;
    let mut quick = Reader::of(&ada, &house).await;
    quick.message().await;
    let slow = Reader::of(&ada, &house).await;
    for number in 0..2 * WAITING_MAX {
        told(&house, &me, &format!("{number}")).await;
        assert_eq!(
            quick.message().await["notification"]["title"],
            number.to_string()
        );
    }
    assert_eq!(slow.end().await, 1013);
    assert_eq!(listed(&ada, "").await.1, 2 * WAITING_MAX as u64);
    let mut again = Reader::of(&ada, &house).await;
    assert_eq!(again.message().await["unread_count"], 2 * WAITING_MAX);
}

/// From the moment on at which a credential ends nothing is told any more.
#[tokio::test]
async fn what_a_credential_opened_ends_with_it() {
    let house = House::open();
    let root = house.person("root", Role::Owner).await;
    let (owner, mut browser) = (house.signed_in(&root).await, house.signed_in(&root).await);
    let app = ClientApp::public(&house).await;
    let token = async |scope: &str| owner.connect(&app, scope, LOCAL).await.access;
    let read = token("notifications:read user:read").await;
    let without = token("user:read").await;
    house.ask(events("").bearer(&without)).await.expect(403);
    house.ask(events("").bearer("junk")).await.expect(401);
    house.ask(events("")).await.expect(401);

    let mut of_token = Reader::open(&house, events("").bearer(&read)).await;
    let mut of_browser = Reader::of(&browser, &house).await;
    let mut of_owner = Reader::of(&owner, &house).await;
    for reader in [&mut of_token, &mut of_browser, &mut of_owner] {
        reader.message().await;
    }
    house.ask(app.revoking(&read)).await.expect(200);
    let cookie = browser
        .cookie("keystead_session")
        .expect("a session")
        .to_owned();
    let session = crate::model::credential::Credential::parse(CredentialKind::Session, &cookie);
    let (user_id, session_id) = (root.id, session.expect("a session").id());
    let closed = house.write(move |tx, moment| sessions::close(tx, moment.by, user_id, session_id));
    let closed: Result<_, StoreError> = closed.await;
    assert!(closed.expect("a write"));
    browser.keep("keystead_session", "gone");
    told(&house, &root.id.to_string(), "Hush").await;
    assert_eq!(of_owner.message().await["notification"]["title"], "Hush");
    for reader in [of_token, of_browser] {
        let ended = reader.end().await;
        assert_eq!(ended, 1008);
    }
}

#[tokio::test]
async fn one_user_has_so_many_streams_and_no_more() {
    let house = House::open();
    let (ada, bob) = (house.member("ada").await, house.member("bob").await);
    let mut readers = Vec::new();
    for _ in 0..WATCHERS_PER_USER_MAX {
        let mut reader = Reader::of(&ada, &house).await;
        reader.message().await;
        readers.push(reader);
    }
    let refused = house
        .ask(ada.dress(events("")).header("accept", "text/event-stream"))
        .await;
    let refused = refused.expect(429);
    assert_eq!(refused.header("retry-after"), Some("30"));
    Reader::of(&bob, &house).await.message().await;
    readers.clear();
    // Who left leaves its place when it would be told something.
    told(&house, &id_of(&ada).await, "One").await;
    let place = async {
        while house.app.web.watchers.count() > 1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(20), place)
        .await
        .expect("it leaves");
    Reader::of(&ada, &house).await.message().await;
}

/// Threat 34: a page of another site can open a WebSocket with our cookie.
#[tokio::test]
async fn a_web_socket_with_a_cookie_is_of_our_own_page() {
    let house = House::open();
    let ada = house.member("ada").await;
    let app = ClientApp::public(&house).await;
    let token = ada.connect(&app, "notifications:read", LOCAL).await.access;
    let socket = || {
        let ask = Ask::get(WATCH)
            .header("upgrade", "websocket")
            .header("connection", "Upgrade");
        let ask = ask.header("sec-websocket-version", "13");
        ask.header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
    };
    for (ask, status) in [
        (ada.dress(socket()), 403),
        (
            ada.dress(socket()).header("origin", "https://evil.example"),
            403,
        ),
        (ada.dress(socket()).header("origin", "null"), 403),
        (ada.dress(socket()).header("origin", LOCAL), 101),
        (socket().header("origin", LOCAL), 401),
        (socket().bearer(&token), 101),
        (
            socket()
                .bearer(&token)
                .header("origin", "https://evil.example"),
            403,
        ),
        (
            socket().bearer(&token).header("sec-websocket-key", "short"),
            400,
        ),
        (
            socket().bearer(&token).header("sec-websocket-version", "8"),
            426,
        ),
    ] {
        let answer = house.ask(ask.clone()).await;
        assert_eq!(answer.status, status, "{ask:?}");
        if status == 426 {
            assert_eq!(answer.header("sec-websocket-version"), Some("13"));
            assert_eq!(answer.header("upgrade"), Some("websocket"));
        }
    }
}
