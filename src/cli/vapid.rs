//! `keystead vapid`.

use clap::Subcommand;

use crate::{
    appliance::administration::Command,
    cli::{administer, console::Console, failure::Failure, rows::RowFlags},
    config::Config,
};

#[derive(Debug, Subcommand)]
pub(super) enum VapidCommand {
    /// Make another pair of keys, and forget every browser
    #[command(after_help = "\
Browsers are subscribed to one pair of keys. With another one each of them is forgotten, and every
person has to turn notifications on again, on each of their devices. Do this when somebody else may
have read the data file or a backup of it.

Examples:
  keystead vapid regenerate
  keystead vapid regenerate --yes --json")]
    Regenerate {
        /// Do not ask
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        rows: RowFlags,
    },
}

impl VapidCommand {
    /// Does it.
    pub(super) fn execute(self, config: &Config, console: &mut Console<'_>) -> Result<(), Failure> {
        let Self::Regenerate { yes, rows } = self;
        if !yes {
            let question = "This forgets every browser that gets notifications: each person has to \
                            turn them on again, on each device.";
            console.confirm(question, "regenerate")?;
        }
        rows.print(&administer(config, Command::VapidRegenerate)?, console)
    }
}
