//! What a call is counted as.

use super::*;
use crate::mcp::{
    figures::{CallFigures, Outcome},
    tools::testing::TEST_TOOLS,
};

/// What was counted of the calls of one tool, by outcome.
fn counted(deployment: &Deployment, tool: &str) -> Vec<Outcome> {
    let figures = deployment.mcp.figures();
    let mut tools = figures.tools();
    let of_tool = tools.find(|(name, _)| *name == tool);
    let calls: &CallFigures = of_tool.map_or(&figures.unknown, |(_, calls)| calls);
    let times = |outcome: &Outcome| usize::try_from(calls.outcomes(*outcome)).expect("few");
    let outcomes = Outcome::ALL.into_iter();
    outcomes
        .flat_map(|outcome| std::iter::repeat_n(outcome, times(&outcome)))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn each_call_is_counted_by_what_came_of_it() {
    let deployment = Deployment::with_tools(&TEST_TOOLS);
    let (all, none) = (
        access("ada", &all_scopes()),
        access("ada", &ScopeSet::of([])),
    );
    for (tool, expected) in [
        ("panics", Outcome::Fault),
        ("never_ends", Outcome::Timeout),
        ("says_too_much", Outcome::TooLarge),
        ("meets_a_fault", Outcome::Fault),
        ("meets_a_queue", Outcome::Refused),
        ("needs_two_scopes", Outcome::Ok),
        ("no_such_tool", Outcome::Refused),
    ] {
        deployment.call(Era::Modern, &all, tool, json!({})).await;
        assert_eq!(counted(&deployment, tool), [expected], "{tool}");
    }
    let odd = json!({ "unknown": 1 });
    deployment
        .call(Era::Modern, &all, "needs_two_scopes", odd)
        .await;
    deployment
        .call(Era::Modern, &none, "needs_two_scopes", json!({}))
        .await;
    assert_eq!(
        counted(&deployment, "needs_two_scopes"),
        [Outcome::Ok, Outcome::Error, Outcome::Refused]
    );
    assert_eq!(deployment.mcp.figures().in_flight.get(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_caller_hangs_up_is_cancelled() {
    let deployment = Deployment::with_tools(&TEST_TOOLS);
    let ada = access("ada", &all_scopes());
    let call = deployment.call(Era::Modern, &ada, "never_ends", json!({}));
    let second = Duration::from_secs(1);
    let hung_up = tokio::time::timeout(second, call).await;
    assert!(hung_up.is_err(), "it never ends");
    // The library ends what it began for the message in a task of its own.
    tokio::time::sleep(second).await;
    assert_eq!(counted(&deployment, "never_ends"), [Outcome::Cancelled]);
    assert_eq!(deployment.mcp.figures().in_flight.get(), 0);
}
