//! Why a command was not done, and the exit code that says so.

use std::{
    io::{self, Write},
    path::PathBuf,
};

use crate::{
    appliance::{SafekeepingError, StartError, administration::Refused, socket::CallError},
    cli::{connect::ConnectError, password::PasswordError, rows::counted},
    config::ConfigError,
    runtime::child::ConfineError,
};

/// It was tried and failed.
const FAILED: u8 = 1;
/// It was not tried: wrong use or configuration.
const WRONG_USE: u8 = 2;

/// Why a command was not done.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error(transparent)]
    Usage(clap::Error),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Call(#[from] CallError),
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error(transparent)]
    Password(#[from] PasswordError),
    #[error(transparent)]
    Confine(#[from] ConfineError),
    #[error("cannot read {}: {cause}", path.display())]
    Document { path: PathBuf, cause: io::Error },
    #[error(transparent)]
    Safekeeping(#[from] SafekeepingError),
    #[error("{} is there already: name another file, or replace it with --force", .0.display())]
    FileExists(PathBuf),
    #[error("cannot write {}: {cause}", path.display())]
    File { path: PathBuf, cause: io::Error },
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(
        "no server runs on {}: start it with `keystead serve`, as this command only asks it",
        .0.parent().unwrap_or(.0).display()
    )]
    NoServer(PathBuf),
    #[error(
        "the server has ended the connection: it was stopped, or the user may not sign in any \
         more, or the last message on standard output says why"
    )]
    Disconnected,
    #[error("found {}", counted(*.0, "fault"))]
    NotWhole(u64),
    #[error("expected --yes, because there is no terminal to ask on")]
    NeedsYes,
    #[error("not confirmed; nothing was changed")]
    NotConfirmed,
    #[error("cannot read the answer: {0}")]
    Input(io::Error),
    #[error("cannot write: {0}")]
    Output(io::Error),
}

impl Failure {
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_)
            | Self::Config(_)
            | Self::Start(
                StartError::Unservable(_)
                | StartError::UnknownTool(_)
                | StartError::Upstream { .. },
            )
            | Self::Password(PasswordError::NoTerminal)
            | Self::Connect(
                ConnectError::UserWithoutStdio
                | ConnectError::NoProject(_)
                | ConnectError::NoUrl(_),
            )
            | Self::NeedsYes => WRONG_USE,
            Self::Start(_)
            | Self::Call(_)
            | Self::Refused(_)
            | Self::Password(_)
            | Self::Confine(_)
            | Self::Document { .. }
            | Self::Safekeeping(_)
            | Self::FileExists(_)
            | Self::File { .. }
            | Self::Connect(_)
            | Self::NoServer(_)
            | Self::Disconnected
            | Self::NotWhole(_)
            | Self::NotConfirmed
            | Self::Input(_)
            | Self::Output(_) => FAILED,
        }
    }

    /// Says on `notes` what went wrong.
    pub(super) fn report(&self, notes: &mut dyn Write) -> io::Result<()> {
        match self {
            Self::Usage(usage) => usage.print(),
            other => writeln!(notes, "error: {other}"),
        }
    }

    /// A reader that has seen enough, such as `head`, is no failure.
    pub(super) fn forgive_a_reader_that_left(self) -> Result<(), Self> {
        match self {
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            other => Err(other),
        }
    }
}
