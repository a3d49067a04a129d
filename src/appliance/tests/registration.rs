//! Contract §4: dynamic registration, RFC 7591, and its management, RFC 7592.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use super::{
    client_app::{CALLBACK, ClientApp, public_at},
    discovery::has_null,
    house::{House, LOCAL, Tokens},
    wire::{Answer, Ask},
};
use crate::web::oauth2::register::REGISTRATION_BYTES_MAX;

async fn register(house: &House, metadata: &Value) -> Answer {
    house.ask(Ask::json("/oauth2/register", metadata)).await
}

/// Contract §4: the answer; `mcp.md` D2 rule 1.
#[tokio::test]
async fn a_registration_is_answered_with_everything_that_is_registered() {
    let house = House::open();
    let metadata = json!({
        "client_name": "Weather",
        "redirect_uris": [CALLBACK, "http://localhost/cb"],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "client_secret_post",
        "scope": "user:read",
        "client_uri": "https://weather.example/",
        "logo_uri": "https://weather.example/logo.png",
        "software_id": "weather",
        "software_version": "1.0",
        "application_type": "web",
        "contacts": ["ada@weather.example"],
    });
    let answer = register(&house, &metadata).await.expect(201);
    let body = answer.json();
    assert!(!has_null(&body), "{body}");
    for (name, value) in metadata.as_object().expect("an object") {
        assert_eq!(&body[name], value, "{name}");
    }
    assert_eq!(body["client_id_issued_at"], json!(house.now().seconds()));
    assert_eq!(body["client_secret_expires_at"], json!(0));
    assert!(answer.text("client_secret").starts_with("ks_cs_"));
    assert!(
        answer
            .text("registration_access_token")
            .starts_with("ks_ra_")
    );
    let path = format!("{LOCAL}/oauth2/clients/{}", answer.text("client_id"));
    assert_eq!(answer.text("registration_client_uri"), path);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
}

/// Contract §4: not for `none`; absent is `client_secret_basic`, said out loud (`mcp.md` D2 rule 2).
#[tokio::test]
async fn a_secret_is_for_those_who_keep_one() {
    let house = House::open();
    let body = register(&house, &public_at(CALLBACK))
        .await
        .expect(201)
        .json();
    assert_eq!(body["token_endpoint_auth_method"], "none");
    assert_eq!(body.get("client_secret"), None);
    assert_eq!(body.get("client_secret_expires_at"), None);
    for unsaid in [
        json!({ "redirect_uris": [CALLBACK] }),
        json!({
            "redirect_uris": [CALLBACK], "token_endpoint_auth_method": null,
        }),
    ] {
        let body = register(&house, &unsaid).await.expect(201).json();
        assert_eq!(body["token_endpoint_auth_method"], "client_secret_basic");
        assert!(body["client_secret"].is_string(), "{body}");
        assert_eq!(body["grant_types"], json!(["authorization_code"]));
        assert_eq!(body["response_types"], json!(["code"]));
    }
}

/// What real hosts send (`mcp.md` D1 and D3) is taken.
#[tokio::test]
async fn what_real_hosts_register_is_accepted() {
    let house = House::open();
    for metadata in [
        // Cursor: one URI that is refused would refuse them all.
        json!({
            "client_name": "Cursor",
            "redirect_uris": [
                "cursor://anysphere.cursor-mcp/oauth/callback",
                "https://www.cursor.com/agents/mcp/oauth/callback",
                "http://localhost:8787/callback",
            ],
            "token_endpoint_auth_method": "none",
        }),
        // VS Code: https and loopback mixed under one application type.
        json!({
            "client_name": "VS Code",
            "redirect_uris": [
                "https://insiders.vscode.dev/redirect", "https://vscode.dev/redirect",
                "http://127.0.0.1/", "http://127.0.0.1:33418/",
            ],
            "grant_types": [
                "authorization_code", "refresh_token",
                "urn:ietf:params:oauth:grant-type:device_code",
            ],
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
            "application_type": "native",
        }),
        // mcp-remote.
        json!({
            "redirect_uris": ["http://localhost:3335/oauth/callback"],
            "token_endpoint_auth_method": "none",
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "client_name": "MCP CLI Proxy",
            "client_uri": "https://github.com/modelcontextprotocol/mcp-cli",
            "software_id": "2e6dc280-f3c3-4e01-99a7-8181dbd1d23d",
            "software_version": "0.15.1",
            "scope": "openid email profile",
        }),
        // An IPv6 loopback, a private-use scheme with a path only, and members nobody knows.
        json!({
            "redirect_uris": ["http://[::1]:8080/cb", "com.example.app:/cb", "http://a.localhost/"],
            "jwks_uri": "https://app.example/jwks", "whatever": { "a": [1, null] }, "tos_uri": null,
        }),
    ] {
        let body = register(&house, &metadata).await.expect(201).json();
        assert_eq!(body["redirect_uris"], metadata["redirect_uris"]);
        assert!(!has_null(&body), "{body}");
        assert_eq!(body.get("whatever"), None);
    }
}

/// Contract §4, the table of redirect URIs; threats 7, 19 and 20.
#[tokio::test]
async fn one_bad_redirect_uri_refuses_the_registration_and_is_named() {
    let house = House::open();
    for bad in [
        "http://app.example/cb",
        "http://127.0.0.1.evil.example/cb",
        "http://localhost@evil.example/",
        "javascript:alert(1)",
        "data:text/html,x",
        "file:///etc/passwd",
        "ftp://app.example/",
        "blob:https://app.example/x",
        "about:blank",
        "ws://app.example/",
        "wss://app.example/",
        "mailto:ada@app.example",
        "tel:+123",
        "sms:+123",
        "https://app.example/cb#fragment",
        "https://user@app.example/cb",
        "https://app.example\\@evil.example/cb",
        "https://app.example/c b",
        "https://app.example/cb\n",
        "cursor:",
        "/relative",
    ] {
        let mut metadata = public_at(CALLBACK);
        metadata["redirect_uris"] = json!([CALLBACK, bad]);
        let answer = register(&house, &metadata).await;
        let description = answer.refused(400, "invalid_redirect_uri");
        let printable: String = bad.chars().filter(|c| !c.is_control()).take(10).collect();
        let named = description
            .replace('/', "\\")
            .contains(&printable.replace('/', "\\"));
        assert!(named, "{bad}: {description}");
    }
}

/// Contract §4: `invalid_client_metadata`, naming the member.
#[tokio::test]
async fn a_member_that_is_wrong_is_named() {
    let house = House::open();
    for (member, value) in [
        ("client_name", json!(7)),
        ("client_name", json!("x".repeat(129))),
        ("client_name", json!("new\nline")),
        ("redirect_uris", json!(CALLBACK)),
        ("redirect_uris", json!([7])),
        ("grant_types", json!("authorization_code")),
        ("grant_types", json!(["refresh_token"])),
        ("grant_types", json!(["implicit"])),
        ("response_types", json!(["token"])),
        ("token_endpoint_auth_method", json!("private_key_jwt")),
        ("token_endpoint_auth_method", json!(["none"])),
        ("scope", json!(["user:read"])),
        ("scope", json!("with \"quotes\"")),
        ("client_uri", json!("javascript:alert(1)")),
        ("client_uri", json!("not a url")),
        ("logo_uri", json!(7)),
        ("contacts", json!("ada")),
        ("software_id", json!({})),
    ] {
        let mut metadata = public_at(CALLBACK);
        metadata[member] = value;
        let answer = register(&house, &metadata).await;
        let description = answer.refused(400, "invalid_client_metadata");
        assert!(
            description.starts_with(&format!("{member}: ")),
            "{description}"
        );
    }
    for none in [
        json!({}),
        json!({ "redirect_uris": [] }),
        json!({ "redirect_uris": null }),
    ] {
        register(&house, &none)
            .await
            .refused(400, "invalid_redirect_uri");
    }
}

/// Contract §4: 32 URIs of 2048 bytes, names of 128 characters; to the one.
#[tokio::test]
async fn what_is_registered_has_bounds() {
    let house = House::open();
    let uri = |n: usize| format!("https://app.example/cb?n={n}");
    let with = |count: usize| {
        let mut metadata = public_at(CALLBACK);
        metadata["redirect_uris"] = (0..count).map(uri).collect();
        metadata
    };
    register(&house, &with(32)).await.expect(201);
    register(&house, &with(33)).await.expect(400);
    let long = |bytes: usize| {
        let path = "a".repeat(bytes - "https://app.example/".len());
        public_at(&format!("https://app.example/{path}"))
    };
    register(&house, &long(2_048)).await.expect(201);
    register(&house, &long(2_049))
        .await
        .refused(400, "invalid_redirect_uri");
    let mut named = public_at(CALLBACK);
    named["client_name"] = "é".repeat(128).into();
    register(&house, &named).await.expect(201);
}

/// Contract §4: 64 KiB a body; issue 2: what is no JSON gets 4xx.
#[tokio::test]
async fn a_body_is_an_object_of_bounded_size() {
    let house = House::open();
    let ask = |body: Vec<u8>| Ask::json("/oauth2/register", &json!({})).body(body);
    let deep = "[".repeat(20_000);
    for body in [
        Vec::new(),
        b"{".to_vec(),
        b"[]".to_vec(),
        b"null".to_vec(),
        b"\"x\"".to_vec(),
        b"redirect_uris=x".to_vec(),
        b"{\"client_name\":\"\xff\"}".to_vec(),
        vec![0; 16],
        deep.into_bytes(),
    ] {
        house
            .ask(ask(body))
            .await
            .refused(400, "invalid_client_metadata");
    }
    let mut metadata = public_at(CALLBACK);
    metadata["padding"] = "".into();
    let pad = REGISTRATION_BYTES_MAX - metadata.to_string().len();
    metadata["padding"] = "x".repeat(pad).into();
    house
        .ask(ask(metadata.to_string().into_bytes()))
        .await
        .expect(201);
    metadata["padding"] = "x".repeat(pad + 1).into();
    house
        .ask(ask(metadata.to_string().into_bytes()))
        .await
        .refused(413, "invalid_request");
}

/// Contract §4: the switch; the alias obeys it as well.
#[tokio::test]
async fn registration_can_be_switched_off() {
    let house = House::with(LOCAL, &[("KEYSTEAD_REGISTRATION", "off")]);
    for path in ["/oauth2/register", "/register"] {
        let answer = house.ask(Ask::json(path, &public_at(CALLBACK))).await;
        answer.refused(403, "access_denied");
    }
}

/// Contract §4: `GET|PUT|DELETE` with the registration access token: 200 / 200 / 204.
#[tokio::test]
async fn a_client_manages_its_own_registration() {
    let house = House::open();
    let app = ClientApp::confidential(&house).await;
    let ask = |method| Ask::new(method, &app.path()).bearer(&app.registration_token);
    let read = house.ask(ask(Method::GET)).await.expect(200);
    assert_eq!(read.text("client_id"), app.id);
    assert_eq!(
        read.text("registration_access_token"),
        app.registration_token
    );
    assert!(!has_null(&read.json()), "{read:#?}");

    let mut replacement = public_at("https://app.example/new");
    replacement["token_endpoint_auth_method"] = "client_secret_basic".into();
    replacement["client_name"] = "Renamed".into();
    let replaced = app.replace(&house, &replacement).await.expect(200);
    assert_eq!(
        replaced.json()["redirect_uris"],
        json!(["https://app.example/new"])
    );
    let read = house.ask(ask(Method::GET)).await.expect(200);
    assert_eq!(read.text("client_name"), "Renamed");

    house.ask(ask(Method::DELETE)).await.expect(204);
    for method in [Method::GET, Method::DELETE] {
        house.ask(ask(method)).await.refused(401, "invalid_token");
    }
    app.replace(&house, &replacement)
        .await
        .refused(401, "invalid_token");
}

/// RFC 7592 §2.2: PUT replaces all; what it leaves out is deleted.
#[tokio::test]
async fn what_a_replacement_leaves_out_is_gone() {
    let house = House::open();
    let mut metadata = public_at(CALLBACK);
    metadata["client_uri"] = "https://app.example/".into();
    metadata["scope"] = "user:read".into();
    let app = ClientApp::register(&house, &metadata).await;
    let body = app
        .replace(&house, &public_at(CALLBACK))
        .await
        .expect(200)
        .json();
    assert_eq!(body.get("client_uri"), None);
    assert_eq!(body.get("scope"), None);
}

/// Contract §4: "public stays public", and confidential stays confidential.
#[tokio::test]
async fn a_client_does_not_turn_from_public_to_confidential_or_back() {
    let house = House::open();
    for app in [
        ClientApp::public(&house).await,
        ClientApp::confidential(&house).await,
    ] {
        let mut other = public_at(CALLBACK);
        if app.secret.is_none() {
            other["token_endpoint_auth_method"] = "client_secret_basic".into();
        }
        app.replace(&house, &other)
            .await
            .refused(400, "invalid_client_metadata");
        let bad = public_at("javascript:alert(1)");
        app.replace(&house, &bad)
            .await
            .refused(400, "invalid_redirect_uri");
    }
}

/// RFC 7592 §2.2: a `client_id` in the replacement "MUST be the same as its currently issued".
#[tokio::test]
async fn a_replacement_that_names_another_client_is_refused() {
    let house = House::open();
    let (app, other) = (
        ClientApp::public(&house).await,
        ClientApp::public(&house).await,
    );
    let mut replacement = public_at("https://app.example/new");
    for wrong in [json!(other.id), json!("x"), json!(7)] {
        replacement["client_id"] = wrong;
        let answer = app.replace(&house, &replacement).await;
        let description = answer.refused(400, "invalid_client_metadata");
        assert!(
            description.starts_with("client_id: expected"),
            "{description}"
        );
    }
    replacement["client_id"] = json!(app.id);
    app.replace(&house, &replacement).await.expect(200);
}

/// Contract §4: "401 `invalid_token` for a wrong token or an unknown client", which look alike.
#[tokio::test]
async fn only_its_own_token_manages_a_registration() {
    let house = House::open();
    let (app, other) = (
        ClientApp::public(&house).await,
        ClientApp::public(&house).await,
    );
    let cut = &app.registration_token[..app.registration_token.len() - 1];
    let unknown = "/oauth2/clients/0000000000000000000000";
    let paths = [
        app.path(),
        unknown.to_owned(),
        "/oauth2/clients/%00".to_owned(),
    ];
    let mut bodies = Vec::new();
    for path in &paths {
        for token in [&other.registration_token, cut, "junk"] {
            let answer = house.ask(Ask::get(path).bearer(token)).await;
            answer.refused(401, "invalid_token");
            let challenge = answer.header("www-authenticate").expect("a challenge");
            assert!(challenge.starts_with("Bearer "), "{challenge}");
            bodies.push(answer.body);
        }
    }
    bodies.dedup();
    assert_eq!(
        bodies.len(),
        1,
        "nobody learns which of them exists: {bodies:?}"
    );
    house
        .ask(Ask::get(&app.path()))
        .await
        .refused(401, "invalid_token");
}

/// A client that is removed takes everything with it that was allowed to it.
#[tokio::test]
async fn a_client_that_unregisters_ends_its_grants() {
    let house = House::open();
    let (ada, app, tokens) = house.connected().await;
    let ask = Ask::new(Method::DELETE, &app.path()).bearer(&app.registration_token);
    house.ask(ask).await.expect(204);
    house.mcp(&tokens.access).await.expect(401);
    let page = ada.get("/account").await.expect(200).body;
    assert!(!page.contains("/account/grants/"), "{page}");
}

/// Contract §4: a client that nobody approved expires, one that ever was is never pruned.
#[tokio::test]
async fn a_client_that_nobody_approved_expires() {
    let house = House::open();
    let ada = house.member("ada").await;
    let (approved, idle) = (
        ClientApp::public(&house).await,
        ClientApp::public(&house).await,
    );
    let code = approved.code(&ada).await;
    Tokens::of(&house.token(&approved.exchange(&code)).await);
    house.wait(Duration::from_hours(7 * 24));
    let swept = house.sweep(house.now()).await;
    assert_eq!(swept.expired_clients.len(), 1);
    let read = |app: &ClientApp| Ask::get(&app.path()).bearer(&app.registration_token);
    house.ask(read(&approved)).await.expect(200);
    house.ask(read(&idle)).await.refused(401, "invalid_token");
}
