//! `keystead audit`.

use clap::Subcommand;

use crate::{
    appliance::administration::Command,
    audit::SEARCH_LIMIT_MAX,
    cli::{administer, console::Console, failure::Failure, rows::RowFlags},
    config::Config,
};

#[derive(Debug, Subcommand)]
pub(super) enum AuditCommand {
    /// Check that nothing was removed from the log or edited in it
    #[command(after_help = "\
The log is a chain: each entry is linked to the one before it. Keep the head that is printed; a
later check that does not know its number shows that the newest entries were cut off.

Exit code 1 when the chain is broken; the first place where it is broken is named.")]
    Verify {
        #[command(flatten)]
        rows: RowFlags,
    },
    /// Search the log, newest first
    #[command(after_help = "\
An entry is found that has every word: in what was done, who did it, to what, from which address,
in which request, and what changed.

Examples:
  keystead audit search consent.given
  keystead audit search token.replayed --limit 5 --json")]
    Search {
        /// Words that the entries have
        words: Vec<String>,
        /// How many entries at the most
        #[arg(long, value_name = "N", default_value_t = 25)]
        limit: usize,
        /// How many to leave out first
        #[arg(long, value_name = "N", default_value_t = 0)]
        offset: usize,
        #[command(flatten)]
        rows: RowFlags,
    },
}

impl AuditCommand {
    /// Does it.
    pub(super) fn execute(self, config: &Config, console: &mut Console<'_>) -> Result<(), Failure> {
        let (command, rows) = match self {
            Self::Verify { rows } => (Command::AuditVerify, rows),
            Self::Search {
                words,
                limit,
                offset,
                rows,
            } => {
                let limit = limit.min(SEARCH_LIMIT_MAX);
                (
                    Command::AuditSearch {
                        query: words.join(" "),
                        limit,
                        offset,
                    },
                    rows,
                )
            }
        };
        rows.print(&administer(config, command)?, console)
    }
}
