//! Contract §3: `POST /oauth2/revoke`, RFC 7009.

use std::time::Duration;

use super::{
    client_app::ClientApp,
    house::{House, Tokens},
    wire::Ask,
};

/// Contract §3: "revoking a refresh token ends its family".
#[tokio::test]
async fn revoking_the_refresh_token_ends_its_family() {
    let house = House::open();
    let (_, app, first) = house.connected().await;
    let second = Tokens::of(&house.token(&app.refreshing(&first.refresh)).await);
    let answer = house.ask(app.revoking(&second.refresh)).await.expect(200);
    assert_eq!(answer.body, "");
    for tokens in [&first, &second] {
        let refused = house.mcp(&tokens.access).await.expect(401);
        assert!(refused.body.contains("revoked"), "{refused:#?}");
        let answer = house.token(&app.refreshing(&tokens.refresh)).await;
        answer.refused(400, "invalid_grant");
    }
    // It is as good as never there, and that is no error.
    house.ask(app.revoking(&second.refresh)).await.expect(200);
}

/// RFC 7009 §2.1: a client that lost an answer signs out with what it has, in any generation.
#[tokio::test]
async fn an_older_refresh_token_ends_the_family_as_well() {
    let house = House::open();
    let (_, app, first) = house.connected().await;
    let mut last = first.clone();
    for _ in 0..3 {
        last = Tokens::of(&house.token(&app.refreshing(&last.refresh)).await);
    }
    house.wait(Duration::from_mins(1));
    house.ask(app.revoking(&first.refresh)).await.expect(200);
    house.mcp(&last.access).await.expect(401);
    house
        .token(&app.refreshing(&last.refresh))
        .await
        .refused(400, "invalid_grant");
}

/// An access token ends alone.
#[tokio::test]
async fn revoking_an_access_token_ends_that_one_only() {
    let house = House::open();
    let (_, app, first) = house.connected().await;
    let second = Tokens::of(&house.token(&app.refreshing(&first.refresh)).await);
    house.ask(app.revoking(&first.access)).await.expect(200);
    house.mcp(&first.access).await.expect(401);
    house.mcp(&second.access).await.expect(200);
    house
        .token(&app.refreshing(&second.refresh))
        .await
        .expect(200);
}

/// Contract §3; threat 18: another client's token stays valid, and nobody learns that it is one.
#[tokio::test]
async fn another_clients_token_stays_valid() {
    let house = House::open();
    let (_, app, tokens) = house.connected().await;
    for other in [
        ClientApp::public(&house).await,
        ClientApp::confidential(&house).await,
    ] {
        for token in [&tokens.access, &tokens.refresh] {
            let answer = house.ask(other.revoking(token)).await.expect(200);
            assert_eq!(answer.body, "");
        }
    }
    house.mcp(&tokens.access).await.expect(200);
    house
        .token(&app.refreshing(&tokens.refresh))
        .await
        .expect(200);
}

/// RFC 7009 §2.2: "invalid tokens do not cause an error response".
#[tokio::test]
async fn what_is_no_token_is_no_error() {
    let house = House::open();
    let (ada, app, tokens) = house.connected().await;
    let code = ada.authorize(&app.request()).await.code();
    let cut = &tokens.access[..tokens.access.len() - 1];
    for token in ["x", "\0", "é", cut, &code, &app.registration_token] {
        house.ask(app.revoking(token)).await.expect(200);
    }
    // The hint is only a hint (RFC 7009 §2.1), and a wrong one misleads nobody.
    let form = app.identified(&[
        ("token", &tokens.refresh),
        ("token_type_hint", "access_token"),
    ]);
    house
        .ask(Ask::form("/oauth2/revoke", &form))
        .await
        .expect(200);
    house.mcp(&tokens.access).await.expect(401);
}

/// Contract §3: a missing or repeated field is named.
#[tokio::test]
async fn a_form_without_a_token_is_told_so() {
    let house = House::open();
    let app = ClientApp::public(&house).await;
    for (form, name) in [
        (app.identified(&[]), "token"),
        (app.identified(&[("token", "")]), "token"),
        (app.identified(&[("token", "a"), ("token", "b")]), "token"),
        (
            app.identified(&[("token", "a")]).without("client_id"),
            "client_id",
        ),
    ] {
        let answer = house.ask(Ask::form("/oauth2/revoke", &form)).await;
        let description = answer.refused(400, "invalid_request");
        assert!(
            description.starts_with(&format!("{name}: expected")),
            "{description}"
        );
    }
}
