//! Messages put together at random.

use std::{cell::RefCell, collections::BTreeSet};

use proptest::{prelude::*, test_runner::TestRunner};

use super::*;

/// Pieces of messages, well and badly put together.
const MESSAGES: &str = concat!(
    r#"\{"jsonrpc":"(2\.0|2\.0|2\.0|1)"(,"id":(1|"a"|1|"b"|null|1\.5))?,"#,
    r#""method":"(tools/call|tools/list|initialize|ping|server/discover|notifications/x|x)""#,
    r#"(,"params":(\{("name":("revoke_my_grant"|"get_authenticated_user"|5|null),)?"#,
    r#"("_meta":(\{\}|\[\]|\{"io\.modelcontextprotocol/protocolVersion":("2026-07-28"|5)\}),)?"#,
    r#""arguments":(\{\}|\[\]|\{"grant_id":"\PC{0,30}"\}|1)\}|\[\]|null|"x"))?\}?"#,
);

const NAMES: [&str; 3] = ["get_authenticated_user", "revoke_my_grant", "no_such_tool"];
/// Headers of a call that say otherwise than its message, or no more.
const SLIPS: [(&str, &str); 6] = [
    ("mcp-name", "revoke_my_grant"),
    ("mcp-method", "ping"),
    ("mcp-protocol-version", "2025-06-18"),
    ("mcp-protocol-version", "2026-07-28"),
    ("host", "BOX.lan"),
    ("accept", "*/*"),
];

/// Whole calls, most of which go without the library's service.
#[test]
fn a_call_is_answered_alike_whichever_way_it_takes() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let deployment = Deployment::new();
    let callers = [
        access("ada", &all_scopes()),
        access("ada", &"user:read".parse().expect("a scope")),
    ];
    let arguments = prop::option::of(prop_oneof![
        Just(json!({})),
        "\\PC{0,30}".prop_map(|id| json!({ "grant_id": id })),
        "[a-z]{0,4}".prop_map(|name| json!({ name: null })),
    ]);
    let calls = (
        prop::sample::select(&ERAS[..]),
        prop::sample::select(&NAMES[..]),
        arguments,
        prop::option::weighted(0.2, prop::sample::select(&SLIPS[..])),
        prop::sample::select(callers.to_vec()),
    );
    let direct = RefCell::new(BTreeSet::new());
    let config = ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    TestRunner::new(config)
        .run(&calls, |(era, name, arguments, slip, caller)| {
            let mut params = json!({ "name": name });
            if let Some(arguments) = arguments {
                params["arguments"] = arguments;
            }
            let mut request = request(era, "tools/call", params);
            if let Some((name, value)) = slip {
                let value = HeaderValue::from_static(value);
                request.head.headers.insert(name, value);
            }
            if direct::is_direct(&request) {
                direct.borrow_mut().insert(format!("{era:?} {name}"));
            }
            let of_the_library = direct::for_the_library(request.clone());
            let of_the_library = runtime.block_on(deployment.answer(of_the_library, &caller));
            let answer = runtime.block_on(deployment.answer(request, &caller));
            prop_assert_eq!(answer.status, of_the_library.status);
            prop_assert_eq!(&answer.body, &of_the_library.body);
            Ok(())
        })
        .expect("the same answers");
    let tried = direct.into_inner();
    assert_eq!(tried.len(), ERAS.len() * NAMES.len(), "{tried:?}");
}

/// Issue 2: malformed input is answered, and never by a fault of ours; whichever way a message
/// takes, the answer is the same.
#[test]
fn no_message_is_answered_by_a_fault() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let deployment = Deployment::new();
    let ada = access("ada", &all_scopes());
    let version = prop::option::of("2025-11-25|2026-07-28|x?");
    let seen = RefCell::new(BTreeSet::new());
    let config = ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    TestRunner::new(config)
        .run(&(MESSAGES, version), |(body, version)| {
            let mut headers = HEADERS.to_vec();
            headers.extend(
                version
                    .as_deref()
                    .map(|version| ("mcp-protocol-version", version)),
            );
            let request = raw(Method::POST, &headers, body);
            let of_the_library = direct::for_the_library(request.clone());
            let of_the_library = runtime.block_on(deployment.answer(of_the_library, &ada));
            let answer = runtime.block_on(deployment.answer(request, &ada));
            prop_assert_eq!(answer.status, of_the_library.status);
            prop_assert_eq!(&answer.body, &of_the_library.body);
            prop_assert!(!answer.status.is_server_error(), "{answer:?}");
            let is_empty = answer.status == StatusCode::ACCEPTED;
            prop_assert!(is_empty || serde_json::from_slice::<Value>(&answer.body).is_ok());
            seen.borrow_mut().insert(answer.status.as_u16());
            Ok(())
        })
        .expect("no fault");
    let seen = seen.into_inner();
    assert!(
        seen.contains(&200) && seen.contains(&400),
        "tried too little: {seen:?}"
    );
}
