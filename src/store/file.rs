//! The data file on disk: made whole or not at all, readable by its owner alone, and not changed by
//! a byte before it is known to be ours.

use std::{
    fs::{File, OpenOptions, Permissions, TryLockError},
    io,
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use redb::{StorageBackend, backends::FileBackend};

use crate::store::{
    error::StoreError,
    handle::Handle,
    medium::{CACHE_BYTES, Medium, cache_bytes},
};

/// Who may read the data file: its owner. It holds the deployment's key.
pub(super) const MODE: u32 = 0o600;
/// The bits of everybody else.
const OTHERS: u32 = 0o077;

/// A data file that is there.
pub(super) struct DataFile(PathBuf);

impl DataFile {
    pub(super) fn at(path: &Path) -> Self {
        Self(path.to_owned())
    }
}

impl Medium for DataFile {
    fn path(&self) -> &Path {
        &self.0
    }

    fn open(&self) -> Result<Box<dyn StorageBackend>, StoreError> {
        let file = OpenOptions::new().read(true).write(true).open(&self.0);
        let file = file.map_err(|error| StoreError::unreadable(&self.0, &error))?;
        warn_of_readers(&self.0, &file).map_err(|error| StoreError::unreadable(&self.0, &error))?;
        backend(&self.0, file)
    }

    fn cache_bytes(&self) -> usize {
        // One whose size cannot be told cannot be opened either, and that says why.
        let file_bytes = std::fs::metadata(&self.0).map_or(0, |found| found.len());
        cache_bytes(file_bytes)
    }

    fn create_beside(&self) -> io::Result<Box<dyn StorageBackend>> {
        // Only who has the data file locked comes here.
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .mode(MODE)
            .open(self.beside()?)?;
        let file = FileBackend::new(file).map_err(io::Error::other)?;
        Ok(Box::new(file))
    }

    fn replace(&self) -> io::Result<()> {
        std::fs::rename(self.beside()?, self.file()?)
    }

    fn settle(&self) -> io::Result<()> {
        sync_directory_of(&self.file()?)
    }

    fn discard(&self) -> io::Result<()> {
        match std::fs::remove_file(self.beside()?) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

impl DataFile {
    /// The file itself, where the path is a link to it.
    fn file(&self) -> io::Result<PathBuf> {
        self.0.canonicalize()
    }

    /// Where a copy is made of it.
    fn beside(&self) -> io::Result<PathBuf> {
        Ok(with_suffix(&self.file()?, ".copy"))
    }
}

fn backend(path: &Path, file: File) -> Result<Box<dyn StorageBackend>, StoreError> {
    let file = FileBackend::new(file)
        .map_err(|error| StoreError::unreadable(path, &io::Error::other(error)))?;
    Ok(Box::new(file))
}

/// Whether a data file has yet to be made at `path`. An empty file is no place for one: what was in
/// it is lost, and a new box in its place would be anybody's to claim.
pub(super) fn is_missing(path: &Path) -> Result<bool, StoreError> {
    match std::fs::metadata(path) {
        Ok(found) if found.is_dir() => Err(StoreError::foreign(path, "it is a directory")),
        Ok(found) if !found.is_file() => Err(StoreError::foreign(path, "it is not a regular file")),
        Ok(found) if found.len() == 0 => Err(StoreError::foreign(
            path,
            "it is empty. Restore a backup, or remove it to begin anew",
        )),
        Ok(_) => Ok(false),
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(StoreError::unreadable(path, &error))
        }
        // A new file would take the place of the link, not of what it points to.
        _ if path.is_symlink() => Err(StoreError::foreign(path, "it is a link to nothing")),
        _ => Ok(true),
    }
}

/// Begins a data file for `path` under a name of its own, until [`publish`] gives it its name.
///
/// `None` when another process made the data file meanwhile.
pub(super) fn create(path: &Path) -> Result<Option<Handle>, StoreError> {
    let unpublished = unpublished(path);
    let no = |error: io::Error| StoreError::unreadable(&unpublished, &error);
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(MODE)
        .open(&unpublished)
        .map_err(no)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(StoreError::in_use(path)),
        Err(TryLockError::Error(error)) => return Err(no(error)),
    }
    // Only under the lock can this be known. If another process has published since, the file that
    // was opened here may be the data file itself, under its former name.
    if !is_missing(path)? {
        return Ok(None);
    }
    file.set_permissions(Permissions::from_mode(MODE))
        .map_err(no)?;
    // What a creation that was cut off has left.
    file.set_len(0).map_err(no)?;
    // redb takes the same lock on the same open file, and so it is held from here on.
    Handle::create(backend(&unpublished, file)?, &unpublished, CACHE_BYTES).map(Some)
}

/// Gives the file that [`create`] began its name, for good. The content must be durable already.
pub(super) fn publish(path: &Path) -> Result<(), StoreError> {
    name_durably(&unpublished(path), path).map_err(|error| StoreError::unreadable(path, &error))
}

/// Removes the file that [`create`] began, which is to have no name. Its lock must still be held.
pub(super) fn discard(path: &Path) -> Result<(), StoreError> {
    let unpublished = unpublished(path);
    std::fs::remove_file(&unpublished).map_err(|error| StoreError::unreadable(&unpublished, &error))
}

/// Gives the file at `from` the name `to`, for good.
pub(super) fn name_durably(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::rename(from, to)?;
    sync_directory_of(to)
}

/// A name is durable once its directory is.
fn sync_directory_of(path: &Path) -> io::Result<()> {
    let directory = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    File::open(directory)?.sync_all()
}

fn unpublished(path: &Path) -> PathBuf {
    with_suffix(path, ".new")
}

/// `path` with `suffix` behind its last name.
pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn warn_of_readers(path: &Path, file: &File) -> io::Result<()> {
    let mode = file.metadata()?.permissions().mode() & 0o777;
    if mode & OTHERS != 0 {
        let path = path.display();
        tracing::warn!(%path, "other users may open the data file: expected {MODE:o}, found {mode:o}");
    }
    Ok(())
}
