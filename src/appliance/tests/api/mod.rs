//! The management API: every route with every kind of caller, and what each of them does.

mod apps;
mod grants;
mod scopes;
mod secrets;

use std::collections::BTreeSet;

use http::Method;
use serde_json::{Value, json};

use super::{
    browser::Browser,
    client_app::ClientApp,
    house::{House, LOCAL, Tokens},
    notifications::told,
    wire::{Answer, Ask},
};
use crate::{
    appliance::routes::ROUTES,
    model::{
        oauth2::client::{AuthMethod, ClientName, GrantType},
        user::Role,
    },
    oauth2provider::apps::{AppFields, FirstSecret, create},
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
    let fields = AppFields {
        name: ClientName::parse("An app of the owner").expect("a name"),
        redirect_uris: vec!["https://made.example/cb".parse().expect("a redirect URI")],
        icon: None,
        scope: None,
        auth_method: AuthMethod::ClientSecretPost,
        grant_types: GrantType::ALL.to_vec(),
    };
    let made = house.write(move |tx, moment| {
        let metadata = fields.into_metadata();
        create(tx, moment.act(), metadata, FirstSecret::AtOnce)
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

/// What the member allows `client`.
async fn connected(world: &World<'_>, client: &ClientApp) -> Tokens {
    let request = client.request().with("prompt", "consent");
    let code = world.member.allow(&request).await.code();
    Tokens::of(&world.house.token(&client.exchange(&code)).await)
}
