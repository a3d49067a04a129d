//! `keystead upstream`.

use super::{Failure, Server, keystead_with};
use crate::{
    appliance::administration::{Command, Reply},
    model::upstream_words::UpstreamWords,
};

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
            "upstream tools files",
            Command::UpstreamTools {
                name: "files".to_owned(),
            },
        ),
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
        "upstream add files --memory-bytes-max 512M -- c",
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

/// Not when somebody calls it, who has not named it.
#[test]
fn one_in_the_configuration_that_could_never_be_called_is_refused_at_the_start() {
    let dir = tempfile::tempdir().expect("a directory");
    let (file, data) = (dir.path().join("keystead.toml"), dir.path().join("data"));
    let upstream = |url: &str| format!("[[upstream]]\nname = \"wiki\"\nurl = \"{url}\"\n");
    for (url, why) in [
        (
            "http://8.8.8.8/mcp",
            "expected 8.8.8.8 at a private address, found a public one: there it takes https",
        ),
        (
            "https://0.0.0.0/mcp",
            "expected 0.0.0.0 to be a server, found an address that is this network",
        ),
    ] {
        std::fs::write(&file, upstream(url)).expect("a file");
        let [file, data] = [&file, &data].map(|path| path.to_str().expect("a UTF-8 path"));
        let done = keystead_with(&["serve", "--config", file, "--data", data], b"", None);
        assert_eq!(done.exit_code(), 2);
        assert_eq!(
            done.words(),
            format!("error: upstream.url of wiki: {why}\n")
        );
    }
    assert!(!data.exists(), "nothing was made");
}

#[test]
fn only_a_server_that_runs_can_say_which_tools_there_are() {
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().to_str().expect("a UTF-8 path");
    let done = keystead_with(&["upstream", "tools", "files", "--data", data], b"", None);
    assert_eq!(done.exit_code(), 1);
    let expected = format!("error: no server runs on {data}: start it with `keystead serve`");
    assert!(done.words().starts_with(&expected), "{}", done.words());
}
