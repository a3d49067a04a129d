//! Floor 6: words in, exit code out; one file a command.

mod audit;
mod backup;
mod check;
mod client;
mod connect;
mod console;
mod failure;
mod mcp;
mod notify;
mod password;
mod resource;
mod restore;
mod rows;
mod serve;
mod unnamed;
mod upstream;
mod upstream_exec;
mod user;
mod vapid;

use std::{
    ffi::OsString,
    io::{self, IsTerminal},
    process::ExitCode,
};

use clap::{Parser, Subcommand};

use crate::{
    appliance::{
        self,
        administration::{Command, Reply},
        socket::{self, CallError},
    },
    cli::{
        audit::AuditCommand, backup::Backup, check::Check, client::ClientCommand, connect::Connect,
        console::Console, failure::Failure, mcp::Mcp, notify::Notify, resource::ResourceCommand,
        restore::Restore, serve::Serve, upstream::UpstreamCommand, upstream_exec::UpstreamExec,
        user::UserCommand, vapid::VapidCommand,
    },
    config::{
        Config,
        environment::Environment,
        flags::{CommonFlags, Flags},
    },
};

/// OAuth 2.1 authorization server, MCP server and notification centre: one binary, one data file
#[derive(Debug, Parser)]
#[command(
    name = "keystead",
    version,
    disable_help_subcommand = true,
    after_help = "\
Examples:
  keystead serve
  keystead serve --public-url https://box.lan
  keystead user add ada --owner
  keystead client add dashboard --redirect-uri https://dash.lan/callback
  keystead upstream add files -- npx -y @modelcontextprotocol/server-filesystem /srv/files
  keystead connect claude-code
  keystead notify ada --title 'Backup done'
  keystead backup box.backup

Exit codes: 0 done, 1 failed, 2 wrong use or configuration."
)]
struct Arguments {
    #[command(flatten)]
    common: CommonFlags,
    #[command(subcommand)]
    command: Chosen,
}

#[derive(Debug, Subcommand)]
enum Chosen {
    Serve(Serve),
    /// Manage who can sign in
    #[command(
        subcommand,
        arg_required_else_help = true,
        after_help = EITHER_WAY
    )]
    User(UserCommand),
    /// Manage the applications that may ask for tokens
    #[command(
        subcommand,
        arg_required_else_help = true,
        after_help = EITHER_WAY
    )]
    Client(ClientCommand),
    /// Manage the other servers whose tokens come from here
    #[command(
        subcommand,
        arg_required_else_help = true,
        after_help = EITHER_WAY
    )]
    Resource(ResourceCommand),
    /// Manage the MCP servers behind this one
    #[command(
        subcommand,
        arg_required_else_help = true,
        after_help = EITHER_WAY
    )]
    Upstream(UpstreamCommand),
    #[command(hide = true)]
    UpstreamExec(UpstreamExec),
    /// Check and search the log of what was done
    #[command(
        subcommand,
        arg_required_else_help = true,
        after_help = EITHER_WAY
    )]
    Audit(AuditCommand),
    /// Manage the keys by which push services know this box
    #[command(
        subcommand,
        arg_required_else_help = true,
        after_help = EITHER_WAY
    )]
    Vapid(VapidCommand),
    Connect(Connect),
    Mcp(Mcp),
    Notify(Notify),
    Backup(Backup),
    Restore(Restore),
    Check(Check),
}

const EITHER_WAY: &str = "Works whether the server runs or not, on the data directory of --data.";

/// Does what the words of this process's command line say.
pub fn run() -> ExitCode {
    let environment = Environment::of_process();
    let mut input = io::stdin().lock();
    let hidden: fn(&str) -> io::Result<String> = |prompt| rpassword::prompt_password(prompt);
    let mut console = Console {
        keyboard: input.is_terminal().then_some(hidden),
        input: &mut input,
        output: &mut io::stdout(),
        notes: &mut io::stderr(),
    };
    let done = execute(std::env::args_os(), &environment, &mut console);
    match done.or_else(Failure::forgive_a_reader_that_left) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // When standard error is gone too, the exit code is all that is left to say.
            drop(failure.report(&mut io::stderr()));
            ExitCode::from(failure.exit_code())
        }
    }
}

/// Does what `words` say, the first of which is the program's name.
fn execute(
    words: impl IntoIterator<Item = OsString>,
    environment: &Environment,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let arguments = match Arguments::try_parse_from(words) {
        Ok(arguments) => arguments,
        // clap knows whether it goes to a terminal, and NO_COLOR.
        Err(help) if help.exit_code() == 0 => return help.print().map_err(Failure::Output),
        Err(usage) => return Err(Failure::Usage(usage)),
    };
    let common = arguments.common.0;
    let load = |flags: Flags| Config::load(&flags, environment);
    match arguments.command {
        Chosen::Serve(serve) => {
            let config = load(common.and(serve.settings.0))?;
            serve::execute(&config, environment, console.output)
        }
        Chosen::User(command) => command.execute(&load(common)?, console),
        Chosen::Client(command) => command.execute(&load(common)?, console),
        Chosen::Resource(command) => command.execute(&load(common)?, console),
        Chosen::Upstream(command) => command.execute(&load(common)?, console),
        Chosen::UpstreamExec(command) => match command.execute()? {},
        Chosen::Audit(command) => command.execute(&load(common)?, console),
        Chosen::Vapid(command) => command.execute(&load(common)?, console),
        Chosen::Connect(connect) => connect.execute(&load(common)?, environment, console),
        Chosen::Mcp(mcp) => mcp.execute(&load(common)?, console),
        Chosen::Notify(notify) => notify.execute(&load(common)?, console),
        Chosen::Backup(backup) => backup.execute(&load(common)?, console),
        Chosen::Restore(restore) => restore.execute(&load(common)?, console),
        Chosen::Check(check) => check.execute(&load(common)?, console),
    }
}

/// Has the running server do it, or does it on the data file when none runs.
fn administer(config: &Config, command: Command) -> Result<Reply, Failure> {
    let answer = match socket::call(&config.data_dir, &command) {
        Err(CallError::NoServer(_)) => appliance::administer_offline(config, command)?,
        answered => answered?,
    };
    Ok(answer?)
}

#[cfg(test)]
mod tests;
