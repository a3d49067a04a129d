//! `keystead upstream`.

use clap::{Args, Subcommand, error::ErrorKind};

use crate::{
    appliance::{
        administration::Command,
        socket::{self, CallError},
    },
    cli::{
        administer,
        console::Console,
        failure::Failure,
        rows::{RowFlags, text_of},
    },
    config::Config,
    model::upstream_words::UpstreamWords,
};

/// The library would say of each of the two that it can be left out.
const ADD_USAGE: &str = "keystead upstream add [OPTIONS] <NAME> (--url <URL> | -- <COMMAND>...)";

#[derive(Debug, Subcommand)]
pub(super) enum UpstreamCommand {
    /// Put another MCP server behind this one
    #[command(
        override_usage = ADD_USAGE,
        after_help = "\
Its tools appear at /mcp as NAME__tool, and alone at /mcp/NAME. A running server has them at once;
an upstream starts when it is first needed. SOURCE is env:VARIABLE, file:/PATH or text:VALUE; the
variable is one of the process that serves.

Examples:
  keystead upstream add files -- npx -y @modelcontextprotocol/server-filesystem /srv/files
  keystead upstream add notes --read-path /srv/notes --memory-bytes-max 536870912 \\
      --env API_KEY=file:/run/secrets/notes -- mcp-notes --root /srv/notes
  keystead upstream add wiki --url http://10.0.0.5:8080/mcp --header Authorization=env:WIKI_AUTH"
    )]
    Add(Box<AddArguments>),
    /// List the MCP servers behind this one
    List {
        #[command(flatten)]
        rows: RowFlags,
    },
    /// List the tools of one as clients find them; starts it
    #[command(after_help = "\
Shows whether it runs before a client is connected: what its tools are called at /mcp, which is also
the name by which --mcp-tools-off switches one off, what each says that it does, and the scope that
opens it. A tool that does not say what it does counts as one that destroys.

The server of --data must be running, since it starts the program and holds the connection.")]
    Tools {
        /// Its name
        name: String,
        #[command(flatten)]
        rows: RowFlags,
    },
    /// Remove one; its scopes open nothing any more
    Remove {
        /// Its name
        name: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct AddArguments {
    /// What it is called: small letters, digits and hyphens
    name: String,
    /// The endpoint of a server that speaks streamable HTTP
    #[arg(long, value_name = "URL", conflicts_with = "command")]
    url: Option<String>,
    /// The header by which the server knows this box: env: or file:, its whole value
    #[arg(
        long,
        value_name = "NAME=SOURCE",
        requires = "url",
        conflicts_with = "command"
    )]
    header: Option<String>,
    /// A variable of the program's environment; can be repeated
    #[arg(long, value_name = "NAME[=SOURCE]")]
    env: Vec<String>,
    /// Run the program as this user; needs the right to
    #[arg(long)]
    user: Option<String>,
    /// Start the program there
    #[arg(long, value_name = "DIR")]
    working_directory: Option<String>,
    /// The most memory of the program's own
    #[arg(long, value_name = "BYTES", value_parser = parse_number)]
    memory_bytes_max: Option<u64>,
    /// The most files that the program has open
    #[arg(long, value_name = "COUNT", value_parser = parse_number)]
    open_files_max: Option<u64>,
    /// Let the program read there, and nowhere that is not named; can be repeated
    #[arg(long = "read-path", value_name = "PATH")]
    read_paths: Vec<String>,
    /// Let the program write there, and nowhere that is not named; can be repeated
    #[arg(long = "write-path", value_name = "PATH")]
    write_paths: Vec<String>,
    /// Close the connection after this much time without a call [default: 5m]
    #[arg(long, value_name = "DURATION")]
    idle_timeout: Option<String>,
    /// The longest that a call may take [default: 30s]
    #[arg(long, value_name = "DURATION")]
    call_timeout: Option<String>,
    /// The longest message that is taken from it [default: 4194304]
    #[arg(long, value_name = "BYTES", value_parser = parse_number)]
    answer_bytes_max: Option<u64>,
    /// The program and its arguments
    #[arg(last = true)]
    command: Vec<String>,
    #[command(flatten)]
    rows: RowFlags,
}

impl UpstreamCommand {
    /// Does it.
    pub(super) fn execute(self, config: &Config, console: &mut Console<'_>) -> Result<(), Failure> {
        match self {
            Self::Add(arguments) if arguments.name_neither() => Err(reaches_nothing()),
            Self::Add(arguments) => {
                let (words, rows) = arguments.split();
                let command = Command::UpstreamAdd(Box::new(words));
                rows.print(&administer(config, command)?, console)
            }
            Self::List { rows } => rows.print(&administer(config, Command::UpstreamList)?, console),
            Self::Tools { name, rows } => {
                let asked = socket::call(&config.data_dir, &Command::UpstreamTools { name });
                match asked {
                    Err(CallError::NoServer(socket)) => Err(Failure::NoServer(socket)),
                    answered => rows.print(&answered??, console),
                }
            }
            Self::Remove { name } => {
                let done = format!("{} is removed.", text_of(&name));
                administer(config, Command::UpstreamRemove { name })?;
                console.note(&done)
            }
        }
    }
}

/// In the form of every other wrong use.
fn reaches_nothing() -> Failure {
    let words = "expected a program after --, or --url; found neither";
    let mut command = AddArguments::augment_args(clap::Command::new("add"));
    command = command.override_usage(ADD_USAGE);
    Failure::Usage(command.error(ErrorKind::MissingRequiredArgument, words))
}

/// The library shows what was found.
fn parse_number(text: &str) -> Result<u64, String> {
    let parsed = text.parse();
    parsed.map_err(|_| "expected a whole number without a unit, such as 536870912".to_owned())
}

impl AddArguments {
    fn name_neither(&self) -> bool {
        self.url.is_none() && self.command.is_empty()
    }

    fn split(self) -> (UpstreamWords, RowFlags) {
        let words = UpstreamWords {
            name: self.name,
            command: self.command,
            url: self.url,
            env: self.env,
            header: self.header,
            user: self.user,
            working_directory: self.working_directory,
            memory_bytes_max: self.memory_bytes_max,
            open_files_max: self.open_files_max,
            read_paths: self.read_paths,
            write_paths: self.write_paths,
            idle_timeout: self.idle_timeout,
            call_timeout: self.call_timeout,
            answer_bytes_max: self.answer_bytes_max,
        };
        (words, self.rows)
    }
}
