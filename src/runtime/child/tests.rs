//! Programs of this machine, begun and ended.

use std::time::Duration;

use rustix::process::{Pid, test_kill_process};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    time::timeout,
};

use super::{
    log::{LINE_BYTES_MAX, LINES_MAX, Lines, Rate, WINDOW},
    *,
};

const SOON: Duration = Duration::from_mins(1);

fn shell(script: &str) -> Program {
    Program {
        name: "shell".to_owned(),
        command: ["/bin/sh", "-c", script].map(str::to_owned).to_vec(),
        environment: vec![("NAMED".to_owned(), "here".to_owned())],
        sandbox: Sandbox::default(),
    }
}

fn launch(script: &str) -> Running {
    let launcher = Launcher::of_this_binary().expect("a binary");
    launcher.launch(&shell(script)).expect("a shell")
}

async fn lines(running: &mut Running, count: usize) -> Vec<String> {
    let mut lines = BufReader::new(&mut running.stdout).lines();
    let mut found = Vec::new();
    while found.len() < count {
        let line = timeout(SOON, lines.next_line()).await.expect("in time");
        found.push(line.expect("a line").expect("a line"));
    }
    found
}

fn pid(text: &str) -> Pid {
    Pid::from_raw(text.parse().expect("a number")).expect("a process")
}

async fn is_gone(process: Pid) -> bool {
    let gone = async {
        while test_kill_process(process).is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(SOON, gone).await.is_ok()
}

#[tokio::test]
async fn its_environment_is_what_was_named_and_no_more() {
    let mut running = launch("/usr/bin/env");
    let mut text = String::new();
    let read = running.stdout.read_to_string(&mut text);
    timeout(SOON, read).await.expect("in time").expect("text");
    let names: Vec<_> = text
        .lines()
        .filter_map(|line| line.split('=').next())
        .collect();
    // The shell itself makes the others.
    let own = ["NAMED", "PWD", "SHLVL", "_", "OLDPWD"];
    assert!(
        names.contains(&"NAMED") && names.iter().all(|name| own.contains(name)),
        "{text}"
    );
    running.leash.end().await;
}

#[tokio::test]
async fn it_ends_with_everything_that_it_began() {
    let mut running = launch("sleep 1000 & echo $$; echo $!; wait");
    let [own, began] = &lines(&mut running, 2).await[..] else {
        panic!("two lines");
    };
    let (own, began) = (pid(own), pid(began));
    assert!(test_kill_process(began).is_ok());
    running.leash.end().await;
    assert!(is_gone(own).await && is_gone(began).await);
}

/// The server may stop before it has seen to the end of what it began.
#[test]
fn it_ends_with_everything_that_it_began_when_nobody_is_left_to_see_to_it() {
    let runtime = || tokio::runtime::Runtime::new().expect("a runtime");
    let server = runtime();
    let (running, began) = server.block_on(async {
        let mut running = launch("trap '' TERM; sleep 1000 & echo $!; wait");
        let began = pid(&lines(&mut running, 1).await[0]);
        (running, began)
    });
    drop(server);
    // Nobody waits for the program itself, so that its number stays until we end.
    assert!(runtime().block_on(is_gone(began)));
    drop(running);
}

#[tokio::test]
async fn one_that_does_not_listen_is_made_to_end() {
    let mut running = launch("trap '' TERM; echo $$; while :; do sleep 1; done");
    let own = pid(&lines(&mut running, 1).await[0]);
    let begun = tokio::time::Instant::now();
    timeout(SOON, running.leash.end()).await.expect("in time");
    assert!(begun.elapsed() >= GRACE);
    assert!(is_gone(own).await);
}

#[tokio::test]
async fn what_outlives_it_is_ended_when_it_ends_by_itself() {
    let mut running = launch("sleep 1000 & echo $!");
    let began = pid(&lines(&mut running, 1).await[0]);
    assert!(is_gone(began).await);
    running.leash.end().await;
}

#[tokio::test]
async fn a_program_that_there_is_not_is_an_error() {
    let launcher = Launcher::of_this_binary().expect("a binary");
    let program = Program {
        command: vec!["/no/such/program".to_owned()],
        ..shell("")
    };
    let error = launcher.launch(&program).expect_err("an error");
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
}

#[tokio::test]
async fn a_line_of_its_log_is_short_and_cannot_command_a_terminal() {
    let long = "x".repeat(3 * LINE_BYTES_MAX);
    let text = format!("a\u{1b}[31mb\r\n{long}\n\nlast");
    let mut lines = Lines::new(BufReader::new(text.as_bytes()));
    assert_eq!(lines.next().await.as_deref(), Some("a [31mb"));
    assert_eq!(
        lines.next().await.map(|line| line.len()),
        Some(LINE_BYTES_MAX)
    );
    assert_eq!(lines.next().await.as_deref(), Some(""));
    assert_eq!(lines.next().await.as_deref(), Some("last"));
    assert_eq!(lines.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn its_log_has_a_rate() {
    let mut rate = Rate::new();
    let logged = (0..3 * LINES_MAX).filter(|_| rate.allows()).count();
    assert_eq!(logged, LINES_MAX);
    assert_eq!(
        rate.left_out_before(),
        0,
        "it is told when the next lines come"
    );
    tokio::time::advance(WINDOW).await;
    assert_eq!(rate.left_out_before(), 2 * LINES_MAX);
    assert!(rate.allows());
}
