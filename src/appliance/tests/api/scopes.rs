//! What is told of the box: features, scopes, experiments.

use std::collections::BTreeSet;

use http::Method;
use serde_json::json;

use super::{APPS, World, app_body, owner_asks, text, with_method};
use crate::{
    appliance::tests::{
        administered,
        client_app::{ClientApp, every_scope},
        house::{House, LOCAL, Tokens},
        wire::Ask,
    },
    model::{oauth2::scope::SCOPES, user::Role},
};

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
