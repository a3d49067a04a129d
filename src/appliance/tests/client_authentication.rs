//! Contract §3: how a client says who it is (RFC 6749 §2.3.1), at the token and the revocation
//! endpoint.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::Method;

use super::{
    client_app::ClientApp,
    house::{House, Tokens},
    wire::{Answer, Ask, Fields},
};

fn basic(id: &str, secret: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")))
}

/// Every byte percent-encoded, as no encoder does without need and as every decoder reads.
fn encoded(text: &str) -> String {
    let bytes: Vec<_> = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
    bytes.concat()
}

/// A form that says nothing of who sends it.
fn anonymous(app: &ClientApp, token: &str) -> Fields {
    let form = app.refreshing(token);
    form.without("client_id").without("client_secret")
}

/// A house with a confidential client and its tokens.
async fn connected(house: &House) -> (ClientApp, Tokens) {
    let (ada, app) = (
        house.member("ada").await,
        ClientApp::confidential(house).await,
    );
    let code = app.code(&ada).await;
    let tokens = Tokens::of(&house.token(&app.exchange(&code)).await);
    (app, tokens)
}

async fn refresh(house: &House, authorization: &str, form: &Fields) -> Answer {
    let ask = Ask::form("/oauth2/token", form);
    house.ask(ask.header("authorization", authorization)).await
}

/// Contract §3: "Basic (raw or form-encoded parts), post"; `mcp.md` D2 rule 3.
#[tokio::test]
async fn a_secret_is_read_from_the_header_and_from_the_body() {
    let house = House::open();
    let (app, tokens) = connected(&house).await;
    let secret = app.secret.clone().expect("a secret");
    let mut token = tokens.refresh;
    for authorization in [
        basic(&app.id, &secret),
        basic(&encoded(&app.id), &encoded(&secret)),
        basic(&app.id, &secret).replace("Basic", "bAsIc"),
    ] {
        let answer = refresh(&house, &authorization, &anonymous(&app, &token)).await;
        token = Tokens::of(&answer).refresh;
    }
    Tokens::of(&house.token(&app.refreshing(&token)).await);
}

/// Contract §3: "two that differ → `invalid_request`; the same id twice is fine"; Python's client
/// sends the id in both places (`mcp.md` D1).
#[tokio::test]
async fn the_same_identity_twice_is_fine_and_two_are_not() {
    let house = House::open();
    let (app, tokens) = connected(&house).await;
    let other = ClientApp::confidential(&house).await;
    let secret = app.secret.clone().expect("a secret");
    let header = basic(&app.id, &secret);
    let form = anonymous(&app, &tokens.refresh);
    for (name, value) in [
        ("client_id", other.id.as_str()),
        ("client_secret", other.secret.as_deref().expect("a secret")),
    ] {
        let description = refresh(&house, &header, &form.clone().with(name, value))
            .await
            .refused(400, "invalid_request");
        assert!(description.starts_with(name), "{description}");
    }
    let same_id = form.clone().with("client_id", &app.id);
    let first = Tokens::of(&refresh(&house, &header, &same_id).await);
    let both = app.refreshing(&first.refresh);
    refresh(&house, &header, &both).await.expect(200);
}

/// Contract §3: "unknown client, wrong secret" is 401 with a challenge (RFC 6749 §5.2).
#[tokio::test]
async fn a_client_that_is_not_believed_is_challenged() {
    let house = House::open();
    let (app, tokens) = connected(&house).await;
    let other = ClientApp::confidential(&house).await;
    let (own, foreign) = (
        app.secret.clone().expect("a secret"),
        other.secret.clone().expect("a secret"),
    );
    let form = anonymous(&app, &tokens.refresh);
    let unknown = "0000000000000000000000";
    for authorization in [
        basic(&app.id, &foreign),
        basic(&app.id, ""),
        basic(&app.id, &own[..own.len() - 1]),
        basic(&app.id, &format!("{own} ")),
        basic(&app.id, &own.to_lowercase()),
        basic(unknown, &own),
        basic("", &own),
        basic("\0", "\0"),
        "Basic".to_owned(),
        "Basic !!!".to_owned(),
        format!("Basic {}", STANDARD.encode("no colon")),
        format!("Basic {}", STANDARD.encode(b"\xff:\xff")),
        format!("Bearer {}", tokens.access),
        format!("Digest {own}"),
    ] {
        let answer = refresh(&house, &authorization, &form).await;
        answer.refused(401, "invalid_client");
        let challenge = answer.header("www-authenticate");
        assert_eq!(
            challenge,
            Some("Basic realm=\"keystead\""),
            "{authorization}"
        );
    }
    for wrong in [
        app.refreshing(&tokens.refresh)
            .with("client_secret", &foreign),
        app.refreshing(&tokens.refresh).without("client_secret"),
        app.refreshing(&tokens.refresh).with("client_id", unknown),
        app.refreshing(&tokens.refresh).with("client_id", "é\0"),
    ] {
        house.token(&wrong).await.refused(401, "invalid_client");
    }
    house
        .token(&app.refreshing(&tokens.refresh))
        .await
        .expect(200);
}

/// RFC 6749 §2.3.1: the secret "MUST NOT be included in the request URI".
#[tokio::test]
async fn a_secret_in_the_query_is_refused() {
    let house = House::open();
    let (app, tokens) = connected(&house).await;
    let secret = app.secret.clone().expect("a secret");
    let query = Fields::of(&[("client_id", &app.id), ("client_secret", &secret)]);
    for (path, form) in [
        ("/oauth2/token", app.refreshing(&tokens.refresh)),
        ("/oauth2/token", anonymous(&app, &tokens.refresh)),
        (
            "/oauth2/revoke",
            app.identified(&[("token", &tokens.refresh)]),
        ),
    ] {
        let ask = Ask::form(&format!("{path}?{}", query.encoded()), &form);
        let description = house.ask(ask).await.refused(400, "invalid_request");
        assert!(description.contains("query"), "{description}");
        assert!(!description.contains(&secret), "a secret is not repeated");
    }
    // Nothing was done: the token is as it was.
    house
        .token(&app.refreshing(&tokens.refresh))
        .await
        .expect(200);
}

/// An identity in the query is none.
#[tokio::test]
async fn an_identity_in_the_query_is_not_looked_at() {
    let house = House::open();
    let (_, app, tokens) = house.connected().await;
    let target = format!("/oauth2/token?client_id={}", app.id);
    let ask = Ask::form(&target, &anonymous(&app, &tokens.refresh));
    house.ask(ask).await.refused(400, "invalid_request");
}

/// Contract §3; `mcp.md` D2 rule 4: 401 tells a client that it has to register again, so it is said
/// only where that is true.
#[tokio::test]
async fn a_removed_client_is_unknown_and_its_tokens_end() {
    let house = House::open();
    let (_, app, tokens) = house.connected().await;
    let remove = Ask::new(Method::DELETE, &app.path()).bearer(&app.registration_token);
    house.ask(remove).await.expect(204);
    let answer = house.token(&app.refreshing(&tokens.refresh)).await;
    let description = answer.refused(401, "invalid_client");
    assert!(description.contains("register again"), "{description}");
    let refused = house.mcp(&tokens.access).await.expect(401);
    assert!(refused.body.contains("revoked"), "{refused:#?}");
}

/// RFC 7009 §2.1: the revocation endpoint wants to know the client as well.
#[tokio::test]
async fn who_is_not_believed_revokes_nothing() {
    let house = House::open();
    let (app, tokens) = connected(&house).await;
    let form = Fields::of(&[("token", &tokens.refresh), ("client_id", &app.id)]);
    let ask = Ask::form("/oauth2/revoke", &form);
    house.ask(ask).await.refused(401, "invalid_client");
    house
        .token(&app.refreshing(&tokens.refresh))
        .await
        .expect(200);
}
