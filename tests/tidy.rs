//! Keeps what clippy cannot: the floors of `docs/architecture.md`, module docs, file sizes, and
//! what must not be in a tracked file.
//!
//! Every rule carries a text that it must find and one that it must pass, so that no rule can go
//! blind unnoticed.

use std::{fs, path::Path, process::Command};

use rules::RULES;
use text::File;

#[path = "tidy/rules.rs"]
mod rules;
#[path = "tidy/text.rs"]
mod text;

#[test]
fn the_tree_keeps_every_rule() {
    let files = tracked_files();
    assert!(
        files.iter().any(|file| file.path == "src/lib.rs"),
        "git listed no source"
    );
    let mut broken = Vec::new();
    for rule in RULES {
        for file in &files {
            for (line, found) in (rule.find)(file) {
                broken.push(format!("{}:{line}: {found}\n    {}", file.path, rule.holds));
            }
        }
    }
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

#[test]
fn every_rule_finds_what_it_must_and_nothing_else() {
    for rule in RULES {
        assert!(
            !rule.bad.is_empty() && !rule.good.is_empty(),
            "{}",
            rule.holds
        );
        for (path, text) in rule.bad {
            let found = (rule.find)(&File::new(path, text));
            assert!(!found.is_empty(), "not found in {path}: {}", rule.holds);
        }
        for (path, text) in rule.good {
            assert_eq!(
                (rule.find)(&File::new(path, text)),
                [],
                "{path}: {}",
                rule.holds
            );
        }
    }
}

#[test]
fn every_direct_dependency_has_its_reason_and_no_reason_is_stale() {
    let mut used = Vec::new();
    for path in ["Cargo.toml", "benches/Cargo.toml"] {
        let manifest: toml::Table = read(path).parse().expect("Cargo.toml is TOML");
        let tables = ["dependencies", "dev-dependencies", "build-dependencies"]
            .iter()
            .filter_map(|section| manifest.get(*section)?.as_table());
        used.extend(tables.flat_map(|table| table.keys().cloned()));
    }
    for path in [
        "tests/clients/package.json",
        "benches/peers/node-oidc-provider/package.json",
    ] {
        let package: serde_json::Value =
            serde_json::from_str(&read(path)).expect("package.json is JSON");
        let npm = package["dependencies"].as_object();
        used.extend(npm.expect("it has dependencies").keys().cloned());
    }
    used.retain(|name| name != "keystead");

    let page = read("docs/dependencies.md");
    let explained: Vec<String> = page.lines().filter_map(explained_name).collect();
    let missing: Vec<_> = used
        .iter()
        .filter(|name| !explained.contains(name))
        .collect();
    let stale: Vec<_> = explained
        .iter()
        .filter(|name| !used.contains(name))
        .collect();
    assert!(
        missing.is_empty(),
        "docs/dependencies.md gives no reason for {missing:?}"
    );
    assert!(
        stale.is_empty(),
        "docs/dependencies.md explains {stale:?}, which nothing uses"
    );
}

/// What can be measured is known to the script that measures and to the page that tells of it.
#[test]
fn every_part_of_the_benchmarks_is_documented() {
    let names = |path: &str, table: &str| -> Vec<String> {
        let source = read(path);
        let (_, rows) = source.split_once(table).expect("the table is there");
        let (rows, _) = rows.split_once("];").expect("a table ends");
        let names = rows.split("(\"").skip(1);
        names
            .filter_map(|row| Some(row.split_once('"')?.0.to_owned()))
            .collect()
    };
    let parts = names("benches/src/suite.rs", "const PARTS");
    let scenarios = names("benches/src/scenario.rs", "const ALL");
    assert!(
        parts.len() > 1 && scenarios.len() > 1,
        "{parts:?} {scenarios:?}"
    );
    let (page, script) = (read("docs/performance.md"), read("benches/run"));
    for name in parts.iter().chain(&scenarios) {
        assert!(
            page.contains(&format!("`{name}`")),
            "docs/performance.md lacks {name}"
        );
    }
    for part in parts {
        assert!(script.contains(&part), "benches/run does not say {part}");
    }
}

/// The name that a row `` | `name` | reason | `` explains.
fn explained_name(line: &str) -> Option<String> {
    let (name, reason) = line.strip_prefix("| `")?.split_once("` | ")?;
    assert!(
        reason.len() > 10,
        "{name} has no reason in docs/dependencies.md"
    );
    Some(name.to_owned())
}

/// Every file that git tracks or would track, with its text; what is not UTF-8 has no lines to judge.
fn tracked_files() -> Vec<File> {
    let listed = Command::new("git")
        .args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("git lists the tree");
    assert!(
        listed.status.success(),
        "{}",
        String::from_utf8_lossy(&listed.stderr)
    );
    let paths = String::from_utf8(listed.stdout).expect("paths are UTF-8");
    let present = paths.split('\0').filter(|path| is_file(path));
    present
        .filter_map(|path| {
            let bytes = fs::read(root().join(path)).expect("a listed file can be read");
            Some(File::new(path, &String::from_utf8(bytes).ok()?))
        })
        .collect()
}

fn is_file(path: &str) -> bool {
    !path.is_empty() && root().join(path).is_file()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|fault| panic!("{path}: {fault}"))
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
