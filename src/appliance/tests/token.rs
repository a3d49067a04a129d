//! Contract §3: the token endpoint, its form and its answer, whatever the grant.

use serde_json::json;

use super::{
    client_app::{ClientApp, every_scope},
    discovery::has_null,
    house::House,
    wire::{Ask, Fields},
};
use crate::web::oauth2::FORM_BYTES_MAX;

/// Contract §3: the answer; `mcp.md` D2 rules 1 and 10.
#[tokio::test]
async fn the_answer_has_every_field_and_no_null() {
    let house = House::open();
    for app in [
        ClientApp::public(&house).await,
        ClientApp::confidential(&house).await,
    ] {
        let ada = house
            .member(&format!("user-{}", app.id.to_lowercase()))
            .await;
        let code = app.code(&ada).await;
        let answer = house.token(&app.exchange(&code)).await.expect(200);
        let body = answer.json();
        assert!(!has_null(&body), "{body}");
        assert_eq!(body["token_type"], "Bearer");
        assert_eq!(body["expires_in"], json!(3_600));
        let mut scopes: Vec<_> = body["scope"]
            .as_str()
            .expect("always there")
            .split(' ')
            .collect();
        let every = every_scope();
        let mut expected: Vec<_> = every.split(' ').collect();
        scopes.sort_unstable();
        expected.sort_unstable();
        assert_eq!(scopes, expected);
        for (member, prefix) in [("access_token", "ks_at_"), ("refresh_token", "ks_rt_")] {
            assert!(answer.text(member).starts_with(prefix), "{body}");
        }
        assert_eq!(answer.header("content-type"), Some("application/json"));
    }
}

/// RFC 6749 §5.1 and §5.2: nobody keeps an answer, whatever it is.
#[tokio::test]
async fn no_answer_is_kept() {
    let house = House::open();
    let (ada, app) = (house.member("ada").await, ClientApp::public(&house).await);
    let code = app.code(&ada).await;
    let good = house.token(&app.exchange(&code)).await.expect(200);
    let wrong = house.token(&app.exchange(&code)).await.expect(400);
    let nobody = house.token(&Fields::default()).await.expect(400);
    let unknown = app.exchange(&code).with("client_id", "x");
    let unknown = house.token(&unknown).await.expect(401);
    for answer in [good, wrong, nobody, unknown] {
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("pragma"), Some("no-cache"));
    }
}

/// Contract §3: the alias paths.
#[tokio::test]
async fn every_path_of_the_token_endpoint_gives_tokens() {
    let house = House::open();
    let (ada, app) = (house.member("ada").await, ClientApp::public(&house).await);
    for path in ["/oauth2/token", "/oauth2/tokens", "/token"] {
        let request = app.request().with("prompt", "consent");
        let code = ada.allow(&request).await.code();
        let ask = Ask::form(path, &app.exchange(&code));
        house.ask(ask).await.expect(200).text("access_token");
    }
}

/// Contract §3: "missing or repeated field, malformed verifier" is `invalid_request` naming it.
#[tokio::test]
async fn a_missing_or_repeated_field_is_named() {
    let house = House::open();
    let (_, app, tokens) = house.connected().await;
    let (exchange, refresh) = (app.exchange("x"), app.refreshing(&tokens.refresh));
    for (form, name) in [
        (&exchange, "grant_type"),
        (&exchange, "code"),
        (&exchange, "code_verifier"),
        (&exchange, "client_id"),
        (&refresh, "refresh_token"),
    ] {
        for form in [form.clone().without(name), form.clone().with(name, "")] {
            let description = house.token(&form).await.refused(400, "invalid_request");
            assert!(
                description.starts_with(&format!("{name}: expected")),
                "{description}"
            );
        }
        let value = form.get(name).expect("a value").to_owned();
        let twice = form.clone().and(&[(name, &value)]);
        let description = house.token(&twice).await.refused(400, "invalid_request");
        assert!(description.contains(name), "{description}");
    }
    let twice = refresh
        .clone()
        .and(&[("scope", "user:read"), ("scope", "grants:read")]);
    house.token(&twice).await.refused(400, "invalid_request");
    house.token(&refresh).await.expect(200);
}

/// Contract §3, third row of the situations.
#[tokio::test]
async fn a_grant_type_is_known_and_allowed() {
    let house = House::open();
    let app = ClientApp::public(&house).await;
    for unknown in [
        "password",
        "implicit",
        "urn:ietf:params:oauth:grant-type:jwt-bearer",
        "AUTHORIZATION_CODE",
        "\0",
        "é",
    ] {
        let form = app.exchange("x").with("grant_type", unknown);
        house
            .token(&form)
            .await
            .refused(400, "unsupported_grant_type");
    }
    let own = app.exchange("x").with("grant_type", "client_credentials");
    house.token(&own).await.refused(400, "unauthorized_client");
}

/// Contract §3: form-encoded, and nothing else (`mcp.md` D2 has every client send that).
#[tokio::test]
async fn another_content_type_is_refused() {
    let house = House::open();
    let (ada, app) = (house.member("ada").await, ClientApp::public(&house).await);
    let form = app.exchange(&app.code(&ada).await);
    for kind in [
        "application/json",
        "multipart/form-data; boundary=x",
        "text/plain",
        "application/x-www-form-urlencoded; charset=utf-16",
        ";",
        "x",
    ] {
        let ask = Ask::form("/oauth2/token", &form).header("content-type", kind);
        let description = house.ask(ask).await.refused(400, "invalid_request");
        assert!(description.contains("Content-Type"), "{description}");
    }
    let mut bare = Ask::form("/oauth2/token", &form);
    bare.headers.remove("content-type");
    house.ask(bare).await.refused(400, "invalid_request");
    let charset = "Application/X-WWW-Form-Urlencoded; charset=UTF-8";
    let ask = Ask::form("/oauth2/token", &form).header("content-type", charset);
    house.ask(ask).await.expect(200);
}

/// Contract §3: bounded body, 413 beyond; to the byte.
#[tokio::test]
async fn a_body_beyond_its_bound_is_too_large() {
    let house = House::open();
    let (ada, app) = (house.member("ada").await, ClientApp::public(&house).await);
    let code = app.code(&ada).await;
    let mut body = app.exchange(&code).encoded();
    // Values have a bound of their own, so that it takes several to fill a body.
    while body.len() + 8_200 < FORM_BYTES_MAX {
        let name = body.len().to_string();
        body = [&body, "&", &name, "=", &"x".repeat(8_100)].concat();
    }
    body.push_str("&last=");
    body.push_str(&"x".repeat(FORM_BYTES_MAX + 1 - body.len()));
    let ask = |body: &str| Ask::form("/oauth2/token", &Fields::default()).body(body);
    let beyond = house.ask(ask(&body)).await;
    beyond.refused(413, "invalid_request");
    house.ask(ask(&body[..FORM_BYTES_MAX])).await.expect(200);
}

/// Issue 2, bad input: malformed forms get 4xx, never 500.
#[tokio::test]
async fn what_cannot_be_read_is_refused_in_oauths_words() {
    let house = House::open();
    let app = ClientApp::public(&house).await;
    let good = app.exchange("x").encoded();
    let mut bodies: Vec<Vec<u8>> = ["code=%", "code=%zz", "%ff=x", "code=%ff", "code=%C3", "%=x"]
        .iter()
        .map(|broken| format!("{good}&{broken}").into_bytes())
        .collect();
    bodies.push([good.as_bytes(), b"&x=\xff\xfe"].concat());
    bodies.push([good.as_bytes(), b"&\xff=x"].concat());
    bodies.push(vec![0; 64]);
    bodies.push(b"&=&=&".to_vec());
    bodies.push(Vec::new());
    let many = "&x=1".repeat(65);
    bodies.push(format!("{good}{many}").into_bytes());
    for body in bodies {
        let ask = Ask::form("/oauth2/token", &Fields::default()).body(body.clone());
        let answer = house.ask(ask).await;
        answer.refused(400, "invalid_request");
    }
}

/// RFC 6749 §3.2: "The client MUST use the HTTP POST method".
#[tokio::test]
async fn the_token_endpoint_is_only_posted_to() {
    let house = House::open();
    let app = ClientApp::public(&house).await;
    for method in ["GET", "HEAD", "PUT", "DELETE", "PATCH"] {
        let query = app.exchange("x").encoded();
        let mut ask = Ask::get(&format!("/oauth2/token?{query}"));
        ask.method = method.parse().expect("a method");
        let answer = house.ask(ask).await.expect(405);
        assert_eq!(answer.header("allow"), Some("POST, OPTIONS"));
    }
}

/// A description is in the character set of RFC 6749 §5.2, whatever was sent.
#[tokio::test]
async fn a_description_repeats_nothing_that_it_may_not_have() {
    let house = House::open();
    let (_, app, tokens) = house.connected().await;
    let refresh = app.refreshing(&tokens.refresh);
    for scope in [
        "\"quoted\"",
        "back\\slash",
        "ünïcode",
        "new\nline",
        "wider:scope",
    ] {
        let answer = house.token(&refresh.clone().with("scope", scope)).await;
        let description = answer.refused(400, "invalid_scope");
        let allowed = |c: char| matches!(c, ' '..='~') && c != '"' && c != '\\';
        assert!(description.chars().all(allowed), "{description}");
    }
}
