//! `/metrics`: what the server counts, in the text format of Prometheus, or of OpenMetrics for who
//! asks for that.
//!
//! It is off until it is set: on a listener of its own, which only this machine reaches, or at the
//! public URL for who shows the token of a file. Each room counts with plain atomics; the table says
//! what is made of them, and nothing is put together unless somebody asks.

mod format;
mod listener;
mod process;
mod samples;
mod table;

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use http::StatusCode;
use prometheus_client::{encoding::text, registry::Registry};
use tokio::task::spawn_blocking;

pub(super) use self::listener::{LIMITS, Own};

use self::format::Format;
use crate::{
    appliance::Appliance,
    crypto::digest::Digest,
    http::{
        request::Head,
        response::{Response, bytes, empty},
    },
    web::headers::never_stored,
};

/// Bytes of a token: fewer could be guessed.
const TOKEN_BYTES_MIN: usize = 32;
/// More is no token.
const TOKEN_BYTES_MAX: usize = 1_024;

/// The file of `metrics_token_file` cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MetricsTokenError {
    /// It cannot be read.
    #[error("metrics_token_file: expected a file to read, found {}: {cause}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// What is in it is no token.
    #[error(
        "metrics_token_file: expected one line of {TOKEN_BYTES_MIN} to {TOKEN_BYTES_MAX} letters, \
         digits and signs in {}, found something else; `openssl rand -hex 32` makes one",
        path.display()
    )]
    NoToken {
        /// The file.
        path: PathBuf,
    },
}

/// What is kept of the token in the file at `path`.
pub(super) fn read_token(path: &Path) -> Result<Digest, MetricsTokenError> {
    let mut text = String::new();
    // One more than fits, and a line break: a longer file need not be read to be refused.
    let limit = TOKEN_BYTES_MAX as u64 + 3;
    let read = File::open(path).and_then(|file| file.take(limit).read_to_string(&mut text));
    let path = path.to_owned();
    match read {
        Err(cause) if cause.kind() != io::ErrorKind::InvalidData => {
            Err(MetricsTokenError::Unreadable { path, cause })
        }
        Ok(_) if is_token(text.trim_end()) => Ok(Digest::of(text.trim_end().as_bytes())),
        _ => Err(MetricsTokenError::NoToken { path }),
    }
}

/// Whether it can stand in a header as it is, and is long enough.
fn is_token(text: &str) -> bool {
    (TOKEN_BYTES_MIN..=TOKEN_BYTES_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Everything that is counted, now, in the format that `head` asks for.
pub(super) async fn answer(app: Arc<Appliance>, head: &Head) -> Response {
    let format = Format::asked(&head.headers);
    // What is asked of the machine and of the file may take a moment.
    match spawn_blocking(move || format.write(written(app))).await {
        Ok(text) => never_stored(bytes(format.media_type(), text.into())),
        Err(error) => {
            tracing::error!(%error, "the metrics could not be written");
            empty(StatusCode::INTERNAL_SERVER_ERROR)
        }
    }
}

fn written(app: Arc<Appliance>) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(samples::Measured(app)));
    let mut written = String::new();
    text::encode(&mut written, &registry).expect("a text takes whatever is written");
    written
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_token_is_kept_as_its_digest() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("token");
        let token = "0123456789abcdef".repeat(2);
        for end in ["", "\n", "\r\n"] {
            fs::write(&path, format!("{token}{end}")).expect("a file");
            let read = read_token(&path).expect("a token");
            assert_eq!(read, Digest::of(token.as_bytes()));
        }
    }

    #[test]
    fn what_is_no_token_is_refused_by_the_name_of_its_file() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("token");
        let token = "x".repeat(TOKEN_BYTES_MIN);
        for content in [
            Vec::new(),
            b"x".repeat(TOKEN_BYTES_MIN - 1),
            b"x".repeat(TOKEN_BYTES_MAX + 1),
            b"x".repeat(TOKEN_BYTES_MAX * 1_000),
            format!("{token} {token}").into_bytes(),
            format!("{token}\n{token}").into_bytes(),
            format!("{token}é").into_bytes(),
            b"\xff".repeat(TOKEN_BYTES_MIN),
        ] {
            fs::write(&path, &content).expect("a file");
            let error = read_token(&path).expect_err("no token");
            assert!(
                matches!(error, MetricsTokenError::NoToken { .. }),
                "{error}"
            );
            let words = error.to_string();
            assert!(
                words.contains("token in ") || words.contains("signs in "),
                "{words}"
            );
            assert!(!words.contains("xxx"), "{words}");
        }
        let missing = read_token(&directory.path().join("none")).expect_err("no file");
        assert!(
            matches!(missing, MetricsTokenError::Unreadable { .. }),
            "{missing}"
        );
    }
}
