//! `keystead client`.

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
pub(super) enum ClientCommand {
    /// Register a client
    #[command(after_help = "\
The secret of a client that is not public is shown once, now.

Examples:
  keystead client add dashboard --redirect-uri https://dash.lan/callback
  keystead client add cli --public --redirect-uri http://127.0.0.1/callback
  keystead client add backup --grant client_credentials --json")]
    Add {
        /// The name that is shown at consent
        name: String,
        /// Where codes may be sent; can be repeated
        #[arg(long = "redirect-uri", value_name = "URI")]
        redirect_uris: Vec<String>,
        /// A client that cannot keep a secret
        #[arg(long)]
        public: bool,
        #[arg(
            long = "grant",
            value_name = "TYPE",
            help = "A grant type it may use; can be repeated \
                    [default: authorization_code and refresh_token]"
        )]
        grants: Vec<String>,
        /// The most it may ask for, separated by spaces [default: everything]
        #[arg(long, value_name = "SCOPES")]
        scope: Option<String>,
        #[command(flatten)]
        rows: RowFlags,
    },
    /// List the clients
    List {
        #[command(flatten)]
        rows: RowFlags,
    },
    /// Show a client
    Show {
        /// The client's identifier
        id: String,
        #[command(flatten)]
        rows: RowFlags,
    },
    /// Remove a client and end its grants
    Remove {
        /// The client's identifier
        id: String,
    },
}

impl ClientCommand {
    /// Does it.
    pub(super) fn execute(self, config: &Config, console: &mut Console<'_>) -> Result<(), Failure> {
        match self {
            Self::Add {
                name,
                redirect_uris,
                public,
                grants,
                scope,
                rows,
            } => {
                let command = Command::ClientAdd {
                    name,
                    redirect_uris,
                    public,
                    grants,
                    scope,
                };
                rows.print(&administer(config, command)?, console)
            }
            Self::List { rows } => rows.print(&administer(config, Command::ClientList)?, console),
            Self::Show { id, rows } => {
                rows.print(&administer(config, Command::ClientShow { id })?, console)
            }
            Self::Remove { id } => {
                let done = format!("{} is removed.", text_of(&id));
                administer(config, Command::ClientRemove { id })?;
                console.note(&done)
            }
        }
    }
}
