//! Who may subscribe what, and what is tried first.

use super::*;

const SUBSCRIPTION: &str = "/api/v2/users/me/webpush/subscription";
const TEST: &str = "/api/v2/users/me/webpush/test";

fn body(path: &str) -> Value {
    json!({ "endpoint": at(path), "p256dh_key": P256DH, "auth_key": AUTH })
}

/// `body` to `target` by a page of ours.
async fn ask(browser: &Browser<'_>, method: Method, target: &str, body: &Value) -> Answer {
    let me = browser.get("/api/v2/users/me").await.expect(200);
    let token = me.header("x-csrf-token").expect("a session has one");
    let mut ask = Ask::json(target, body);
    ask.method = method;
    browser.send(ask.header("x-csrf-token", token)).await
}

async fn subscribe(browser: &Browser<'_>, body: &Value) -> Answer {
    ask(browser, Method::POST, SUBSCRIPTION, body).await
}

#[tokio::test]
async fn a_browser_that_takes_a_test_message_is_kept_once() {
    let setting = Setting::open().await;
    let house = &setting.house;
    let ada = house.person("ada", Role::Member).await;
    let page = house.signed_in(&ada).await;
    for _ in 0..2 {
        subscribe(&page, &body("/push/1")).await.expect(204);
    }
    let own = format!("/api/v2/users/{}/webpush/subscription", ada.id);
    ask(&page, Method::POST, &own, &body("/push/2"))
        .await
        .expect(204);
    let kept = setting.browsers(&ada);
    let endpoints: BTreeSet<_> = kept.iter().map(|one| one.endpoint.to_string()).collect();
    assert_eq!(endpoints, BTreeSet::from([at("/push/1"), at("/push/2")]));
    let tried = setting.asked_at("/push/1");
    assert_eq!(tried.len(), 2);
    for (name, value) in [
        ("content-encoding", "aes128gcm"),
        ("ttl", "60"),
        ("urgency", "normal"),
        ("host", "app.example"),
    ] {
        assert_eq!(header(&tried[0], name), value);
    }
    assert!(!tried[0].contains("topic"), "{}", tried[0]);
    let key = house
        .get("/api/v2/buildinfo")
        .await
        .text("webpush_public_key");
    let voucher = header(&tried[0], "authorization");
    assert!(voucher.starts_with("vapid t="), "{voucher}");
    assert!(voucher.ends_with(&format!(", k={key}")), "{voucher}");

    let gone = json!({ "endpoint": at("/push/1") });
    ask(&page, Method::DELETE, SUBSCRIPTION, &gone)
        .await
        .expect(204);
    ask(&page, Method::DELETE, SUBSCRIPTION, &gone)
        .await
        .expect(404);
    assert_eq!(setting.browsers(&ada).len(), 1);
}

/// The box waits for the push service before it keeps a browser: what ends meanwhile is heard.
#[tokio::test]
async fn what_changes_while_a_browser_is_tried_out_is_heard() {
    let setting = Setting::open().await;
    let house = &setting.house;
    let told = Arc::new(Notify::new());
    let created = answer("201 Created", "", "");
    setting.script.set(Says::Once(Arc::clone(&told), created));
    let ada = house.person("ada", Role::Member).await;
    for round in 0..2 {
        let page = house.signed_in(&ada).await;
        let meanwhile = async {
            while setting.asked_at("/push/1").len() <= round {
                sleep(Duration::from_millis(5)).await;
            }
            let user_id = ada.id;
            let changed = house.write(move |tx, moment| {
                if round == 0 {
                    let pair = VapidKey::generate().expect("a pair");
                    return notifications::regenerate_vapid(tx, moment.by, pair).map(drop);
                }
                for session in sessions::list_of_user(tx, user_id)? {
                    sessions::remove(tx, &session);
                }
                Ok::<_, StoreError>(())
            });
            changed.await.expect("a write");
            told.notify_one();
        };
        let browser = body("/push/1");
        let (refused, ()) = tokio::join!(subscribe(&page, &browser), meanwhile);
        let why = refused.expect(409).text("detail");
        assert!(why.contains("subscribe again"), "{why}");
        assert_eq!(setting.browsers(&ada), []);
    }
}

/// Foreign ids are not found, and nobody ends or reads what is another's.
#[tokio::test]
async fn another_persons_browsers_are_not_there() {
    let setting = Setting::open().await;
    let house = &setting.house;
    let (ada, root) = (
        house.person("ada", Role::Member).await,
        house.person("root", Role::Owner).await,
    );
    setting.browser(&ada, "/push/1").await;
    let page = house.signed_in(&root).await;
    for user in [ada.id.to_string(), "0".repeat(22), "you".to_owned()] {
        for (method, end) in [
            (Method::POST, "subscription"),
            (Method::DELETE, "subscription"),
            (Method::POST, "test"),
        ] {
            let target = format!("/api/v2/users/{user}/webpush/{end}");
            let found = ask(&page, method, &target, &body("/push/1")).await;
            found.expect(404);
        }
    }
    let foreign = json!({ "endpoint": at("/push/1") });
    ask(&page, Method::DELETE, SUBSCRIPTION, &foreign)
        .await
        .expect(404);
    assert_eq!(setting.browsers(&ada).len(), 1);
    assert_eq!(setting.asked.requests(), [""; 0]);
    // Who shows that the browser is theirs now takes it over: it has one person at a time.
    subscribe(&page, &body("/push/1")).await.expect(204);
    assert_eq!(setting.browsers(&ada), []);
}

/// Threat 40: what is no endpoint of a push service is not called.
#[tokio::test]
async fn what_is_no_subscription_is_refused_field_by_field() {
    let setting = Setting::open().await;
    let page = setting.house.member("ada").await;
    let long = at(&format!("/{}", "a".repeat(1_024)));
    for endpoint in [
        "http://app.example/push/1",
        "https://app.example/",
        "https://user@app.example/push/1",
        "https://app.example:443/push/1",
        "https://app.example/push/1#x",
        "https://127.0.0.1/push/1",
        "https://[::1]/push/1",
        "https://10.0.0.5/push/1",
        "push",
        "",
        &long,
    ] {
        let mut body = body("/push/1");
        body["endpoint"] = endpoint.into();
        let refused = subscribe(&page, &body).await.expect(400);
        assert_eq!(fields(&refused), ["endpoint"], "{endpoint}: {refused:?}");
    }
    let off_the_curve = format!("BA{}", "B".repeat(85));
    for (field, value) in [
        ("p256dh_key", "BCVxsr7N"),
        ("p256dh_key", "not base64url!"),
        ("p256dh_key", &off_the_curve),
        ("auth_key", "BTBZ"),
        ("auth_key", "BTBZMqHH6r4Tts7J_aSIgg=="),
        ("more", "x"),
    ] {
        let mut body = body("/push/1");
        body[field] = value.into();
        let refused = subscribe(&page, &body).await.expect(400);
        assert_eq!(fields(&refused), [field], "{value}: {refused:?}");
    }
    let refused = subscribe(&page, &json!({})).await.expect(400);
    assert_eq!(fields(&refused), ["endpoint", "auth_key", "p256dh_key"]);
    assert_eq!(setting.asked.requests(), [""; 0]);
}

fn fields(refused: &Answer) -> Vec<String> {
    let body = refused.json();
    let list = body["validations"].as_array().expect("a list");
    let field = |one: &Value| one["field"].as_str().expect("a name").to_owned();
    list.iter().map(field).collect()
}

/// Threats 23 and 40: the name of a push service that is inside.
#[tokio::test]
async fn an_endpoint_whose_name_is_private_is_refused() {
    let setting = Setting::where_names_are(&[&["10.0.0.5"]], &[]).await;
    let page = setting.house.member("ada").await;
    let refused = subscribe(&page, &body("/push/1")).await.expect(400);
    assert_eq!(fields(&refused), ["endpoint"]);
    assert!(refused.body.contains("public internet"), "{refused:?}");
    assert!(!refused.body.contains("10.0.0.5"), "{refused:?}");
    assert_eq!(setting.asked.addresses(), []);
}

#[tokio::test]
async fn a_browser_whose_test_message_is_not_taken_is_not_kept() {
    let setting = Setting::open().await;
    let ada = setting.house.person("ada", Role::Member).await;
    let page = setting.house.signed_in(&ada).await;
    for (says, why) in [
        (status("410 Gone"), "found status 410"),
        (status("403 Forbidden"), "found status 403"),
        (status("429 Too Many"), "found status 429"),
        (status("500 E"), "found status 500"),
        (
            Says::Bytes(answer("307 T", "location: https://127.0.0.1/\r\n", "")),
            "found status 307",
        ),
        (Says::Bytes(b"220 mail\r\n".to_vec()), "an HTTP answer"),
        (
            Says::WithoutEnd(b"HTTP/1.1 200 OK\r\nx: aaaaaaaaaaaaaaaa"),
            "an HTTP answer",
        ),
        (Says::ThenSilence(Vec::new()), "within 5 seconds"),
    ] {
        setting.script.set(says);
        let refused = subscribe(&page, &body("/push/1")).await.expect(400);
        assert_eq!(fields(&refused), ["endpoint"], "{refused:?}");
        assert!(refused.body.contains(why), "{why}: {refused:?}");
    }
    assert_eq!(setting.browsers(&ada), []);
}

#[tokio::test]
async fn without_the_experiment_or_a_way_out_nothing_is_pushed() {
    let off = House::open();
    let page = off.member("ada").await;
    for (method, target) in [
        (Method::POST, SUBSCRIPTION),
        (Method::DELETE, SUBSCRIPTION),
        (Method::POST, TEST),
    ] {
        let refused = ask(&page, method, target, &body("/push/1")).await;
        assert_eq!(
            refused.expect(403).json(),
            json!({ "message": "Web Push: off here, because this is experimental; expected the \
                owner to start Keystead with --experiments web-push" })
        );
    }
    let no_egress = House::with_push(Outbound::off(), &[]);
    for house in [&off, &no_egress] {
        prepare(&house.app.web).await.expect("a pair");
        let info = house.get("/api/v2/buildinfo").await.expect(200).json();
        assert!(info.get("webpush_public_key").is_none(), "{info}");
    }
    let ada = no_egress.person("ada", Role::Member).await;
    let page = no_egress.signed_in(&ada).await;
    for target in [SUBSCRIPTION, TEST] {
        let refused = ask(&page, Method::POST, target, &body("/push/1")).await;
        let why = refused.expect(409).text("detail");
        assert!(why.contains("--egress off"), "{why}");
    }
    let added = no_egress.write(move |tx, moment| {
        let endpoint = at("/push/1").parse().expect("an endpoint");
        let subscription = notifications::subscription(moment.act(), ada.id, endpoint, keys());
        notifications::subscribe(tx, moment.by, &subscription)
    });
    let added: Result<bool, StoreError> = added.await;
    assert!(added.expect("a write"));
    let ada = no_egress.app.web.store.read(|tx| users::list(tx));
    assert_eq!(tell(&no_egress, &ada.expect("a read")[0], "x").await, 0);
    // It can still be forgotten.
    let gone = json!({ "endpoint": at("/push/1") });
    ask(&page, Method::DELETE, SUBSCRIPTION, &gone)
        .await
        .expect(204);
}

#[tokio::test]
async fn a_person_can_see_whether_it_works() {
    let setting = Setting::open().await;
    let ada = setting.house.person("ada", Role::Member).await;
    let page = setting.house.signed_in(&ada).await;
    ask(&page, Method::POST, TEST, &json!({})).await.expect(409);
    setting.browser(&ada, "/push/1").await;
    ask(&page, Method::POST, TEST, &json!({})).await.expect(204);
    setting.deliver().await;
    assert_eq!(setting.asked_at("/push/1").len(), 1);
}

#[tokio::test]
async fn who_subscribes_and_tests_too_often_has_to_wait() {
    let setting = Setting::where_names_are(&[&[GLOBAL]], &[("KEYSTEAD_RATE_LIMIT", "on")]).await;
    let page = setting.house.member("ada").await;
    for number in 0..20 {
        let body = body(&format!("/push/{number}"));
        subscribe(&page, &body).await.expect(204);
    }
    for (target, body) in [(SUBSCRIPTION, body("/push/1")), (TEST, json!({}))] {
        let refused = ask(&page, Method::POST, target, &body).await.expect(429);
        assert_eq!(refused.header("retry-after"), Some("10"));
    }
    assert_eq!(setting.asked.requests().len(), 20);
}

#[tokio::test]
async fn what_is_written_down_of_a_browser_is_its_push_service() {
    let setting = Setting::open().await;
    let ada = setting.house.person("ada", Role::Member).await;
    let page = setting.house.signed_in(&ada).await;
    subscribe(&page, &body("/push/secret")).await.expect(204);
    setting.script.set(status("410 Gone"));
    setting.tell(&ada, "Hello").await;
    setting.deliver().await;
    assert_eq!(setting.browsers(&ada), []);
    let found = setting
        .house
        .store
        .read(|tx| crate::audit::search(tx, "push", 10, 0));
    let entries = found.expect("a read").entries;
    let shown = format!("{entries:?}");
    assert_eq!(entries.len(), 2, "{shown}");
    assert!(
        shown.contains("app.example") && !shown.contains("secret"),
        "{shown}"
    );
    let rows = setting.house.store.read(|tx| tx.len(Table::PushQueue));
    assert_eq!(rows.expect("a read"), 0);
    assert_eq!(LOCAL, setting.house.public_url);
}
