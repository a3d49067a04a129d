//! A host's file: read whole, and replaced in one step beside a copy of what it was.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown},
    path::{Path, PathBuf},
};

use crate::cli::unnamed::Unnamed;

/// Bytes of a file at the most: hosts keep more than their settings in it.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Copies of one file that are kept.
const COPIES_MAX: usize = 100;
/// Who may read a user's file that was not there: its owner.
pub(super) const OWN_MODE: u32 = 0o600;
/// Who may read a project's file that was not there: who may read the project.
pub(super) const PROJECT_MODE: u32 = 0o644;

/// Why a file was not changed.
#[derive(Debug, thiserror::Error)]
pub(in crate::cli) enum FileError {
    /// It is no text.
    #[error("expected text in UTF-8")]
    NotText,
    /// It is a directory, say.
    #[error("expected a file")]
    NotAFile,
    /// It leads to nothing.
    #[error("expected a file, found a link to nothing")]
    Dangling,
    /// It is no configuration.
    #[error("expected at most {FILE_BYTES_MAX} bytes")]
    TooLong,
    /// Nobody ever looked at the copies.
    #[error("expected fewer than {COPIES_MAX} copies of it beside it: remove the old ones")]
    Copies,
    /// Its host wrote it at the same time.
    #[error("another program has changed it meanwhile: try again")]
    Changed,
    /// The system refuses.
    #[error(transparent)]
    System(#[from] io::Error),
}

/// A host's file as it was found.
pub(super) struct HostFile {
    /// Where it is itself, behind any links to it.
    path: PathBuf,
    found: Option<Found>,
}

struct Found {
    text: String,
    mode: u32,
    owner: (u32, u32),
}

impl HostFile {
    /// The file at `path`, which need not be there.
    pub(super) fn open(path: &Path) -> Result<Self, FileError> {
        let path = match fs::canonicalize(path) {
            Ok(path) => path,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if fs::symlink_metadata(path).is_ok() {
                    return Err(FileError::Dangling);
                }
                let path = path.to_owned();
                return Ok(Self { path, found: None });
            }
            Err(error) => return Err(error.into()),
        };
        let found = Some(read(&path)?);
        Ok(Self { path, found })
    }

    /// What is in it; nothing if it is not there.
    pub(super) fn text(&self) -> &str {
        self.found.as_ref().map_or("", |found| &found.text)
    }

    /// Puts `text` in its place, with its mode and its owner, beside a copy of what was there; gives
    /// the name of the copy. Where there was none, the mode is `new_mode`.
    pub(super) fn replace(&self, text: &str, new_mode: u32) -> Result<Option<PathBuf>, FileError> {
        if let Some(directory) = self.path.parent() {
            fs::create_dir_all(directory)?;
        }
        let mode = self.found.as_ref().map_or(new_mode, |found| found.mode);
        let mut begun = Unnamed::begin(&self.path, mode)?;
        if let Some(found) = &self.found {
            let ours = begun.file().metadata()?;
            if (ours.uid(), ours.gid()) != found.owner {
                let (user, group) = found.owner;
                fchown(begun.file(), Some(user), Some(group))?;
            }
        }
        begun.file().write_all(text.as_bytes())?;
        let copy = self
            .found
            .as_ref()
            .map(|found| self.copy(found))
            .transpose()?;
        self.check_unchanged()?;
        begun.name()?;
        Ok(copy)
    }

    /// Makes a copy of what was found, which never replaces another one.
    fn copy(&self, found: &Found) -> Result<PathBuf, FileError> {
        for number in 1..=COPIES_MAX {
            let mut name = self.path.as_os_str().to_owned();
            name.push(".keystead-backup");
            if number > 1 {
                name.push(format!("-{number}"));
            }
            let name = PathBuf::from(name);
            let mut options = OpenOptions::new();
            let made = options
                .write(true)
                .create_new(true)
                .mode(found.mode)
                .open(&name);
            match made {
                Ok(mut copy) => {
                    copy.write_all(found.text.as_bytes())?;
                    copy.sync_all()?;
                    return Ok(name);
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(FileError::Copies)
    }

    /// A host writes its file when it likes; what it wrote since is not lost.
    fn check_unchanged(&self) -> Result<(), FileError> {
        let now = match read(&self.path) {
            Ok(now) => Some(now.text),
            Err(FileError::System(error)) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        if now.as_deref() == self.found.as_ref().map(|found| found.text.as_str()) {
            return Ok(());
        }
        Err(FileError::Changed)
    }
}

fn read(path: &Path) -> Result<Found, FileError> {
    // Before it is opened: a pipe would keep who opens it.
    if !fs::metadata(path)?.is_file() {
        return Err(FileError::NotAFile);
    }
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(FileError::TooLong);
    }
    Ok(Found {
        text: String::from_utf8(bytes).map_err(|_| FileError::NotText)?,
        mode: metadata.permissions().mode() & 0o7777,
        owner: (metadata.uid(), metadata.gid()),
    })
}
