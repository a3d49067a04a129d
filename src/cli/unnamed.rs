//! Files that have their name only when they are whole.

use std::{
    fs::{self, File, OpenOptions, Permissions, TryLockError},
    io,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

/// A file that has another name until it is whole, and goes if it never is.
pub(super) struct Unnamed {
    file: File,
    name: PathBuf,
    unfinished: PathBuf,
    is_named: bool,
}

impl Unnamed {
    /// Begins one that will be called `name` and have that mode.
    pub(super) fn begin(name: &Path, mode: u32) -> io::Result<Self> {
        let mut unfinished = name.as_os_str().to_owned();
        unfinished.push(".unfinished");
        let unfinished = PathBuf::from(unfinished);
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(mode)
            .open(&unfinished)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(io::Error::other("another command is writing there"));
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
        file.set_permissions(Permissions::from_mode(mode))?;
        file.set_len(0)?;
        Ok(Self {
            file,
            name: name.to_owned(),
            unfinished,
            is_named: false,
        })
    }

    /// What is in it.
    pub(super) fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Gives it its name, for good.
    pub(super) fn name(mut self) -> io::Result<()> {
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
            // The next one of that name makes use of what cannot be removed.
            drop(fs::remove_file(&self.unfinished));
        }
    }
}
