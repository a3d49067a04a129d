//! What can go wrong in the store. Every variant denies the request that met it.

use std::{io, path::Path, sync::Arc};

use crate::store::held::Failure;

/// A fault of the store.
///
/// None of these is the caller's doing, and none of their words goes to a client.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process holds the data file.
    #[error(
        "the data file {path} is in use by another process: stop it, or name another data \
         directory with --data"
    )]
    InUse {
        /// The file.
        path: String,
    },
    /// The file is not a data file of Keystead.
    #[error("{path} is not a Keystead data file: {found}")]
    Foreign {
        /// The file.
        path: String,
        /// What it is instead, or what is wrong with it.
        found: String,
    },
    /// The file was written by a newer Keystead; it has not been touched.
    #[error(
        "{path} was written by a newer Keystead: expected schema {expected} or older, found \
         {found}. Start that newer version, or restore a backup of this one"
    )]
    Newer {
        /// The file.
        path: String,
        /// The newest schema this binary knows.
        expected: u32,
        /// The file's schema.
        found: u32,
    },
    /// An older Keystead wrote the file, and it has not been brought to the present schema yet.
    #[error(
        "{path} is of an older Keystead: expected schema {expected}, found {found}. Start the \
         server once, which brings it there, or use the version that wrote it"
    )]
    Older {
        /// The file.
        path: String,
        /// The schema of this binary.
        expected: u32,
        /// The file's schema.
        found: u32,
    },
    /// The copy of an older file could not be kept; the file has not been touched.
    #[error(
        "{path} is of an older Keystead, and a copy of it has to be kept as {copy} before it is \
         changed: {cause}. It is untouched: make that possible and start again"
    )]
    NotCopied {
        /// The file.
        path: String,
        /// Where its copy belongs.
        copy: String,
        /// Why it is not there.
        cause: String,
    },
    /// An older file could not be brought to the present schema.
    #[error(
        "{path} cannot be brought to schema {to} ({step}): {cause}. Until this is mended, use the \
         version before this one, on the copy that was kept beside the file if it refuses the file"
    )]
    NotMigrated {
        /// The file.
        path: String,
        /// The schema that the step leads to.
        to: u32,
        /// What the step does.
        step: &'static str,
        /// Why it failed.
        cause: Box<StoreError>,
    },
    /// The file could not be opened.
    #[error("cannot open the data file {path}: {cause}")]
    Unreadable {
        /// The file.
        path: String,
        /// What the operating system said.
        cause: String,
    },
    /// Reading or writing failed.
    #[error("the data file failed: {0}")]
    Engine(Arc<redb::Error>),
    /// The file failed, and takes no writes until it is better.
    ///
    /// A write that was under way when it failed may still turn out to have been done.
    #[error("the data file takes no writes: {cause}")]
    Unwritable {
        /// Why, and what to do about it.
        cause: Arc<str>,
    },
    /// So much changed while the file was copied that the copy could not catch up.
    #[error("too much changed while the data file was copied; it stays as it was")]
    Overtaken,
    /// The file could not be replaced by a copy of itself.
    #[error("the data file was not compacted and stays as it was: {cause}")]
    NotCompacted {
        /// What the operating system said.
        cause: String,
    },
    /// A record is not what its table holds.
    #[error("a record of {table} cannot be read: {reason}")]
    Corrupt {
        /// The table.
        table: &'static str,
        /// What was expected and what was found.
        reason: String,
    },
    /// A record is larger than any record may be.
    #[error("a record of {found} bytes is larger than the {max} that a record may have")]
    TooLarge {
        /// Its size in bytes.
        found: usize,
        /// The bound in bytes.
        max: usize,
    },
    /// So many writes wait that this one was not taken.
    #[error("the store's queue is full: {max} writes wait already")]
    QueueFull {
        /// The bound.
        max: usize,
    },
    /// The store is closed, or its writer has ended.
    #[error("the store is closed")]
    Closed,
    /// The closure panicked; nothing of it was kept.
    #[error("a write panicked; nothing of it was kept")]
    Panicked,
}

impl StoreError {
    /// Whether the same request may well succeed a moment later.
    pub const fn is_busy(&self) -> bool {
        matches!(self, Self::QueueFull { .. } | Self::Unwritable { .. })
    }

    pub(super) fn not_compacted(cause: &io::Error) -> Self {
        Self::NotCompacted {
            cause: cause.to_string(),
        }
    }

    pub(super) fn in_use(path: &Path) -> Self {
        Self::InUse {
            path: path.display().to_string(),
        }
    }

    pub(super) fn unreadable(path: &Path, cause: &io::Error) -> Self {
        Self::Unreadable {
            path: path.display().to_string(),
            cause: cause.to_string(),
        }
    }

    pub(super) fn damaged(path: &Path, how: &str) -> Self {
        Self::foreign(
            path,
            &format!("{how}. If it once was one, restore a backup"),
        )
    }

    pub(super) fn foreign(path: &Path, found: &str) -> Self {
        Self::Foreign {
            path: path.display().to_string(),
            found: found.to_owned(),
        }
    }

    /// What `failure` means for somebody who reads the log.
    pub(super) fn unwritable(failure: &Failure) -> Self {
        let Failure { kind, said } = failure;
        let advice = match kind {
            io::ErrorKind::StorageFull => {
                "the disk is full; it goes on by itself once there is room"
            }
            io::ErrorKind::QuotaExceeded => {
                "the disk quota is used up; it goes on by itself once there is room"
            }
            io::ErrorKind::FileTooLarge => {
                "the file may not become larger; it goes on by itself once the limit is raised"
            }
            io::ErrorKind::ReadOnlyFilesystem => {
                "the file system is read-only; it goes on by itself once it can be written to"
            }
            _ => "the disk failed; it is tried again",
        };
        Self::Unwritable {
            cause: format!("{advice} ({said})").into(),
        }
    }

    /// Whether a table was not there, or was not one of bytes.
    pub(super) fn is_of_another_layout(&self) -> bool {
        matches!(self, Self::Engine(cause) if matches!(
            **cause,
            redb::Error::TableDoesNotExist(_)
                | redb::Error::TableTypeMismatch { .. }
                | redb::Error::TableIsMultimap(_)
        ))
    }
}

macro_rules! from_redb {
    ($($error:ty),+) => {$(
        impl From<$error> for StoreError {
            fn from(error: $error) -> Self {
                Self::Engine(Arc::new(error.into()))
            }
        }
    )+};
}

from_redb!(
    redb::TransactionError,
    redb::TableError,
    redb::StorageError,
    redb::CommitError
);
from_redb!(redb::SetDurabilityError);
