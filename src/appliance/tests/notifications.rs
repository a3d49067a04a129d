//! The inbox by the management API, and what leads to what is in it.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use super::{
    api::signed,
    browser::Browser,
    client_app::ClientApp,
    house::{House, LOCAL, PASSWORD, Tokens},
    wire::{Answer, Ask},
};
use crate::{
    model::{
        id::Id,
        notification::{Button, Sender, Template, Urgency},
        user::Role,
    },
    notifications::{Message, PAGE_LEN, Told, send},
    store::{StoreError, notifications::MARK_STEP},
};

const INBOX: &str = "/api/v2/notifications/inbox";
const SETTINGS: &str = "/api/v2/notifications/settings";

/// Tells the user of that id something about `targets`; the id of what they are told.
async fn told_about(house: &House, user_id: &str, title: &str, targets: Vec<Id>) -> String {
    // Entries of one millisecond are in any order.
    house.wait(Duration::from_millis(1));
    let user_id = user_id.parse().expect("an id");
    let message = Message {
        template: Template::Custom,
        targets,
        title: title.to_owned(),
        content: "**Done**: [see](https://a.example/x)".to_owned(),
        actions: vec![Button {
            label: "Open".to_owned(),
            url: "/inbox".parse().expect("a link"),
        }],
        urgency: Urgency::Normal,
        sender: Sender::Administrator,
    };
    let sent = house.write(move |tx, moment| send(tx, moment.act(), user_id, message));
    let sent: Result<_, StoreError> = sent.await;
    match sent.expect("a write").expect("a message that fits") {
        Told::Kept { notification, .. } => notification.id.to_string(),
        Told::Unwanted => panic!("expected it to be wanted"),
    }
}

pub(super) async fn told(house: &House, user_id: &str, title: &str) -> String {
    told_about(house, user_id, title, Vec::new()).await
}

pub(super) async fn id_of(browser: &Browser<'_>) -> String {
    browser.get("/api/v2/users/me").await.text("id")
}

/// What the browser's inbox says to `query`: titles, and how many were not read.
pub(super) async fn listed(browser: &Browser<'_>, query: &str) -> (Vec<String>, u64) {
    let inbox = browser
        .get(&format!("{INBOX}?{query}"))
        .await
        .expect(200)
        .json();
    let entries = inbox["notifications"].as_array().expect("a list").clone();
    let titles = entries.iter().map(|entry| text(&entry["title"]));
    let unread = inbox["unread_count"].as_u64().expect("a number");
    (titles.collect(), unread)
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value}"))
        .to_owned()
}

pub(super) async fn ask(
    house: &House,
    browser: &Browser<'_>,
    method: Method,
    path: &str,
    body: &Value,
) -> Answer {
    let ask = match method {
        Method::DELETE => Ask::new(method, path),
        _ => Ask {
            method,
            ..Ask::json(path, body)
        },
    };
    house.ask(signed(browser, ask).await).await
}

#[tokio::test]
async fn an_entry_is_listed_as_the_contract_says() {
    let house = House::open();
    let ada = house.member("ada").await;
    let me = id_of(&ada).await;
    let target = Id::from_bytes([7; 16]);
    let id = told_about(&house, &me, "Backup", vec![target]).await;
    let inbox = ada.get(INBOX).await.expect(200).json();
    let entry = json!({
        "id": id,
        "user_id": me,
        "template_id": "custom",
        "targets": [target.to_string()],
        "title": "Backup",
        "content": "**Done**: [see](https://a.example/x)",
        "icon": "/favicon.ico",
        "actions": [{ "label": "Open", "url": "/inbox" }],
        "read_at": null,
        "created_at": house.now().to_string(),
    });
    assert_eq!(
        inbox,
        json!({ "notifications": [entry], "unread_count": 1 })
    );
    let plain = ada.get(&format!("{INBOX}?format=plaintext")).await.json();
    assert_eq!(plain["notifications"][0]["content"], "Done: see");
}

#[tokio::test]
async fn filters_and_pages_go_together() {
    let house = House::open();
    let ada = house.member("ada").await;
    let me = id_of(&ada).await;
    let (one, two) = (Id::from_bytes([1; 16]), Id::from_bytes([2; 16]));
    let mut ids = Vec::new();
    for number in 0..PAGE_LEN + 5 {
        let targets = if number % 10 == 0 {
            vec![one, two]
        } else {
            vec![one]
        };
        ids.push(told_about(&house, &me, &format!("{number}"), targets).await);
    }
    let all = ids.len() as u64;
    let (first, unread) = listed(&ada, "").await;
    assert_eq!((first.len(), unread), (PAGE_LEN, all));
    assert_eq!(first[0], "29");
    let (second, _) = listed(&ada, &format!("starting_before={}", ids[5])).await;
    assert_eq!(second, ["4", "3", "2", "1", "0"]);
    let both = format!("targets={one},{two}");
    assert_eq!(
        listed(&ada, &both).await,
        (vec!["20".into(), "10".into(), "0".into()], all)
    );
    assert_eq!(
        listed(&ada, "templates=test,grant-given").await,
        (vec![], all)
    );
    assert_eq!(
        listed(&ada, "templates=test,custom").await.0.len(),
        PAGE_LEN
    );

    let path = format!("{INBOX}/{}/read-status", ids[20]);
    let read = json!({ "is_read": true });
    let answer = ask(&house, &ada, Method::PUT, &path, &read)
        .await
        .expect(200)
        .json();
    assert_eq!(answer["unread_count"], all - 1);
    assert_eq!(answer["notification"]["read_at"], house.now().to_string());
    assert_eq!(listed(&ada, "read_status=read").await.0, ["20"]);
    let unread = format!("read_status=unread&{both}");
    assert_eq!(
        listed(&ada, &unread).await,
        (vec!["10".into(), "0".into()], all - 1)
    );
    let unread = json!({ "is_read": false });
    let answer = ask(&house, &ada, Method::PUT, &path, &unread)
        .await
        .expect(200)
        .json();
    assert_eq!(
        (&answer["unread_count"], &answer["notification"]["read_at"]),
        (&json!(all), &Value::Null)
    );
}

#[tokio::test]
async fn a_filter_that_cannot_be_is_named() {
    let house = House::open();
    let ada = house.member("ada").await;
    let many = vec![Id::from_bytes([1; 16]).to_string(); 9].join(",");
    for (query, fields) in [
        ("targets=x", vec!["targets"]),
        (&format!("targets={many}"), vec!["targets"]),
        ("templates=custom,nothing", vec!["templates"]),
        ("read_status=maybe", vec!["read_status"]),
        ("starting_before=1", vec!["starting_before"]),
        ("format=html", vec!["format"]),
        ("readstatus=unread", vec!["readstatus"]),
        (
            "format=html&limit=3&targets=x",
            vec!["limit", "targets", "format"],
        ),
        (
            "targets=x&read_status=maybe",
            vec!["targets", "read_status"],
        ),
        ("read_status=read&read_status=read", vec!["read_status"]),
    ] {
        let refused = ada
            .get(&format!("{INBOX}?{query}"))
            .await
            .expect(400)
            .json();
        let validations = refused["validations"].as_array().expect("a list");
        let found: Vec<_> = validations.iter().map(|one| text(&one["field"])).collect();
        assert_eq!(found, fields, "{query}");
    }
    for body in [
        json!({}),
        json!({ "is_read": "yes" }),
        json!({ "is_read": true, "x": 1 }),
    ] {
        let path = format!("{INBOX}/{}/read-status", Id::from_bytes([1; 16]));
        ask(&house, &ada, Method::PUT, &path, &body)
            .await
            .expect(400);
    }
}

/// Threat 13, and contract §6: another user's id is as unknown as one that nobody has.
#[tokio::test]
async fn what_is_anothers_is_not_found_and_stays_as_it_is() {
    let house = House::open();
    let (ada, bob) = (house.member("ada").await, house.member("bob").await);
    let id = told(&house, &id_of(&ada).await, "Hers").await;
    let read = json!({ "is_read": true });
    for id in [&id, "0000000000000000000000", "nothing"] {
        let path = format!("{INBOX}/{id}");
        ask(&house, &bob, Method::DELETE, &path, &json!({}))
            .await
            .expect(404);
        let path = format!("{path}/read-status");
        ask(&house, &bob, Method::PUT, &path, &read)
            .await
            .expect(404);
    }
    assert_eq!(
        listed(&bob, &format!("starting_before={id}")).await,
        (vec![], 0)
    );
    assert_eq!(listed(&ada, "").await, (vec!["Hers".into()], 1));
    let path = format!("{INBOX}/{id}");
    ask(&house, &ada, Method::DELETE, &path, &json!({}))
        .await
        .expect(204);
    ask(&house, &ada, Method::DELETE, &path, &json!({}))
        .await
        .expect(404);
    assert_eq!(listed(&ada, "").await, (vec![], 0));
}

#[tokio::test]
async fn all_are_marked_as_read_however_many() {
    let house = House::open();
    let ada = house.member("ada").await;
    let me = id_of(&ada).await;
    for number in 0..MARK_STEP + 3 {
        told(&house, &me, &format!("{number}")).await;
    }
    let path = format!("{INBOX}/mark-all-as-read");
    for _ in 0..2 {
        ask(&house, &ada, Method::PUT, &path, &json!({}))
            .await
            .expect(204);
        assert_eq!(listed(&ada, "read_status=unread").await, (vec![], 0));
    }
}

#[tokio::test]
async fn a_person_switches_templates_and_mutes_apps() {
    let house = House::open();
    let (ada, app, _) = house.connected().await;
    let settings = ada.get(SETTINGS).await.expect(200).json();
    let both = json!({ "inbox": true, "push": true });
    let first = json!({
        "id": "client-approved", "name": "A new app was connected", "default": both, "methods": both,
    });
    assert_eq!(settings["templates"][0], first);
    assert_eq!(
        settings["templates"].as_array().expect("a list").len(),
        Template::ALL.len()
    );
    assert_eq!(settings["muted"], json!([]));

    let none = json!({ "inbox": false, "push": false });
    let body = json!({ "templates": [{ "id": "custom", "methods": none }] });
    let changed = ask(&house, &ada, Method::PUT, SETTINGS, &body)
        .await
        .expect(200)
        .json();
    assert_eq!(ada.get(SETTINGS).await.json(), changed);
    assert_eq!(changed["templates"][8]["methods"], none);
    assert_eq!(changed["templates"][8]["default"], both);
    // What was read can be sent back as it is.
    ask(&house, &ada, Method::PUT, SETTINGS, &changed)
        .await
        .expect(200);
    for body in [
        json!({}),
        json!({ "templates": {} }),
        json!({ "templates": [{ "id": "nothing", "methods": none }] }),
        json!({ "templates": [{ "id": "custom" }] }),
        json!({ "templates": [{ "id": "custom", "methods": { "inbox": true } }] }),
        json!({ "templates": [{ "id": "custom", "methods": none, "x": 1 }] }),
        json!({ "templates": [], "x": 1 }),
    ] {
        let refused = ask(&house, &ada, Method::PUT, SETTINGS, &body)
            .await
            .expect(400);
        assert!(
            !refused.json()["validations"]
                .as_array()
                .expect("a list")
                .is_empty()
        );
    }

    let grants = ada.get("/api/v2/users/me/grants").await.json();
    let app_id = text(&grants["grants"][0]["app_id"]);
    let path = format!("{SETTINGS}/muted/{app_id}");
    for _ in 0..2 {
        ask(&house, &ada, Method::PUT, &path, &json!({}))
            .await
            .expect(204);
        let muted = json!([{ "app_id": app_id, "app_name": "An app" }]);
        assert_eq!(ada.get(SETTINGS).await.json()["muted"], muted);
    }
    for _ in 0..2 {
        ask(&house, &ada, Method::DELETE, &path, &json!({}))
            .await
            .expect(204);
        assert_eq!(ada.get(SETTINGS).await.json()["muted"], json!([]));
    }
    let path = format!("{SETTINGS}/muted/{}", Id::from_bytes([9; 16]));
    ask(&house, &ada, Method::PUT, &path, &json!({}))
        .await
        .expect(404);
    drop(app);
}

/// An app that was muted must not be able to make itself heard again.
#[tokio::test]
async fn no_token_changes_how_a_person_is_told() {
    let house = House::open();
    let ada = house.member("ada").await;
    let app = ClientApp::public(&house).await;
    let token = ada.connect(&app, "notifications:write", LOCAL).await.access;
    let path = format!("{SETTINGS}/muted/{}", Id::from_bytes([9; 16]));
    for (method, path) in [
        (Method::PUT, SETTINGS),
        (Method::PUT, &path),
        (Method::DELETE, &path),
    ] {
        let ask = Ask::new(method, path).header("content-type", "application/json");
        house.ask(ask.bearer(&token)).await.expect(403);
    }
}

/// What is reported stands in the inbox when what it reports is answered.
#[tokio::test]
async fn a_consent_and_a_new_browser_are_reported() {
    let house = House::open();
    let (ada, app, tokens) = house.connected().await;
    let (titles, _) = listed(&ada, "").await;
    assert_eq!(titles, ["An app was connected"]);
    house.wait(Duration::from_secs(1));
    let code = ada
        .allow(&app.request().with("prompt", "consent"))
        .await
        .code();
    Tokens::of(&house.token(&app.exchange(&code)).await);
    assert_eq!(
        listed(&ada, "templates=grant-given").await.0,
        ["An app may act for you"]
    );

    house.wait(Duration::from_mins(1));
    house
        .token(&app.refreshing(&tokens.refresh))
        .await
        .expect(200);
    house.wait(Duration::from_mins(1));
    house
        .token(&app.refreshing(&tokens.refresh))
        .await
        .expect(400);
    assert_eq!(
        listed(&ada, "templates=token-replayed").await.0,
        ["An app was signed out"]
    );

    let mut other = house.stranger();
    let form = other.open_form("/sign-in", "/sign-in").await;
    let form = form.with("username", "ada").with("password", PASSWORD);
    let ask = Ask::form(&form.action, &form.fields).header("user-agent", "Another/1.0");
    other.visit(ask).await.expect(303);
    assert_eq!(
        listed(&ada, "templates=new-browser").await.0,
        ["Sign-in from a new browser"]
    );
}

/// Once an hour at the most, and nobody else hears of it.
#[tokio::test]
async fn too_many_passwords_for_a_name_are_reported_to_its_person() {
    let house = House::with_rate_limits();
    let (ada, bob) = (
        house.member("ada").await,
        house.person("bob", Role::Member).await,
    );
    let bob = house.signed_in(&bob).await;
    let mut stranger = house.stranger();
    let form = stranger.open_form("/sign-in", "/sign-in").await;
    let mut tries = async |name: &str, count: usize| {
        let form = form
            .clone()
            .with("username", name)
            .with("password", "not the one");
        let mut status = 0;
        for _ in 0..count {
            status = stranger.submit(&form).await.status;
        }
        status
    };
    assert_eq!(tries("ada", 10).await, 403);
    assert_eq!(tries("nobody-here", 12).await, 429);
    // The write is not waited for.
    let reported = async || {
        house
            .write(|_, _| Ok::<_, StoreError>(()))
            .await
            .expect("a write");
        listed(&ada, "templates=sign-in-throttled").await.0.len()
    };
    assert_eq!(reported().await, 0);
    assert_eq!(tries("ada", 2).await, 429);
    assert_eq!(reported().await, 1);
    house.wait(Duration::from_mins(30));
    tries("ada", 20).await;
    assert_eq!(reported().await, 1);
    house.wait(Duration::from_mins(31));
    tries("ada", 20).await;
    assert_eq!(reported().await, 2);
    assert_eq!(listed(&bob, "").await, (vec![], 0));
}
