//! `POST /api/v2/notifications/custom`: who may tell whom what, and how often.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    administered,
    browser::Browser,
    client_app::ClientApp,
    house::{House, LOCAL},
    wire::{Answer, Ask},
};
use crate::{
    model::{
        id::Id,
        notification::{Methods, Notification, Sender, Template, Urgency},
        oauth2::client::GrantType,
        user::{Role, User},
    },
    notifications::{self, Filter, testing},
    store::{
        StoreError,
        pushes::{self, QUEUE_PER_USER_MAX},
    },
    web::throttle::{Endpoint, LIMITS},
};

const CUSTOM: &str = "/api/v2/notifications/custom";
const WRITE: &str = "notifications:write";

/// A token for the API that `browser`'s person allowed `app`.
async fn token(app: &ClientApp, browser: &Browser<'_>) -> String {
    browser.connect(app, WRITE, LOCAL).await.access
}

/// A token that a client of an administrator's got for itself.
async fn own_token(house: &House, scope: &str) -> (Id, String) {
    let own = [GrantType::ClientCredentials];
    let client = administered::client(house, &own, Some("user:read notifications:write")).await;
    let form = client.identified(&[
        ("grant_type", "client_credentials"),
        ("scope", scope),
        ("resource", LOCAL),
    ]);
    let token = house.token(&form).await.expect(200).text("access_token");
    (client.id.parse().expect("an id"), token)
}

async fn send(house: &House, token: &str, body: &Value) -> Answer {
    house.ask(Ask::json(CUSTOM, body).bearer(token)).await
}

/// The newest of what `user` was told, but for what Keystead itself reports.
fn inbox(house: &House, user: &User) -> Vec<Notification> {
    let filter = Filter {
        templates: vec![Template::Custom],
        ..Filter::default()
    };
    let page = house
        .store
        .read(|tx| notifications::list(tx, user.id, &filter));
    let entries = page.expect("a page").entries.into_iter();
    entries.map(|entry| entry.notification).collect()
}

fn hello() -> Value {
    json!({ "title": "Hello" })
}

fn to(user: &User) -> Value {
    json!({ "title": "Hello", "user_id": user.id.to_string() })
}

#[tokio::test]
async fn what_is_sent_stands_in_the_persons_inbox_and_is_answered() {
    let house = House::open();
    let ada = house.person("ada", Role::Member).await;
    let bob = house.person("bob", Role::Member).await;
    let (browser, app) = (house.signed_in(&ada).await, ClientApp::public(&house).await);
    let token = token(&app, &browser).await;
    let target = ada.id.to_string();
    let body = json!({
        "title": "Backup done", "content": "**3 GB**", "urgency": "low",
        "targets": [target], "user_id": null,
        "actions": [{ "label": "Look", "url": "https://nas.example/jobs" },
                    { "label": "Inbox", "url": "/inbox" }],
    });
    let sent = send(&house, &token, &body).await.expect(201).json();
    let kept = inbox(&house, &ada).remove(0);
    assert_eq!(sent["id"], kept.id.to_string());
    assert_eq!(sent["user_id"], ada.id.to_string());
    assert_eq!(sent["template_id"], "custom");
    for part in ["title", "content", "targets", "actions"] {
        assert_eq!(sent[part], body[part], "{part}");
    }
    assert_eq!(kept.content, "**3 GB**");
    assert_eq!(kept.urgency, Urgency::Low);
    let client: Id = app.id.parse().expect("an id");
    assert_eq!(kept.sender, Sender::Client(client));
    assert_eq!(inbox(&house, &bob), []);
}

/// Threat 13: whose inbox somebody may write to.
#[tokio::test]
async fn only_an_owner_and_a_client_that_one_allowed_write_to_another_inbox() {
    let house = House::open();
    let root = house.person("root", Role::Owner).await;
    let ada = house.person("ada", Role::Member).await;
    let app = ClientApp::public(&house).await;
    let of_ada = token(&app, &house.signed_in(&ada).await).await;
    let of_root = token(&app, &house.signed_in(&root).await).await;
    let nobody = json!({ "title": "x", "user_id": "0".repeat(Id::TEXT_LEN) });
    // What is not theirs and what is not there look alike.
    let foreign = send(&house, &of_ada, &to(&root)).await.expect(404);
    let missing = send(&house, &of_ada, &nobody).await.expect(404);
    assert_eq!(foreign.body, missing.body);
    assert_eq!(inbox(&house, &root), []);
    send(&house, &of_ada, &to(&ada)).await.expect(201);
    send(&house, &of_root, &to(&ada)).await.expect(201);
    send(&house, &of_root, &nobody).await.expect(404);
    let (client, own) = own_token(&house, WRITE).await;
    // Those of one millisecond are in no order.
    house.wait(Duration::from_millis(1));
    send(&house, &own, &to(&ada)).await.expect(201);
    let all = inbox(&house, &ada);
    assert_eq!(all.len(), 3);
    assert_eq!(all[0].sender, Sender::Client(client));
    let unnamed = send(&house, &own, &hello()).await.expect(400).json();
    assert_eq!(unnamed["validations"][0]["field"], "user_id");
    // A client that may do something else is told what it lacks.
    let (_, other) = own_token(&house, "user:read").await;
    let refused = send(&house, &other, &to(&ada)).await.expect(403);
    let challenge = refused.header("www-authenticate").expect("a challenge");
    assert!(
        challenge.contains(r#"scope="notifications:write""#),
        "{challenge}"
    );
    house.disable(&ada).await;
    send(&house, &of_root, &to(&ada)).await.expect(404);
}

/// Its own token opens no other route of the API.
#[tokio::test]
async fn a_clients_own_token_opens_nothing_else() {
    let house = House::open();
    let (_, own) = own_token(&house, "user:read").await;
    let ask = Ask::get("/api/v2/users/me").bearer(&own);
    house.ask(ask).await.expect(403);
}

#[tokio::test]
async fn a_person_in_a_browser_is_the_sender_themselves() {
    let house = House::open();
    let ada = house.person("ada", Role::Member).await;
    let browser = house.signed_in(&ada).await;
    let me = browser.get("/api/v2/users/me").await.expect(200);
    let csrf = me.header("x-csrf-token").expect("a session has one");
    let ask = browser.dress(Ask::json(CUSTOM, &hello()));
    house
        .ask(ask.header("x-csrf-token", csrf))
        .await
        .expect(201);
    assert_eq!(inbox(&house, &ada)[0].sender, Sender::Person(ada.id));
}

#[tokio::test]
async fn every_bound_is_kept_and_named() {
    let house = House::open();
    let ada = house.person("ada", Role::Member).await;
    let app = ClientApp::public(&house).await;
    let token = token(&app, &house.signed_in(&ada).await).await;
    let action = json!({ "label": "Go", "url": "/inbox" });
    let label = |label: &str| json!([{ "label": label, "url": "/inbox" }]);
    let url = |url: &str| json!([{ "label": "Go", "url": url }]);
    let targets = vec![ada.id.to_string(); 9];
    for (field, value) in [
        ("title", Value::Null),
        ("title", json!(7)),
        ("title", json!(" ")),
        ("title", json!("two\nlines")),
        ("title", json!("x".repeat(201))),
        ("content", json!("x".repeat(4_001))),
        ("content", json!(["x"])),
        ("actions", json!({})),
        ("actions", json!(["x"])),
        ("actions", json!(vec![action; 5])),
        ("actions", json!([{ "label": "Go" }])),
        (
            "actions",
            json!([{ "label": "Go", "url": "/inbox", "icon": "x" }]),
        ),
        ("actions", label("")),
        ("actions", label("two\nlines")),
        ("actions", label(&"x".repeat(65))),
        ("actions", url("http://nas.example/")),
        ("actions", url("javascript:alert(1)")),
        ("actions", url("//evil.example")),
        ("targets", json!(targets)),
        ("targets", json!(["junk"])),
        ("urgency", json!("now")),
        ("user_id", json!("junk")),
        ("icon", json!("x")),
    ] {
        let mut body = hello();
        body[field] = value;
        let refused = send(&house, &token, &body).await.expect(400).json();
        let named = refused["validations"][0]["field"].as_str();
        assert_eq!(named, Some(field), "{body}: {refused}");
    }
    assert_eq!(inbox(&house, &ada), []);
}

/// The sender cannot tell that it was muted, or that such messages are not wanted.
#[tokio::test]
async fn what_is_not_wanted_is_answered_alike_and_kept_nowhere() {
    let house = House::open();
    let ada = house.person("ada", Role::Member).await;
    let app = ClientApp::public(&house).await;
    let token = token(&app, &house.signed_in(&ada).await).await;
    let wanted = send(&house, &token, &hello()).await.expect(201).json();
    let (user, client) = (ada.id, app.id.parse().expect("an id"));
    let muted: Result<bool, StoreError> = house
        .write(move |tx, _| notifications::mute(tx, user, client))
        .await;
    assert!(muted.expect("the store writes"));
    let muted = send(&house, &token, &hello()).await.expect(201).json();
    let off = Methods {
        inbox: false,
        push: false,
    };
    let switched: Result<(), StoreError> = house
        .write(move |tx, _| {
            notifications::unmute(tx, user, client)?;
            notifications::switch(tx, user, Template::Custom, off)
        })
        .await;
    switched.expect("the store writes");
    let off = send(&house, &token, &hello()).await.expect(201).json();
    for unwanted in [muted, off] {
        let members = |value: &Value| -> Vec<String> {
            value
                .as_object()
                .expect("an object")
                .keys()
                .cloned()
                .collect()
        };
        assert_eq!(members(&unwanted), members(&wanted));
        assert_ne!(unwanted["id"], wanted["id"]);
    }
    assert_eq!(inbox(&house, &ada).len(), 1);
}

/// Issue 6: a full queue refuses new sends with 429, and never drops silently.
#[tokio::test]
async fn who_has_as_many_messages_on_their_way_as_may_be_is_told_no_more() {
    let house = House::open();
    let root = house.person("root", Role::Owner).await;
    let ada = house.person("ada", Role::Member).await;
    let app = ClientApp::public(&house).await;
    let token = token(&app, &house.signed_in(&root).await).await;
    let user_id = ada.id;
    let filled: Result<(), StoreError> = house
        .write(move |tx, moment| testing::fill_queue(tx, moment.act(), user_id))
        .await;
    filled.expect("a queue that is full");
    let refused = send(&house, &token, &to(&ada)).await.expect(429);
    assert_eq!(refused.header("retry-after"), Some("30"));
    let detail = refused.text("detail");
    assert!(detail.contains("messages to this person wait"), "{detail}");
    assert_eq!(inbox(&house, &ada), []);
    let queue = house.store.read(|tx| pushes::queue_len(tx));
    let queue: Result<u64, StoreError> = queue;
    assert_eq!(queue.expect("a read"), QUEUE_PER_USER_MAX as u64);
    // Who waits for no push service is told what there is to say.
    send(&house, &token, &to(&root)).await.expect(201);
}

#[tokio::test]
async fn a_client_tells_each_person_so_much_and_no_more() {
    let house = House::with_rate_limits();
    let root = house.person("root", Role::Owner).await;
    let ada = house.person("ada", Role::Member).await;
    let (app, other) = (
        ClientApp::public(&house).await,
        ClientApp::public(&house).await,
    );
    let browser = house.signed_in(&root).await;
    let busy = token(&app, &browser).await;
    let quiet = token(&other, &browser).await;
    let mut limits = LIMITS.iter();
    let limit = limits.find(|limit| limit.endpoint == Endpoint::Notification);
    let limit = limit.expect("a limit");
    for _ in 0..limit.burst.get() {
        send(&house, &busy, &hello()).await.expect(201);
    }
    let refused = send(&house, &busy, &hello()).await.expect(429);
    let wait = refused.header("retry-after").expect("when to try again");
    let wait: u64 = wait.parse().expect("seconds");
    assert_eq!(wait, limit.period.as_secs());
    // What would not have been taken takes nothing of the allowance.
    send(&house, &busy, &json!({})).await.expect(400);
    send(&house, &busy, &to(&ada)).await.expect(201);
    send(&house, &quiet, &hello()).await.expect(201);
    house.wait(Duration::from_secs(wait));
    send(&house, &busy, &hello()).await.expect(201);
    assert_eq!(inbox(&house, &ada).len(), 1);
}
