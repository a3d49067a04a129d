//! RFC 7662 and resource servers: what is said of a token, and to whom.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    administered::{self, Credentials, FILES, remove_resource},
    client_app::ClientApp,
    house::{House, Tokens},
    wire::{Answer, Ask, Fields},
};
use crate::model::oauth2::client::GrantType;

const INACTIVE: &str = r#"{"active":false}"#;
const OTHER: &str = "https://other.example";

/// A confidential app that registered itself, in the shape that introspects.
async fn app(house: &House) -> (ClientApp, Credentials) {
    let app = ClientApp::confidential(house).await;
    let credentials = Credentials {
        id: app.id.clone(),
        secret: app.secret.clone().expect("a secret"),
    };
    (app, credentials)
}

#[track_caller]
fn inactive(answer: &Answer) {
    assert_eq!((answer.status, answer.body.as_str()), (200, INACTIVE));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
}

#[tokio::test]
async fn a_resource_server_learns_what_a_token_for_it_is() {
    let house = House::open();
    let files = administered::resource(&house, FILES, &["files:read", "files:write"]).await;
    let (ada, app) = (house.member("ada").await, ClientApp::public(&house).await);
    let tokens = ada.connect(&app, "files:read files:write", FILES).await;
    let answer = files.introspect(&house, &tokens.access).await.expect(200);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let mut found = answer.json();
    let subject = found["sub"].take();
    assert_eq!(subject.as_str().map(str::len), Some(22), "{subject}");
    let issued_at = house.now().seconds();
    let expected = json!({
        "active": true,
        "scope": "files:read files:write",
        "client_id": app.id,
        "username": "ada",
        "token_type": "Bearer",
        "exp": issued_at + 3_600,
        "iat": issued_at,
        "sub": null,
        "aud": FILES,
        "iss": "http://localhost:8420",
    });
    assert_eq!(found, expected);
    // What is for another server opens nothing here (threat 30).
    house.mcp(&tokens.access).await.expect(401);
}

/// Threat 30; RFC 7662 §4: whatever is not the asker's business looks like nothing at all.
#[tokio::test]
async fn whoever_a_token_does_not_concern_learns_nothing() {
    let house = House::open();
    let files = administered::resource(&house, FILES, &["files:read"]).await;
    let other = administered::resource(&house, OTHER, &["files:read"]).await;
    let ada = house.member("ada").await;
    let ((mine, me), (_, stranger)) = (app(&house).await, app(&house).await);
    let at_files = ada.connect(&mine, "files:read", FILES).await;
    let at_mcp = ada
        .connect(&mine, "user:read", "http://localhost:8420/mcp")
        .await;
    let at_all = ada
        .connect(&mine, "user:read", "http://localhost:8420")
        .await;
    for (asker, token, concerns) in [
        (&files, &at_files.access, true),
        (&files, &at_files.refresh, false),
        (&files, &at_mcp.access, false),
        (&files, &at_all.access, false),
        (&other, &at_files.access, false),
        (&me, &at_files.access, true),
        (&me, &at_files.refresh, true),
        (&me, &at_all.access, true),
        (&stranger, &at_files.access, false),
        (&stranger, &at_files.refresh, false),
    ] {
        let answer = asker.introspect(&house, token).await;
        if concerns {
            assert_eq!(answer.expect(200).json()["active"], true);
        } else {
            inactive(&answer);
        }
    }
    let refresh = me.introspect(&house, &at_files.refresh).await.json();
    assert_eq!(refresh.get("token_type"), None, "it opens nothing");
}

/// Threats 31 and 35.
#[tokio::test]
async fn what_does_not_work_is_not_active() {
    let house = House::open();
    let files = administered::resource(&house, FILES, &["files:read"]).await;
    let ada = house.member("ada").await;
    let (mine, me) = app(&house).await;
    let tokens = ada.connect(&mine, "files:read", FILES).await;
    for junk in [
        "",
        "x",
        &tokens.access[..40],
        &format!("{}0", tokens.access),
        &files.secret,
    ] {
        if junk.is_empty() {
            let answer = files.introspect(&house, junk).await;
            answer.refused(400, "invalid_request");
        } else {
            inactive(&files.introspect(&house, junk).await);
        }
    }
    let rotated = Tokens::of(&house.token(&mine.refreshing(&tokens.refresh)).await);
    inactive(&me.introspect(&house, &tokens.refresh).await);
    house.wait(Duration::from_hours(1));
    inactive(&files.introspect(&house, &rotated.access).await);
    let again = Tokens::of(&house.token(&mine.refreshing(&rotated.refresh)).await);
    let found = files.introspect(&house, &again.access).await.json();
    assert_eq!(found["active"], true);
    house.ask(mine.revoking(&again.refresh)).await.expect(200);
    inactive(&files.introspect(&house, &again.access).await);
}

/// RFC 7662 §2.1: without credentials of its own nobody can try tokens here.
#[tokio::test]
async fn only_who_has_a_secret_may_ask() {
    let house = House::open();
    let files = administered::resource(&house, FILES, &["files:read"]).await;
    let public = ClientApp::public(&house).await;
    let ask = |form: &Fields| house.ask(Ask::form("/oauth2/introspect", form));
    let token = [("token", "x")];
    ask(&public.identified(&token))
        .await
        .refused(401, "invalid_client");
    ask(&Fields::of(&token).and(&[("client_id", &files.id)]))
        .await
        .refused(401, "invalid_client");
    let (_, other) = app(&house).await;
    let mixed = Credentials {
        id: files.id.clone(),
        secret: other.secret,
    };
    let answer = ask(&mixed.identified(&token)).await;
    answer.refused(401, "invalid_client");
    assert!(answer.header("www-authenticate").is_some());
    ask(&Fields::of(&token))
        .await
        .refused(400, "invalid_request");
    // Its credentials are for this endpoint alone.
    let elsewhere = files.identified(&[("grant_type", "client_credentials")]);
    house.token(&elsewhere).await.refused(401, "invalid_client");
}

/// Its scopes mean something there and nowhere else; unasked it gives what only reads.
#[tokio::test]
async fn scopes_belong_to_their_resource() {
    let house = House::open();
    administered::resource(&house, FILES, &["files:read", "files:write"]).await;
    administered::resource(&house, OTHER, &["door:open"]).await;
    let (ada, app) = (house.member("ada").await, ClientApp::public(&house).await);
    let asked = |scope: &str, resource: &str| {
        let request = app.request().with("scope", scope);
        request.with("resource", resource)
    };
    for (scope, resource) in [
        ("user:read", FILES),
        ("files:read", OTHER),
        ("files:read", "http://localhost:8420/mcp"),
        ("files:read", "http://localhost:8420"),
        ("", OTHER),
    ] {
        let answer = ada.authorize(&asked(scope, resource)).await;
        answer.told_error("invalid_scope");
    }
    let unknown = asked("files:read", "https://nobody.example");
    ada.authorize(&unknown).await.told_error("invalid_target");
    let unasked = ada.connect(&app, "", FILES).await;
    assert_eq!(unasked.scope, "files:read");
    // Hosts add it wherever the server's metadata list it.
    let offline = ada.connect(&app, "files:read offline_access", FILES).await;
    assert_eq!(offline.scope, "files:read offline_access");
    let page = ada.consent(&asked("files:read files:write", FILES)).await;
    let narrowed = page.fields.unticked("scope", "files:write");
    let code = ada.decide(&narrowed).await.code();
    assert_eq!(
        Tokens::of(&house.token(&app.exchange(&code)).await).scope,
        "files:read"
    );
}

#[tokio::test]
async fn a_person_reads_the_words_of_a_resource_server() {
    let house = House::open();
    administered::resource(&house, FILES, &["files:write"]).await;
    let (ada, app) = (house.member("ada").await, ClientApp::public(&house).await);
    let request = app.request().with("scope", "files:write");
    let request = request.with("resource", FILES);
    let page = ada.authorize(&request).await.expect(200).body;
    assert!(page.contains("do it with files"), "{page}");
    assert!(page.contains(FILES), "{page}");
    ada.allow(&request).await.code();
    let account = ada.get("/account").await.body;
    assert!(account.contains("do it with files"), "{account}");
}

/// Threat 12: a refresh widens neither the resource nor the scope across servers.
#[tokio::test]
async fn a_refresh_stays_at_its_resource() {
    let house = House::open();
    administered::resource(&house, FILES, &["files:read"]).await;
    administered::resource(&house, OTHER, &["files:read"]).await;
    let (ada, app) = (house.member("ada").await, ClientApp::public(&house).await);
    let everywhere = ada
        .connect(&app, "user:read", "http://localhost:8420")
        .await;
    let tokens = ada.connect(&app, "files:read", FILES).await;
    for (refresh, resource) in [
        (&tokens.refresh, OTHER),
        (&tokens.refresh, "http://localhost:8420/mcp"),
        (&everywhere.refresh, FILES),
    ] {
        let form = app.refreshing(refresh).and(&[("resource", resource)]);
        house.token(&form).await.refused(400, "invalid_target");
    }
    let wider = app
        .refreshing(&tokens.refresh)
        .and(&[("scope", "user:read")]);
    house.token(&wider).await.refused(400, "invalid_scope");
}

/// A server that is removed takes its tokens with it, and one that comes back under another id
/// needs another secret.
#[tokio::test]
async fn with_a_resource_server_its_tokens_end() {
    let house = House::open();
    let files = administered::resource(&house, FILES, &["files:read"]).await;
    let ada = house.member("ada").await;
    let (mine, me) = app(&house).await;
    let tokens = ada.connect(&mine, "files:read", FILES).await;
    let request = mine.request().with("scope", "files:read");
    let request = request.with("resource", FILES);
    let code = ada.authorize(&request).await.code();
    remove_resource(&house, FILES).await;
    let answer = files.introspect(&house, &tokens.access).await;
    answer.refused(401, "invalid_client");
    inactive(&me.introspect(&house, &tokens.access).await);
    inactive(&me.introspect(&house, &tokens.refresh).await);
    for form in [mine.refreshing(&tokens.refresh), mine.exchange(&code)] {
        house.token(&form).await.refused(400, "invalid_target");
    }
}

/// Contract §1.
#[tokio::test]
async fn metadata_say_where_and_how() {
    let house = House::open();
    let path = "/.well-known/oauth-authorization-server";
    let metadata = house.get(path).await.expect(200).json();
    let methods = json!(["client_secret_basic", "client_secret_post"]);
    for (member, expected) in [
        (
            "introspection_endpoint",
            json!("http://localhost:8420/oauth2/introspect"),
        ),
        ("introspection_endpoint_auth_methods_supported", methods),
        (
            "device_authorization_endpoint",
            json!("http://localhost:8420/oauth2/device_authorization"),
        ),
    ] {
        assert_eq!(metadata[member], expected, "{member}");
    }
    let grants = metadata["grant_types_supported"].as_array();
    for grant in GrantType::ALL {
        let listed = grants.is_some_and(|grants| grants.contains(&Value::from(grant.as_str())));
        assert!(listed, "{}", grant.as_str());
    }
}
