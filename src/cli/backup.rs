//! `keystead backup`.

use std::{
    fs::{self, File, OpenOptions, Permissions, TryLockError},
    io,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use clap::Args;

use crate::{
    appliance,
    cli::{console::Console, failure::Failure, rows::text_of},
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
                Unnamed::begin(&self.file).map_err(|cause| failed(&self.file, cause))?;
            let made = appliance::back_up(config, &mut begun.file)?;
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

/// A file that has another name until it is whole, and goes if it never is.
struct Unnamed {
    file: File,
    name: PathBuf,
    unfinished: PathBuf,
    is_named: bool,
}

impl Unnamed {
    fn begin(name: &Path) -> io::Result<Self> {
        let mut unfinished = name.as_os_str().to_owned();
        unfinished.push(".unfinished");
        let unfinished = PathBuf::from(unfinished);
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(MODE)
            .open(&unfinished)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(io::Error::other("another backup is being written there"));
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
        // Neither what somebody else has put there nor what another process has named meanwhile.
        let (there, ours) = (fs::symlink_metadata(&unfinished)?, file.metadata()?);
        if (there.dev(), there.ino()) != (ours.dev(), ours.ino()) || !ours.is_file() {
            return Err(io::Error::other(format!(
                "something else is at {}",
                unfinished.display()
            )));
        }
        file.set_permissions(Permissions::from_mode(MODE))?;
        file.set_len(0)?;
        Ok(Self {
            file,
            name: name.to_owned(),
            unfinished,
            is_named: false,
        })
    }

    /// Gives it its name, for good.
    fn name(mut self) -> io::Result<()> {
        self.file.sync_all()?;
        fs::rename(&self.unfinished, &self.name)?;
        self.is_named = true;
        let directory = match self.name.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        File::open(directory)?.sync_all()
    }
}

impl Drop for Unnamed {
    fn drop(&mut self) {
        if !self.is_named {
            // The next backup of that name makes use of what cannot be removed.
            drop(fs::remove_file(&self.unfinished));
        }
    }
}
