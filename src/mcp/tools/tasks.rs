//! How far a task is that the client does for the person.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    mcp::tools::{
        Call, ToolError, Typed,
        notifications::{Told, link_of},
        one_of,
    },
    model::https_url::HttpsUrl,
    notifications::{Report, SUMMARY_LEN_MAX, SummaryError, TaskState, report_task},
};

/// The names of every state.
const STATES: [&str; 4] = [
    TaskState::Working.as_str(),
    TaskState::Idle.as_str(),
    TaskState::Complete.as_str(),
    TaskState::Failure.as_str(),
];

/// `report_task`.
pub(super) struct ReportTask;

/// How far the task is.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ReportArguments {
    /// What the task is about, or what came of it, in one line.
    #[schemars(length(min = 1, max = SUMMARY_LEN_MAX))]
    summary: String,
    /// Whether the client works on it, waits, is done, or has given up.
    #[schemars(extend("enum" = STATES))]
    state: String,
    /// Where there is more: an https URL, or a path on this box.
    #[serde(default)]
    #[schemars(with = "String", length(max = HttpsUrl::LEN_MAX), extend("format" = "uri-reference"))]
    link: Option<String>,
}

impl Typed for ReportTask {
    type Arguments = ReportArguments;
    type Output = Told;

    async fn run(call: Call, arguments: ReportArguments) -> Result<Told, ToolError> {
        let summary = arguments.summary.parse();
        let summary = summary
            .map_err(|error: SummaryError| ToolError::Arguments(format!("summary: {error}")))?;
        let teller = call.teller();
        let report = Report {
            summary,
            state: one_of("state", &arguments.state, TaskState::find, &STATES)?,
            link: link_of(arguments.link)?,
            sender: teller.sender,
            task: teller.task,
        };
        call.take_allowance()?;
        call.tell(move |tx, act, reader| report_task(tx, act, reader, &report))
            .await
    }
}
