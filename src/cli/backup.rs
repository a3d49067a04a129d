//! `keystead backup`.

use std::{
    io,
    path::{Path, PathBuf},
};

use clap::Args;

use crate::{
    appliance,
    cli::{console::Console, failure::Failure, rows::text_of, unnamed::Unnamed},
    config::Config,
};

/// Who may read a backup: its owner. It holds the deployment's key.
const MODE: u32 = 0o600;
/// What stands for standard output.
const STANDARD_OUTPUT: &str = "-";

/// Write a backup, while the server runs or not
#[derive(Debug, Args)]
#[command(after_help = "\
The backup is one moment of the store; writes go on meanwhile. It has its name only when it is
whole. Whoever has it can try passwords and refresh tokens on it: keep it as you keep the box.

What it does not have: the configuration file, certificates, and the built-in certificate authority
(ca.crt and ca.key in the data directory).

Examples:
  keystead backup box.backup
  keystead backup box.backup --force
  keystead backup - | ssh other.lan 'cat > box.backup'
  keystead check box.backup")]
pub(super) struct Backup {
    /// The file to make; - for standard output
    file: PathBuf,
    /// Replace a file of that name
    #[arg(long)]
    force: bool,
}

impl Backup {
    /// Does it.
    pub(super) fn execute(self, config: &Config, console: &mut Console<'_>) -> Result<(), Failure> {
        let made = if self.file == Path::new(STANDARD_OUTPUT) {
            appliance::back_up(config, console.output)?
        } else {
            if !self.force && self.file.symlink_metadata().is_ok() {
                return Err(Failure::FileExists(self.file));
            }
            let mut begun =
                Unnamed::begin(&self.file, MODE).map_err(|cause| failed(&self.file, cause))?;
            let made = appliance::back_up(config, begun.file())?;
            begun.name().map_err(|cause| failed(&self.file, cause))?;
            made
        };
        console.note(&format!(
            "{}: {} rows, {} bytes. It is as secret as the box.",
            text_of(self.file.to_string_lossy()),
            made.rows,
            made.len
        ))
    }
}

fn failed(path: &Path, cause: io::Error) -> Failure {
    Failure::File {
        path: path.to_owned(),
        cause,
    }
}
