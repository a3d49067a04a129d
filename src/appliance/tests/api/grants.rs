//! What a person has allowed and where they are signed in: seen and ended by them alone.

use http::Method;
use serde_json::json;

use super::{World, connected, owner_asks, signed, text};
use crate::appliance::tests::{
    client_app::ClientApp,
    house::{House, LOCAL},
    wire::Ask,
};

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
