//! Why there is no configuration.

use std::{io, path::PathBuf};

/// Why flags, environment and file do not make a configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A value that its setting does not take.
    #[error("{place}: {complaint}")]
    Value {
        /// Where it was given, as the person wrote it.
        place: String,
        /// What was expected, and what was found.
        complaint: String,
    },
    /// A key of the file that is no setting.
    #[error(
        "{key} in {} line {line}: no such setting{}",
        path.display(),
        nearest.map(|key| format!("; did you mean {key}?")).unwrap_or_default()
    )]
    UnknownKey {
        /// The key with its tables.
        key: String,
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The setting whose key looks most like it.
        nearest: Option<&'static str>,
    },
    /// The file is not TOML.
    #[error("{} line {line}: expected TOML, found a mistake: {message}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The parser's words.
        message: String,
    },
    /// The file cannot be read.
    #[error("{place}: cannot read {}: {cause}", path.display())]
    Unreadable {
        /// Where the file was named.
        place: String,
        /// The file.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// Nowhere to keep data.
    #[error(
        "no data directory: give --data DIR or KEYSTEAD_DATA, because none of STATE_DIRECTORY, \
         XDG_DATA_HOME and HOME names an absolute path"
    )]
    NoDataDirectory,
}
