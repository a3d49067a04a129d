//! Programs and servers as the system has them: why one does not start, and why one ended.

use super::*;

fn system(environment: Environment) -> SystemConnect {
    let launcher = Launcher::of_this_binary().expect("a binary");
    let servers = NamedServers::new(None, SystemDialer, RootCertStore::empty());
    SystemConnect::new(launcher, environment, servers)
}

async fn why_not(reach: Reach) -> String {
    why_not_in(Environment::default(), reach).await
}

async fn why_not_in(environment: Environment, reach: Reach) -> String {
    let upstream = Upstream {
        reach,
        ..upstream("house")
    };
    let link = Arc::new(Link::new(upstream, Arc::new(system(environment))));
    call(&link, "echo").await.expect_err("it does not start")
}

#[tokio::test]
async fn a_server_that_cannot_be_reached_is_told_of_by_the_innermost_cause() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let closed = listener.local_addr().expect("an address");
    drop(listener);
    for (url, expected) in [
        (
            format!("http://{closed}/mcp"),
            "expected a connection to 127.0.0.1, found none: connection refused",
        ),
        (
            "http://192.0.2.1/mcp".to_owned(),
            "expected 192.0.2.1 to be a server, found an address that is for documentation",
        ),
        (
            "http://1.1.1.1/mcp".to_owned(),
            "expected 1.1.1.1 at a private address, found a public one: there it takes https",
        ),
    ] {
        let why = why_not(Reach::Server {
            url: url.parse().expect("a URL"),
            header: None,
        });
        let expected = format!("expected house to start, but it did not: {expected}");
        assert_eq!(why.await, expected);
    }
}

fn shell(script: &str) -> Reach {
    let words = ["/bin/sh", "-c", script];
    program(&words)
}

fn program(words: &[&str]) -> Reach {
    Reach::Child(Box::new(Child {
        command: words.iter().map(ToString::to_string).collect(),
        environment: Vec::new(),
        sandbox: Sandbox::default(),
    }))
}

#[tokio::test]
async fn a_program_that_does_not_start_is_told_of_by_its_end_and_by_what_it_said_last() {
    for (script, expected) in [
        (
            "echo first >&2; echo 'no such thing' >&2; echo >&2; exit 3",
            "; it ended with exit code 3; the last that it said is: no such thing",
        ),
        (
            "printf '%s\\n' source 'Error: no module' '    at Error (x)' 'v20' >&2; exit 1",
            "; it ended with exit code 1; it said: Error: no module; the last that it said is: v20",
        ),
        (
            "echo 'error: no key' >&2; exit 1",
            "; it ended with exit code 1; the last that it said is: error: no key",
        ),
        ("kill -TRAP $$", "; it was ended, signal: 5 (SIGTRAP)"),
        (
            "echo 'Proceed? (y)' >&2; exec >&-; sleep 1000",
            "it closed its standard output; the last that it said is: Proceed? (y)",
        ),
    ] {
        let why = why_not(shell(script)).await;
        let why = why.replace(" (core dumped)", "");
        assert!(why.ends_with(expected), "{why}");
        assert!(!why.contains("rmcp") && !why.contains("os error"), "{why}");
    }
    let why = why_not(program(&["no-such-program"])).await;
    let expected = "cannot run no-such-program: No such file or directory (os error 2): expected it \
                    on the PATH of the server; name its whole path";
    assert!(why.ends_with(expected), "{why}");
}

/// The words stand where somebody meets the fault: a unit keeps node, say, from what it needs.
#[tokio::test]
async fn under_systemd_a_program_that_does_not_start_is_told_of_with_what_to_do() {
    let own = std::process::id();
    for (pid, is_unit) in [(own, true), (own + 1, false)] {
        let environment = [("SYSTEMD_EXEC_PID", pid.to_string())].into_iter();
        let environment: Environment = environment.collect();
        let long = "printf '%02000d\\n' 7 >&2; kill -TRAP $$";
        for program in [shell(long), program(&["no-such-program"])] {
            let why = why_not_in(environment.clone(), program).await;
            // However much it said.
            let hint = "; what the systemd unit forbids this server it forbids its programs: \
                        docs/upstreams.md says how to allow it";
            assert_eq!(why.contains(hint), is_unit, "{why}");
        }
    }
    let page = include_str!("../../../../docs/upstreams.md");
    assert!(page.contains("systemctl edit keystead"));
}

#[tokio::test(start_paused = true)]
async fn one_that_says_nothing_is_not_waited_for_for_ever() {
    let begun = Instant::now();
    let why = why_not(shell("echo 'Proceed? (y)' >&2; cat >/dev/null")).await;
    assert!(why.contains("it did not answer within 20 s"), "{why}");
    assert!(begun.elapsed() >= START_TIMEOUT);
}

#[tokio::test]
async fn a_server_that_refuses_is_told_of_with_what_to_check() {
    for (status, expected) in [
        (
            "404 Not Found",
            "found 404 Not Found: the owner of this box has to check the path of its URL",
        ),
        (
            "401 Unauthorized",
            "has to check the header that proves who it is",
        ),
        (
            "302 Found",
            "found 302 Found: a redirect, which is not followed",
        ),
        (
            "500 Internal Server Error",
            "expected an answer, found 500 Internal Server Error",
        ),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/mcp", listener.local_addr().expect("an address"));
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let mut request = [0; 64];
            stream.read_exact(&mut request).await.expect("a request");
            stream.write_all(answer.as_bytes()).await.expect("a reader");
            stream.shutdown().await.expect("a stream");
            stream
        });
        let why = why_not(Reach::Server {
            url: url.parse().expect("a URL"),
            header: None,
        });
        let why = why.await;
        assert!(why.ends_with(expected), "{why}");
        drop(server.await.expect("no panic"));
    }
}

/// Whose environment it is, is not to be guessed.
#[tokio::test]
async fn a_secret_that_is_not_there_is_told_of_with_where_it_was_looked_for() {
    let why = why_not(Reach::Server {
        url: "http://127.0.0.1:1/mcp".parse().expect("a URL"),
        header: Some(SecretHeader {
            name: "authorization".to_owned(),
            value: Source::Environment("WIKI_AUTH".to_owned()),
        }),
    });
    let expected = "expected the variable WIKI_AUTH in the environment of the server, found none";
    let why = why.await;
    assert!(why.ends_with(expected), "{why}");
}

/// One that uses more memory than it may, say.
#[tokio::test]
async fn a_program_that_is_ended_during_a_call_is_told_of_by_its_end() {
    let script = r#"
        read line
        id=$(printf %s "$line" | sed 's/.*"id":\([0-9]*\).*/\1/')
        info='"protocolVersion":"2025-11-25","capabilities":{},"serverInfo":{"name":"x","version":"1"}'
        echo "{\"jsonrpc\":\"2.0\",\"id\":$id,\"result\":{$info}}"
        read initialized
        read call
        echo 'no such file: /home/bob/secret' >&2
        kill -KILL $$"#;
    let upstream = Upstream {
        reach: program(&["/bin/sh", "-c", script]),
        ..upstream("house")
    };
    let environment = [("PATH", "/usr/bin:/bin")].into_iter().collect();
    let link = Arc::new(Link::new(upstream, Arc::new(system(environment))));
    let why = call(&link, "echo").await.expect_err("it ends");
    let expected = "it closed its standard output; it was ended, signal: 9 (SIGKILL)";
    assert!(
        why.starts_with("house ended during the call: ") && why.contains(expected),
        "{why}"
    );
    assert!(
        !why.contains("/home/bob"),
        "what it says may be of another's call: {why}"
    );
    let Standing::Failing { why, .. } = link.standing() else {
        panic!("expected one that fails, found {:?}", link.standing());
    };
    assert_eq!(why, expected);
}
