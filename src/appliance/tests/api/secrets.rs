//! Secrets of an app: several at once, each of which ends alone.

use http::Method;
use serde_json::json;

use super::{APPS, World, connected, made, owner_asks, text};
use crate::{
    appliance::tests::{
        client_app::ClientApp,
        house::{House, Tokens},
        wire::Ask,
    },
    oauth2provider::app_secrets,
    store::clients::{self, SECRETS_PER_CLIENT_MAX},
};

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
