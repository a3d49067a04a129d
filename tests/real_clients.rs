//! Clients and a browser that we did not write, against the built binary. Each suite of
//! `tests/clients/` is one test here; its report is kept in `tests/artefacts/`.
//!
//! `tests/run` installs what they need. Nothing is left out where something is missing: the test
//! fails and says what to run.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// How long a suite may take: a browser on a busy machine is slow, a hang is slower.
const SUITE_MS_MAX: u32 = 600_000;

const INSTALL: &str = "run `tests/run`, which installs what the clients need";

#[test]
fn mcp_clients_of_both_generations_sign_in_and_call_tools() {
    run("mcp");
}

#[test]
fn a_strict_oauth_client_finds_nothing_wrong() {
    run("oauth4webapi");
}

#[test]
fn what_node_applications_sign_in_with_finds_nothing_wrong() {
    run("openid-client");
}

#[test]
fn python_clients_sign_in_and_call_tools() {
    run("python");
}

#[test]
fn the_client_of_rmcp_signs_in_and_calls_tools() {
    run("rmcp");
}

#[test]
fn the_conformance_tool_of_mcp_finds_nothing_wrong() {
    run("conformance");
}

#[test]
fn the_conformance_suite_of_mcp_fails_only_where_nothing_is_offered() {
    run("mcp-conformance");
}

#[test]
fn a_web_socket_client_is_told_what_happens_to_an_inbox() {
    run("watch");
}

#[test]
fn what_hosts_in_the_field_send_is_understood() {
    run("quirks");
}

#[test]
fn a_person_with_a_browser_gets_through() {
    run("browser");
}

#[test]
fn the_inbox_is_live_and_tells_the_device() {
    run("inbox");
}

#[test]
fn a_killed_server_loses_no_answered_token() {
    run("crash");
}

#[test]
fn a_full_disk_and_a_damaged_file_lose_nothing() {
    run("storage");
}

#[test]
fn tls_clients_trust_the_box_and_follow_its_certificates() {
    run("tls");
}

#[test]
fn the_reverse_proxy_of_the_readme_passes_everything_on() {
    run("nginx");
}

#[test]
fn faults_of_the_process_are_one_clear_sentence() {
    run("process");
}

#[test]
fn grants_without_a_redirect_and_another_mcp_server_work() {
    run("grants");
}

#[test]
fn other_mcp_servers_are_called_through_the_box() {
    run("upstreams");
}

#[test]
fn a_push_service_and_its_browsers_read_what_is_pushed() {
    run("push");
}

#[test]
fn clients_start_the_command_and_call_tools_over_its_streams() {
    run("stdio");
}

#[test]
fn every_suite_has_its_test_here() {
    let source = include_str!("real_clients.rs");
    for suite in suites() {
        assert!(
            source.contains(&format!("run(\"{suite}\");")),
            "nothing runs {suite}.test.mjs"
        );
    }
}

/// The names of the suites in `tests/clients/`.
fn suites() -> Vec<String> {
    let entries = fs::read_dir(clients()).expect("tests/clients can be listed");
    let names = entries.map(|entry| entry.expect("an entry can be read").file_name());
    let suites: Vec<String> = names
        .filter_map(|name| Some(name.to_str()?.strip_suffix(".test.mjs")?.to_owned()))
        .collect();
    assert!(!suites.is_empty(), "no suite in tests/clients");
    suites
}

/// Runs `tests/clients/<suite>.test.mjs` and shows its report if anything in it failed.
fn run(suite: &str) {
    let installed = clients().join("node_modules");
    assert!(
        installed.is_dir(),
        "tests/clients/node_modules is missing: {INSTALL}"
    );
    let output = Command::new("node")
        .arg("--test")
        .arg("--test-reporter=spec")
        .arg(format!("--test-timeout={SUITE_MS_MAX}"))
        .arg(format!("{suite}.test.mjs"))
        .current_dir(clients())
        .env("KEYSTEAD_BIN", env!("CARGO_BIN_EXE_keystead"))
        .output()
        .unwrap_or_else(|fault| panic!("node cannot be started ({fault}): {INSTALL}"));
    let report = report_of(&output);
    let count =
        |what| count_of(&report, what).unwrap_or_else(|| panic!("no summary in:\n{report}"));
    let (passed, left_out) = (count("pass"), count("skipped") + count("todo"));
    let total = count("tests");
    keep(suite, &format!("{passed} of {total} passed\n{report}"));
    assert!(
        output.status.success() && passed == total && left_out == 0 && total > 0,
        "{report}"
    );
}

/// What node printed.
fn report_of(output: &Output) -> String {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}

/// The number in the line `ℹ <what> <number>` of a report.
fn count_of(report: &str, what: &str) -> Option<u32> {
    let prefix = format!("ℹ {what} ");
    report
        .lines()
        .find_map(|line| line.strip_prefix(&prefix)?.parse().ok())
}

fn keep(suite: &str, report: &str) {
    let artefacts = clients().join("../artefacts");
    fs::create_dir_all(&artefacts).expect("tests/artefacts can be made");
    fs::write(artefacts.join(format!("{suite}.report")), report).expect("a report can be kept");
}

fn clients() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients")
}
