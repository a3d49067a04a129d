//! The administration socket: `keystead.sock` in the data directory, for the data's owner only.
//!
//! One command a connection: a line of JSON goes in, a line of JSON comes back. Both ends have a
//! deadline, so that nothing hangs on a peer that does not. What is long comes back as a stream: a
//! backup follows upon its line, and the line of a check takes its time. A talk goes both ways: upon
//! its line either end says what it likes, until one of them or the server ends.

mod client;
mod listener;
mod server;

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};

pub use client::{CallError, call, open_stream, open_talk};
pub use listener::{BindError, Listener};
pub use server::{Ending, Response, Talk, serve};

/// Bytes of a command as JSON.
pub const ADMIN_BYTES_MAX: usize = 64 * 1024;
/// Bytes of an answer as JSON: the longest list.
pub const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Connections that are served at once; others wait to be accepted.
pub const CONNECTIONS_MAX: usize = 16;
/// Talks at once, beside the connections; one more is refused. Every window of a host program can
/// have one for itself.
pub const TALKS_MAX: usize = 32;
/// Bytes of a Unix socket's path: what `sun_path` holds, less the final zero (unix(7)).
pub const PATH_BYTES_MAX: usize = 107;

/// How long the server waits for a whole command, and for the peer to take the answer.
const PEER_DEADLINE: Duration = Duration::from_secs(10);
/// How long a stream may take in all. For as long the snapshot is held, and the file can grow.
const STREAM_DEADLINE: Duration = Duration::from_hours(1);
/// How long the client waits for the next piece of a stream.
const PIECE_DEADLINE: Duration = Duration::from_mins(1);
/// How long the client waits in all.
const CALL_DEADLINE: Duration = Duration::from_secs(30);

/// Where the socket of that data directory is.
pub fn path_in(data_dir: &Path) -> PathBuf {
    data_dir.join("keystead.sock")
}

/// Why there is no line.
#[derive(Debug, thiserror::Error)]
enum LineError {
    #[error("expected a line of at most {0} bytes, found more")]
    TooLong(usize),
    #[error("expected a whole line, found the end after {0} bytes")]
    Unfinished(usize),
    #[error(transparent)]
    System(#[from] io::Error),
}

/// The next line of `stream`, without its end.
async fn read_line(stream: impl AsyncRead + Unpin, bytes_max: usize) -> Result<Vec<u8>, LineError> {
    let with_end = u64::try_from(bytes_max).map_or(u64::MAX, |max| max.saturating_add(1));
    let mut line = Vec::new();
    let mut bounded = BufReader::new(stream.take(with_end));
    bounded.read_until(b'\n', &mut line).await?;
    if line.last() == Some(&b'\n') {
        line.pop();
        Ok(line)
    } else if line.len() > bytes_max {
        Err(LineError::TooLong(bytes_max))
    } else {
        Err(LineError::Unfinished(line.len()))
    }
}

/// Writes a line upon which more may follow.
async fn write_line(stream: &mut (impl AsyncWrite + Unpin), mut line: Vec<u8>) -> io::Result<()> {
    line.push(b'\n');
    stream.write_all(&line).await
}

/// Writes a line that is the last one.
async fn write_last_line(mut stream: impl AsyncWrite + Unpin, line: Vec<u8>) -> io::Result<()> {
    write_line(&mut stream, line).await?;
    stream.shutdown().await
}

#[cfg(test)]
mod tests;
