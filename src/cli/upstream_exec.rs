//! `keystead upstream-exec`: what the server begins a restricted program with. Nobody types it.

use std::convert::Infallible;

use clap::Args;

use crate::{cli::failure::Failure, model::upstream::Sandbox, runtime::child::become_confined};

/// Restrict this process and become a program
#[derive(Debug, Args)]
pub(super) struct UpstreamExec {
    /// What to restrict it to, as JSON
    #[arg(value_parser = parse_sandbox)]
    sandbox: Sandbox,
    /// The program and its arguments
    #[arg(last = true, required = true)]
    command: Vec<String>,
}

impl UpstreamExec {
    /// Becomes the program; there is no way back.
    pub(super) fn execute(&self) -> Result<Infallible, Failure> {
        Err(become_confined(&self.sandbox, &self.command).into())
    }
}

fn parse_sandbox(text: &str) -> Result<Sandbox, serde_json::Error> {
    serde_json::from_str(text)
}
