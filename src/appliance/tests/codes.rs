//! Contract §3, `authorization_code`: what a code is bound to, and that it works once.

use std::time::Duration;

use super::{
    client_app::{CALLBACK, ClientApp, VERIFIER, public_at},
    house::{House, Tokens},
    wire::Answer,
};
use crate::model::user::Role;

/// A code, by default.
const CODE_TTL: Duration = Duration::from_mins(1);
const A_MILLISECOND: Duration = Duration::from_millis(1);

/// The answers of requests that run at once.
pub(super) async fn all<F: Future<Output = Answer>>(asked: Vec<F>) -> Vec<Answer> {
    let mut asked: Vec<_> = asked.into_iter().map(Box::pin).collect();
    let mut answers = Vec::new();
    std::future::poll_fn(|cx| {
        asked.retain_mut(|ask| match ask.as_mut().poll(cx) {
            std::task::Poll::Ready(answer) => {
                answers.push(answer);
                false
            }
            std::task::Poll::Pending => true,
        });
        if asked.is_empty() {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    answers
}

/// Threat 6: the wrong client or too late, each on its own, is enough to refuse.
#[tokio::test]
async fn a_code_needs_the_right_client_and_the_right_time() {
    for (own, in_time) in [(true, true), (true, false), (false, true), (false, false)] {
        let house = House::open();
        let ada = house.member("ada").await;
        let (app, other) = (
            ClientApp::public(&house).await,
            ClientApp::public(&house).await,
        );
        let code = app.code(&ada).await;
        let age = if in_time {
            CODE_TTL.saturating_sub(A_MILLISECOND)
        } else {
            CODE_TTL
        };
        house.wait(age);
        let by = if own { &app } else { &other };
        let answer = house.token(&by.exchange(&code)).await;
        if own && in_time {
            answer.expect(200);
        } else {
            answer.refused(400, "invalid_grant");
        }
    }
}

/// Threat 8: public and confidential clients, both ways; the first attempt spends the code.
#[tokio::test]
async fn a_code_of_one_client_gives_another_nothing() {
    let house = House::open();
    let ada = house.member("ada").await;
    let public = ClientApp::public(&house).await;
    let confidential = ClientApp::confidential(&house).await;
    let second = ClientApp::confidential(&house).await;
    for (of, by) in [
        (&public, &confidential),
        (&confidential, &public),
        (&confidential, &second),
    ] {
        let code = ada
            .allow(&of.request().with("prompt", "consent"))
            .await
            .code();
        let stolen = house.token(&by.exchange(&code)).await;
        stolen.refused(400, "invalid_grant");
        let late = house.token(&of.exchange(&code)).await;
        late.refused(400, "invalid_grant");
    }
}

/// Contract §3; threat 8: a confidential client's code needs its secret, whoever names it.
#[tokio::test]
async fn naming_a_confidential_client_is_not_being_it() {
    let house = House::open();
    let (ada, app) = (
        house.member("ada").await,
        ClientApp::confidential(&house).await,
    );
    let code = app.code(&ada).await;
    let without = app.exchange(&code).without("client_secret");
    house.token(&without).await.refused(401, "invalid_client");
    let wrong = app.exchange(&code).with("client_secret", "guessed");
    house.token(&wrong).await.refused(401, "invalid_client");
    // Neither of them reached the code.
    house.token(&app.exchange(&code)).await.expect(200);
}

/// Threat 9: check and consume are one step; 64 at once give exactly one winner, whose tokens the
/// others then end (threat 11).
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_64_redemptions_at_once_one_wins() {
    let house = House::open();
    let (ada, app) = (house.member("ada").await, ClientApp::public(&house).await);
    let code = app.code(&ada).await;
    let form = app.exchange(&code);
    let answers = all((0..64).map(|_| house.token(&form)).collect()).await;
    let (won, lost): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
    assert_eq!((won.len(), lost.len()), (1, 63));
    for answer in lost {
        answer.refused(400, "invalid_grant");
    }
    let tokens = Tokens::of(won[0]);
    house.mcp(&tokens.access).await.expect(401);
    house
        .token(&app.refreshing(&tokens.refresh))
        .await
        .refused(400, "invalid_grant");
}

/// Threat 11; RFC 6749 §4.1.2: a replay ends what the first exchange gave, refreshed or not.
#[tokio::test]
async fn a_replayed_code_revokes_its_tokens() {
    let house = House::open();
    let (ada, app) = (house.member("ada").await, ClientApp::public(&house).await);
    let code = app.code(&ada).await;
    let first = Tokens::of(&house.token(&app.exchange(&code)).await);
    let second = Tokens::of(&house.token(&app.refreshing(&first.refresh)).await);
    // Another connection of the same person and client has nothing to do with it.
    let other = ada.authorize(&app.request()).await.code();
    let other = Tokens::of(&house.token(&app.exchange(&other)).await);
    // Long after the code's own time, too.
    house.wait(CODE_TTL * 10);
    let replayed = house.token(&app.exchange(&code)).await;
    let description = replayed.refused(400, "invalid_grant");
    assert!(description.contains("used before"), "{description}");
    for token in [&first.access, &second.access] {
        let refused = house.mcp(token).await.expect(401);
        assert!(refused.body.contains("revoked"), "{refused:#?}");
    }
    house
        .token(&app.refreshing(&second.refresh))
        .await
        .refused(400, "invalid_grant");
    house.mcp(&other.access).await.expect(200);
}

/// Contract §3: "A wrong verifier spends the code"; RFC 7636 §4.6.
#[tokio::test]
async fn a_wrong_verifier_spends_the_code() {
    let house = House::open();
    let (ada, app) = (house.member("ada").await, ClientApp::public(&house).await);
    let code = app.code(&ada).await;
    let wrong = app.exchange(&code).with("code_verifier", &"w".repeat(43));
    house.token(&wrong).await.refused(400, "invalid_grant");
    house
        .token(&app.exchange(&code))
        .await
        .refused(400, "invalid_grant");
}

/// Threat 16: the downgrade by a verifier that is left out or is no verifier.
#[tokio::test]
async fn without_a_verifier_nothing_is_exchanged() {
    let house = House::open();
    let (ada, app) = (house.member("ada").await, ClientApp::public(&house).await);
    let code = app.code(&ada).await;
    let challenge = super::client_app::challenge_of(VERIFIER);
    let (short, long) = ("v".repeat(42), "v".repeat(129));
    for verifier in [
        "",
        &short,
        &long,
        "spaces are not in a verifier, however long it is",
    ] {
        let form = app.exchange(&code).with("code_verifier", verifier);
        let description = house.token(&form).await.refused(400, "invalid_request");
        assert!(
            description.starts_with("code_verifier: expected"),
            "{description}"
        );
    }
    // The challenge itself, as `plain` would have it, is a wrong verifier.
    let plain = app.exchange(&code).with("code_verifier", &challenge);
    house.token(&plain).await.refused(400, "invalid_grant");
}

/// RFC 6749 §4.1.3; threat 17: the redirect URI again, byte for byte, when one was sent.
#[tokio::test]
async fn a_code_needs_the_redirect_uri_of_its_request() {
    let house = House::open();
    let ada = house.member("ada").await;
    let app = ClientApp::register(&house, &public_at("http://localhost/callback")).await;
    let used = "http://localhost:3118/callback";
    let request = app.request().with("redirect_uri", used);
    for wrong in [
        "http://localhost:3119/callback",
        "http://localhost/callback",
        CALLBACK,
        "",
    ] {
        let code = ada.allow(&request).await.code();
        let form = app.exchange(&code).with("redirect_uri", wrong);
        house.token(&form).await.refused(400, "invalid_grant");
        let right = app.exchange(&code).with("redirect_uri", used);
        house.token(&right).await.refused(400, "invalid_grant");
    }
    let code = ada.allow(&request).await.code();
    let right = app.exchange(&code).with("redirect_uri", used);
    house.token(&right).await.expect(200);
}

/// Threat 12: the resource at the token endpoint is the one that was allowed, or unsaid.
#[tokio::test]
async fn a_code_cannot_be_exchanged_for_another_resource() {
    let house = House::open();
    let (ada, app) = (house.member("ada").await, ClientApp::public(&house).await);
    let request = app.request().with("prompt", "consent");
    for wrong in [
        "http://localhost:8420",
        "http://localhost:8420/api/experimental/mcp/http",
        "https://elsewhere.example/",
        "not a uri",
    ] {
        let code = ada.allow(&request).await.code();
        let form = app.exchange(&code).with("resource", wrong);
        house.token(&form).await.refused(400, "invalid_target");
    }
    for right in ["http://localhost:8420/mcp", "http://LOCALHOST:8420/mcp/"] {
        let code = ada.allow(&request).await.code();
        let form = app.exchange(&code).with("resource", right);
        house.token(&form).await.expect(200);
    }
}

/// Contract §3: unknown, malformed and foreign codes, and other credentials in a code's place.
#[tokio::test]
async fn what_is_no_code_is_an_invalid_grant() {
    let house = House::open();
    let (ada, app, tokens) = house.connected().await;
    let code = ada.authorize(&app.request()).await.code();
    let cut = &code[..code.len() - 1];
    let elsewhere = House::with(super::house::SECURE, &[]);
    let there = elsewhere.member("ada").await;
    let foreign = ClientApp::public(&elsewhere).await;
    let foreign = there
        .allow(&foreign.request().without("resource"))
        .await
        .code();
    for wrong in [
        "x",
        "\0",
        cut,
        &tokens.access,
        &tokens.refresh,
        &app.id,
        &foreign,
        "é",
    ] {
        let answer = house.token(&app.exchange(wrong)).await;
        answer.refused(400, "invalid_grant");
    }
    house.token(&app.exchange(&code)).await.expect(200);
}

/// The person is kept out, or took the grant back, between the answer and the exchange.
#[tokio::test]
async fn a_code_of_somebody_who_was_disabled_gives_nothing() {
    let house = House::open();
    let user = house.person("ada", Role::Member).await;
    let ada = house.signed_in(&user).await;
    let app = ClientApp::public(&house).await;
    let code = app.code(&ada).await;
    house.disable(&user).await;
    house
        .token(&app.exchange(&code))
        .await
        .refused(400, "invalid_grant");
}

/// RFC 6749 §5.1: a client that may not refresh gets no refresh token, and no null for one.
#[tokio::test]
async fn a_client_without_the_refresh_grant_gets_no_refresh_token() {
    let house = House::open();
    let ada = house.member("ada").await;
    let mut metadata = public_at(CALLBACK);
    metadata["grant_types"] = serde_json::json!(["authorization_code"]);
    let app = ClientApp::register(&house, &metadata).await;
    let code = app.code(&ada).await;
    let body = house.token(&app.exchange(&code)).await.expect(200).json();
    assert_eq!(body.get("refresh_token"), None, "{body}");
    let other = ClientApp::public(&house).await;
    let code = other.code(&ada).await;
    let refresh = Tokens::of(&house.token(&other.exchange(&code)).await).refresh;
    let form = app.refreshing(&refresh);
    house.token(&form).await.refused(400, "unauthorized_client");
}
