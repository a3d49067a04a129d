//! Tools that only tests have.

use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    mcp::{
        ANSWER_BYTES_MAX,
        tools::{Action, Call, NoArguments, Tool, ToolError, Typed},
    },
    model::{
        effect::Effect,
        oauth2::scope::{GRANTS_READ, GRANTS_WRITE, USER_READ},
        user::Role,
    },
    store::StoreError,
};

/// Tools that do what no tool should, and one that needs two scopes.
pub(in crate::mcp) static TEST_TOOLS: [Tool; 6] = [
    of("panics", &[USER_READ], Action::of::<Panics>()),
    of("never_ends", &[USER_READ], Action::of::<NeverEnds>()),
    of("says_too_much", &[USER_READ], Action::of::<SaysTooMuch>()),
    of("meets_a_fault", &[USER_READ], Action::of::<MeetsAFault>()),
    of("meets_a_queue", &[USER_READ], Action::of::<MeetsAQueue>()),
    of(
        "needs_two_scopes",
        &[GRANTS_READ, GRANTS_WRITE],
        Action::of::<NeedsTwoScopes>(),
    ),
];

/// A tool that nobody gave a scope.
pub(super) static WITHOUT_A_SCOPE: Tool = of("without", &[], Action::of::<NeedsTwoScopes>());

const fn of(name: &'static str, scopes: &'static [&'static str], action: Action) -> Tool {
    Tool {
        name,
        title: "Test",
        effect: Effect::Reads,
        scopes,
        role: Role::Member,
        description: "Tests.",
        action,
    }
}

macro_rules! test_tool {
    ($name:ident, $outcome:expr) => {
        struct $name;

        impl Typed for $name {
            type Arguments = NoArguments;
            type Output = NoArguments;

            async fn run(_: Call, _: NoArguments) -> Result<NoArguments, ToolError> {
                $outcome
            }
        }
    };
}

test_tool!(Panics, panic!("on purpose, with hush-hush"));
test_tool!(NeverEnds, std::future::pending().await);
test_tool!(MeetsAFault, Err(StoreError::Closed.into()));
test_tool!(MeetsAQueue, Err(StoreError::QueueFull { max: 1 }.into()));
test_tool!(NeedsTwoScopes, Ok(NoArguments {}));

struct SaysTooMuch;

/// More than an answer may be, by the name and the quotes.
#[derive(Serialize, JsonSchema)]
struct TooMuch {
    said: String,
}

impl Typed for SaysTooMuch {
    type Arguments = NoArguments;
    type Output = TooMuch;

    async fn run(_: Call, _: NoArguments) -> Result<TooMuch, ToolError> {
        let said = "x".repeat(ANSWER_BYTES_MAX);
        Ok(TooMuch { said })
    }
}
