//! `keystead notify`.

use clap::{Args, builder::PossibleValuesParser};

use crate::{
    appliance::administration::{Command, Notice},
    cli::{administer, console::Console, failure::Failure, rows::RowFlags},
    config::Config,
    model::notification::Urgency,
};

/// Tell a user something: in their inbox, and on their devices as they want it
#[derive(Debug, Args)]
#[command(after_help = "\
Works whether the server runs or not, on the data directory of --data. While it does not run the
user's devices hear of it once it does.

Examples:
  keystead notify ada --title 'Backup done' --body '**3 GB** in 12 minutes'
  keystead notify ada --title 'Disk failing' --link https://nas.lan/disks --urgency high")]
pub(super) struct Notify {
    /// The user's name
    user: String,
    /// What it is, in one line
    #[arg(long, allow_hyphen_values = true)]
    title: String,
    /// More about it: text, or Markdown with emphasis, code, lists and links
    #[arg(
        long,
        default_value = "",
        hide_default_value = true,
        allow_hyphen_values = true
    )]
    body: String,
    /// Where there is more: an https URL, or a path on this box
    #[arg(long, value_name = "URL")]
    link: Option<String>,
    /// How soon the user should know; normal unless given
    #[arg(long, value_parser = PossibleValuesParser::new(Urgency::ALL.map(Urgency::as_str)))]
    urgency: Option<String>,
    #[command(flatten)]
    rows: RowFlags,
}

impl Notify {
    /// Does it.
    pub(super) fn execute(self, config: &Config, console: &mut Console<'_>) -> Result<(), Failure> {
        let command = Command::Notify(Notice {
            user: self.user,
            title: self.title,
            body: self.body,
            link: self.link,
            urgency: self.urgency,
        });
        self.rows.print(&administer(config, command)?, console)
    }
}
