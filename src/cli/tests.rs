//! What the command line says and does, word by word.

use std::{
    ffi::OsString,
    io,
    os::unix::fs::PermissionsExt as _,
    sync::{Arc, Mutex},
};

use clap::CommandFactory;
use tempfile::TempDir;
use tokio::{runtime::Runtime, sync::oneshot, task::JoinHandle};

use super::{Arguments, console::Console, execute, failure::Failure};
use crate::{
    appliance::{
        administration::{
            Answer, CheckRow, ClientRow, Command, Notice, NotifiedRow, PageState, Password, PinRow,
            Refused, Reply, ResourceRow, ScopeRow, TableRow, UpstreamRow, UserRow, UserState,
        },
        socket::{self, Listener},
    },
    config::environment::Environment,
    model::{upstream_words::UpstreamWords, user::Role},
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
    let outcome = execute(words, &Environment::default(), &mut console);
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

fn ada() -> UserRow {
    UserRow {
        id: "1".to_owned(),
        name: "ada".to_owned(),
        role: Role::Owner,
        state: UserState::Active,
        created_at: "2026-01-01T00:00:00Z".to_owned(),
        last_sign_in_at: None,
    }
}

fn dash() -> ClientRow {
    ClientRow {
        client_id: "c1".to_owned(),
        name: "dash\u{1b}[31m".to_owned(),
        origin: "administrator".to_owned(),
        public: false,
        redirect_uris: vec!["https://dash.lan/cb".to_owned()],
        grant_types: vec!["authorization_code".to_owned()],
        scope: "user:read".to_owned(),
        created_at: "2026-01-01T00:00:00Z".to_owned(),
        last_used_at: None,
    }
}

fn behind(added_at: Option<&str>) -> UpstreamRow {
    UpstreamRow {
        name: "files".to_owned(),
        command: ["mcp-files", "/srv\u{1b}[31m"].map(str::to_owned).to_vec(),
        url: None,
        path: "/mcp/files".to_owned(),
        scopes: ["upstream:files", "upstream:files:read"]
            .map(str::to_owned)
            .to_vec(),
        added_at: added_at.map(str::to_owned),
    }
}

fn files() -> ResourceRow {
    ResourceRow {
        client_id: "r1".to_owned(),
        identifier: "https://files.lan".to_owned(),
        scopes: vec![ScopeRow {
            name: "files:read".to_owned(),
            words: "see your files".to_owned(),
        }],
        created_at: "2026-01-01T00:00:00Z".to_owned(),
    }
}

fn pin(pinned_at: Option<&str>) -> PinRow {
    PinRow {
        url: "https://app.example/client.json".to_owned(),
        name: "app\u{1b}[31m".to_owned(),
        redirect_uris: vec!["https://app.example/cb".to_owned()],
        pinned_at: pinned_at.map(str::to_owned),
    }
}

fn notified(id: Option<&str>) -> NotifiedRow {
    NotifiedRow {
        id: id.map(str::to_owned),
        user: "ada".to_owned(),
        pushes: id.map_or(0, |_| 2),
    }
}

fn checked(faults: &[&str]) -> CheckRow {
    CheckRow {
        pages: PageState::NotChecked,
        backup_made_at: None,
        tables: vec![TableRow {
            name: "users_v1".to_owned(),
            rows: 1,
            bytes: 93,
        }],
        faults: faults.iter().map(ToString::to_string).collect(),
        fault_count: faults.len() as u64,
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
fn each_command_asks_for_what_it_says() {
    let server = Server::answering(Ok(Reply::Done));
    let name = || "ada".to_owned();
    let id = || "c1".to_owned();
    for (words, expected) in [
        (&["user", "list"][..], Command::UserList),
        (
            &["user", "disable", "ada"],
            Command::UserDisable { name: name() },
        ),
        (
            &["user", "enable", "ada"],
            Command::UserEnable { name: name() },
        ),
        (
            &["user", "remove", "ada", "--yes"],
            Command::UserRemove { name: name() },
        ),
        (&["client", "list"], Command::ClientList),
        (&["client", "pins"], Command::ClientPins),
        (&["client", "show", "c1"], Command::ClientShow { id: id() }),
        (
            &["client", "remove", "c1"],
            Command::ClientRemove { id: id() },
        ),
        (
            &[
                "client",
                "add",
                "--redirect-uri",
                "https://a/",
                "dash",
                "--redirect-uri",
                "https://b/",
                "--public",
                "--grant",
                "refresh_token",
                "--scope",
                "a b",
            ],
            Command::ClientAdd {
                name: "dash".to_owned(),
                redirect_uris: vec!["https://a/".to_owned(), "https://b/".to_owned()],
                public: true,
                grants: vec!["refresh_token".to_owned()],
                scope: Some("a b".to_owned()),
            },
        ),
    ] {
        assert_eq!(server.keystead(words).exit_code(), 0, "{words:?}");
        let asked = server.asked.lock().expect("a list").pop();
        assert_eq!(asked, Some(expected));
    }
    assert_eq!(server.end(), []);
}

#[test]
fn notify_asks_for_what_it_says() {
    let server = Server::answering(Ok(Reply::Done));
    let plain = Notice {
        user: "ada".to_owned(),
        title: "Hello".to_owned(),
        body: String::new(),
        link: None,
        urgency: None,
    };
    let full = Notice {
        body: "**sda**".to_owned(),
        link: Some("/inbox".to_owned()),
        urgency: Some("high".to_owned()),
        ..plain.clone()
    };
    for (words, expected) in [
        ("notify ada --title Hello", plain),
        (
            "notify --title Hello --body **sda** ada --link /inbox --urgency high",
            full,
        ),
    ] {
        let words: Vec<&str> = words.split_whitespace().collect();
        assert_eq!(server.keystead(&words).exit_code(), 0, "{words:?}");
        let asked = server.asked.lock().expect("a list").pop();
        assert_eq!(asked, Some(Command::Notify(expected)));
    }
    assert_eq!(server.end(), []);
}

#[test]
fn each_command_about_resources_asks_for_what_it_says() {
    let server = Server::answering(Ok(Reply::Done));
    for (words, expected) in [
        (&["resource", "list"][..], Command::ResourceList),
        (
            &["resource", "remove", "https://files.lan"],
            Command::ResourceRemove {
                identifier: "https://files.lan".to_owned(),
            },
        ),
        (
            &[
                "resource",
                "add",
                "https://files.lan",
                "--scope",
                "files:read",
                "--scope-words",
                "files:read=see your files",
                "--scope",
                "files:write",
            ],
            Command::ResourceAdd {
                identifier: "https://files.lan".to_owned(),
                scopes: vec!["files:read".to_owned(), "files:write".to_owned()],
                scope_words: vec!["files:read=see your files".to_owned()],
            },
        ),
    ] {
        assert_eq!(server.keystead(words).exit_code(), 0, "{words:?}");
        let asked = server.asked.lock().expect("a list").pop();
        assert_eq!(asked, Some(expected));
    }
    assert_eq!(server.end(), []);
}

#[test]
fn each_command_about_upstreams_asks_for_what_it_says() {
    let server = Server::answering(Ok(Reply::Done));
    let data = server.dir.path().to_str().expect("a UTF-8 path").to_owned();
    // In front: what stands behind the two hyphens is the program's.
    let keystead = |words: &str| {
        let words: Vec<&str> = words.split_whitespace().collect();
        keystead_with(&[&["--data", &data], &words[..]].concat(), b"", None)
    };
    let named = |name: &str| UpstreamWords {
        name: name.to_owned(),
        ..UpstreamWords::default()
    };
    let files = UpstreamWords {
        command: ["mcp-files", "--root", "/srv"].map(str::to_owned).to_vec(),
        env: vec!["KEY=file:/run/key".to_owned(), "LANGUAGE".to_owned()],
        read_paths: vec!["/srv".to_owned()],
        memory_bytes_max: Some(67_108_864),
        ..named("files")
    };
    let wiki = UpstreamWords {
        url: Some("http://10.0.0.5/mcp".to_owned()),
        header: Some("Authorization=env:WIKI".to_owned()),
        call_timeout: Some("2m".to_owned()),
        ..named("wiki")
    };
    for (words, expected) in [
        ("upstream list", Command::UpstreamList),
        (
            "upstream remove files",
            Command::UpstreamRemove {
                name: "files".to_owned(),
            },
        ),
        (
            "upstream add files --env KEY=file:/run/key --env LANGUAGE --read-path /srv \
             --memory-bytes-max 67108864 -- mcp-files --root /srv",
            Command::UpstreamAdd(Box::new(files)),
        ),
        (
            "upstream add wiki --url http://10.0.0.5/mcp --header Authorization=env:WIKI \
             --call-timeout 2m",
            Command::UpstreamAdd(Box::new(wiki)),
        ),
    ] {
        assert_eq!(keystead(words).exit_code(), 0, "{words}");
        let asked = server.asked.lock().expect("a list").pop();
        assert_eq!(asked, Some(expected));
    }
    for words in [
        "upstream add files",
        "upstream add files --url http://a/ -- b",
        "upstream add files --header A=env:B -- c",
        "upstream-exec {} -- a",
    ] {
        assert_eq!(keystead(words).exit_code(), 2, "{words}");
    }
    let usage = match keystead("upstream add files").outcome {
        Err(Failure::Usage(usage)) => usage.to_string(),
        other => panic!("expected a wrong use, found {other:?}"),
    };
    let expected = "expected a program after --, or --url; found neither\n\n\
        Usage: keystead upstream add [OPTIONS] <NAME> (--url <URL> | -- <COMMAND>...)";
    assert!(usage.contains(expected), "{usage}");
    assert_eq!(server.end(), []);
}

#[test]
fn a_document_is_pinned_as_its_file_has_it() {
    let server = Server::answering(Ok(Reply::Pin(pin(None))));
    let file = server.dir.path().join("client.json");
    let words = |file: &std::path::Path| {
        let file = file.to_str().expect("a UTF-8 path").to_owned();
        let words = ["client", "pin", "https://app.example/x", "--file"].map(str::to_owned);
        [words.to_vec(), vec![file]].concat()
    };
    let keystead = |words: &[String]| {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        server.keystead(&words)
    };
    let missing = keystead(&words(&file));
    assert_eq!(missing.exit_code(), 1);
    assert!(
        missing.words().contains("cannot read "),
        "{}",
        missing.words()
    );
    std::fs::write(&file, vec![b'x'; 40 * 1024]).expect("a file");
    let long = keystead(&words(&file)).words();
    assert!(
        long.contains("expected at most 32768 bytes, found more"),
        "{long}"
    );
    std::fs::write(&file, "{}\n").expect("a file");
    assert_eq!(keystead(&words(&file)).exit_code(), 0);
    let done = server.keystead(&["client", "unpin", "https://app.example/x"]);
    assert_eq!(
        done.words(),
        "https://app.example/x is not pinned any more.\n"
    );
    let url = || "https://app.example/x".to_owned();
    let document = "{}\n".to_owned();
    let url_and_document = Command::ClientPin {
        url: url(),
        document,
    };
    assert_eq!(
        server.end(),
        [url_and_document, Command::ClientUnpin { url: url() }]
    );
}

#[test]
fn a_password_comes_by_standard_input_or_by_hand() {
    let server = Server::answering(Ok(Reply::User(ada())));
    let words = ["user", "add", "ada", "--owner", "--password-stdin"];
    let done = server.keystead_with(&words, b"correct horse\nmore", None);
    assert_eq!(done.exit_code(), 0, "{}", done.words());
    let by_hand = Some((|_: &str| Ok("by hand".to_owned())) as fn(&str) -> io::Result<String>);
    let done = server.keystead_with(&["user", "passwd", "ada"], b"", by_hand);
    assert_eq!(done.words(), "ada has another password.\n");
    let name = || "ada".to_owned();
    let (added, changed) = ("correct horse".to_owned(), "by hand".to_owned());
    let expected = [
        Command::UserAdd {
            name: name(),
            role: Role::Owner,
            password: Password::new(added),
        },
        Command::UserPasswd {
            name: name(),
            password: Password::new(changed),
        },
    ];
    assert_eq!(server.end(), expected);
}

#[test]
fn a_removal_is_confirmed_by_the_name() {
    let server = Server::answering(Ok(Reply::Done));
    let person = Some((|_: &str| Ok(String::new())) as fn(&str) -> io::Result<String>);
    let words = ["user", "remove", "ada"];
    let done = server.keystead_with(&words, b"yes\n", person);
    assert_eq!(done.exit_code(), 1);
    assert!(
        done.words()
            .contains("Type ada to confirm: error: not confirmed")
    );
    assert_eq!(
        server.keystead_with(&words, b"ada\n", person).exit_code(),
        0
    );
    let name = "ada".to_owned();
    assert_eq!(server.end(), [Command::UserRemove { name }]);
}

#[test]
fn another_pair_of_keys_is_confirmed_or_asked_for_with_yes() {
    let reply = Reply::VapidRegenerated {
        subscriptions_removed: 3,
    };
    let server = Server::answering(Ok(reply));
    let person = Some((|_: &str| Ok(String::new())) as fn(&str) -> io::Result<String>);
    let words = ["vapid", "regenerate"];
    let refused = server.keystead_with(&words, b"yes\n", person).words();
    assert!(
        refused.contains("turn them on again") && refused.contains("not confirmed"),
        "{refused}"
    );
    let done = server.keystead_with(&words, b"regenerate\n", person);
    assert!(done.output.ends_with("again: 3.\n"), "{}", done.words());
    let done = server.keystead(&["vapid", "regenerate", "--yes", "--json"]);
    assert_eq!(done.words(), "{\"subscriptions_removed\":3}\n");
    let expected = [Command::VapidRegenerate, Command::VapidRegenerate];
    assert_eq!(server.end(), expected);
}

#[test]
fn rows_are_text_for_a_person_and_json_for_a_program() {
    let created = Reply::ClientCreated {
        client: dash(),
        client_secret: Some("ks_cs_1".to_owned()),
    };
    let notify = ["notify", "ada", "--title", "Hello"];
    for (name, words, reply) in [
        (
            "users",
            ["user", "list"].as_slice(),
            Reply::Users(vec![ada()]),
        ),
        ("no_users", &["user", "list"], Reply::Users(Vec::new())),
        ("clients", &["client", "list"], Reply::Clients(vec![dash()])),
        ("client", &["client", "show", "c1"], Reply::Client(dash())),
        ("new_client", &["client", "add", "dash"], created),
        (
            "resources",
            &["resource", "list"],
            Reply::Resources(vec![files()]),
        ),
        (
            "new_resource",
            &["resource", "add", "https://files.lan", "--scope", "x"],
            Reply::ResourceCreated {
                resource: files(),
                client_secret: "ks_cs_1".to_owned(),
            },
        ),
        (
            "pins",
            &["client", "pins"],
            Reply::Pins(vec![pin(Some("2026-01-01T00:00:00Z")), pin(None)]),
        ),
        ("no_pins", &["client", "pins"], Reply::Pins(Vec::new())),
        (
            "upstreams",
            &["upstream", "list"],
            Reply::Upstreams(vec![behind(None), behind(Some("2026-01-01T00:00:00Z"))]),
        ),
        (
            "new_upstream",
            &["upstream", "add", "files", "--url", "http://a/"],
            Reply::Upstream(behind(Some("2026-01-01T00:00:00Z"))),
        ),
        ("check", &["check"], Reply::Checked(checked(&[]))),
        ("notified", &notify, Reply::Notified(notified(Some("n1")))),
        ("not_notified", &notify, Reply::Notified(notified(None))),
    ] {
        let server = Server::answering(Ok(reply));
        let text = server.keystead(words);
        let json = server.keystead(&[words, &["--json"]].concat());
        let value: serde_json::Value = serde_json::from_str(&json.output).expect("JSON");
        assert!(value.is_object(), "{value}");
        let both = [text.output, text.notes, json.output].join("----\n");
        insta::assert_snapshot!(name, both);
        server.end();
    }
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

/// What `keystead backup -` writes.
fn piped(data: &std::path::Path) -> Vec<u8> {
    let (mut output, mut notes) = (Vec::new(), Vec::new());
    let mut console = Console {
        input: &mut &b""[..],
        output: &mut output,
        notes: &mut notes,
        keyboard: None,
    };
    let data = data.as_os_str().to_owned();
    let words = ["keystead", "backup", "-", "--data"].map(OsString::from);
    let words = words.into_iter().chain([data]);
    execute(words, &Environment::default(), &mut console).expect("a backup");
    output
}

#[test]
fn a_box_is_backed_up_checked_and_restored_by_command() {
    let dir = tempfile::tempdir().expect("a directory");
    let (first, second) = (dir.path().join("first"), dir.path().join("second"));
    let backup = dir.path().join("box.backup");
    let file = backup.to_str().expect("a UTF-8 path");
    let nothing = keystead_on(&first, &["backup", file]);
    assert_eq!(nothing.exit_code(), 1);
    assert!(!backup.exists(), "{}", nothing.words());
    let words = [
        "client",
        "add",
        "dash",
        "--redirect-uri",
        "https://a.example/",
    ];
    assert_eq!(keystead_on(&first, &words).exit_code(), 0);
    let made = keystead_on(&first, &["backup", file]);
    assert_eq!(made.exit_code(), 0, "{}", made.words());
    assert!(made.notes.contains(" rows, "), "{}", made.words());
    let rights = std::fs::metadata(&backup)
        .expect("the backup")
        .permissions();
    assert_eq!(rights.mode() & 0o777, 0o600);
    // It is not replaced by mistake, and a failure leaves it as it was.
    let before = std::fs::read(&backup).expect("the backup");
    assert!(
        keystead_on(&first, &["backup", file])
            .words()
            .contains("--force")
    );
    let nobody = dir.path().join("nobody");
    assert_eq!(
        keystead_on(&nobody, &["backup", file, "--force"]).exit_code(),
        1
    );
    assert_eq!(std::fs::read(&backup).expect("the backup"), before);
    assert_eq!(
        keystead_on(&first, &["backup", file, "--force"]).exit_code(),
        0
    );
    let piped = piped(&first);
    assert_eq!(piped.len(), before.len());
    assert!(piped.starts_with(b"keystead backup\n"));
    assert_eq!(keystead_on(&first, &["check", file]).exit_code(), 0);
    let restored = keystead_on(&second, &["restore", file]);
    assert_eq!(restored.exit_code(), 0, "{}", restored.words());
    assert!(restored.output.contains("A new epoch has begun"));
    assert!(restored.output.contains("1 client with 1 secret:"));
    assert!(
        keystead_on(&second, &["check"])
            .output
            .contains("It is whole.")
    );
    assert!(
        keystead_on(&second, &["client", "list"])
            .output
            .contains("dash")
    );
    let again = keystead_on(&second, &["restore", file, "--keep-tokens"]);
    assert_eq!(again.exit_code(), 1);
    let names = std::fs::read_dir(dir.path()).expect("a directory").count();
    assert_eq!(names, 3, "something was left behind");
}

#[test]
fn faults_are_exit_code_1() {
    let server = Server::answering(Ok(Reply::Checked(checked(&["users_v1 01: is odd"]))));
    let done = server.keystead(&["check"]);
    assert_eq!(done.exit_code(), 1);
    assert!(
        done.words()
            .ends_with("users_v1 01: is odd\nerror: found 1 fault\n"),
        "{}",
        done.words()
    );
    server.end();
}

#[test]
fn connect_names_the_certificate_of_a_box_that_has_its_own_authority() {
    let server = Server::answering(Ok(Reply::PublicUrl("https://box.lan".to_owned())));
    let certificate = server.dir.path().join("ca.crt");
    let line = format!("NODE_EXTRA_CA_CERTS={}\n", certificate.display());
    let without = server.keystead(&["connect", "claude-code"]);
    assert!(!without.notes.contains(&line), "{}", without.words());
    std::fs::write(&certificate, "a certificate").expect("a file");
    let with = server.keystead(&["connect", "claude-code"]);
    assert!(with.notes.contains(&line), "{}", with.words());
    server.end();
}

/// A server that dies in the middle of a backup.
#[test]
fn half_a_backup_is_none() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = socket::path_in(dir.path());
    let listener = std::os::unix::net::UnixListener::bind(path).expect("a socket");
    let dying = std::thread::Builder::new()
        .spawn(move || {
            let (mut stream, _) = listener.accept().expect("a connection");
            let mut command = [0; 64];
            io::Read::read(&mut stream, &mut command).expect("a command");
            let half = b"{\"Ok\":\"backup\"}\nkeystead backup\n\0\0\0\x01H\0\0\0";
            io::Write::write_all(&mut stream, half).expect("a reader");
        })
        .expect("a thread");
    let file = dir.path().join("box.backup");
    let done = keystead_on(
        dir.path(),
        &["backup", file.to_str().expect("a UTF-8 path")],
    );
    dying.join().expect("a clean end");
    assert_eq!(done.exit_code(), 1);
    assert_eq!(
        done.words(),
        "error: no backup was made: it is cut off: expected more after byte 24\n"
    );
    let left = std::fs::read_dir(dir.path()).expect("a directory");
    assert_eq!(left.count(), 1, "only the socket is there");
}

#[test]
fn a_user_is_told_while_no_server_runs() {
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().to_str().expect("a UTF-8 path");
    let notify = |words: &[&str]| keystead_on(dir.path(), &[&["notify"], words].concat());
    let no_box = notify(&["ada", "--title", "Hello"]);
    assert_eq!(no_box.exit_code(), 1);
    let expected = format!("error: no data file in {data}: expected the directory of a box");
    assert!(no_box.words().starts_with(&expected), "{}", no_box.words());
    let left = std::fs::read_dir(dir.path()).expect("a directory");
    assert_eq!(left.count(), 0, "a data file was made");
    let add = ["user", "add", "ada", "--password-stdin", "--data", data];
    let added = keystead_with(&add, b"correct horse battery\n", None);
    assert_eq!(added.exit_code(), 0, "{}", added.words());
    let told = notify(&["ada", "--title", "Hello", "--link", "/inbox", "--json"]);
    assert_eq!(told.exit_code(), 0, "{}", told.words());
    let row: serde_json::Value = serde_json::from_str(&told.output).expect("JSON");
    assert_eq!((&row["user"], &row["pushes"]), (&"ada".into(), &0.into()));
    assert!(row["id"].is_string(), "{row}");
    let (title, body) = ("x".repeat(201), "x".repeat(4_001));
    for (words, said) in [
        (&["--title", " "][..], "title: expected 1 to 200 characters"),
        (&["--title", "a\nb"], "on one line, found a line break"),
        (&["--title", &title], "title: expected 1 to 200 characters"),
        (
            &["--title", "x", "--body", &body],
            "body: expected at most 4000",
        ),
        (
            &["--title", "x", "--link", "http://nas.lan/"],
            "link: expected a path",
        ),
    ] {
        let refused = notify(&[&["ada"], words].concat());
        assert_eq!(refused.exit_code(), 1, "{words:?}");
        assert!(refused.words().contains(said), "{}", refused.words());
    }
    assert_eq!(
        keystead_on(dir.path(), &["user", "disable", "ada"]).exit_code(),
        0
    );
    let disabled = notify(&["ada", "--title", "Hello"]);
    assert!(
        disabled.words().contains("`keystead user enable ada`"),
        "{}",
        disabled.words()
    );
    let checked = keystead_on(dir.path(), &["check"]);
    assert!(
        checked.output.contains("It is whole."),
        "{}",
        checked.words()
    );
}

#[test]
fn mcp_needs_a_server_that_runs_and_agrees() {
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().to_str().expect("a path");
    let done = keystead(&["mcp", "--data", data]);
    assert_eq!(done.exit_code(), 1);
    let expected = format!("no server runs on {data}: start it with `keystead serve`");
    assert!(done.words().contains(&expected), "{}", done.words());
    assert_eq!(done.output, "");
    let server = Server::answering(Err(Refused::because("there is no user \"bob\"")));
    let done = server.keystead(&["mcp", "--user", "bob", "--toolset", "readonly"]);
    assert_eq!(done.exit_code(), 1);
    assert_eq!(done.words(), "error: there is no user \"bob\"\n");
    assert_eq!(
        server.end(),
        [Command::Mcp {
            user: Some("bob".to_owned()),
            toolset: Some("readonly".to_owned()),
        }]
    );
    let server = Server::answering(Err(Refused::because("there is no user \"bob\"")));
    let done = server.keystead(&["connect", "claude-desktop", "--user", "bob", "--write"]);
    assert_eq!(done.exit_code(), 1);
    assert_eq!(done.words(), "error: there is no user \"bob\"\n");
    assert_eq!(
        server.end(),
        [Command::Mcp {
            user: Some("bob".to_owned()),
            toolset: None,
        }]
    );
    let done = keystead(&["mcp", "--toolset", "all"]);
    let usage = match &done.outcome {
        Err(Failure::Usage(usage)) => usage.to_string(),
        other => panic!("expected a wrong use, found {other:?}"),
    };
    assert!(
        usage.contains("expected standard, readonly or search"),
        "{usage}"
    );
}
