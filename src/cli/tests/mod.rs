//! What the command line says and does, word by word.

mod documents;
mod hosts;
mod notify;
mod people;
mod resources;
mod rows;
mod safekeeping;
mod upstreams;

use std::{
    ffi::OsString,
    io,
    sync::{Arc, Mutex},
};

use clap::CommandFactory;
use tempfile::TempDir;
use tokio::{runtime::Runtime, sync::oneshot, task::JoinHandle};

use super::{Arguments, console::Console, execute, failure::Failure};
use crate::{
    appliance::{
        administration::{Answer, Command, Refused, Reply},
        socket::{self, Listener},
    },
    config::environment::Environment,
};

/// What a command left behind.
struct Done {
    outcome: Result<(), Failure>,
    output: String,
    notes: String,
}

impl Done {
    fn exit_code(&self) -> u8 {
        self.outcome
            .as_ref()
            .map_or_else(Failure::exit_code, |()| 0)
    }

    /// Everything that was written, with the message of a failure last.
    fn words(&self) -> String {
        let mut report = Vec::new();
        if let Err(failure) = &self.outcome {
            failure.report(&mut report).expect("a vector");
        }
        let report = String::from_utf8(report).expect("text");
        format!("{}{}{report}", self.output, self.notes)
    }
}

/// Does `words` with that on standard input; a person is there if there is a keyboard.
fn keystead_with(
    words: &[&str],
    input: &[u8],
    keyboard: Option<fn(&str) -> io::Result<String>>,
) -> Done {
    keystead_of(&Environment::default(), words, input, keyboard)
}

/// Does `words` in that environment.
fn keystead_in(environment: &Environment, words: &[&str]) -> Done {
    keystead_of(environment, words, b"", None)
}

fn keystead_of(
    environment: &Environment,
    words: &[&str],
    mut input: &[u8],
    keyboard: Option<fn(&str) -> io::Result<String>>,
) -> Done {
    let (mut output, mut notes) = (Vec::new(), Vec::new());
    let mut console = Console {
        input: &mut input,
        output: &mut output,
        notes: &mut notes,
        keyboard,
    };
    let words = std::iter::once(&"keystead")
        .chain(words)
        .map(OsString::from);
    let outcome = execute(words, environment, &mut console);
    Done {
        outcome,
        output: String::from_utf8(output).expect("text"),
        notes: String::from_utf8(notes).expect("text"),
    }
}

fn keystead(words: &[&str]) -> Done {
    keystead_with(words, b"", None)
}

/// A server that answers everything with the same, and keeps what it was asked.
struct Server {
    dir: TempDir,
    asked: Arc<Mutex<Vec<Command>>>,
    runtime: Runtime,
    stop: oneshot::Sender<()>,
    served: JoinHandle<()>,
}

impl Server {
    fn answering(answer: Answer) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let runtime = Runtime::new().expect("a runtime");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (stop, stopped) = oneshot::channel();
        let listener = runtime.block_on(async { Listener::bind(dir.path()).expect("a socket") });
        let keep = Arc::clone(&asked);
        let handler = move |command| {
            keep.lock().expect("a list").push(command);
            std::future::ready(answer.clone())
        };
        let served = runtime.spawn(socket::serve(listener, handler, async {
            stopped.await.expect("a stop");
        }));
        Self {
            dir,
            asked,
            runtime,
            stop,
            served,
        }
    }

    fn keystead(&self, words: &[&str]) -> Done {
        self.keystead_with(words, b"", None)
    }

    fn keystead_with(
        &self,
        words: &[&str],
        input: &[u8],
        keyboard: Option<fn(&str) -> io::Result<String>>,
    ) -> Done {
        let data = self.dir.path().to_str().expect("a UTF-8 path");
        let words = [words, &["--data", data]].concat();
        keystead_with(&words, input, keyboard)
    }

    /// Ends it; what it was asked.
    fn end(self) -> Vec<Command> {
        self.stop.send(()).expect("a server");
        self.runtime.block_on(self.served).expect("a clean end");
        self.asked.lock().expect("a list").clone()
    }
}

#[test]
fn help_is_short_and_complete() {
    let command = Arguments::command().term_width(100);
    command.clone().debug_assert();
    for words in [
        "",
        "serve",
        "user",
        "user add",
        "user remove",
        "client",
        "client add",
        "resource",
        "resource add",
        "client pin",
        "upstream",
        "upstream add",
        "upstream tools",
        "connect",
        "mcp",
        "vapid",
        "vapid regenerate",
        "notify",
        "backup",
        "restore",
        "check",
    ] {
        let words = ["keystead"].into_iter().chain(words.split_whitespace());
        let name: Vec<&str> = words.clone().chain(["help"]).collect();
        let help = command
            .clone()
            .try_get_matches_from(words.chain(["--help"]));
        let help = help.expect_err("help").to_string();
        insta::assert_snapshot!(name.join("_"), help);
    }
}

#[test]
fn wrong_use_is_exit_code_2() {
    let server = Server::answering(Ok(Reply::Done));
    for words in [
        &["fly"][..],
        &["user", "add"],
        &["user", "add", "ada", "--password", "secret"],
        &["user", "list", "--listen", "127.0.0.1:1"],
        &["serve", "--listen", "8420"],
        &["serve", "--tls", "off", "--tls", "off"],
        &["serve", "--tls", "built-in"],
        &["serve", "--config", "missing.toml"],
        &["user", "add", "ada"],
        &["user", "passwd", "ada"],
        &["user", "remove", "ada"],
        &["vapid", "regenerate"],
        &["notify", "ada"],
        &["notify", "ada", "--title", "x", "--urgency", "now"],
    ] {
        let done = server.keystead(words);
        assert_eq!(done.exit_code(), 2, "{words:?}: {}", done.words());
    }
    assert_eq!(keystead(&["user", "list"]).exit_code(), 2);
    assert_eq!(server.end(), []);
}

#[test]
fn a_refusal_is_exit_code_1() {
    let server = Server::answering(Err(Refused::because("no user ada")));
    for words in [
        &["user", "disable", "ada"][..],
        &["client", "list", "--json"],
    ] {
        let done = server.keystead(words);
        assert_eq!(done.exit_code(), 1);
        assert_eq!(done.words(), "error: no user ada\n");
    }
    server.end();
}

#[test]
fn a_reader_that_left_is_no_failure() {
    let left = Failure::Output(io::ErrorKind::BrokenPipe.into());
    assert!(left.forgive_a_reader_that_left().is_ok());
    let full = Failure::Output(io::ErrorKind::StorageFull.into());
    assert_eq!(full.exit_code(), 1);
    assert!(full.forgive_a_reader_that_left().is_err());
}

/// `words` on the data directory `data`.
fn keystead_on(data: &std::path::Path, words: &[&str]) -> Done {
    let data = data.to_str().expect("a UTF-8 path");
    keystead(&[words, &["--data", data]].concat())
}
