//! Contract §2: "Asked again unless a live grant of the same client already covers it and the
//! client is not loopback-only". Threat 3: a session alone never gives a code.

use std::time::Duration;

use serde_json::json;

use super::{
    browser::Form,
    client_app::{CALLBACK, ClientApp, public_at},
    house::{House, Tokens},
    wire::Fields,
};

const A_SECOND: Duration = Duration::from_secs(1);

/// The one case in which nobody is asked.
#[tokio::test]
async fn an_https_client_is_asked_for_once() {
    let house = House::open();
    let (ada, app) = (house.member("ada").await, ClientApp::public(&house).await);
    app.code(&ada).await;
    for request in [app.request(), app.request().with("scope", "user:read")] {
        let code = ada.authorize(&request).await.code();
        house.token(&app.exchange(&code)).await.expect(200);
    }
    // The second was asked for less, and gets no more.
    let code = ada
        .authorize(&app.request().with("scope", "user:read"))
        .await;
    let tokens = Tokens::of(&house.token(&app.exchange(&code.code())).await);
    assert_eq!(tokens.scope, "user:read");
}

/// Contract §2; `mcp.md` D3, last line: any program of the machine can name that client.
#[tokio::test]
async fn a_program_on_the_persons_machine_is_asked_for_each_time() {
    let house = House::open();
    let ada = house.member("ada").await;
    for uri in [
        "http://localhost/callback",
        "http://127.0.0.1:1/",
        "cursor://x/callback",
    ] {
        let app = ClientApp::register(&house, &public_at(uri)).await;
        app.code(&ada).await;
        ada.consent(&app.request()).await;
    }
    // An https redirect of a client that also has a loopback one is remembered for itself only.
    let mut metadata = public_at(CALLBACK);
    metadata["redirect_uris"] = json!([CALLBACK, "http://127.0.0.1/"]);
    let both = ClientApp::register(&house, &metadata).await;
    both.code(&ada).await;
    ada.authorize(&both.request()).await.code();
    let local = both.request().with("redirect_uri", "http://127.0.0.1/");
    ada.consent(&local).await;
}

/// Whatever is not what was allowed is asked for.
#[tokio::test]
async fn something_else_than_was_allowed_is_asked_for() {
    let house = House::open();
    let ada = house.member("ada").await;
    let mut metadata = public_at(CALLBACK);
    metadata["redirect_uris"] = json!([CALLBACK, "https://app.example/other"]);
    let app = ClientApp::register(&house, &metadata).await;
    let allowed = app.request().with("scope", "user:read grants:read");
    ada.allow(&allowed).await.code();
    ada.authorize(&allowed).await.code();
    let changes: [(&str, &str); 5] = [
        ("scope", "user:read grants:write"),
        ("resource", "http://localhost:8420"),
        ("redirect_uri", "https://app.example/other"),
        ("prompt", "consent"),
        ("prompt", "login consent"),
    ];
    for (name, value) in changes {
        ada.consent(&allowed.clone().with(name, value)).await;
    }
    // Another client, and another person, were never allowed anything.
    let other = ClientApp::register(&house, &metadata).await;
    ada.consent(&other.request().with("scope", "user:read"))
        .await;
    house.member("eve").await.consent(&allowed).await;
}

/// RFC 7592 §2.2: a client that replaced its metadata is not what the person allowed.
#[tokio::test]
async fn a_client_that_changed_is_asked_for_again() {
    let house = House::open();
    let (ada, app) = (house.member("ada").await, ClientApp::public(&house).await);
    let code = app.code(&ada).await;
    let tokens = Tokens::of(&house.token(&app.exchange(&code)).await);
    ada.authorize(&app.request()).await.code();
    house.wait(A_SECOND);
    app.replace(&house, &public_at(CALLBACK)).await.expect(200);
    ada.consent(&app.request()).await;
    // What it was given before goes on.
    house.mcp(&tokens.access).await.expect(200);
}

/// A grant that was taken back, or has ended, is not remembered.
#[tokio::test]
async fn a_grant_that_is_over_is_not_remembered() {
    let house = House::open();
    let (ada, app) = (house.member("ada").await, ClientApp::public(&house).await);
    app.code(&ada).await;
    let page = ada.get("/account").await.expect(200).body;
    let form = Form::all(&page)
        .into_iter()
        .find(|form| form.action.starts_with("/account/grants/"))
        .expect("a grant can be taken back");
    let answer = ada.post(&form.action, &form.fields).await;
    assert_eq!(answer.location(), "/account?done=grant");
    ada.consent(&app.request()).await;
}

/// The narrower grant that a person gave does not cover what the app asked for.
#[tokio::test]
async fn what_was_unticked_is_asked_for_again() {
    let house = House::open();
    let (ada, app) = (house.member("ada").await, ClientApp::public(&house).await);
    let page = ada.consent(&app.request()).await.fields;
    ada.decide(&page.unticked("scope", "grants:write"))
        .await
        .code();
    ada.consent(&app.request()).await;
    let covered = Fields::with(app.request(), "scope", "user:read grants:read");
    ada.authorize(&covered).await.code();
}
