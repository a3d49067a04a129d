//! `keystead mcp`.

use std::{
    fs::File,
    io::{self, ErrorKind, Read, Write},
    net::Shutdown,
    os::{fd::AsFd as _, unix::net::UnixStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use clap::Args;

use crate::{
    appliance::{
        administration::Command,
        socket::{self, CallError},
    },
    cli::{console::Console, failure::Failure},
    config::Config,
    model::{toolset::Toolset, upstream::UpstreamName},
};

/// Bytes that are passed on at once.
const PIECE_BYTES: usize = 64 * 1024;

/// Offer the tools of /mcp on standard input and output, to a program of this machine
#[derive(Debug, Args)]
#[command(after_help = "\
For programs that start their MCP servers themselves: it speaks the protocol's stdio transport and
nothing else on standard output. The server of --data must be running; this command only passes on,
and whatever it may do ends with the server or the user. It acts as the user in every tool, without
asking, as whoever may read the data directory could anyway: an owner has the tools of an owner, a
member their own.

`keystead connect` writes the configuration of such a program.

Examples:
  keystead mcp
  keystead mcp --user ada --toolset readonly
  keystead mcp --upstream files

Exit codes: 0 when standard input has ended, 1 when the server ended the connection or refused it,
2 wrong use or configuration.")]
pub(super) struct Mcp {
    /// Whom to act as; can be left out where there is only one user
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Offer these tools only: standard, readonly or search
    #[arg(long, value_name = "SET")]
    toolset: Option<Toolset>,
    /// Offer the tools of this other server only, by their own names, as /mcp/NAME does
    #[arg(long, value_name = "NAME")]
    upstream: Option<UpstreamName>,
}

impl Mcp {
    /// Does it.
    pub(super) fn execute(self, config: &Config, console: &mut Console<'_>) -> Result<(), Failure> {
        let command = Command::Mcp {
            user: self.user,
            toolset: self.toolset.map(|set| set.to_string()),
            upstream: self.upstream.map(|name| name.to_string()),
        };
        let stream = match socket::open_talk(&config.data_dir, &command) {
            Err(CallError::NoServer(socket)) => return Err(Failure::NoServer(socket)),
            opened => opened??,
        };
        // The console has standard input locked, and has read nothing from it.
        let input = io::stdin().as_fd().try_clone_to_owned();
        let input = File::from(input.map_err(Failure::Input)?);
        pass_on(stream, input, console.output)
    }
}

/// Passes `input` on to the server, and what the server says on to `output`, until the server ends
/// it; that is no failure once `input` has ended.
fn pass_on(
    stream: UnixStream,
    input: impl Read + Send + 'static,
    output: &mut dyn Write,
) -> Result<(), Failure> {
    let has_ended = Arc::new(AtomicBool::new(false));
    let (to_server, says_so) = (
        stream.try_clone().map_err(Failure::Input)?,
        Arc::clone(&has_ended),
    );
    // It is not waited for: where the server ends first, it still sits at its input.
    thread::Builder::new()
        .name("mcp-input".to_owned())
        .spawn(move || feed(input, &to_server, &says_so))
        .map_err(Failure::Input)?;
    deliver(stream, output)?;
    if has_ended.load(Ordering::SeqCst) {
        return Ok(());
    }
    Err(Failure::Disconnected)
}

fn feed(mut input: impl Read, mut server: &UnixStream, has_ended: &AtomicBool) {
    // A server that takes no more has ended the connection, which the other direction says; an
    // input that cannot be read has ended.
    if let Err(error) = io::copy(&mut input, &mut server)
        && is_hang_up(&error)
    {
        return;
    }
    // First, so that who sees the server's end knows why it ended.
    has_ended.store(true, Ordering::SeqCst);
    drop(server.shutdown(Shutdown::Write));
}

fn deliver(mut server: UnixStream, output: &mut dyn Write) -> Result<(), Failure> {
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let len = match server.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(len) => len,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) if is_hang_up(&error) => return Ok(()),
            Err(error) => return Err(Failure::Input(error)),
        };
        let written = output.write_all(&piece[..len]);
        written
            .and_then(|()| output.flush())
            .map_err(Failure::Output)?;
    }
}

/// Whether the server is gone, and not merely silent.
fn is_hang_up(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::BrokenPipe | ErrorKind::ConnectionReset
    )
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, pipe};

    use super::*;

    /// A server that answers each line with itself, and ends when it has none.
    fn echo(server: UnixStream, lines_max: usize) -> thread::JoinHandle<()> {
        let begun = thread::Builder::new().spawn(move || {
            let mut write = server.try_clone().expect("a stream");
            for line in BufReader::new(server).lines().take(lines_max) {
                writeln!(write, "{}", line.expect("a line")).expect("a reader");
            }
        });
        begun.expect("a thread")
    }

    #[test]
    fn the_end_of_the_input_is_the_end_after_what_is_owed() {
        let (ours, theirs) = UnixStream::pair().expect("a pair");
        let server = echo(theirs, usize::MAX);
        let mut output = Vec::new();
        let done = pass_on(ours, &b"one\ntwo\n"[..], &mut output);
        assert!(done.is_ok(), "{done:?}");
        assert_eq!(output, b"one\ntwo\n");
        server.join().expect("no panic");
    }

    #[test]
    fn a_server_that_ends_first_is_a_failure() {
        let (ours, theirs) = UnixStream::pair().expect("a pair");
        let server = echo(theirs, 1);
        let (input, mut host) = pipe().expect("a pipe");
        host.write_all(b"one\n").expect("a reader");
        let mut output = Vec::new();
        let done = pass_on(ours, input, &mut output);
        assert!(matches!(done, Err(Failure::Disconnected)), "{done:?}");
        assert_eq!(output, b"one\n");
        server.join().expect("no panic");
    }
}
