//! What goes no further than the front.

use super::*;
use crate::{
    mcp::{forwarded, handler::Caller, tools::testing::TEST_TOOLS},
    model::toolset::Toolset,
    oauth2provider::MCP_EXPERIMENT_PATH,
};

async fn refused(request: Request) -> Answer {
    let ada = access("ada", &all_scopes());
    Deployment::new().answer(request, &ada).await
}

/// A list of tools, asked for in the plainest way, with these headers instead of the usual ones.
fn list_with(headers: &[(&str, &str)]) -> Request {
    let message = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" });
    raw(Method::POST, headers, message.to_string())
}

fn message_of(answer: &Answer) -> String {
    let body = answer.json();
    assert_eq!(body["jsonrpc"], "2.0");
    body["error"]["message"].as_str().expect("words").to_owned()
}

#[tokio::test]
async fn only_post_is_served() {
    for method in [Method::GET, Method::DELETE, Method::HEAD, Method::PUT] {
        let answer = refused(raw(method.clone(), &HEADERS, "")).await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{method}");
        assert_eq!(answer.headers["allow"], "POST");
    }
}

#[tokio::test]
async fn what_is_not_json_is_a_parse_error() {
    let bodies: [&[u8]; 5] = [
        b"",
        b"{",
        b"hello",
        b"{\"jsonrpc\":\"2.0\",}",
        b"{\"jsonrpc\":\"2.0\",\"method\":\"\xff\"}",
    ];
    for body in bodies {
        let answer = refused(post(body)).await;
        let shown = String::from_utf8_lossy(body);
        assert_eq!(answer.error_code(), -32700, "{shown}");
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{shown}");
        assert_eq!(answer.json()["id"], Value::Null, "{shown}");
    }
}

#[tokio::test]
async fn nesting_has_an_end() {
    let deep = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"x","params":{{"name":{}{}}}}}"#,
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    let answer = refused(post(deep)).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_batch_is_refused_in_words() {
    let one = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" });
    for batch in [json!([]), json!([one]), json!([one, one])] {
        let answer = refused(post(format!(" {batch}"))).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
        assert_eq!(answer.error_code(), -32600);
        assert!(message_of(&answer).contains("batch"), "{answer:?}");
    }
}

#[tokio::test]
async fn what_is_no_message_is_an_invalid_request() {
    for body in [
        r#""hello""#,
        "null",
        "{}",
        r#"{"jsonrpc":"1.0","id":1,"method":"tools/list"}"#,
        r#"{"id":1,"method":"tools/list"}"#,
        r#"{"jsonrpc":"2.0","id":1}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":5}"#,
        r#"{"jsonrpc":"2.0","id":null,"method":"tools/list"}"#,
        r#"{"jsonrpc":"2.0","id":1.5,"method":"tools/list"}"#,
        r#"{"jsonrpc":"2.0","id":[],"method":"tools/list"}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":"x"}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","result":{}}"#,
    ] {
        let answer = refused(post(body)).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body} {answer:?}");
        assert_eq!(answer.error_code(), -32600, "{body}");
        assert!(message_of(&answer).contains("expected"), "{answer:?}");
    }
}

/// Two readers of one message could each believe another of two members.
#[tokio::test]
async fn a_member_that_stands_twice_is_refused() {
    let call = r#""method":"tools/call""#;
    for body in [
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"ping",{call},"params":{{"name":"x"}}}}"#),
        format!(r#"{{"jsonrpc":"2.0","id":1,{call},"params":{{"name":"x","name":"y"}}}}"#),
        format!(r#"{{"jsonrpc":"2.0","id":1,{call},"params":{{}},"params":{{"name":"x"}}}}"#),
        format!(r#"{{"jsonrpc":"2.0","id":1,"id":2,{call},"params":{{"name":"x"}}}}"#),
    ] {
        let answer = refused(post(body.clone())).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body}");
        assert!(message_of(&answer).contains("duplicate"), "{answer:?}");
    }
}

/// Threat 34: a form of another site can send any of these types.
#[tokio::test]
async fn only_json_is_read() {
    for found in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/jsonp",
        "",
    ] {
        let headers = [("host", "box.lan"), ("content-type", found)];
        let answer = refused(list_with(&headers)).await;
        assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{found}");
        assert!(message_of(&answer).contains("application/json"));
    }
    let answer = refused(list_with(&[("host", "box.lan")])).await;
    assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    for found in ["application/json; charset=utf-8", "Application/JSON"] {
        let headers = [("host", "box.lan"), ("content-type", found)];
        refused(list_with(&headers)).await.result();
    }
}

#[tokio::test]
async fn who_takes_json_or_does_not_say_gets_json() {
    let json = ("content-type", "application/json");
    let host = ("host", "box.lan");
    refused(list_with(&[host, json])).await.result();
    for accept in [
        "*/*",
        "application/*",
        "application/json",
        "text/event-stream, application/json;q=0.5",
    ] {
        let headers = [host, json, ("accept", accept)];
        refused(list_with(&headers)).await.result();
    }
    for accept in ["text/event-stream", "text/html", ""] {
        let headers = [host, json, ("accept", accept)];
        let answer = refused(list_with(&headers)).await;
        assert_eq!(answer.status, StatusCode::NOT_ACCEPTABLE, "{accept}");
        let words = message_of(&answer);
        assert!(
            words.contains("application/json and text/event-stream"),
            "{words}"
        );
    }
}

/// Threat 1, the second lock: the dispatcher has the first.
#[tokio::test]
async fn a_foreign_host_or_origin_is_refused() {
    let json = ("content-type", "application/json");
    let host = ("host", "box.lan");
    for headers in [
        &[json, ("host", "evil.example")][..],
        &[json, host, ("origin", "https://evil.example")],
        &[json, host, ("origin", "http://box.lan")],
        &[json, host, ("origin", "https://box.lan:444")],
        &[json, host, ("origin", "null")],
    ] {
        let answer = refused(list_with(headers)).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{headers:?}");
        assert_eq!(answer.error_code(), -32600, "{headers:?}");
    }
    for origin in ["https://box.lan", "https://box.lan:443"] {
        let headers = [json, host, ("origin", origin)];
        refused(list_with(&headers)).await.result();
    }
}

/// The port of an address is part of it, and so are the brackets of IPv6.
#[tokio::test]
async fn the_public_url_decides_which_host_and_origin_are_not_foreign() {
    let ada = access("ada", &all_scopes());
    for (public_url, host, foreign) in [
        ("https://box.lan", "box.lan", "https://box.lan:8420"),
        ("https://box.lan:8443", "box.lan:8443", "https://box.lan"),
        (
            "http://localhost:8420",
            "localhost:8420",
            "http://localhost.evil.example:8420",
        ),
        ("http://[::1]:8420", "[::1]:8420", "http://[::2]:8420"),
    ] {
        let deployment = Deployment::of(public_url, &TOOLS, McpOff::default());
        let json = ("content-type", "application/json");
        for (origin, allowed) in [(public_url, true), (foreign, false)] {
            let request = list_with(&[json, ("host", host), ("origin", origin)]);
            let answer = deployment.answer(request, &ada).await;
            assert_eq!(answer.status == StatusCode::OK, allowed, "{origin}");
        }
        let request = list_with(&[json, ("host", "box.lan.evil.example")]);
        let answer = deployment.answer(request, &ada).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{public_url}");
    }
}

#[tokio::test]
async fn a_challenge_names_the_metadata_of_the_path_it_is_for() {
    let nobody = access("ada", &ScopeSet::default());
    for (path, metadata) in [
        (MCP_PATH, "/mcp"),
        (MCP_EXPERIMENT_PATH, "/api/experimental/mcp/http"),
    ] {
        let deployment = Deployment::new().at(path);
        let call = deployment.call(Era::Modern, &nobody, "list_my_grants", json!({}));
        let answer = call.await;
        let challenge = answer.headers["www-authenticate"].to_str().expect("text");
        let expected = format!(
            "resource_metadata=\"https://box.lan/.well-known/oauth-protected-resource{metadata}\""
        );
        assert!(challenge.contains(&expected), "{challenge}");
    }
}

#[tokio::test]
async fn a_revision_that_is_not_spoken_is_refused_with_those_that_are() {
    let ada = access("ada", &all_scopes());
    let deployment = Deployment::new();
    for version in ["1999-01-01", "2024-11-05", "draft", ""] {
        let mut headers = HEADERS.to_vec();
        headers.push(("mcp-protocol-version", version));
        let answer = refused(list_with(&headers)).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{version}");
        assert_eq!(answer.error_code(), -32022, "{version}");
        let body = answer.json();
        assert_eq!(body["id"], 1);
        assert_eq!(body["error"]["data"]["requested"], version);
        assert_eq!(body["error"]["data"]["supported"][3], "2026-07-28");
    }
    let mut modern = request(Era::Modern, "tools/list", json!({}));
    let body = String::from_utf8_lossy(&modern.body).replace("2026-07-28", "2099-01-01");
    modern.body = body.into();
    let differs = deployment.answer(modern.clone(), &ada).await;
    assert_eq!(
        (differs.status.as_u16(), differs.error_code()),
        (400, -32020)
    );
    let version = HeaderValue::from_static("2099-01-01");
    modern.head.headers.insert("mcp-protocol-version", version);
    let unknown = deployment.answer(modern, &ada).await;
    assert_eq!(
        (unknown.status.as_u16(), unknown.error_code()),
        (400, -32022)
    );
}

#[tokio::test]
async fn headers_that_contradict_the_message_are_refused() {
    let ada = access("ada", &all_scopes());
    let deployment = Deployment::new();
    for (header, value) in [
        ("mcp-method", "tools/list"),
        ("mcp-name", "revoke_my_grant"),
    ] {
        let params = json!({ "name": "get_authenticated_user" });
        let mut request = request(Era::Modern, "tools/call", params);
        let value = HeaderValue::from_static(value);
        request.head.headers.insert(header, value);
        let answer = deployment.answer(request, &ada).await;
        assert_eq!((answer.status.as_u16(), answer.error_code()), (400, -32020));
    }
}

#[tokio::test]
async fn a_missing_scope_is_a_challenge_that_names_all_that_is_needed() {
    let deployment = Deployment::with_tools(&TEST_TOOLS);
    for granted in ["", "user:read", "grants:read", "grants:write user:read"] {
        let ada = access("ada", &granted.parse().expect("scopes"));
        for era in ERAS {
            let answer = deployment
                .call(era, &ada, "needs_two_scopes", json!({}))
                .await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{granted} {era:?}");
            assert_eq!(
                answer.headers["www-authenticate"],
                "Bearer error=\"insufficient_scope\", scope=\"grants:read grants:write\", \
                 resource_metadata=\"https://box.lan/.well-known/oauth-protected-resource/mcp\", \
                 error_description=\"expected a token with the scope grants:read grants:write for \
                 the tool needs_two_scopes, found less\""
            );
            let body = answer.json();
            assert_eq!(body["id"], 7);
            let data = &body["error"]["data"];
            assert_eq!(data["error"], "insufficient_scope");
            assert_eq!(data["scope"], "grants:read grants:write");
        }
    }
    let ada = access("ada", &all_scopes());
    for era in ERAS {
        let call = deployment.call(era, &ada, "needs_two_scopes", json!({}));
        call.await.result();
    }
}

/// Whatever rmcp logs or a tool sees, it is no credential.
#[test]
fn no_credential_goes_past_the_front() {
    let mut headers = HEADERS.to_vec();
    headers.push(("cookie", "__Host-session=hush"));
    headers.push(("proxy-authorization", "Basic hush"));
    headers.push(("x-api-key", "hush"));
    let request = raw(Method::POST, &headers, "{}");
    let caller = Caller::new(
        &request.head,
        access("ada", &all_scopes()),
        Toolset::Standard,
        None,
    );
    let forwarded = forwarded(&request, Arc::new(caller));
    assert!(!format!("{:?}", forwarded.headers()).contains("hush"));
    assert_eq!(forwarded.headers()["host"], "box.lan");
}
