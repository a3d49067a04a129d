//! `keystead client pin`.

use super::{Server, rows::pin};
use crate::appliance::administration::{Command, Reply};

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
