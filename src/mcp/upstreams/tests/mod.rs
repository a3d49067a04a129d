//! One upstream and those who use it, against one that is made up.

mod system;

use std::{sync::Arc, time::Duration};

use rmcp::model::{CallToolResult, JsonObject};
use rustls::RootCertStore;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    task::JoinSet,
    time::Instant,
};

use super::{
    testing::{House, tool, upstream},
    tools::{DESCRIPTION_BYTES_MAX, NAME_LEN_MAX, SCHEMA_BYTES_MAX, TOOLS_MAX},
    *,
};
use crate::{
    config::environment::Environment,
    model::upstream::{Bounds, Child, Reach, Sandbox, SecretHeader, Source},
    runtime::{
        child::Launcher,
        outbound::{NamedServers, SystemDialer},
    },
};

fn link_with(house: &House, bounds: Bounds) -> Arc<Link> {
    let upstream = Upstream {
        bounds,
        ..upstream("house")
    };
    Arc::new(Link::new(upstream, Arc::new(house.clone())))
}

fn link(house: &House) -> Arc<Link> {
    link_with(house, Bounds::default())
}

fn arguments(value: Value) -> JsonObject {
    serde_json::from_value(value).expect("an object")
}

fn text(result: &CallToolResult) -> String {
    let value = serde_json::to_value(result).expect("JSON");
    value["content"][0]["text"]
        .as_str()
        .expect("text")
        .to_owned()
}

async fn call(link: &Arc<Link>, tool: &str) -> Result<String, String> {
    let answered = link.call(tool, arguments(json!({ "text": tool }))).await;
    answered
        .map(|result| text(&result))
        .map_err(|error| error.to_string())
}

/// Threat 33: 200 calls of 20 callers on one connection, each answer checked against its caller.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_callers_never_get_each_others_answers() {
    let house = House::default();
    let link = link(&house);
    let mut callers = JoinSet::new();
    for caller in 0..20 {
        let link = Arc::clone(&link);
        callers.spawn(async move {
            for turn in 0..10 {
                let said = format!("caller {caller} turn {turn}");
                let arguments = arguments(json!({ "text": said }));
                let answer = link.call("echo", arguments).await.expect("an answer");
                assert_eq!(text(&answer), format!("{said:?}"));
            }
        });
    }
    callers.join_all().await;
    assert_eq!(house.starts(), 1, "one connection for all");
    assert_eq!(house.heard("tools/call").len(), 200);
}

#[tokio::test]
async fn a_caller_who_gives_up_cancels_its_call_and_no_other() {
    let house = House::default();
    let link = link(&house);
    call(&link, "echo").await.expect("it runs");
    let waits = timeout(Duration::from_millis(50), call(&link, "hang"));
    assert!(waits.await.is_err(), "nobody answers");
    assert_eq!(call(&link, "echo").await.as_deref(), Ok("\"echo\""));
    let hung = house.heard("tools/call");
    let hung = hung
        .iter()
        .find(|call| call["params"]["name"] == "hang")
        .expect("the call");
    let cancelled = house.heard("notifications/cancelled");
    assert_eq!(cancelled.len(), 1, "{cancelled:?}");
    assert_eq!(cancelled[0]["params"]["requestId"], hung["id"]);
    assert_eq!(house.starts(), 1);
}

#[tokio::test]
async fn a_call_that_takes_too_long_is_cancelled_and_says_so() {
    let house = House::default();
    let link = link_with(
        &house,
        Bounds {
            call_timeout: Duration::from_millis(50),
            ..Bounds::default()
        },
    );
    let error = call(&link, "hang").await.expect_err("no answer");
    assert!(
        error.contains("expected an answer of house within"),
        "{error}"
    );
    call(&link, "echo").await.expect("the next one works");
    assert_eq!(house.heard("notifications/cancelled").len(), 1);
}

#[tokio::test]
async fn one_that_ends_during_a_call_says_so_and_the_next_call_works() {
    let house = House::default();
    let link = link(&house);
    for (tool, words) in [
        ("die", "it closed its standard output"),
        ("huge", "it sent a message of more than 4194304 bytes"),
        ("only_garbage", "it wrote 100 lines that are no messages"),
    ] {
        let house = House::default();
        let link = Arc::new(Link::new(link.upstream().clone(), Arc::new(house.clone())));
        let error = call(&link, tool).await.expect_err(tool);
        assert!(
            error.contains("house ended during the call") && error.contains(words),
            "{error}"
        );
        assert_eq!(
            call(&link, "echo").await.as_deref(),
            Ok("\"echo\""),
            "{tool}"
        );
        assert_eq!(house.starts(), 2);
    }
}

#[tokio::test]
async fn garbage_a_question_and_a_flood_hurt_no_call() {
    let house = House::default();
    let link = link(&house);
    assert_eq!(call(&link, "garbage").await.as_deref(), Ok("after garbage"));
    assert_eq!(call(&link, "ask").await.as_deref(), Ok("asked"));
    let begun = Instant::now();
    assert_eq!(call(&link, "flood").await.as_deref(), Ok("after the flood"));
    assert!(
        begun.elapsed() > Duration::from_secs(1),
        "the flood is slowed down"
    );
    let heard = house.heard.lock().expect("a list");
    let refused = heard
        .iter()
        .find(|message| message["id"] == "q")
        .expect("an answer");
    assert_eq!(refused["error"]["code"], -32601, "{refused}");
    assert_eq!(house.starts(), 1);
}

#[tokio::test]
async fn what_it_says_is_passed_on_in_bounds() {
    let house = House::default();
    let link = link(&house);
    let said = call(&link, "missing").await.expect_err("an error");
    assert_eq!(said, "house answered with an error: no missing ");
    let asks = call(&link, "input").await.expect_err("a question");
    assert!(asks.contains("wants something of its caller"), "{asks}");
}

#[tokio::test(start_paused = true)]
async fn one_that_keeps_failing_rests_longer_and_longer() {
    let house = House::default();
    house
        .failing
        .store(usize::MAX, std::sync::atomic::Ordering::SeqCst);
    let link = link(&house);
    for expected in [1, 2, 4, 8, 16, 32, 60, 60] {
        let failed = call(&link, "echo").await.expect_err("it does not start");
        assert!(failed.contains("as the test wants it"), "{failed}");
        if expected == 1 {
            call(&link, "echo")
                .await
                .expect_err("the first is tried again at once");
        }
        let resting = call(&link, "echo").await.expect_err("it rests");
        assert!(resting.contains("keeps failing"), "{resting}");
        let why = "the last time: it fails as the test wants it";
        assert!(resting.ends_with(why), "{resting}");
        tokio::time::advance(Duration::from_secs(expected)).await;
    }
    house.failing.store(0, std::sync::atomic::Ordering::SeqCst);
    call(&link, "echo").await.expect("it runs again");
    assert_eq!(house.starts(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_nobody_uses_is_closed_and_its_list_is_kept() {
    let house = House::default();
    let link = link(&house);
    let tools = link.tools().await.expect("tools").len();
    tokio::time::advance(Duration::from_mins(4)).await;
    call(&link, "echo").await.expect("an answer");
    tokio::time::advance(Duration::from_mins(4)).await;
    link.close_if_idle();
    call(&link, "echo").await.expect("an answer");
    assert_eq!(house.starts(), 1, "it was used within the time");
    tokio::time::advance(Duration::from_mins(5)).await;
    link.close_if_idle();
    assert_eq!(link.tools().await.expect("tools").len(), tools);
    assert_eq!(house.starts(), 1, "what it said is known");
    call(&link, "echo").await.expect("an answer");
    assert_eq!(house.starts(), 2);
}

/// One that does not start is news once, and again after it has worked for long enough.
#[tokio::test(start_paused = true)]
async fn one_that_keeps_failing_is_news_once_until_it_works_again() {
    let house = House::default();
    let link = link(&house);
    let fail = async |times: u32| {
        house
            .failing
            .store(times as usize, std::sync::atomic::Ordering::SeqCst);
        for _ in 0..times {
            tokio::time::advance(BACKOFF_MAX).await;
            call(&link, "echo").await.expect_err("it does not start");
        }
    };
    fail(FAILING_AFTER - 1).await;
    assert!(!link.is_news());
    fail(1).await;
    assert!(link.is_news());
    link.set_told();
    fail(3).await;
    assert!(!link.is_news(), "it was told");
    tokio::time::advance(BACKOFF_MAX).await;
    call(&link, "echo").await.expect("it starts");
    call(&link, "die").await.expect_err("it ends at once");
    fail(1).await;
    assert!(!link.is_news(), "it did not work for long enough");
    tokio::time::advance(BACKOFF_MAX).await;
    call(&link, "echo").await.expect("it starts");
    tokio::time::advance(Duration::from_mins(5)).await;
    link.close_if_idle();
    fail(FAILING_AFTER).await;
    assert!(link.is_news(), "it worked in between");
}

#[tokio::test]
async fn a_list_that_changed_is_read_again_and_no_other() {
    let house = House::default();
    let link = link(&house);
    let before = link.tools().await.expect("tools").len();
    for _ in 0..3 {
        link.tools().await.expect("tools");
    }
    assert_eq!(house.heard("tools/list").len(), 1);
    call(&link, "add_tool").await.expect("an answer");
    let after = link.tools().await.expect("tools");
    assert_eq!(after.len(), before + 1);
    assert!(after.iter().any(|tool| tool.name() == "added"));
    assert_eq!(house.heard("tools/list").len(), 2);
}

#[tokio::test]
async fn more_calls_than_may_wait_are_refused() {
    let house = House::default();
    let link = link(&house);
    call(&link, "echo").await.expect("it runs");
    let mut calls = JoinSet::new();
    for _ in 0..CALLS_MAX + WAITING_MAX {
        let link = Arc::clone(&link);
        calls.spawn(async move { call(&link, "hang").await });
    }
    // The last ones wait once the others have their places.
    timeout(Duration::from_secs(10), async {
        while house.heard("tools/call").len() <= CALLS_MAX {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("all places are taken");
    let refused = call(&link, "echo").await.expect_err("no place");
    assert!(
        refused.contains("expected fewer than 256 calls that wait"),
        "{refused}"
    );
    calls.shutdown().await;
    call(&link, "echo").await.expect("there is room again");
}

/// A tool of somebody else's is shown within bounds, and with every hint.
#[tokio::test]
async fn tools_are_shown_within_bounds_and_with_every_hint() {
    let house = House::default();
    {
        let mut more = house.more_tools.lock().expect("a list");
        more.push(tool("bad name", &json!({})));
        more.push(tool(&"n".repeat(NAME_LEN_MAX + 1), &json!({})));
        more.push(tool("echo", &json!({ "readOnlyHint": false })));
        let mut wordy = tool("wordy", &json!({ "title": "Wordy\u{1b}[0m" }));
        wordy["description"] = "é".repeat(DESCRIPTION_BYTES_MAX).into();
        more.push(wordy);
        let mut wide = tool("wide", &json!({}));
        wide["inputSchema"]["description"] = "x".repeat(SCHEMA_BYTES_MAX).into();
        more.push(wide);
        let contradiction = json!({ "readOnlyHint": true, "destructiveHint": true });
        more.push(tool("contradicts", &contradiction));
        let mut routed = tool("routed", &json!({}));
        routed["inputSchema"]["properties"] = json!({
            "x-mcp-header": { "type": "string", "x-mcp-header": "Region" },
            "of": { "type": "object", "properties": { "it": { "type": "string", "x-mcp-header": "It" } } },
        });
        more.push(routed);
        let many = (0..TOOLS_MAX).map(|n| tool(&format!("t{n}"), &json!({})));
        more.extend(many);
    }
    let tools = link(&house).tools().await.expect("tools");
    assert_eq!(tools.len(), TOOLS_MAX);
    let find = |name: &str| tools.iter().find(|tool| tool.name() == name);
    assert!(find("bad name").is_none() && find("wide").is_none());
    let listed = |name: &str| {
        let tool = find(name).expect(name).listed(format!("house__{name}"));
        serde_json::to_value(tool).expect("JSON")
    };
    let echo = listed("echo");
    assert_eq!(echo["name"], "house__echo");
    let hints = |read, destroys, twice, open| json!({ "readOnlyHint": read, "destructiveHint": destroys, "idempotentHint": twice, "openWorldHint": open });
    assert_eq!(
        echo["annotations"],
        hints(true, false, true, false),
        "the first of a name"
    );
    assert_eq!(
        listed("die")["annotations"],
        hints(false, true, false, true),
        "no hint is the worst"
    );
    assert_eq!(
        listed("contradicts")["annotations"],
        hints(true, false, true, true)
    );
    assert_eq!(
        listed("routed")["inputSchema"]["properties"],
        json!({
            "x-mcp-header": { "type": "string" },
            "of": { "type": "object", "properties": { "it": { "type": "string" } } },
        }),
        "no header of a call is asked for that nobody compares"
    );
    let wordy = listed("wordy");
    assert_eq!(wordy["title"], "Wordy [0m");
    assert_eq!(
        wordy["description"].as_str().map(str::len),
        Some(DESCRIPTION_BYTES_MAX)
    );
}

#[tokio::test(start_paused = true)]
async fn how_one_is_doing_can_be_asked_without_beginning_it() {
    let house = House::default();
    let link = link(&house);
    let fails = |times: usize| {
        house
            .failing
            .store(times, std::sync::atomic::Ordering::SeqCst);
    };
    let failing = |seconds: u64, why: &str| Standing::Failing {
        lasted: Duration::from_secs(seconds),
        why: why.to_owned(),
    };
    assert_eq!(link.standing(), Standing::Idle);
    fails(2);
    for _ in 0..2 {
        call(&link, "echo").await.expect_err("it does not start");
        tokio::time::advance(Duration::from_secs(2)).await;
    }
    assert_eq!(link.standing(), failing(4, "it fails as the test wants it"));
    call(&link, "echo").await.expect("it runs");
    tokio::time::advance(Duration::from_secs(3)).await;
    let lasted = Duration::from_secs(3);
    assert_eq!(link.standing(), Standing::Connected { lasted });
    assert_eq!((house.starts(), link.figures().failures.get()), (3, 2));
    call(&link, "die").await.expect_err("it ends");
    assert_eq!(link.figures().failures.get(), 3);
    assert_eq!(link.standing(), failing(0, "it closed its standard output"));
    tokio::time::advance(BACKOFF_MAX).await;
    call(&link, "echo").await.expect("it runs again");
    tokio::time::advance(Duration::from_mins(5)).await;
    link.close_if_idle();
    assert_eq!(link.standing(), Standing::Idle);
    assert_eq!(house.starts(), 4);
}

#[tokio::test]
async fn a_connection_in_the_place_of_one_that_failed_is_a_restart() {
    let house = House::default();
    let link = link(&house);
    let counts = || {
        let figures = link.figures();
        (figures.connections.get(), figures.restarts.get())
    };
    assert!(!link.seen().is_up);
    call(&link, "echo").await.expect("it runs");
    assert_eq!((counts(), link.seen().is_up), ((1, 0), true));
    call(&link, "die").await.expect_err("it ends");
    assert!(!link.seen().is_up);
    call(&link, "echo").await.expect("it runs again");
    assert_eq!(counts(), (2, 1));
    // One that is closed because nobody uses it has not failed.
    link.close().await;
    call(&link, "echo").await.expect("it runs once more");
    assert_eq!(counts(), (3, 1));
}
