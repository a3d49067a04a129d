//! The data file on disk: made whole or not at all, readable by its owner alone, and not changed by
//! a byte before it is known to be ours.

use std::{
    fs::{File, OpenOptions, Permissions, TryLockError},
    io,
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use redb::{
    Builder, Database, DatabaseError, ReadableDatabase as _, StorageError,
    backends::{FileBackend, InMemoryBackend},
};

use crate::store::{error::StoreError, held::Hold, transaction::ReadTx};

/// Memory that redb may use for pages. Its own default is 1 GiB.
const CACHE_BYTES: usize = 64 << 20;
/// Who may read the data file: its owner. It holds the deployment's key.
pub(super) const MODE: u32 = 0o600;
/// The bits of everybody else.
const OTHERS: u32 = 0o077;

pub(super) fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE_BYTES);
    builder
}

/// A database that ends with the process.
pub(super) fn create_in_memory() -> Result<Database, StoreError> {
    builder()
        .create_with_backend(InMemoryBackend::new())
        .map_err(|error| open_error(Path::new("(memory)"), error))
}

/// Whether a data file has yet to be made at `path`: nothing is there, or nothing is in it.
pub(super) fn is_missing(path: &Path) -> Result<bool, StoreError> {
    match std::fs::metadata(path) {
        Ok(found) if found.is_dir() => Err(foreign(path, "it is a directory")),
        Ok(found) if !found.is_file() => Err(foreign(path, "it is not a regular file")),
        Ok(found) if found.len() > 0 => Ok(false),
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(unreadable(path, &error)),
        // A new file would take the place of the link, not of what it points to.
        _ if path.is_symlink() => Err(foreign(path, "it is a link to nothing")),
        _ => Ok(true),
    }
}

/// Begins a data file for `path` under a name of its own, until [`publish`] gives it its name.
///
/// `None` when another process made the data file meanwhile.
pub(super) fn create(path: &Path) -> Result<Option<Database>, StoreError> {
    let unpublished = unpublished(path);
    let no = |error: io::Error| unreadable(&unpublished, &error);
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
        Err(TryLockError::WouldBlock) => return Err(in_use(path)),
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
    let database = FileBackend::new(file).and_then(|file| builder().create_with_backend(file));
    database
        .map(Some)
        .map_err(|error| open_error(&unpublished, error))
}

/// Gives the file that [`create`] began its name, for good. The content must be durable already.
pub(super) fn publish(path: &Path) -> Result<(), StoreError> {
    name_durably(&unpublished(path), path).map_err(|error| unreadable(path, &error))
}

/// Removes the file that [`create`] began, which is to have no name. Its lock must still be held.
pub(super) fn discard(path: &Path) -> Result<(), StoreError> {
    let unpublished = unpublished(path);
    std::fs::remove_file(&unpublished).map_err(|error| unreadable(&unpublished, &error))
}

/// Gives the file at `from` the name `to`, for good.
pub(super) fn name_durably(from: &Path, to: &Path) -> io::Result<()> {
    let directory = match to.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    std::fs::rename(from, to)?;
    // A name is durable once its directory is.
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

/// Opens the data file at `path`. Unless `check` agrees with what is in it, no byte of it changes,
/// not even to repair it after a crash.
pub(super) fn open(
    path: &Path,
    check: impl FnOnce(&ReadTx) -> Result<(), StoreError>,
) -> Result<Database, StoreError> {
    let file = OpenOptions::new().read(true).write(true).open(path);
    let file = file.map_err(|error| unreadable(path, &error))?;
    warn_of_readers(path, &file).map_err(|error| unreadable(path, &error))?;
    let file = FileBackend::new(file).map_err(|error| open_error(path, error))?;
    let hold = Hold::new(file);
    // redb says that it may panic on a file that somebody else has changed.
    let database = catch_unwind(AssertUnwindSafe(|| {
        let database = builder()
            .create_with_backend(hold.file())
            .map_err(|error| open_error(path, error))?;
        check(&ReadTx::new(database.begin_read()?))?;
        Ok::<_, StoreError>(database)
    }))
    .unwrap_or_else(|_| Err(damaged(path, "its pages contradict each other")))?;
    hold.release().map_err(|error| unreadable(path, &error))?;
    Ok(database)
}

fn warn_of_readers(path: &Path, file: &File) -> io::Result<()> {
    let mode = file.metadata()?.permissions().mode() & 0o777;
    if mode & OTHERS != 0 {
        let path = path.display();
        tracing::warn!(%path, "other users may open the data file: expected {MODE:o}, found {mode:o}");
    }
    Ok(())
}

pub(super) fn open_error(path: &Path, error: DatabaseError) -> StoreError {
    match error {
        DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => in_use(path),
        DatabaseError::Storage(StorageError::Io(error)) => match error.kind() {
            io::ErrorKind::InvalidData => foreign(path, &error.to_string()),
            io::ErrorKind::UnexpectedEof => damaged(path, "it ends too early"),
            _ => unreadable(path, &error),
        },
        other => damaged(path, &other.to_string()),
    }
}

fn in_use(path: &Path) -> StoreError {
    StoreError::InUse {
        path: path.display().to_string(),
    }
}

pub(super) fn unreadable(path: &Path, cause: &io::Error) -> StoreError {
    StoreError::Unreadable {
        path: path.display().to_string(),
        cause: cause.to_string(),
    }
}

pub(super) fn damaged(path: &Path, how: &str) -> StoreError {
    foreign(
        path,
        &format!("{how}. If it once was one, restore a backup"),
    )
}

fn foreign(path: &Path, found: &str) -> StoreError {
    StoreError::Foreign {
        path: path.display().to_string(),
        found: found.to_owned(),
    }
}
