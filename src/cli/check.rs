//! `keystead check`.

use std::path::PathBuf;

use clap::Args;

use crate::{
    appliance::{
        self,
        administration::{Command, Reply},
        socket::{self, CallError},
    },
    cli::{console::Console, failure::Failure, rows::RowFlags},
    config::Config,
};

/// Look through the data file, or a backup, and change nothing
#[derive(Debug, Args)]
#[command(after_help = "\
Every record is read, every index is compared with its records both ways, everything that ends must
be due to be swept, and the audit log must hold together. While no server has the file the checksum
of every page is checked as well. Not a byte is changed, not even to repair a file after a crash.
A backup is loaded into memory for it.

Exit code 1 when something is wrong; each fault is named by table and key.

Examples:
  keystead check
  keystead check box.backup
  keystead check --json")]
pub(super) struct Check {
    /// A backup, or a data file that no server has; without it the data file of --data
    file: Option<PathBuf>,
    #[command(flatten)]
    rows: RowFlags,
}

impl Check {
    /// Does it.
    pub(super) fn execute(self, config: &Config, console: &mut Console<'_>) -> Result<(), Failure> {
        let checked = match self.file {
            Some(path) => appliance::check_file(&path)?,
            None => match socket::call(&config.data_dir, &Command::Check) {
                Err(CallError::NoServer(_)) => appliance::check_offline(config)?,
                answered => match answered?? {
                    Reply::Checked(checked) => checked,
                    _ => return Err(CallError::Garbage("another one".to_owned()).into()),
                },
            },
        };
        let faults = checked.fault_count;
        self.rows.print(&Reply::Checked(checked), console)?;
        if faults == 0 {
            Ok(())
        } else {
            Err(Failure::NotWhole(faults))
        }
    }
}
