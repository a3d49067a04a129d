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
