//! Features that may still change.

use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    experiments::{EXPERIMENTS, Experiment, Safety},
    mcp::tools::{Call, NoArguments, ToolError, Typed},
};

/// `list_experiments`.
pub(super) struct ListExperiments;

/// The features that may still change.
#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct ListedExperiments {
    /// The experiments that may be listed.
    experiments: Vec<ListedExperiment>,
}

/// A feature that may still change, or go.
#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct ListedExperiment {
    /// What the owner writes to turn it on.
    name: &'static str,
    /// What people call it.
    title: &'static str,
    /// What it does.
    description: &'static str,
    /// Whether it is on.
    on: bool,
}

/// What may be listed: a hidden one is known to whoever named it and to nobody else.
pub(super) fn listed() -> impl Iterator<Item = &'static Experiment> {
    let may_be_listed = |experiment: &&Experiment| experiment.safety == Safety::Safe;
    EXPERIMENTS.iter().filter(may_be_listed)
}

impl Typed for ListExperiments {
    type Arguments = NoArguments;
    type Output = ListedExperiments;

    async fn run(call: Call, NoArguments {}: NoArguments) -> Result<ListedExperiments, ToolError> {
        let experiments = listed().map(|experiment| ListedExperiment {
            name: experiment.name,
            title: experiment.display_name,
            description: experiment.words,
            on: call.desk.experiments.is_on(experiment.name),
        });
        Ok(ListedExperiments {
            experiments: experiments.collect(),
        })
    }
}
