//! The management API: every route with every kind of caller, and what each of them does.

use std::{collections::BTreeSet, time::Duration};

use http::Method;
use serde_json::{Value, json};

use super::{
    administered,
    browser::Browser,
    client_app::{ClientApp, every_scope},
    house::{House, LOCAL, Tokens},
    notifications::told,
    wire::{Answer, Ask},
};
use crate::{
    appliance::routes::ROUTES,
    model::{
        oauth2::{
            client::{AuthMethod, ClientName, GrantType},
            scope::SCOPES,
        },
        user::Role,
    },
    oauth2provider::{app_secrets, apps},
    store::clients::{self, SECRETS_PER_CLIENT_MAX},
};

const APPS: &str = "/api/v2/oauth2-provider/apps";
const SETTINGS: &str = "/api/v2/oauth2-provider/settings";

/// Who comes, in the order of a row's statuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Caller {
    Nobody,
    JunkBearer,
    McpBearer,
    BearerWithoutScope,
    MemberSession,
    MemberBearer,
    OwnerWithoutCsrf,
    OwnerSession,
    OwnerBearer,
}

const CALLERS: [Caller; 9] = [
    Caller::Nobody,
    Caller::JunkBearer,
    Caller::McpBearer,
    Caller::BearerWithoutScope,
    Caller::MemberSession,
    Caller::MemberBearer,
    Caller::OwnerWithoutCsrf,
    Caller::OwnerSession,
    Caller::OwnerBearer,
];

type Row = (&'static str, &'static str, &'static str, [u16; 9]);

/// What everybody who is somebody may read.
const READ: [u16; 9] = [401, 401, 401, 403, 200, 200, 200, 200, 200];
/// What everybody who is somebody may end of their own.
const END: [u16; 9] = [401, 401, 401, 403, 204, 204, 403, 204, 204];
/// What an owner may read.
const OWNER_READ: [u16; 9] = [401, 401, 401, 403, 403, 403, 200, 200, 200];
/// What everybody who is somebody may make of their own.
const MAKE: [u16; 9] = [401, 401, 401, 403, 201, 201, 403, 201, 201];
const OWNER_MAKE: [u16; 9] = [401, 401, 401, 403, 403, 403, 403, 201, 201];
const OWNER_CHANGE: [u16; 9] = [401, 401, 401, 403, 403, 403, 403, 200, 200];
const OWNER_END: [u16; 9] = [401, 401, 401, 403, 403, 403, 403, 204, 204];

/// What is behind an experiment: for nobody here, which is said to whoever is somebody.
const EXPERIMENT_OFF: [u16; 9] = [401, 401, 401, 403, 403, 403, 403, 403, 403];
/// What a person changes of their own, in a browser and by no token.
const PERSON_CHANGE: [u16; 9] = [401, 401, 401, 403, 200, 403, 403, 200, 403];
const PERSON_END: [u16; 9] = [401, 401, 401, 403, 204, 403, 403, 204, 403];
/// What who may watch is told without a WebSocket.
const NO_SOCKET: [u16; 9] = [401, 401, 401, 403, 426, 426, 426, 426, 426];
/// What everybody who is somebody may change of their own.
const CHANGE: [u16; 9] = [401, 401, 401, 403, 200, 200, 403, 200, 200];

const APP: &str = "/api/v2/oauth2-provider/apps/{id}";
const SECRETS: &str = "/api/v2/oauth2-provider/apps/{id}/secrets";
const SECRET: &str = "/api/v2/oauth2-provider/apps/{id}/secrets/{sid}";
const SUBSCRIPTION: &str = "/api/v2/users/{user}/webpush/subscription";
const TEST_PUSH: &str = "/api/v2/users/{user}/webpush/test";
const CUSTOM: &str = "/api/v2/notifications/custom";
const MY_GRANT: &str = "/api/v2/users/me/grants/{id}";
const INBOX: &str = "/api/v2/notifications/inbox";
const WATCH: &str = "/api/v2/notifications/inbox/watch";
const ALL_READ: &str = "/api/v2/notifications/inbox/mark-all-as-read";
const ENTRY: &str = "/api/v2/notifications/inbox/{id}";
const READ_STATUS: &str = "/api/v2/notifications/inbox/{id}/read-status";
const SWITCHES: &str = "/api/v2/notifications/settings";
const MUTED: &str = "/api/v2/notifications/settings/muted/{client_id}";

/// Method, path, the scope that a token needs, and what each caller is answered.
const EXPECTED: [Row; 32] = [
    ("GET", APPS, "apps:read", READ),
    ("POST", APPS, "apps:write", OWNER_MAKE),
    ("GET", APP, "apps:read", READ),
    ("PUT", APP, "apps:write", OWNER_CHANGE),
    ("DELETE", APP, "apps:write", OWNER_END),
    ("GET", SECRETS, "apps:read", OWNER_READ),
    ("POST", SECRETS, "apps:write", OWNER_MAKE),
    ("DELETE", SECRET, "apps:write", OWNER_END),
    ("GET", SETTINGS, "settings:read", OWNER_READ),
    ("PUT", SETTINGS, "settings:write", OWNER_CHANGE),
    ("GET", "/api/v2/users/me", "user:read", READ),
    ("GET", "/api/v2/users/me/grants", "grants:read", READ),
    ("DELETE", MY_GRANT, "grants:write", END),
    ("GET", "/api/v2/users/me/sessions", "sessions:read", READ),
    ("POST", SUBSCRIPTION, "webpush:write", EXPERIMENT_OFF),
    ("DELETE", SUBSCRIPTION, "webpush:write", EXPERIMENT_OFF),
    ("POST", TEST_PUSH, "webpush:write", EXPERIMENT_OFF),
    ("GET", "/api/v2/experiments", "user:read", READ),
    ("GET", "/api/v2/experiments/available", "user:read", READ),
    ("GET", "/api/v2/audit", "audit:read", OWNER_READ),
    ("GET", "/api/v2/auth/scopes", "user:read", READ),
    ("DELETE", "/oauth2/tokens", "grants:write", END),
    ("GET", INBOX, "notifications:read", READ),
    ("GET", WATCH, "notifications:read", NO_SOCKET),
    ("PUT", ALL_READ, "notifications:write", END),
    ("PUT", READ_STATUS, "notifications:write", CHANGE),
    ("DELETE", ENTRY, "notifications:write", END),
    ("GET", SWITCHES, "notifications:read", READ),
    ("PUT", SWITCHES, "notifications:write", PERSON_CHANGE),
    ("PUT", MUTED, "notifications:write", PERSON_END),
    ("DELETE", MUTED, "notifications:write", PERSON_END),
    ("POST", CUSTOM, "notifications:write", MAKE),
];

/// Threat 13: a route of the API without a row here fails.
#[test]
fn every_route_of_the_api_has_its_row_of_expectations() {
    let of_api = ROUTES.iter().filter(|route| route.access.is_of_api());
    let routes: BTreeSet<_> = of_api
        .map(|route| (route.method.as_str(), route.path))
        .collect();
    let expected = EXPECTED.iter().map(|(method, path, ..)| (*method, *path));
    assert_eq!(routes, expected.collect());
}

/// Threats 13, 34, 35 and 38; contract §6: the role and the scope, and the page's token.
#[tokio::test]
async fn every_route_of_the_api_answers_every_kind_of_caller_as_expected() {
    let mut wrong = Vec::new();
    for (method, path, scope, expected) in EXPECTED {
        let house = House::open();
        let world = World::of(&house).await;
        for (caller, expected) in CALLERS.into_iter().zip(expected) {
            let ask = world.ask(method, path, scope, caller).await;
            let answer = house.ask(ask).await;
            let case = format!("{method} {path} {caller:?}");
            if answer.status != expected {
                let found = answer.status;
                wrong.push(format!("{case}: expected {expected}, found {found}"));
            }
            if caller == Caller::BearerWithoutScope {
                let challenge = answer.header("www-authenticate").unwrap_or_default();
                let named = r#"error="insufficient_scope""#;
                let scope = format!(r#"scope="{scope}""#);
                if !challenge.contains(named) || !challenge.contains(&scope) {
                    wrong.push(format!("{case}: challenged by {challenge:?}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// A house with an owner, a member, and an app of each kind.
struct World<'house> {
    house: &'house House,
    app: ClientApp,
    member: Browser<'house>,
    owner: Browser<'house>,
}

impl<'house> World<'house> {
    async fn of(house: &'house House) -> Self {
        let root = house.person("root", Role::Owner).await;
        Self {
            house,
            app: ClientApp::public(house).await,
            member: house.member("ada").await,
            owner: house.signed_in(&root).await,
        }
    }

    /// A token of `browser`'s person for `scope` at `resource`.
    async fn token(&self, browser: &Browser<'_>, resource: &str, scope: &str) -> String {
        browser.connect(&self.app, scope, resource).await.access
    }

    async fn ask(&self, method: &str, path: &str, scope: &str, caller: Caller) -> Ask {
        let browser = match caller {
            Caller::MemberSession | Caller::MemberBearer => &self.member,
            _ => &self.owner,
        };
        let bare = self.example(method, path, browser).await;
        let other_scope = if scope == "user:read" {
            "apps:read"
        } else {
            "user:read"
        };
        match caller {
            Caller::Nobody => bare,
            Caller::JunkBearer => browser.dress(bare).bearer("junk"),
            Caller::McpBearer => {
                let token = self.token(browser, "http://localhost:8420/mcp", "user:read");
                bare.bearer(&token.await)
            }
            Caller::BearerWithoutScope => {
                bare.bearer(&self.token(browser, LOCAL, other_scope).await)
            }
            Caller::MemberBearer | Caller::OwnerBearer => {
                bare.bearer(&self.token(browser, LOCAL, scope).await)
            }
            Caller::OwnerWithoutCsrf => browser.dress(bare),
            Caller::MemberSession | Caller::OwnerSession => signed(browser, bare).await,
        }
    }

    /// A request that succeeds for who may make it; what it would end is there.
    async fn example(&self, method: &str, path: &str, browser: &Browser<'_>) -> Ask {
        let made = made(self.house).await;
        let grant = match path {
            MY_GRANT => {
                self.token(browser, LOCAL, "user:read").await;
                let listed = browser.get("/api/v2/users/me/grants").await.json();
                text(&listed["grants"][0]["id"])
            }
            ENTRY | READ_STATUS => {
                let me = browser.get("/api/v2/users/me").await.text("id");
                told(self.house, &me, "Hello").await
            }
            _ => made.id.clone(),
        };
        let target = path
            .replace("{user}", "me")
            .replace("{id}", &grant)
            .replace("{client_id}", &made.id)
            .replace("{sid}", &made.secret_id);
        let target = match path {
            "/oauth2/tokens" => format!("{target}?client_id={}", self.app.id),
            _ => target,
        };
        let body = match path {
            SETTINGS => json!({ "dynamic_client_registration_enabled": true }),
            CUSTOM => json!({ "title": "Hello" }),
            READ_STATUS => json!({ "is_read": true }),
            SWITCHES => json!({ "templates": [] }),
            _ => app_body(),
        };
        let mut ask = match method {
            "POST" | "PUT" => Ask::json(&target, &body),
            _ => Ask::get(&target),
        };
        ask.method = method.parse().expect("a method");
        ask
    }
}

fn app_body() -> Value {
    json!({ "name": "Made", "callback_url": "https://made.example/cb", "scope": "user:read" })
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value}"))
        .to_owned()
}

/// `ask` by `browser`, as a page of ours would send it.
pub(super) async fn signed(browser: &Browser<'_>, ask: Ask) -> Ask {
    let me = browser.get("/api/v2/users/me").await.expect(200);
    let token = me.header("x-csrf-token").expect("a session has one");
    browser.dress(ask).header("x-csrf-token", token)
}

/// An app that an administrator made, and its secret.
struct Made {
    id: String,
    secret_id: String,
    secret: String,
}

async fn made(house: &House) -> Made {
    let fields = apps::AppFields {
        name: ClientName::parse("An app of the owner").expect("a name"),
        redirect_uris: vec!["https://made.example/cb".parse().expect("a redirect URI")],
        icon: None,
        scope: None,
        auth_method: AuthMethod::ClientSecretPost,
        grant_types: GrantType::ALL.to_vec(),
    };
    let made = house.write(move |tx, moment| {
        let metadata = fields.into_metadata();
        apps::create(tx, moment.act(), metadata, apps::FirstSecret::AtOnce)
    });
    let (client, secret) = made.await.expect("room for an app");
    let secret = secret.expect("a confidential app has a secret");
    Made {
        id: client.id.to_string(),
        secret_id: secret.id().to_string(),
        secret: secret.reveal(),
    }
}

/// What the owner's session is answered.
async fn owner_asks(world: &World<'_>, ask: Ask) -> Answer {
    world.house.ask(signed(&world.owner, ask).await).await
}

fn with_method(method: Method, target: &str, body: &Value) -> Ask {
    let mut ask = Ask::json(target, body);
    ask.method = method;
    ask
}

#[tokio::test]
async fn an_app_is_made_read_replaced_and_removed() {
    let house = House::open();
    let world = World::of(&house).await;
    let created = owner_asks(&world, Ask::json(APPS, &app_body()))
        .await
        .expect(201);
    let app = created.json();
    let path = format!("{APPS}/{}", text(&app["id"]));
    assert_eq!(app["callback_url"], "https://made.example/cb");
    assert_eq!(app["redirect_uris"], json!(["https://made.example/cb"]));
    assert_eq!(app["origin"], "administrator");
    let token = "http://localhost:8420/oauth2/token";
    assert_eq!(app["endpoints"]["token"], token);
    assert!(!created.body.contains("null"), "{}", created.body);
    assert_eq!(world.owner.get(&path).await.json(), app);

    // What was read can be sent back as it is.
    let mut changed = app.clone();
    changed["name"] = "Renamed".into();
    let ask = with_method(Method::PUT, &path, &changed);
    let answer = owner_asks(&world, ask).await.expect(200);
    assert_eq!(answer.json(), changed);

    let ask = Ask::new(Method::DELETE, &path);
    owner_asks(&world, ask.clone()).await.expect(204);
    owner_asks(&world, ask).await.expect(404);
    world.owner.get(&path).await.expect(404);
}

#[tokio::test]
async fn a_bad_app_is_told_every_field_that_is_wrong() {
    let house = House::open();
    let world = World::of(&house).await;
    let body = json!({
        "name": "",
        "redirect_uris": ["javascript:alert(1)"],
        "icon": "http://a.example/i.png",
        "scope": "everything",
        "grant_types": ["implicit"],
        "token_endpoint_auth_method": "magic",
        "colour": "red",
    });
    let answer = owner_asks(&world, Ask::json(APPS, &body)).await.expect(400);
    let validations = answer.json()["validations"].clone();
    let fields: BTreeSet<_> = validations
        .as_array()
        .expect("a list")
        .iter()
        .map(|each| text(&each["field"]))
        .collect();
    let sent = body.as_object().expect("an object").keys().cloned();
    assert_eq!(fields, sent.collect(), "{validations}");
    for (content_type, body, status) in [
        ("text/plain", "{}", 415),
        ("application/json", "[", 400),
        ("application/json", "[]", 400),
        ("application/json", "", 400),
        ("application/json", "{}", 400),
    ] {
        let ask = Ask::json(APPS, &json!({})).header("content-type", content_type);
        owner_asks(&world, ask.body(body)).await.expect(status);
    }
}

#[tokio::test]
async fn a_public_app_stays_public_and_has_no_secret() {
    let house = House::open();
    let world = World::of(&house).await;
    let mut body = app_body();
    body["token_endpoint_auth_method"] = "none".into();
    let app = owner_asks(&world, Ask::json(APPS, &body)).await.expect(201);
    let path = format!("{APPS}/{}", app.text("id"));
    let ask = with_method(Method::PUT, &path, &app_body());
    let refused = owner_asks(&world, ask).await.expect(400).json();
    let field = &refused["validations"][0]["field"];
    assert_eq!(field, "token_endpoint_auth_method");
    let ask = Ask::json(&format!("{path}/secrets"), &json!({}));
    owner_asks(&world, ask).await.expect(409);
}

#[tokio::test]
async fn apps_are_found_by_name_by_page_and_by_who_approved_them() {
    let house = House::open();
    let world = World::of(&house).await;
    for number in 0..30 {
        let mut body = app_body();
        body["name"] = format!("Number {number}").into();
        house.wait(Duration::from_millis(1));
        owner_asks(&world, Ask::json(APPS, &body)).await.expect(201);
    }
    let names = |answer: &Answer| -> Vec<String> {
        let apps = answer.json()["apps"].clone();
        let apps = apps.as_array().expect("a list").clone();
        apps.iter().map(|app| text(&app["name"])).collect()
    };
    let first = world.member.get(APPS).await.expect(200);
    assert_eq!(
        (names(&first).len(), &first.json()["count"]),
        (25, &json!(31))
    );
    assert_eq!(names(&first)[0], "Number 29");
    let second = world.member.get(&format!("{APPS}?offset=25")).await;
    assert_eq!(names(&second).len(), 6);
    let found = world
        .member
        .get(&format!("{APPS}?q=nuMBER+2&limit=2"))
        .await;
    assert_eq!(names(&found), ["Number 29", "Number 28"]);
    assert_eq!(found.json()["count"], 11);

    world.app.code(&world.member).await;
    let me = world.member.get("/api/v2/users/me").await.text("id");
    let approved = format!("{APPS}?user_id={me}");
    assert_eq!(names(&world.member.get(&approved).await), ["An app"]);
    assert_eq!(names(&world.owner.get(&approved).await), ["An app"]);
    let owner = world.owner.get("/api/v2/users/me").await.text("id");
    let foreign = world.member.get(&format!("{APPS}?user_id={owner}")).await;
    foreign.expect(403);
    for bad in ["user_id=x", "limit=101", "q=a&q=b"] {
        world.member.get(&format!("{APPS}?{bad}")).await.expect(400);
    }
}

/// Contract §6: several at once, shown once; what was issued under one ends with it, and nothing
/// else does.
#[tokio::test]
async fn a_secret_is_replaced_while_the_old_one_still_works() {
    let house = House::open();
    let world = World::of(&house).await;
    let app = made(&house).await;
    let secrets = format!("{APPS}/{}/secrets", app.id);
    let client = |secret: &str| ClientApp {
        id: app.id.clone(),
        secret: Some(secret.to_owned()),
        registration_token: String::new(),
        redirect_uri: "https://made.example/cb".to_owned(),
        resource: world.app.resource.clone(),
    };
    let old = client(&app.secret);
    let by_old = connected(&world, &old).await;

    let created = owner_asks(&world, Ask::json(&secrets, &json!({})))
        .await
        .expect(201);
    assert_eq!(created.header("cache-control"), Some("no-store"));
    let new = client(&created.text("client_secret_full"));
    let by_new = connected(&world, &new).await;
    // A family that was begun under the old one moves along when it is refreshed under the new one.
    let moved = connected(&world, &old).await;
    let moved = Tokens::of(&house.token(&new.refreshing(&moved.refresh)).await);

    let listed = world.owner.get(&secrets).await.json();
    let listed = listed.as_array().expect("a list");
    assert_eq!(listed.len(), 2);
    for secret in listed {
        assert!(secret["last_used_at"].is_string(), "{secret}");
        let truncated = text(&secret["client_secret_truncated"]);
        let beginning = truncated.trim_end_matches('…');
        let full = [&app.secret, new.secret.as_ref().expect("a secret")];
        assert!(full.iter().any(|full| full.starts_with(beginning)));
        assert!(truncated.len() < app.secret.len() / 2, "{truncated}");
    }

    let path = format!("{secrets}/{}", app.secret_id);
    owner_asks(&world, Ask::new(Method::DELETE, &path))
        .await
        .expect(204);
    house.mcp(&by_old.access).await.expect(401);
    house
        .token(&old.refreshing(&by_old.refresh))
        .await
        .refused(401, "invalid_client");
    house
        .token(&new.refreshing(&by_old.refresh))
        .await
        .refused(400, "invalid_grant");
    house.mcp(&by_new.access).await.expect(200);
    house.mcp(&moved.access).await.expect(200);
    Tokens::of(&house.token(&new.refreshing(&moved.refresh)).await);
}

async fn connected(world: &World<'_>, client: &ClientApp) -> Tokens {
    let request = client.request().with("prompt", "consent");
    let code = world.member.allow(&request).await.code();
    Tokens::of(&world.house.token(&client.exchange(&code)).await)
}

#[tokio::test]
async fn a_client_has_a_bounded_number_of_secrets() {
    let house = House::open();
    let world = World::of(&house).await;
    let app = made(&house).await;
    let secrets = format!("{APPS}/{}/secrets", app.id);
    for _ in 1..SECRETS_PER_CLIENT_MAX {
        owner_asks(&world, Ask::json(&secrets, &json!({})))
            .await
            .expect(201);
    }
    owner_asks(&world, Ask::json(&secrets, &json!({})))
        .await
        .expect(409);
    let id = app.id.parse().expect("an id");
    let kept = house.store.read(|tx| clients::secrets(tx, id));
    assert_eq!(kept.expect("the store").len(), SECRETS_PER_CLIENT_MAX);
    let unknown = format!("{APPS}/{}/secrets/{}", app.id, app.id);
    owner_asks(&world, Ask::new(Method::DELETE, &unknown))
        .await
        .expect(404);
    let listed = house.store.read(|tx| app_secrets::list(tx, id));
    assert_eq!(listed.expect("the store").map(|list| list.len()), Some(16));
}

#[tokio::test]
async fn the_owner_switches_registration_at_run_time() {
    let house = House::open();
    let world = World::of(&house).await;
    let body = |is_on: Value| json!({ "dynamic_client_registration_enabled": is_on });
    let put = |is_on: Value| with_method(Method::PUT, SETTINGS, &body(is_on));
    let answer = owner_asks(&world, put(false.into())).await.expect(200);
    assert_eq!(answer.json(), body(false.into()));
    assert_eq!(world.owner.get(SETTINGS).await.json(), body(false.into()));
    let metadata = super::client_app::public_at("https://late.example/cb");
    house
        .ask(Ask::json("/oauth2/register", &metadata))
        .await
        .refused(403, "access_denied");
    let info = house.get("/api/v2/buildinfo").await.expect(200).json();
    assert_eq!(info["features"]["dynamic_client_registration"], false);
    for wrong in [json!("yes"), Value::Null] {
        owner_asks(&world, put(wrong)).await.expect(400);
    }
}

#[tokio::test]
async fn what_is_mine_is_listed_and_ended_and_what_is_anothers_is_not_found() {
    let house = House::open();
    let world = World::of(&house).await;
    let token = world.token(&world.member, LOCAL, "user:read").await;
    let sessions = world.member.get("/api/v2/users/me/sessions").await.json();
    assert_eq!(
        (&sessions["count"], &sessions["sessions"][0]["current"]),
        (&json!(1), &json!(true))
    );
    let me = house
        .ask(Ask::get("/api/v2/users/me").bearer(&token))
        .await
        .expect(200);
    assert_eq!(me.json()["name"], "ada");
    assert_eq!(me.header("x-csrf-token"), None, "a token needs none");

    let grants = world.member.get("/api/v2/users/me/grants").await.json();
    assert_eq!(
        (&grants["count"], &grants["grants"][0]["app_name"]),
        (&json!(1), &json!("An app"))
    );
    let path = format!(
        "/api/v2/users/me/grants/{}",
        text(&grants["grants"][0]["id"])
    );
    owner_asks(&world, Ask::new(Method::DELETE, &path))
        .await
        .expect(404);
    house
        .ask(Ask::get("/api/v2/users/me").bearer(&token))
        .await
        .expect(200);
    let ended = signed(&world.member, Ask::new(Method::DELETE, &path)).await;
    house.ask(ended).await.expect(204);
    house
        .ask(Ask::get("/api/v2/users/me").bearer(&token))
        .await
        .expect(401);
}

/// Contract §3.
#[tokio::test]
async fn a_person_ends_all_that_they_allowed_a_client_and_nothing_else() {
    let house = House::open();
    let world = World::of(&house).await;
    let mine = world.token(&world.member, LOCAL, "user:read").await;
    let owners = world.token(&world.owner, LOCAL, "user:read").await;
    let other = ClientApp::public(&house).await;
    let others = connected(&world, &other).await;
    let path = format!("/oauth2/tokens?client_id={}", world.app.id);
    for bad in ["/oauth2/tokens", "/oauth2/tokens?client_id=x"] {
        let ask = signed(&world.member, Ask::new(Method::DELETE, bad)).await;
        house.ask(ask).await.expect(400);
    }
    let ask = signed(&world.member, Ask::new(Method::DELETE, &path)).await;
    house.ask(ask).await.expect(204);
    let me = |token: &str| Ask::get("/api/v2/users/me").bearer(token);
    house.ask(me(&mine)).await.expect(401);
    house.ask(me(&owners)).await.expect(200);
    house.mcp(&others.access).await.expect(200);
}

/// Contract §6: a feature that is off by setting answers exactly what an unknown route does,
/// whoever asks, by whatever method.
#[tokio::test]
async fn an_api_that_is_off_cannot_be_told_from_what_does_not_exist() {
    let off = [
        ("KEYSTEAD_RATE_LIMIT", "off"),
        ("KEYSTEAD_MANAGEMENT_API", "off"),
    ];
    let house = House::with(LOCAL, &off);
    let root = house.person("root", Role::Owner).await;
    let owner = house.signed_in(&root).await;
    let kinds: [fn(Ask) -> Ask; 5] = [
        |ask| ask,
        |ask| ask.bearer("junk"),
        |ask| ask.header("origin", "https://evil.example"),
        |ask| ask.header("host", "evil.example"),
        |ask| ask.header("access-control-request-method", "GET"),
    ];
    for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "BREW"] {
        for kind in kinds {
            let mut seen = BTreeSet::new();
            for path in [
                "/api/v2/nothing-here",
                APPS,
                "/api/v2/buildinfo",
                "/api/v2/users/me",
            ] {
                let mut ask = owner.dress(Ask::json(path, &json!({})));
                ask.method = method.parse().expect("a method");
                let mut answer = house.ask(kind(ask)).await;
                answer.headers.remove("x-request-id");
                seen.insert(format!("{answer:?}"));
            }
            assert_eq!(seen.len(), 1, "{method}: {seen:#?}");
        }
    }
    let unknown = house.get("/api/v2/buildinfo").await.expect(404);
    assert_eq!(unknown.body, r#"{"message":"Route not found."}"#);
    owner.get("/account").await.expect(200);
}

#[tokio::test]
async fn experiments_scopes_and_the_build_are_told() {
    let house = House::with(
        LOCAL,
        &[("KEYSTEAD_EXPERIMENTS", "hidden-sample,mcp-server-http")],
    );
    let ada = house.member("ada").await;
    let enabled = ada.get("/api/v2/experiments").await.expect(200);
    assert_eq!(
        enabled.json(),
        json!(["mcp-server-http"]),
        "a hidden one is not listed"
    );
    let available = ada.get("/api/v2/experiments/available").await.json();
    assert_eq!(
        available,
        json!({ "safe": ["mcp-server-http", "web-push"] })
    );
    let scopes = ada.get("/api/v2/auth/scopes").await.json();
    let scopes = scopes["scopes"].as_array().expect("a list").clone();
    let default = scopes.iter().filter(|scope| scope["default"] == true);
    assert_eq!(
        default
            .map(|scope| text(&scope["name"]))
            .collect::<Vec<_>>(),
        ["user:read"]
    );
    let info = house.get("/api/v2/buildinfo").await.expect(200);
    assert_eq!(info.text("version"), env!("CARGO_PKG_VERSION"));
    assert_eq!(info.header("cache-control"), Some("no-store"));
}

/// What a command can give an app, the API can.
#[tokio::test]
async fn scopes_of_upstreams_and_of_resource_servers_are_known_while_they_are_there() {
    let house = House::open();
    let world = World::of(&house).await;
    let names = async || -> Vec<String> {
        let scopes = world.owner.get("/api/v2/auth/scopes").await.json();
        let scopes = scopes["scopes"].as_array().expect("a list");
        scopes.iter().map(|scope| text(&scope["name"])).collect()
    };
    let mut app = app_body();
    app["scope"] = json!("user:read upstream:files:read files:read");
    let before = names().await;
    let refused = owner_asks(&world, Ask::json(APPS, &app)).await.expect(400);
    let expected = "found files:read upstream:files:read";
    assert!(refused.body.contains(expected), "{}", refused.body);
    administered::upstream(&house, "files").await;
    administered::resource(&house, administered::FILES, &["files:read"]).await;
    let after = names().await;
    let added: Vec<_> = after.iter().filter(|name| !before.contains(name)).collect();
    let expected = ["upstream:files", "upstream:files:read", "files:read"];
    assert_eq!(added, expected);
    let made = owner_asks(&world, Ask::json(APPS, &app))
        .await
        .expect(201)
        .json();
    assert_eq!(made["scope"], "files:read upstream:files:read user:read");
    let path = format!("{APPS}/{}", text(&made["id"]));
    administered::remove_upstream(&house, "files").await;
    let ask = with_method(Method::PUT, &path, &app);
    owner_asks(&world, ask).await.expect(400);
}

/// What the MCP endpoint asks a client to want does not grow with the API, and a client that wants
/// all there is gets what opens something there.
#[tokio::test]
async fn scopes_of_the_api_stay_away_from_mcp() {
    let house = House::open();
    let of = async |path: &str| {
        let path = format!("/.well-known/oauth-protected-resource{path}");
        let scopes = house.get(&path).await.expect(200).json()["scopes_supported"].clone();
        scopes
            .as_array()
            .expect("a list")
            .iter()
            .map(text)
            .collect::<BTreeSet<_>>()
    };
    let (mcp, deployment) = (of("/mcp").await, of("").await);
    assert!(deployment.contains("apps:write") && mcp.is_subset(&deployment));
    let of_the_api = |scope: &&String| *scope == "apps:write" || scope.starts_with("settings:");
    assert_eq!(mcp.iter().find(of_the_api), None);
    let (ada, app) = (house.member("ada").await, ClientApp::public(&house).await);
    let all: Vec<_> = SCOPES.iter().map(|scope| scope.name).collect();
    let request = app.request().with("scope", &all.join(" "));
    let code = ada.allow(&request).await.code();
    let tokens = Tokens::of(&house.token(&app.exchange(&code)).await);
    assert_eq!(
        tokens.scope.split(' ').count(),
        every_scope().split(' ').count()
    );
    assert!(!tokens.scope.contains("apps:write"), "{}", tokens.scope);
    let request = app.request().with("scope", "apps:write settings:read");
    ada.authorize(&request).await.told_error("invalid_scope");
}
