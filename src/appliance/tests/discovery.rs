//! Contract §1: discovery.

use serde_json::{Value, json};

use super::house::{House, LOCAL, SECURE};
use crate::oauth2provider::OWN_PATHS;

const AUTHORIZATION_SERVER: &str = "/.well-known/oauth-authorization-server";
const PROTECTED_RESOURCE: &str = "/.well-known/oauth-protected-resource";

/// Whether a document has a null anywhere: clients refuse one.
pub(super) fn has_null(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(values) => values.iter().any(has_null),
        Value::Object(members) => members.values().any(has_null),
        _ => false,
    }
}

/// Contract §1; `mcp.md` D2 rules 6 and 7.
#[tokio::test]
async fn the_server_metadata_say_what_is_served() {
    let house = House::open();
    let metadata = house.get(AUTHORIZATION_SERVER).await.expect(200).json();
    assert!(!has_null(&metadata), "{metadata}");
    for (member, expected) in [
        ("issuer", json!(LOCAL)),
        (
            "authorization_endpoint",
            json!(format!("{LOCAL}/oauth2/authorize")),
        ),
        ("token_endpoint", json!(format!("{LOCAL}/oauth2/token"))),
        (
            "registration_endpoint",
            json!(format!("{LOCAL}/oauth2/register")),
        ),
        (
            "revocation_endpoint",
            json!(format!("{LOCAL}/oauth2/revoke")),
        ),
        ("response_types_supported", json!(["code"])),
        ("response_modes_supported", json!(["query"])),
        ("code_challenge_methods_supported", json!(["S256"])),
        (
            "authorization_response_iss_parameter_supported",
            json!(true),
        ),
        ("client_id_metadata_document_supported", json!(false)),
    ] {
        assert_eq!(metadata[member], expected, "{member}");
    }
    let lists = |member: &str, word: &str| {
        let list = metadata[member].as_array().expect("a list");
        list.contains(&word.into())
    };
    for method in ["client_secret_basic", "client_secret_post", "none"] {
        assert!(lists("token_endpoint_auth_methods_supported", method));
    }
    for grant in ["authorization_code", "refresh_token"] {
        assert!(lists("grant_types_supported", grant));
    }
    assert!(lists("scopes_supported", "offline_access"));
}

/// Contract §1: "also with any path suffix"; hosts put the path of what they connect to there.
#[tokio::test]
async fn the_server_metadata_are_the_same_behind_any_path() {
    let house = House::open();
    let whole = house.get(AUTHORIZATION_SERVER).await.expect(200).body;
    for suffix in ["/", "/mcp", "/api/experimental/mcp/http", "/a//b"] {
        let found = house.get(&format!("{AUTHORIZATION_SERVER}{suffix}")).await;
        assert_eq!(found.expect(200).body, whole, "{suffix}");
    }
}

/// Contract §1; `mcp.md` D3: Gemini compares `resource` byte for byte.
#[tokio::test]
async fn each_resource_has_metadata_of_its_own() {
    let house = House::open();
    for path in OWN_PATHS {
        let found = house.get(&format!("{PROTECTED_RESOURCE}{path}")).await;
        let metadata = found.expect(200).json();
        assert!(!has_null(&metadata));
        assert_eq!(metadata["resource"], format!("{LOCAL}{path}"));
        assert_eq!(metadata["authorization_servers"], json!([LOCAL]));
        assert_eq!(metadata["bearer_methods_supported"], json!(["header"]));
        let scopes = metadata["scopes_supported"].as_array().expect("a list");
        assert!(scopes.contains(&"user:read".into()));
        assert!(!scopes.contains(&"offline_access".into()), "{scopes:?}");
        let only_reads = ["/mcp/readonly", "/mcp/search"].contains(&path);
        assert_eq!(
            scopes.contains(&"grants:write".into()),
            !only_reads,
            "{path}"
        );
    }
}

/// Contract §1: everything else is 404, which clients take for "not here" where 5xx ends discovery
/// (`mcp.md` D2 rule 6).
#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let house = House::open();
    for path in [
        "/.well-known/openid-configuration",
        "/.well-known/openid-configuration/mcp",
        "/mcp/.well-known/openid-configuration",
        "/.well-known/oauth-protected-resource/other",
        "/.well-known/oauth-protected-resource/mcp/",
        "/.well-known/oauth-protected-resource/MCP",
        "/.well-known/jwks.json",
    ] {
        let answer = house.get(path).await.expect(404);
        assert_eq!(
            answer.json(),
            json!({ "message": "Route not found." }),
            "{path}"
        );
    }
}

/// Threat 5, and the head of the contract: URLs are made of the configured one, never of a header.
#[tokio::test]
async fn every_url_is_made_of_the_public_one() {
    let house = House::on_https();
    let ask = super::wire::Ask::get(AUTHORIZATION_SERVER)
        .header("x-forwarded-host", "evil.example")
        .header("x-forwarded-proto", "http")
        .header("forwarded", "host=evil.example;proto=http");
    let body = house.ask(ask).await.expect(200).body;
    assert!(!body.contains("evil.example"), "{body}");
    let metadata: Value = serde_json::from_str(&body).expect("JSON");
    for (member, value) in metadata.as_object().expect("an object") {
        if let Some(url) = value.as_str().filter(|text| text.contains("://")) {
            assert!(url.starts_with(SECURE), "{member}: {url}");
        }
    }
}

/// Contract §1: cacheable.
#[tokio::test]
async fn discovery_may_be_cached() {
    let house = House::open();
    for path in [AUTHORIZATION_SERVER, PROTECTED_RESOURCE] {
        let answer = house.get(path).await.expect(200);
        let cached = answer.header("cache-control").expect("a rule");
        assert!(cached.contains("max-age="), "{cached}");
    }
}

/// Contract §4: the switch turns the endpoint off and takes it out of the metadata.
#[tokio::test]
async fn registration_that_is_off_is_not_advertised() {
    let house = House::with(LOCAL, &[("KEYSTEAD_REGISTRATION", "off")]);
    let metadata = house.get(AUTHORIZATION_SERVER).await.expect(200).json();
    assert_eq!(metadata.get("registration_endpoint"), None, "{metadata}");
}
