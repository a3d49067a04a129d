//! The short way of a call: who may take it, and that it makes no difference.

use super::*;
use crate::mcp::{ARGUMENTS_DEPTH_MAX, direct::DirectCall, tools::testing::TEST_TOOLS};

pub(super) fn is_direct(request: &Request) -> bool {
    DirectCall::read(request, "box.lan").is_some()
}

/// A call with this header besides, or instead of the one of its name.
fn call_with(era: Era, name: &'static str, value: &str) -> Request {
    let mut request = request(era, "tools/call", json!({ "name": "x", "arguments": {} }));
    let value = HeaderValue::from_str(value).expect("a header's value");
    request.head.headers.insert(name, value);
    request
}

/// The same request, as rmcp gets it: a page of ours may have sent it.
pub(super) fn for_the_library(mut request: Request) -> Request {
    let origin = HeaderValue::from_static(PUBLIC_URL);
    request.head.headers.insert("origin", origin);
    request
}

#[test]
fn a_plain_call_of_every_era_is_direct() {
    for era in ERAS {
        for params in [
            json!({ "name": "x" }),
            json!({ "name": "x", "arguments": null }),
            json!({ "name": "x", "arguments": { "a": [1, { "b": null }] } }),
        ] {
            assert!(is_direct(&request(era, "tools/call", params)), "{era:?}");
        }
    }
    let message = r#"{"jsonrpc":"2.0","id":"a","method":"tools/call","params":{"name":"x"}}"#;
    assert!(is_direct(&post(message)), "a client that names no revision");
}

/// Threat 1, and whatever rmcp compares or refuses.
#[test]
fn what_is_not_plain_is_for_the_library() {
    for (era, name, value) in [
        (ERAS[2], "host", "evil.example"),
        (ERAS[2], "host", "BOX.lan"),
        (ERAS[2], "host", "box.lan:443"),
        (ERAS[2], "origin", PUBLIC_URL),
        (ERAS[2], "mcp-protocol-version", "2026-07-28"),
        (ERAS[2], "mcp-protocol-version", "2099-01-01"),
        (Era::Modern, "mcp-protocol-version", "2025-11-25"),
        (Era::Modern, "mcp-method", "tools/list"),
        (Era::Modern, "mcp-name", "y"),
        (Era::Modern, "mcp-name", "=?base64?eA==?="),
    ] {
        let request = call_with(era, name, value);
        assert!(!is_direct(&request), "{name}: {value}");
    }
    for name in ["mcp-protocol-version", "mcp-method", "mcp-name"] {
        let mut request = request(Era::Modern, "tools/call", json!({ "name": "x" }));
        let value = request.head.headers[name].clone();
        request.head.headers.append(name, value);
        assert!(!is_direct(&request), "{name} twice");
        request.head.headers.remove(name);
        assert!(!is_direct(&request), "no {name}");
    }
    for message in [
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"name":"x"}}"#,
        r#"{"jsonrpc":"2.0","method":"tools/call","params":{"name":"x"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x"},"result":{}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":[null,"x",{},null,null]}"#,
        r#"["2.0",1,"tools/call",{"name":"x"}]"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x"}} {}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","name":"y"}}"#,
        r#"{"jsonrpc":"2.0","id":1.0,"method":"tools/call","params":{"name":"x"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":[]}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","_meta":[]}}"#,
    ] {
        assert!(!is_direct(&post(message)), "{message}");
    }
    let mut request = request(Era::Modern, "tools/call", json!({ "name": "x" }));
    let body = String::from_utf8_lossy(&request.body).replace("Capabilities", "Nothing");
    request.body = body.into();
    assert!(!is_direct(&request), "no capabilities");
    let mut request = self::request(Era::Modern, "tools/call", json!({ "name": "x" }));
    let revision = r#""io.modelcontextprotocol/protocolVersion":"#;
    let body = String::from_utf8_lossy(&request.body);
    let body = body.replace(revision, &format!(r#"{revision}"2025-11-25",{revision}"#));
    request.body = body.into();
    assert!(!is_direct(&request), "two revisions");
}

#[tokio::test(start_paused = true)]
async fn a_direct_call_is_answered_as_the_library_answers_it() {
    let deployment = Deployment::with_tools(&TEST_TOOLS);
    let mut deep = json!(0);
    for _ in 0..=ARGUMENTS_DEPTH_MAX {
        deep = json!([deep]);
    }
    let (some, all) = (
        access("ada", &"user:read".parse().expect("a scope")),
        access("ada", &all_scopes()),
    );
    for (caller, tool, arguments) in [
        (&all, "needs_two_scopes", json!({})),
        (&all, "needs_two_scopes", json!({ "unknown": 1 })),
        (&all, "needs_two_scopes", json!({ "unknown": deep })),
        (&some, "needs_two_scopes", json!({})),
        (&all, "no_such_tool", json!({})),
        (&all, "panics", json!({})),
        (&all, "never_ends", json!({})),
        (&all, "says_too_much", json!({})),
        (&all, "meets_a_fault", json!({})),
        (&all, "meets_a_queue", json!({})),
    ] {
        for era in ERAS {
            let params = json!({ "name": tool, "arguments": arguments });
            let request = request(era, "tools/call", params);
            assert!(is_direct(&request), "{tool} {era:?}");
            let expected = for_the_library(request.clone());
            let expected = deployment.answer(expected, caller).await;
            let found = deployment.answer(request, caller).await;
            assert_eq!(found.status, expected.status, "{tool} {era:?}");
            assert_eq!(found.headers, expected.headers, "{tool} {era:?}");
            assert_eq!(found.body, expected.body, "{tool} {era:?}");
        }
    }
}
