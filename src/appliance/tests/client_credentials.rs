//! Contract §3, `client_credentials`: who gets a token for itself, for what, and what it opens.

use serde_json::json;

use super::{
    administered::{self, Credentials, FILES},
    client_app::{ClientApp, public_at},
    house::House,
    wire::Answer,
};
use crate::{
    model::{id::Id, oauth2::client::GrantType},
    oauth2provider::apps,
};

const OWN: [GrantType; 1] = [GrantType::ClientCredentials];

async fn ask(house: &House, client: &Credentials, fields: &[(&str, &str)]) -> Answer {
    let form = client.identified(&[("grant_type", "client_credentials")]);
    house.token(&form.and(fields)).await
}

/// RFC 6749 §4.4.3: an access token, and no refresh token even where the client may refresh.
#[tokio::test]
async fn a_client_that_an_administrator_allowed_gets_a_token_of_its_own() {
    let house = House::open();
    let grants = [GrantType::ClientCredentials, GrantType::RefreshToken];
    let client = administered::client(&house, &grants, Some("user:read grants:read")).await;
    let answer = ask(&house, &client, &[]).await.expect(200);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let body = answer.json();
    assert_eq!(body["scope"], "user:read");
    assert_eq!(body["expires_in"], 3_600);
    assert_eq!(body.get("refresh_token"), None);
    let wider = ask(&house, &client, &[("scope", "grants:read")]).await;
    assert_eq!(wider.expect(200).json()["scope"], "grants:read");
}

/// Threat 15: the ceiling holds on this grant type as well, and without one nothing is given.
#[tokio::test]
async fn it_gets_what_an_administrator_gave_and_nothing_else() {
    let house = House::open();
    let client = administered::client(&house, &OWN, Some("user:read")).await;
    for scope in ["grants:read", "user:read grants:write", "files:read", "\""] {
        let answer = ask(&house, &client, &[("scope", scope)]).await;
        answer.refused(400, "invalid_scope");
    }
    let resource = [("resource", FILES)];
    let answer = ask(&house, &client, &resource).await;
    answer.refused(400, "invalid_target");
    let without = administered::client(&house, &OWN, None).await;
    let answer = ask(&house, &without, &[("scope", "user:read")]).await;
    answer.refused(400, "invalid_scope");
}

#[tokio::test]
async fn nobody_else_gets_one() {
    let house = House::open();
    let for_people = administered::client(&house, &GrantType::OF_AN_APP, Some("user:read")).await;
    let answer = ask(&house, &for_people, &[]).await;
    answer.refused(400, "unauthorized_client");
    let mut wrong = administered::client(&house, &OWN, Some("user:read")).await;
    wrong.secret = for_people.secret;
    let answer = ask(&house, &wrong, &[]).await;
    answer.refused(401, "invalid_client");
}

/// A client that registers itself asks for the grant type, and does not get it.
#[tokio::test]
async fn a_client_does_not_give_itself_the_grant_type() {
    let house = House::open();
    let mut metadata = public_at("https://app.example/callback");
    metadata["grant_types"] = json!(["authorization_code", "client_credentials"]);
    metadata["token_endpoint_auth_method"] = "client_secret_post".into();
    metadata["scope"] = "user:read".into();
    let app = ClientApp::register(&house, &metadata).await;
    let own = app.identified(&[("grant_type", "client_credentials")]);
    let answer = house.token(&own).await;
    answer.refused(400, "unauthorized_client");
    let replaced = app.replace(&house, &metadata).await.expect(200).json();
    assert_eq!(replaced["grant_types"], json!(["authorization_code"]));
    let answer = house.token(&own).await;
    answer.refused(400, "unauthorized_client");
    metadata["grant_types"] = json!(["client_credentials"]);
    let answer = house
        .ask(super::wire::Ask::json("/oauth2/register", &metadata))
        .await;
    answer.refused(400, "invalid_client_metadata");
}

/// What `/mcp` opens is a person's; the answer says so, and does not say that the token is bad.
#[tokio::test]
async fn a_clients_own_token_opens_nothing_of_a_person() {
    let house = House::open();
    let client = administered::client(&house, &OWN, Some("user:read")).await;
    let token = ask(&house, &client, &[]).await.text("access_token");
    let answer = house.mcp(&token).await;
    let why = answer.refused(403, "insufficient_scope");
    assert!(why.contains("a person allowed"), "{why}");
}

/// The client is who stands behind its tokens: with it they end.
#[tokio::test]
async fn a_token_ends_with_its_client() {
    let house = House::open();
    let server = administered::resource(&house, FILES, &["files:read"]).await;
    let client = administered::client(&house, &OWN, Some("files:read")).await;
    let token = ask(&house, &client, &[("resource", FILES)])
        .await
        .text("access_token");
    let found = server.introspect(&house, &token).await.json();
    assert_eq!(found["active"], true);
    assert_eq!(found["sub"], client.id.as_str());
    assert_eq!(found.get("username"), None);
    let id: Id = client.id.parse().expect("an id");
    let removed = house.write(move |tx, moment| apps::remove(tx, moment.act(), id));
    assert!(removed.await.expect("the store writes"));
    let found = server.introspect(&house, &token).await;
    assert_eq!(found.body, r#"{"active":false}"#);
}
