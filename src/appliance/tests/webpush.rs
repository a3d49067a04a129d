//! Contract §6, "Web push", and issue 6 point 3: who may subscribe what, and what becomes of a message.
//! Threats 24 and 40: what a push service can do to this server, and what it can be made to call.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use http::Method;
use serde_json::{Value, json};
use tokio::{
    sync::Notify,
    time::{Instant, sleep},
};

use super::{
    browser::Browser,
    house::{House, LOCAL},
    wire::{Answer, Ask},
};
use crate::{
    appliance::deliverer::{deliver_due, deliver_for_ever, prepare},
    crypto::web_push::VapidKey,
    model::{
        id::Id,
        notification::{Button, Sender, Template, Urgency},
        push::{PushKeys, QueuedPush, Subscription},
        user::{Role, User},
    },
    notifications::{self, ATTEMPTS_MAX, Message, PUSH_TTL, Told},
    runtime::outbound::{
        DEADLINE, Outbound,
        testing::{Asked, GLOBAL, Says, Script, World, answer, served},
    },
    store::{
        Read as _, StoreError, Table,
        pushes::{self, QUEUE_PER_USER_MAX, SUBSCRIPTIONS_PER_USER_MAX},
        sessions, users,
    },
};

const SUBSCRIPTION: &str = "/api/v2/users/me/webpush/subscription";
const TEST: &str = "/api/v2/users/me/webpush/test";
/// The browser of RFC 8291, appendix A.
const P256DH: &str =
    "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";
const AUTH: &str = "BTBZMqHH6r4Tts7J_aSIgg";
/// Longer than anything here takes.
const SOON: Duration = Duration::from_secs(10);

/// A deployment that pushes, and the push service that it reaches.
struct Setting {
    house: House,
    asked: Asked,
    script: Script,
}

impl Setting {
    async fn where_names_are(answers: &[&[&str]], variables: &[(&str, &str)]) -> Self {
        let World {
            asked,
            outbound,
            script,
        } = served(answers, status("201 Created")).await;
        let house = House::with_push(outbound, variables);
        prepare(&house.app.web).await.expect("a pair");
        Self {
            house,
            asked,
            script,
        }
    }

    async fn open() -> Self {
        Self::where_names_are(&[&[GLOBAL]], &[]).await
    }

    /// A browser of `user` that is told at `path`, and was never tried.
    async fn browser(&self, user: &User, path: &str) -> Id {
        let (user_id, path) = (user.id, path.to_owned());
        let added = self.house.write(move |tx, moment| {
            let endpoint = at(&path).parse().expect("an endpoint");
            let subscription = notifications::subscription(moment.act(), user_id, endpoint, keys());
            assert!(notifications::subscribe(tx, moment.by, &subscription)?);
            Ok::<_, StoreError>(subscription.id)
        });
        added.await.expect("a write")
    }

    async fn tell(&self, user: &User, title: &str) -> usize {
        tell(&self.house, user, title).await
    }

    async fn deliver(&self) {
        deliver_due(&self.house.app.web, &self.house.app.clock).await;
    }

    fn queued(&self) -> Vec<QueuedPush> {
        let queued = self.house.store.read(|tx| {
            let mut queued = Vec::new();
            for user in users::list(tx)? {
                queued.extend(pushes::queue_of_user(tx, user.id, QUEUE_PER_USER_MAX)?);
            }
            Ok::<_, StoreError>(queued)
        });
        queued.expect("a read")
    }

    fn browsers(&self, user: &User) -> Vec<Subscription> {
        let found = self
            .house
            .store
            .read(|tx| pushes::list_of_user(tx, user.id));
        found.expect("a read")
    }

    /// How often each path was asked, `POST` by `POST`.
    fn asked_at(&self, path: &str) -> Vec<String> {
        let mut requests = self.asked.requests();
        requests.retain(|head| head.starts_with(&format!("POST {path} ")));
        requests
    }
}

async fn tell(house: &House, user: &User, title: &str) -> usize {
    let (user_id, title) = (user.id, title.to_owned());
    let told = house.write(move |tx, moment| {
        let message = Message {
            template: Template::Custom,
            targets: Vec::new(),
            title,
            content: "A text".to_owned(),
            actions: vec![Button {
                label: "Look".to_owned(),
                url: "/account".parse().expect("a link"),
            }],
            urgency: Urgency::High,
            sender: Sender::Administrator,
        };
        notifications::send(tx, moment.act(), user_id, message)
    });
    match told.await.map_err(|fault: StoreError| fault) {
        Ok(Ok(Told::Kept { pushes, .. })) => pushes,
        other => panic!("{other:?}"),
    }
}

fn at(path: &str) -> String {
    format!("https://app.example{path}")
}

fn keys() -> PushKeys {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    let bytes = |text| URL_SAFE_NO_PAD.decode(text).expect("base64url");
    PushKeys::new(&bytes(P256DH), &bytes(AUTH)).expect("keys")
}

fn status(line: &str) -> Says {
    Says::Bytes(answer(line, "", ""))
}

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

#[track_caller]
fn header<'a>(head: &'a str, name: &str) -> &'a str {
    let value = head.lines().find_map(|line| {
        let (found, value) = line.split_once(": ")?;
        found.eq_ignore_ascii_case(name).then_some(value)
    });
    value.unwrap_or_else(|| panic!("no {name}: {head}"))
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

/// Issue 6, point 3: whatever becomes of one message, the others go their way.
#[tokio::test]
async fn every_answer_of_a_push_service_has_its_own_consequence() {
    let setting = Setting::open().await;
    let ada = setting.house.person("ada", Role::Member).await;
    let bob = setting.house.person("bob", Role::Member).await;
    let wait = answer("503 S", "retry-after: 90\r\n", "later");
    for (path, says) in [
        ("/push/good", status("201 Created")),
        ("/push/gone", status("410 Gone")),
        ("/push/unknown", status("404 Not Found")),
        ("/push/later", Says::Bytes(wait)),
        ("/push/busy", status("429 Too Many Requests")),
        ("/push/garbage", Says::Bytes(b"220 mail\r\n".to_vec())),
        ("/push/refused", status("403 Forbidden")),
        ("/push/elsewhere", status("307 Temporary Redirect")),
    ] {
        setting.script.set_at(path, says);
        setting.browser(&ada, path).await;
    }
    setting.browser(&bob, "/push/bob").await;
    assert_eq!(setting.tell(&ada, "Hello").await, 8);
    setting.deliver().await;
    assert_eq!(setting.asked.requests().len(), 8);
    assert!(setting.asked_at("/push/bob").is_empty());

    let left = setting.browsers(&ada);
    let left: BTreeSet<_> = left.iter().map(|one| one.endpoint.as_str()).collect();
    let stays = ["busy", "elsewhere", "garbage", "good", "later", "refused"];
    let expected: Vec<_> = stays.map(|name| at(&format!("/push/{name}"))).into();
    assert_eq!(left.into_iter().collect::<Vec<_>>(), expected);
    assert_eq!(setting.browsers(&bob).len(), 1);
    let queued = setting.queued();
    let waits = queued
        .iter()
        .map(|push| push.due_at.since(setting.house.now()));
    let mut waits: Vec<_> = waits.map(|wait| wait.as_secs()).collect();
    waits.sort_unstable();
    assert_eq!(waits, [5, 5, 90]);

    // They are tried again, and take the place of the first try.
    for path in ["/push/later", "/push/busy", "/push/garbage"] {
        setting.script.set_at(path, status("201 Created"));
    }
    setting.house.wait(Duration::from_secs(89));
    setting.deliver().await;
    assert_eq!(setting.queued().len(), 1);
    setting.house.wait(Duration::from_secs(1));
    setting.deliver().await;
    assert_eq!(setting.queued(), []);
    let tries = setting.asked_at("/push/later");
    assert_eq!(tries.len(), 2);
    assert_eq!(header(&tries[0], "topic"), header(&tries[1], "topic"));
    assert_eq!(header(&tries[0], "topic").len(), 32);
    assert_eq!(header(&tries[0], "urgency"), "high");
    let day = PUSH_TTL.as_secs();
    assert_eq!(header(&tries[0], "ttl"), day.to_string());
    assert_eq!(header(&tries[1], "ttl"), (day - 90).to_string());
    assert_eq!(setting.asked_at("/push/good").len(), 1);
}

#[tokio::test]
async fn a_message_is_tried_so_often_and_never_after_its_time() {
    let setting = Setting::open().await;
    let ada = setting.house.person("ada", Role::Member).await;
    setting.browser(&ada, "/push/1").await;
    setting.script.set(status("500 E"));
    setting.tell(&ada, "Hello").await;
    while let Some(push) = setting.queued().first() {
        setting.house.wait(push.due_at.since(setting.house.now()));
        setting.deliver().await;
    }
    let tries = setting.asked.requests().len();
    assert_eq!(tries, usize::try_from(ATTEMPTS_MAX).expect("few"));

    setting.script.set(status("201 Created"));
    setting.tell(&ada, "Too late").await;
    setting.house.wait(PUSH_TTL);
    setting.deliver().await;
    assert_eq!(setting.asked.requests().len(), tries);
    assert_eq!(setting.queued(), []);
}

/// Threat 24: a push service that hangs has its own place, and its browser one try for all that
/// waits for it.
#[tokio::test]
async fn a_push_service_that_hangs_keeps_nobody_waiting() {
    let setting = Setting::open().await;
    let ada = setting.house.person("ada", Role::Member).await;
    let bob = setting.house.person("bob", Role::Member).await;
    setting.browser(&ada, "/push/hangs").await;
    setting.browser(&bob, "/push/bob").await;
    let hangs = Says::ThenSilence(b"HTTP/1.1 201 Created\r\n".to_vec());
    setting.script.set_at("/push/hangs", hangs);
    for number in 0..100 {
        setting.tell(&ada, &format!("Hello {number}")).await;
    }
    setting.tell(&bob, "Hello").await;
    let (web, clock) = (&setting.house.app.web, &setting.house.app.clock);
    let begun = Instant::now();
    let deliverer = tokio::spawn(deliver_for_ever(Arc::clone(web), Arc::clone(clock)));
    while setting.asked_at("/push/bob").is_empty() {
        assert!(begun.elapsed() < SOON, "Bob waits for Ada's push service");
        sleep(Duration::from_millis(10)).await;
    }
    assert!(begun.elapsed() < DEADLINE, "Bob waited until the deadline");
    while setting.queued().iter().all(|push| push.attempts == 0) {
        assert!(begun.elapsed() < SOON, "it is never given up");
        sleep(Duration::from_millis(10)).await;
    }
    // Whatever is behind it would have been asked for by then.
    setting.tell(&bob, "Hello").await;
    while setting.asked_at("/push/bob").len() < 2 {
        assert!(begun.elapsed() < SOON, "the deliverer has ended");
        sleep(Duration::from_millis(10)).await;
    }
    deliverer.abort();
    assert_eq!(setting.asked_at("/push/hangs").len(), 1);
    let queued = setting.queued();
    assert_eq!(queued.len(), 100, "nothing is lost");
    let tried: Vec<_> = queued.iter().filter(|push| push.attempts > 0).collect();
    assert_eq!(tried.len(), 1);
}

/// Threat 24: nor does a person with as many browsers as the box has places.
#[tokio::test]
async fn a_person_whose_push_services_all_hang_keeps_nobody_waiting() {
    let setting = Setting::open().await;
    let mal = setting.house.person("mal", Role::Member).await;
    let ada = setting.house.person("ada", Role::Member).await;
    setting.script.set(Says::ThenSilence(Vec::new()));
    setting.script.set_at("/push/ada", status("201 Created"));
    for number in 0..SUBSCRIPTIONS_PER_USER_MAX {
        setting.browser(&mal, &format!("/push/mal/{number}")).await;
    }
    setting.browser(&ada, "/push/ada").await;
    for number in 0..10 {
        let told = setting.tell(&mal, &format!("Hello {number}")).await;
        assert_eq!(told, SUBSCRIPTIONS_PER_USER_MAX);
    }
    setting.tell(&ada, "Hello").await;
    let (web, clock) = (&setting.house.app.web, &setting.house.app.clock);
    let begun = Instant::now();
    let deliverer = tokio::spawn(deliver_for_ever(Arc::clone(web), Arc::clone(clock)));
    let of_mal = || {
        let mut asked = setting.asked.requests();
        asked.retain(|head| head.starts_with("POST /push/mal/"));
        asked.len()
    };
    while setting.asked_at("/push/ada").is_empty() || of_mal() < 4 {
        assert!(begun.elapsed() < DEADLINE, "Ada waits for Mal's browsers");
        sleep(Duration::from_millis(10)).await;
    }
    deliverer.abort();
    assert_eq!(of_mal(), 4, "places that one person has");
}

/// Threat 24: nor do as many such persons as would have all the places between them.
#[tokio::test]
async fn persons_whose_push_services_all_hang_keep_nobody_waiting() {
    let setting = Setting::open().await;
    setting.script.set(Says::ThenSilence(Vec::new()));
    setting.script.set_at("/push/ada", status("201 Created"));
    for number in 0..8 {
        let mal = setting
            .house
            .person(&format!("mal{number}"), Role::Member)
            .await;
        for browser in 0..4 {
            setting
                .browser(&mal, &format!("/push/mal/{number}/{browser}"))
                .await;
        }
        setting.tell(&mal, "Hello").await;
    }
    let ada = setting.house.person("ada", Role::Member).await;
    setting.browser(&ada, "/push/ada").await;
    setting.house.wait(Duration::from_secs(1));
    setting.tell(&ada, "Hello").await;
    let (web, clock) = (&setting.house.app.web, &setting.house.app.clock);
    let begun = Instant::now();
    let deliverer = tokio::spawn(deliver_for_ever(Arc::clone(web), Arc::clone(clock)));
    // Four of each while half of the places are free, and one of everybody else.
    let places = 4 * 4 + 4;
    let of_them = || {
        let mut asked = setting.asked.requests();
        asked.retain(|head| head.starts_with("POST /push/mal/"));
        asked.len()
    };
    while setting.asked_at("/push/ada").is_empty() || of_them() < places {
        assert!(begun.elapsed() < DEADLINE, "Ada waits for their browsers");
        sleep(Duration::from_millis(10)).await;
    }
    deliverer.abort();
    assert_eq!(of_them(), places);
}

#[tokio::test]
async fn the_deliverer_is_woken_by_whatever_queues_a_message() {
    let setting = Setting::open().await;
    let ada = setting.house.person("ada", Role::Member).await;
    setting.browser(&ada, "/push/1").await;
    let (web, clock) = (&setting.house.app.web, &setting.house.app.clock);
    let deliverer = tokio::spawn(deliver_for_ever(Arc::clone(web), Arc::clone(clock)));
    for number in 1..=3 {
        // It rests for a minute when there is nothing to do.
        setting.tell(&ada, "Hello").await;
        let begun = Instant::now();
        while setting.asked.requests().len() < number || !setting.queued().is_empty() {
            let queued = setting.queued();
            assert!(begun.elapsed() < SOON, "message {number} waits: {queued:?}");
            sleep(Duration::from_millis(10)).await;
        }
    }
    deliverer.abort();
    assert_eq!(setting.asked.requests().len(), 3);
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
