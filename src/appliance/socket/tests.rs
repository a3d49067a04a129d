//! What the administration socket must hold, from both of its ends.

use std::{
    fs,
    future::{pending, ready},
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    net::Shutdown,
    os::unix::{fs::PermissionsExt, net::UnixStream},
    path::Path,
    sync::mpsc,
    thread,
    time::Duration,
};

use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _},
    runtime::Runtime,
    sync::oneshot,
    task::JoinHandle,
};

use super::{
    ADMIN_BYTES_MAX, BindError, CONNECTIONS_MAX, CallError, Listener, Response, TALKS_MAX, Talk,
    client::call_within, open_talk, path_in, server::serve_within,
};
use crate::appliance::administration::{Answer, Command, Password, Refused, Reply};

/// Long enough for a busy machine, short enough to wait for.
const LONG: Duration = Duration::from_mins(1);
const SHORT: Duration = Duration::from_millis(200);

/// A server in this process, on a directory of its own.
struct Server {
    dir: TempDir,
    runtime: Runtime,
    stop: oneshot::Sender<()>,
    served: JoinHandle<()>,
}

impl Server {
    /// One that waits so long for its peers, and answers like that.
    fn start<F>(deadline: Duration, answer: impl Fn(Command) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output: Into<Response>> + Send + 'static,
    {
        let dir = tempfile::tempdir().expect("a directory");
        let runtime = Runtime::new().expect("a runtime");
        let (stop, stopped) = oneshot::channel();
        let listener = runtime.block_on(async { Listener::bind(dir.path()).expect("a socket") });
        let served = runtime.spawn(serve_within(deadline, listener, answer, async {
            stopped.await.expect("a stop");
        }));
        Self {
            dir,
            runtime,
            stop,
            served,
        }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn call(&self, command: &Command) -> Result<Answer, CallError> {
        call_within(LONG, self.path(), command)
    }

    /// What a peer hears that sends these bytes and no more.
    fn hear(&self, sent: &[u8]) -> String {
        let mut stream = UnixStream::connect(path_in(self.path())).expect("a connection");
        stream.set_read_timeout(Some(LONG)).expect("a deadline");
        stream.write_all(sent).expect("a listener");
        let mut heard = String::new();
        stream.read_to_string(&mut heard).expect("an answer");
        heard
    }

    fn stop(self) -> TempDir {
        self.stop.send(()).expect("a server");
        self.runtime.block_on(self.served).expect("a clean end");
        self.dir
    }
}

async fn obey(command: Command) -> Answer {
    match command {
        Command::UserList => Ok(Reply::Users(Vec::new())),
        Command::UserRemove { name } => Err(Refused::because(format!("no user {name}"))),
        _ => Ok(Reply::Done),
    }
}

fn passwd(password: String) -> Command {
    Command::UserPasswd {
        name: "ada".to_owned(),
        password: Password::new(password),
    }
}

#[test]
fn a_command_goes_in_and_an_answer_comes_back() {
    let server = Server::start(LONG, obey);
    let name = "ada\n".to_owned();
    for (command, expected) in [
        (Command::UserList, Ok(Reply::Users(Vec::new()))),
        (passwd("new\nline".to_owned()), Ok(Reply::Done)),
        (
            Command::UserRemove { name },
            Err(Refused::because("no user ada\n")),
        ),
    ] {
        assert_eq!(server.call(&command).expect("an answer"), expected);
    }
}

#[test]
fn the_socket_is_private_and_goes_with_the_server() {
    let server = Server::start(LONG, obey);
    let socket = path_in(server.path());
    let mode = fs::metadata(&socket)
        .expect("a socket")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let names = |dir: &Path| fs::read_dir(dir).expect("a directory").count();
    assert_eq!(names(server.path()), 1);
    let dir = server.stop();
    assert_eq!(names(dir.path()), 0);
    let refused = call_within(LONG, dir.path(), &Command::UserList);
    assert!(
        matches!(refused, Err(CallError::NoServer(_))),
        "{refused:?}"
    );
}

#[test]
fn a_stale_socket_is_no_server_and_is_replaced() {
    let dir = tempfile::tempdir().expect("a directory");
    let socket = path_in(dir.path());
    drop(std::os::unix::net::UnixListener::bind(&socket).expect("a socket"));
    fs::create_dir(dir.path().join("socket.new")).expect("what a crash leaves");
    fs::write(dir.path().join("socket.new/s"), "").expect("what a crash leaves");
    let refused = call_within(LONG, dir.path(), &Command::UserList);
    assert!(
        matches!(refused, Err(CallError::NoServer(_))),
        "{refused:?}"
    );
    let runtime = Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let listener = Listener::bind(dir.path()).expect("a socket");
        UnixStream::connect(&socket).expect("a listener");
        drop(listener);
    });
}

#[test]
fn a_path_that_no_socket_can_have_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let deep = dir.path().join("d".repeat(100));
    let runtime = Runtime::new().expect("a runtime");
    let refused = runtime.block_on(async { Listener::bind(&deep) });
    assert!(matches!(refused, Err(BindError::PathTooLong(_))));
    let refused = call_within(LONG, &deep, &Command::UserList);
    assert!(
        matches!(refused, Err(CallError::NoServer(_))),
        "{refused:?}"
    );
}

#[test]
fn what_is_no_command_is_refused_in_words() {
    let server = Server::start(LONG, obey);
    for (sent, expected) in [
        (&b"\n"[..], "expected a command as JSON"),
        (b"{\"user_add\":{}}\n", "missing field `name`"),
        (b"\"user_fly\"\n", "unknown variant `user_fly`"),
        (b"\xff\xfe\n", "expected a command as JSON"),
    ] {
        let heard = server.hear(sent);
        assert!(heard.starts_with("{\"Err\":"), "{heard}");
        assert!(heard.contains(expected), "{heard}");
    }
    assert_eq!(server.hear(b"\"user_list\"\n"), "{\"Ok\":{\"users\":[]}}\n");
}

#[test]
fn a_command_has_a_greatest_length() {
    let server = Server::start(LONG, obey);
    let refused = server.call(&passwd("x".repeat(ADMIN_BYTES_MAX)));
    assert!(matches!(refused, Err(CallError::TooLong(_))), "{refused:?}");
    let heard = server.hear(&vec![b' '; ADMIN_BYTES_MAX + 1]);
    assert!(heard.contains("at most 65536 bytes, found more"), "{heard}");
    let mut longest = b"\"user_list\"".to_vec();
    longest.resize(ADMIN_BYTES_MAX, b' ');
    longest.push(b'\n');
    assert_eq!(server.hear(&longest), "{\"Ok\":{\"users\":[]}}\n");
}

#[test]
fn a_peer_that_says_nothing_is_answered_after_the_deadline() {
    let server = Server::start(SHORT, obey);
    let heard = server.hear(b"\"user_list\"");
    assert!(heard.contains("expected a command within 200ms"), "{heard}");
}

#[test]
fn a_peer_that_hangs_up_is_no_command() {
    let server = Server::start(LONG, obey);
    let stream = UnixStream::connect(path_in(server.path())).expect("a connection");
    drop(stream);
    assert!(server.call(&Command::UserList).is_ok());
}

#[test]
fn a_server_that_does_not_answer_is_given_up() {
    let server = Server::start(LONG, |_| pending::<Answer>());
    let given_up = call_within(SHORT, server.path(), &Command::UserList);
    assert!(
        matches!(given_up, Err(CallError::NoAnswer(SHORT))),
        "{given_up:?}"
    );
}

#[test]
fn a_handler_that_panics_ends_only_its_own_connection() {
    let server = Server::start(LONG, |command| {
        assert!(
            matches!(command, Command::ClientList),
            "a fault in the server"
        );
        ready(Ok(Reply::Done))
    });
    let refused = server.call(&Command::UserList);
    assert!(matches!(refused, Err(CallError::Garbage(_))), "{refused:?}");
    assert_eq!(
        server.call(&Command::ClientList).expect("an answer"),
        Ok(Reply::Done)
    );
}

#[test]
fn an_answer_that_is_none_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let listener = std::os::unix::net::UnixListener::bind(path_in(dir.path())).expect("a socket");
    let answers = [&b"hello\n"[..], b"{\"Ok\":\"done\"", b""];
    let impostor = thread::Builder::new()
        .spawn(move || {
            for answer in answers {
                let (mut stream, _) = listener.accept().expect("a connection");
                let mut command = String::new();
                let mut reader = BufReader::new(&stream);
                reader.read_line(&mut command).expect("a command");
                stream.write_all(answer).expect("a reader");
            }
        })
        .expect("a thread");
    for answer in answers {
        let refused = call_within(LONG, dir.path(), &Command::UserList);
        let is_garbage = matches!(refused, Err(CallError::Garbage(_)));
        assert!(is_garbage, "{answer:?}: {refused:?}");
    }
    impostor.join().expect("a clean end");
}

#[test]
fn a_command_that_has_begun_is_ended_before_the_server_stops() {
    let (begun, has_begun) = mpsc::channel();
    let server = Server::start(LONG, move |_| {
        begun.send(()).expect("a test");
        async {
            tokio::time::sleep(SHORT).await;
            Ok(Reply::Done)
        }
    });
    let mut stream = UnixStream::connect(path_in(server.path())).expect("a connection");
    stream.write_all(b"\"user_list\"\n").expect("a listener");
    has_begun.recv_timeout(LONG).expect("a beginning");
    drop(server.stop());
    let mut heard = String::new();
    stream.read_to_string(&mut heard).expect("an answer");
    assert_eq!(heard, "{\"Ok\":\"done\"}\n");
}

#[test]
fn whoever_comes_after_the_greatest_number_waits() {
    let server = Server::start(LONG, obey);
    let connect = || UnixStream::connect(path_in(server.path())).expect("a connection");
    let mut silent: Vec<UnixStream> = (0..CONNECTIONS_MAX).map(|_| connect()).collect();
    let mut next = connect();
    next.write_all(b"\"user_list\"\n").expect("a listener");
    next.set_read_timeout(Some(SHORT)).expect("a deadline");
    let waits = next.read(&mut [0; 1]).expect_err("no answer yet");
    assert_eq!(waits.kind(), ErrorKind::WouldBlock);
    silent.pop();
    next.set_read_timeout(Some(LONG)).expect("a deadline");
    let mut heard = String::new();
    next.read_to_string(&mut heard).expect("an answer");
    assert_eq!(heard, "{\"Ok\":{\"users\":[]}}\n");
}

#[test]
fn a_silent_peer_does_not_keep_the_server_from_stopping() {
    let server = Server::start(LONG * 10, obey);
    let mut silent = UnixStream::connect(path_in(server.path())).expect("a connection");
    // Whoever connected later was served, so the silent one is being waited for.
    assert!(server.call(&Command::UserList).is_ok());
    silent.set_read_timeout(Some(LONG)).expect("a deadline");
    drop(server.stop());
    let mut heard = String::new();
    silent.read_to_string(&mut heard).expect("an answer");
    assert_eq!(
        heard,
        "{\"Err\":{\"message\":\"the server is stopping\"}}\n"
    );
}

/// A server that says each line again, and says so when it has to stop.
async fn parrot(command: Command) -> Response {
    match command {
        Command::Mcp { user: None, .. } => {
            Response::Talk(Talk::new(Reply::Mcp, |mut stream, stop| async move {
                let (read, mut write) = stream.split();
                let mut lines = tokio::io::BufReader::new(read).lines();
                let said = async {
                    while let Ok(Some(line)) = lines.next_line().await {
                        write.write_all(line.as_bytes()).await.expect("a peer");
                        write.write_all(b"!\n").await.expect("a peer");
                    }
                };
                tokio::select! {
                    () = said => {}
                    () = stop => {}
                }
            }))
        }
        Command::Mcp { .. } => Err(Refused::because("no such user")).into(),
        _ => Ok(Reply::Done).into(),
    }
}

fn mcp(user: Option<&str>) -> Command {
    Command::Mcp {
        user: user.map(str::to_owned),
        toolset: None,
        upstream: None,
    }
}

#[test]
fn a_talk_goes_both_ways_and_ends_with_either_end() {
    let server = Server::start(LONG, parrot);
    let talk = || open_talk(server.path(), &mcp(None)).expect("a server");
    let mut stream = talk().expect("a talk");
    let mut heard = BufReader::new(stream.try_clone().expect("a stream")).lines();
    for line in ["one", "two"] {
        writeln!(stream, "{line}").expect("a listener");
        let answer = heard.next().expect("an answer").expect("a line");
        assert_eq!(answer, format!("{line}!"));
    }
    stream.shutdown(Shutdown::Write).expect("a stream");
    assert!(heard.next().is_none());
    let refused = open_talk(server.path(), &mcp(Some("bob"))).expect("a server");
    assert_eq!(refused.expect_err("no talk").message, "no such user");
    let (mut left, mut right) = (talk().expect("a talk"), talk().expect("a talk"));
    server.stop();
    for stream in [&mut left, &mut right] {
        assert_eq!(stream.read(&mut [0]).expect("an end"), 0);
    }
}

#[test]
fn talks_leave_their_places_to_commands_and_have_a_greatest_number() {
    let server = Server::start(LONG, parrot);
    let open = || open_talk(server.path(), &mcp(None)).expect("a server");
    let mut talks: Vec<_> = (0..TALKS_MAX).map(|_| open().expect("a talk")).collect();
    const { assert!(TALKS_MAX > CONNECTIONS_MAX) };
    assert!(server.call(&Command::UserList).is_ok());
    let refused = open().expect_err("one too many").message;
    assert!(refused.contains("fewer than 32 programs"), "{refused}");
    talks.pop();
    // The server hears of the end a little later.
    let opened = (0..3_000).any(|_| {
        thread::sleep(Duration::from_millis(20));
        open().is_ok()
    });
    assert!(opened);
}

#[test]
fn a_talk_is_not_opened_where_no_server_runs() {
    let dir = tempfile::tempdir().expect("a directory");
    let refused = open_talk(dir.path(), &mcp(None));
    assert!(matches!(refused, Err(CallError::NoServer(_))));
}
