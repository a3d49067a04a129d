//! `keystead client`.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

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
    /// Keep a copy of the document that describes a client
    #[command(after_help = "\
Some clients name themselves by the https URL of a document. The server fetches it when somebody who
is signed in connects such a client; where it cannot, as with --egress off, the copy serves.

Example:
  keystead client pin https://app.example/client.json --file client.json")]
    Pin {
        /// Where the document is: the client's identifier
        url: String,
        /// The document, as that URL serves it
        #[arg(long, value_name = "FILE")]
        file: PathBuf,
        #[command(flatten)]
        rows: RowFlags,
    },
    /// List the copies of documents, those in the binary among them
    Pins {
        #[command(flatten)]
        rows: RowFlags,
    },
    /// Give up a copy of a document
    Unpin {
        /// Where the document is
        url: String,
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
            Self::Pin { url, file, rows } => {
                let document = read_document(&file)?;
                let command = Command::ClientPin { url, document };
                rows.print(&administer(config, command)?, console)
            }
            Self::Pins { rows } => rows.print(&administer(config, Command::ClientPins)?, console),
            Self::Unpin { url } => {
                let done = format!("{} is not pinned any more.", text_of(&url));
                administer(config, Command::ClientUnpin { url })?;
                console.note(&done)
            }
        }
    }
}

/// Bytes of a document's file that are read at the most. The server judges how long a document may
/// be; this keeps a wrong file from being read whole.
const FILE_BYTES_MAX: u64 = 32 * 1024;

fn read_document(path: &Path) -> Result<String, Failure> {
    let read = || {
        let mut text = String::new();
        let file = File::open(path)?;
        file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
        if text.len() as u64 > FILE_BYTES_MAX {
            let why = format!("expected at most {FILE_BYTES_MAX} bytes, found more");
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, why));
        }
        Ok(text)
    };
    read().map_err(|cause| Failure::Document {
        path: path.to_owned(),
        cause,
    })
}
