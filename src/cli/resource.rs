//! `keystead resource`.

use clap::Subcommand;

use crate::{
    appliance::administration::Command,
    cli::{
        administer,
        console::Console,
        failure::Failure,
        rows::{RowFlags, text_of},
    },
    config::Config,
};

#[derive(Debug, Subcommand)]
pub(super) enum ResourceCommand {
    /// Let another server use the tokens of this box
    #[command(after_help = "\
The credentials with which it looks tokens up are shown once, now.
A scope whose name ends with :read can be had unasked; any other has to be asked for, and the
person can leave it out.

Example:
  keystead resource add https://files.lan/mcp --scope files:read --scope files:write \\
      --scope-words 'files:write=change your files'")]
    Add {
        /// The audience of its tokens: the URL under which clients reach it
        identifier: String,
        /// A scope that it knows; can be repeated
        #[arg(long = "scope", value_name = "NAME", required = true)]
        scopes: Vec<String>,
        /// What a person reads for a scope; can be repeated
        #[arg(long = "scope-words", value_name = "NAME=WORDS")]
        words: Vec<String>,
        #[command(flatten)]
        rows: RowFlags,
    },
    /// List the other servers
    List {
        #[command(flatten)]
        rows: RowFlags,
    },
    /// Remove a server; its tokens open nothing any more
    Remove {
        /// The audience of its tokens
        identifier: String,
    },
}

impl ResourceCommand {
    /// Does it.
    pub(super) fn execute(self, config: &Config, console: &mut Console<'_>) -> Result<(), Failure> {
        match self {
            Self::Add {
                identifier,
                scopes,
                words,
                rows,
            } => {
                let command = Command::ResourceAdd {
                    identifier,
                    scopes,
                    scope_words: words,
                };
                rows.print(&administer(config, command)?, console)
            }
            Self::List { rows } => rows.print(&administer(config, Command::ResourceList)?, console),
            Self::Remove { identifier } => {
                let done = format!("{} is removed.", text_of(&identifier));
                administer(config, Command::ResourceRemove { identifier })?;
                console.note(&done)
            }
        }
    }
}
