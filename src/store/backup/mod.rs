//! A backup: every row of a snapshot as a stream, with checksums. Its layout is in
//! `docs/backup.md`.

mod read;
mod write;

use std::io::{self, Read as _};

pub use read::{Summary, read};
pub use write::{Written, write};

use crate::{
    model::timestamp::Timestamp,
    store::{StoreError, codec::RECORD_BYTES_MAX},
};

/// What a backup begins with.
const MAGIC: &[u8; 16] = b"keystead backup\n";
/// The layout that is written, and the only one that there is.
const FORMAT: u32 = 1;
/// Bytes of rows after which a chunk ends.
const CHUNK_BYTES: usize = 64 * 1024;
/// Bytes of a key. The longest is a URL of a client's document or of a resource server.
const KEY_BYTES_MAX: usize = 4_096;
/// Bytes of a frame's content: a chunk that the longest row overfills.
const FRAME_BYTES_MAX: usize = CHUNK_BYTES + KEY_BYTES_MAX + RECORD_BYTES_MAX + 8;

/// What a frame has in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Tag {
    /// What the backup is of.
    Header = b'H',
    /// The beginning of a table.
    Table = b'T',
    /// Rows of the table.
    Rows = b'R',
    /// The end.
    End = b'E',
}

impl Tag {
    const ALL: [Self; 4] = [Self::Header, Self::Table, Self::Rows, Self::End];

    fn find(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|tag| *tag as u8 == byte)
    }
}

/// What a backup says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The schema of its rows.
    pub schema: u32,
    /// When it was made.
    pub made_at: Timestamp,
    /// The version that made it.
    pub version: String,
}

/// Whether what `input` has begins as a backup does.
pub fn is_one(input: &mut dyn io::Read) -> io::Result<bool> {
    let mut magic = Vec::with_capacity(MAGIC.len());
    input.take(MAGIC.len() as u64).read_to_end(&mut magic)?;
    Ok(magic == MAGIC)
}

/// Why a backup cannot be made or used.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// It is something else.
    #[error("it is no backup of Keystead: expected it to begin with the line \"keystead backup\"")]
    Foreign,
    /// A newer Keystead made it, in a format of its own.
    #[error("it was made by a newer Keystead: expected format {FORMAT}, found {found}")]
    NewerFormat {
        /// Its format.
        found: u32,
    },
    /// A newer Keystead made it.
    #[error(
        "it was made by Keystead {version}: expected schema {expected} or older, found {found}"
    )]
    NewerSchema {
        /// The newest schema that this binary knows.
        expected: u32,
        /// Its schema.
        found: u32,
        /// The version that made it.
        version: String,
    },
    /// Its end is missing.
    #[error("it is cut off: expected more after byte {at}")]
    CutOff {
        /// Its length.
        at: u64,
    },
    /// It is not what was written.
    #[error("it was changed after it was made, at byte {at} or shortly after: {what}")]
    Damaged {
        /// Where the part begins that cannot be right.
        at: u64,
        /// What was expected and what was found.
        what: String,
    },
    /// It cannot be read.
    #[error("it cannot be read: {0}")]
    Input(io::Error),
    /// It cannot be written.
    #[error("it cannot be written: {0}")]
    Output(io::Error),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
