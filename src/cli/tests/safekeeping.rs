//! `keystead backup`, `restore` and `check`.

use std::{ffi::OsString, io, os::unix::fs::PermissionsExt as _};

use super::{Console, Environment, Server, execute, keystead_on, rows::checked, socket};
use crate::appliance::administration::Reply;

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
