//! `keystead user`.

use clap::Subcommand;

use crate::{
    appliance::administration::Command,
    cli::{
        administer,
        console::Console,
        failure::Failure,
        password::PasswordFlags,
        rows::{RowFlags, text_of},
    },
    config::Config,
    model::user::Role,
};

#[derive(Debug, Subcommand)]
pub(super) enum UserCommand {
    /// Make a user
    #[command(after_help = "\
Asks for the password twice on a terminal.

Examples:
  keystead user add ada --owner
  keystead user add bob --password-stdin < password.txt")]
    Add {
        /// The name to sign in with
        name: String,
        /// Let the user administer the box
        #[arg(long)]
        owner: bool,
        #[command(flatten)]
        password: PasswordFlags,
        #[command(flatten)]
        rows: RowFlags,
    },
    /// List the users
    List {
        #[command(flatten)]
        rows: RowFlags,
    },
    /// Give a user another password
    #[command(after_help = "Asks for the password twice on a terminal.")]
    Passwd {
        /// The user's name
        name: String,
        #[command(flatten)]
        password: PasswordFlags,
    },
    /// Keep a user from signing in
    Disable {
        /// The user's name
        name: String,
    },
    /// Let a user sign in again
    Enable {
        /// The user's name
        name: String,
    },
    /// Remove a user and everything that is theirs
    Remove {
        /// The user's name
        name: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

impl UserCommand {
    /// Does it.
    pub(super) fn execute(self, config: &Config, console: &mut Console<'_>) -> Result<(), Failure> {
        match self {
            Self::Add {
                name,
                owner,
                password,
                rows,
            } => {
                let password = password.read(&name, console)?;
                let role = if owner { Role::Owner } else { Role::Member };
                let command = Command::UserAdd {
                    name,
                    role,
                    password,
                };
                rows.print(&administer(config, command)?, console)
            }
            Self::List { rows } => rows.print(&administer(config, Command::UserList)?, console),
            Self::Passwd { name, password } => {
                let password = password.read(&name, console)?;
                let done = format!("{} has another password.", text_of(&name));
                administer(config, Command::UserPasswd { name, password })?;
                console.note(&done)
            }
            Self::Disable { name } => {
                let done = format!("{} can no longer sign in.", text_of(&name));
                administer(config, Command::UserDisable { name })?;
                console.note(&done)
            }
            Self::Enable { name } => {
                let done = format!("{} can sign in again.", text_of(&name));
                administer(config, Command::UserEnable { name })?;
                console.note(&done)
            }
            Self::Remove { name, yes } => {
                if !yes {
                    let question = "This removes the user and everything that is theirs.";
                    console.confirm(question, &name)?;
                }
                let done = format!("{} is removed.", text_of(&name));
                administer(config, Command::UserRemove { name })?;
                console.note(&done)
            }
        }
    }
}
