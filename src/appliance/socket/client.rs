//! The command line's end of the socket.

use std::{
    io::{self, BufRead as _, BufReader, Read},
    os::unix::{ffi::OsStrExt, net::UnixStream as StdUnixStream},
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::{net::UnixStream, time::timeout};

use crate::appliance::{
    administration::{Answer, Command, Refused},
    socket::{
        ADMIN_BYTES_MAX, ANSWER_BYTES_MAX, CALL_DEADLINE, LineError, PATH_BYTES_MAX,
        PIECE_DEADLINE, STREAM_DEADLINE, path_in, read_line, write_last_line, write_line,
    },
};

/// Why a running server did not answer.
///
/// After [`CallError::NoServer`] nothing runs on that data directory, as far as its socket can say;
/// after every other the data file belongs to somebody.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// No socket, or one that nobody listens on.
    #[error("no server runs on {}", .0.display())]
    NoServer(PathBuf),
    /// The socket is another user's.
    #[error(
        "{} belongs to another user: run this as the user that the server runs as, or as root",
        .0.display()
    )]
    NotAllowed(PathBuf),
    /// The command is too long to be sent.
    #[error("expected a command of at most {ADMIN_BYTES_MAX} bytes, found {0}")]
    TooLong(usize),
    /// It was sent, and nothing came back in time.
    #[error(
        "the server took the command and did not answer within {0:?}: look whether it was done \
         before trying again"
    )]
    NoAnswer(Duration),
    /// It was sent, and what came back is no answer.
    #[error("expected an answer of the server, found {0}: is it of the same version?")]
    Garbage(String),
    /// The system refuses.
    #[error("cannot talk to the server through {}: {cause}", path.display())]
    System {
        /// The socket.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
}

/// Has the server of `data_dir` execute `command`. Blocks, 30 seconds at most, or an hour for a
/// check; not for use within an async runtime.
pub fn call(data_dir: &Path, command: &Command) -> Result<Answer, CallError> {
    let deadline = match command {
        Command::Check => STREAM_DEADLINE,
        _ => CALL_DEADLINE,
    };
    call_within(deadline, data_dir, command)
}

/// Has the server of `data_dir` begin with `command`, and gives the bytes that follow upon its
/// answer; a read waits a minute for the next. Not for use within an async runtime.
pub fn open_stream(
    data_dir: &Path,
    command: &Command,
) -> Result<Result<impl Read + use<>, Refused>, CallError> {
    let path = path_in(data_dir);
    let stream = within(CALL_DEADLINE, &path, ask(&path, command, Then::Listen))?;
    let mut stream = stream
        .into_std()
        .and_then(|stream| {
            stream.set_nonblocking(false)?;
            stream.set_read_timeout(Some(PIECE_DEADLINE))?;
            Ok(BufReader::new(stream))
        })
        .map_err(|cause| system(&path, cause))?;
    let mut line = Vec::new();
    (&mut stream)
        .take(ADMIN_BYTES_MAX as u64)
        .read_until(b'\n', &mut line)
        .map_err(|cause| system(&path, cause))?;
    Ok(parse(&line)?.map(|_| stream))
}

/// Has the server of `data_dir` begin a talk with `command`, and gives the connection that it is on;
/// a read waits for as long as it takes. Not for use within an async runtime.
pub fn open_talk(
    data_dir: &Path,
    command: &Command,
) -> Result<Result<StdUnixStream, Refused>, CallError> {
    let path = path_in(data_dir);
    let opening = async {
        let mut stream = ask(&path, command, Then::Talk).await?;
        // The server says nothing more before it is spoken to, so that nothing is read too far.
        let answer = hear(&path, &mut stream, ADMIN_BYTES_MAX).await?;
        let stream = stream
            .into_std()
            .and_then(|stream| stream.set_nonblocking(false).map(|()| stream))
            .map_err(|cause| system(&path, cause))?;
        Ok(answer.map(|_| stream))
    };
    within(CALL_DEADLINE, &path, opening)
}

/// What the client does upon its command.
#[derive(Clone, Copy)]
enum Then {
    /// It says nothing more.
    Listen,
    /// It goes on.
    Talk,
}

pub(super) fn call_within(
    deadline: Duration,
    data_dir: &Path,
    command: &Command,
) -> Result<Answer, CallError> {
    let path = path_in(data_dir);
    within(deadline, &path, exchange(&path, command))
}

/// Runs one end of a conversation on `path`.
fn within<T>(
    deadline: Duration,
    path: &Path,
    conversation: impl Future<Output = Result<T, CallError>>,
) -> Result<T, CallError> {
    if path.as_os_str().as_bytes().len() > PATH_BYTES_MAX {
        // No server could have bound it.
        return Err(CallError::NoServer(path.to_owned()));
    }
    // A runtime of its own, because std cannot give up a connection that is not accepted.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|cause| system(path, cause))?;
    runtime
        .block_on(async { timeout(deadline, conversation).await })
        .map_err(|_| CallError::NoAnswer(deadline))?
}

async fn exchange(path: &Path, command: &Command) -> Result<Answer, CallError> {
    let mut stream = ask(path, command, Then::Listen).await?;
    hear(path, &mut stream, ANSWER_BYTES_MAX).await
}

async fn hear(path: &Path, stream: &mut UnixStream, bytes_max: usize) -> Result<Answer, CallError> {
    let line = read_line(stream, bytes_max)
        .await
        .map_err(|error| match error {
            LineError::System(cause) => system(path, cause),
            LineError::TooLong(_) | LineError::Unfinished(_) => {
                CallError::Garbage(error.to_string())
            }
        })?;
    parse(&line)
}

/// A connection on which the command has been sent.
async fn ask(path: &Path, command: &Command, then: Then) -> Result<UnixStream, CallError> {
    let request = serde_json::to_vec(command).map_err(|error| system(path, error.into()))?;
    if request.len() > ADMIN_BYTES_MAX {
        return Err(CallError::TooLong(request.len()));
    }
    let mut stream = UnixStream::connect(path)
        .await
        .map_err(|cause| not_connected(path, cause))?;
    let written = match then {
        Then::Listen => write_last_line(&mut stream, request).await,
        Then::Talk => write_line(&mut stream, request).await,
    };
    written.map_err(|cause| system(path, cause))?;
    Ok(stream)
}

fn parse(line: &[u8]) -> Result<Answer, CallError> {
    serde_json::from_slice(line).map_err(|error| CallError::Garbage(error.to_string()))
}

fn not_connected(path: &Path, cause: io::Error) -> CallError {
    match cause.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            CallError::NoServer(path.to_owned())
        }
        io::ErrorKind::PermissionDenied => CallError::NotAllowed(path.to_owned()),
        _ => system(path, cause),
    }
}

fn system(path: &Path, cause: io::Error) -> CallError {
    CallError::System {
        path: path.to_owned(),
        cause,
    }
}
