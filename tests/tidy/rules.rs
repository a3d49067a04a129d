//! The rules, each with what it must find and what it must pass.

use crate::text::{
    File, Finding, is_rust, is_word, line_of, lines_with, named_after, pieces, without_tests, words,
};

/// Lines of a source file, its tests not counted. A longer one has a second room inside.
const FILE_LINES_MAX: usize = 600;

/// Words in the name of a test: fewer do not say what holds.
const TEST_NAME_WORDS_MIN: usize = 3;

/// The rooms of `src/` and the floor of each. A module uses only floors below its own.
const FLOORS: &[(&str, u8)] = &[
    ("cli", 6),
    ("fuzzing", 6),
    ("appliance", 5),
    ("web", 4),
    ("mcp", 4),
    ("http", 3),
    ("runtime", 3),
    ("oauth2provider", 2),
    ("accounts", 2),
    ("notifications", 2),
    ("experiments", 2),
    ("audit", 2),
    ("store", 1),
    ("model", 0),
    ("crypto", 0),
    ("metrics", 0),
    ("config", 0),
];

/// The floor on which `async` begins: `http/` and `runtime/`.
const ASYNC_FLOOR: u8 = 3;

/// Which room may use which other one on its own floor.
const SIDEWAYS: &[(&str, &str)] = &[
    ("model", "crypto"),
    ("config", "model"),
    ("oauth2provider", "audit"),
    ("accounts", "audit"),
    ("notifications", "audit"),
    ("notifications", "accounts"),
    ("experiments", "audit"),
];

/// What the tests of every floor may use: the seeded generator and the clock that is moved by hand.
const OPEN_TO_TESTS: &str = "runtime";

/// Something that holds in the whole tree.
pub(crate) struct Rule {
    /// What must hold, as a failure prints it.
    pub(crate) holds: &'static str,
    pub(crate) find: fn(&File) -> Vec<Finding>,
    /// Path and text of files in which it must find something.
    pub(crate) bad: &'static [(&'static str, &'static str)],
    /// Path and text of files in which it must find nothing.
    pub(crate) good: &'static [(&'static str, &'static str)],
}

pub(crate) const RULES: &[Rule] = &[
    Rule {
        holds: "a room uses only floors below its own, and sideways only what SIDEWAYS lists",
        find: floors,
        bad: &[
            ("src/store/mod.rs", "use crate::oauth2provider::tokens;"),
            (
                "src/model/id.rs",
                "use crate::{\n    crypto::entropy,\n    store::{self, Tx},\n};",
            ),
            ("src/web/api.rs", "fn f() { crate::mcp::tools::list() }"),
            ("src/accounts/mod.rs", "use crate::notifications;"),
            ("src/http/server.rs", "use crate::runtime::clock;"),
            ("src/audit/tests.rs", "use crate::web::api;"),
            ("src/audit/mod.rs", "use super::accounts;"),
            ("src/store/codec.rs", "use super::super::web;"),
            ("src/attic/mod.rs", "//! A room that FLOORS does not know."),
        ],
        good: &[
            (
                "src/web/oauth2/token.rs",
                "use crate::{http::Params, oauth2provider::{mcp, web}};",
            ),
            (
                "src/model/id.rs",
                "// crate::store\nuse crate::crypto::entropy; // \"crate::web\"",
            ),
            (
                "src/store/codec.rs",
                "use super::audit; const WHY: &str = \"crate::web::api\";",
            ),
            ("src/audit/tests.rs", "use crate::runtime::entropy;"),
            (
                "src/http/server.rs",
                "fn f() {}\n\n#[cfg(test)]\nmod tests {\n    use crate::runtime::entropy;\n}",
            ),
            ("src/lib.rs", "use crate::cli;"),
        ],
    },
    Rule {
        holds: "below http/ nothing is async but tests",
        find: synchronous_below_http,
        bad: &[
            ("src/store/engine.rs", "pub async fn write() {}"),
            ("src/accounts/mod.rs", "fn f() { g().await }"),
        ],
        good: &[
            ("src/http/server.rs", "pub async fn serve() {}"),
            (
                "src/store/engine.rs",
                "/// Is not async.\nfn asynchronous() {}",
            ),
            (
                "src/store/engine.rs",
                "fn f() {}\n\n#[cfg(test)]\nmod tests {\n    async fn g() {}\n}",
            ),
            ("src/store/tests/engine.rs", "async fn g() {}"),
        ],
    },
    Rule {
        holds: "redb is named under src/store/ only",
        find: |file| match file.room() {
            Some("store") | None => Vec::new(),
            Some(_) => words(&file.code, "redb"),
        },
        bad: &[("src/appliance/mod.rs", "use redb::Database;")],
        good: &[
            ("src/store/engine.rs", "use redb::Database;"),
            ("src/appliance/mod.rs", "//! The redb file."),
        ],
    },
    Rule {
        holds: "every source file begins with a module doc",
        find: |file| {
            if is_rust(&file.path) && !file.text.starts_with("//! ") {
                return vec![(1, "expected a line that begins with `//! `".to_owned())];
            }
            Vec::new()
        },
        bad: &[
            ("src/model/id.rs", "use std::fmt;\n//! Late."),
            ("tests/wire.rs", ""),
        ],
        good: &[
            ("src/model/id.rs", "//! The identifier.\n"),
            ("build.txt", "nothing"),
        ],
    },
    Rule {
        holds: "a source file stays within FILE_LINES_MAX lines without its tests",
        find: file_size,
        bad: &[("src/model/id.rs", include_str!("../../Cargo.lock"))],
        good: &[("Cargo.lock", include_str!("../../Cargo.lock"))],
    },
    Rule {
        holds: "a lint is silenced by #[expect(.., reason = ..)] only, and no test is left out",
        find: silenced,
        bad: &[
            ("src/model/id.rs", "#[allow(dead_code)]\nfn f() {}"),
            ("src/lib.rs", "#![allow(missing_docs)]"),
            ("tests/wire.rs", "#[test]\n#[ignore = \"slow\"]\nfn f() {}"),
            ("src/model/id.rs", "#[expect(dead_code)]\nfn f() {}"),
            (
                "src/model/id.rs",
                "#[cfg_attr(test, allow(dead_code))]\nfn f() {}",
            ),
        ],
        good: &[
            (
                "src/model/id.rs",
                "#[expect(dead_code, reason = \"the wire names it\")]\nfn f() {}",
            ),
            (
                "src/model/id.rs",
                "// #[allow(dead_code)]\nfn allow(x: u8) {}",
            ),
        ],
    },
    Rule {
        holds: "nothing is left to be done in a comment",
        find: |file| {
            let marks = [
                concat!("TO", "DO"),
                concat!("FIX", "ME"),
                concat!("XX", "X:"),
            ];
            marks
                .iter()
                .flat_map(|mark| lines_with(&file.text, mark))
                .collect()
        },
        bad: &[
            ("src/lib.rs", concat!("// TO", "DO: the rest")),
            ("a.md", concat!("FIX", "ME")),
        ],
        good: &[("src/lib.rs", "// Everything that is to be done is done.")],
    },
    Rule {
        holds: "the name of a test is a sentence",
        find: test_names,
        bad: &[
            ("src/lib.rs", "#[test]\nfn tokens() {}"),
            (
                "src/lib.rs",
                "#[tokio::test]\nasync fn test_that_it_is_refused() {}",
            ),
        ],
        good: &[(
            "src/lib.rs",
            "#[test]\nfn a_spent_code_is_refused() {}\nfn helper() {}",
        )],
    },
    Rule {
        holds: "no tracked file names a directory of somebody's machine",
        find: machine_paths,
        bad: &[
            ("README.md", concat!("cd /Us", "ers/me/keystead")),
            ("a.sh", concat!("x='/ro", "ot/.cargo'")),
            ("a.sh", concat!("cd /wo", "rk/main")),
        ],
        good: &[(
            "README.md",
            "cd ~/keystead; see docs/home/index, https://box.lan/work/",
        )],
    },
    Rule {
        holds: "no tracked file names a package registry",
        find: |file| {
            let hosts = [
                concat!("registry.", "npmjs"),
                concat!("registry.", "yarnpkg"),
                concat!("index.", "crates.io"),
                concat!("static.", "crates.io"),
                concat!("proxy.", "golang"),
                concat!("deb.", "debian.org"),
                concat!("\"resol", "ved\": \"http"),
            ];
            hosts
                .iter()
                .flat_map(|host| lines_with(&file.text, host))
                .collect()
        },
        bad: &[(
            "package-lock.json",
            concat!("\"resol", "ved\": \"https://mirror.lan/x.tgz\""),
        )],
        good: &[(
            "Cargo.lock",
            "registry+https://github.com/rust-lang/crates.io-index",
        )],
    },
];

fn floors(file: &File) -> Vec<Finding> {
    let Some(room) = file.room() else {
        return Vec::new();
    };
    let Some(own) = floor(room) else {
        return vec![(
            1,
            format!("the room `{room}` has no floor in tests/tidy.rs"),
        )];
    };
    let source_lines = without_tests(&file.path, &file.code).lines().count();
    let mut used = named_after(&file.code, "crate::");
    // From a file of its own a room is out of reach of one `super`, from its `mod.rs` it is not.
    if file.path.matches('/').count() == 2 && file.path.ends_with("/mod.rs") {
        used.extend(named_after(&file.code, "super::"));
    }
    let mut found: Vec<Finding> = used
        .into_iter()
        .filter(|(line, other)| other != OPEN_TO_TESTS || *line <= source_lines)
        .filter(|(_, other)| other != room && !SIDEWAYS.contains(&(room, other)))
        .filter(|(_, other)| floor(other).is_some_and(|floor| floor >= own))
        .map(|(line, other)| (line, format!("`{room}` uses `{other}`")))
        .collect();
    found.extend(
        lines_with(&file.code, "super::super")
            .into_iter()
            .map(|(line, _)| {
                (
                    line,
                    "write `crate::` so that the floor can be seen".to_owned(),
                )
            }),
    );
    found
}

fn floor(room: &str) -> Option<u8> {
    FLOORS
        .iter()
        .find(|(name, _)| *name == room)
        .map(|(_, floor)| *floor)
}

fn synchronous_below_http(file: &File) -> Vec<Finding> {
    match file.room().and_then(floor) {
        Some(floor) if floor < ASYNC_FLOOR => {
            let code = without_tests(&file.path, &file.code);
            [words(code, "async"), words(code, "await")].concat()
        }
        _ => Vec::new(),
    }
}

fn file_size(file: &File) -> Vec<Finding> {
    let lines = without_tests(&file.path, &file.text).lines().count();
    if is_rust(&file.path) && lines > FILE_LINES_MAX {
        return vec![(
            lines,
            format!("expected at most {FILE_LINES_MAX} lines, found {lines}"),
        )];
    }
    Vec::new()
}

fn silenced(file: &File) -> Vec<Finding> {
    let mut found = Vec::new();
    for (at, _) in file.code.match_indices('#') {
        let inside = file.code[at + 1..].trim_start_matches('!');
        let Some(attribute) = inside
            .strip_prefix('[')
            .and_then(|rest| rest.split(']').next())
        else {
            continue;
        };
        let names: Vec<&str> = pieces(attribute).map(|(_, piece)| piece).collect();
        let silent = names.windows(2).any(|pair| pair == ["allow", "("])
            || names.first() == Some(&"ignore")
            || (names.first() == Some(&"expect") && !names.contains(&"reason"));
        if silent {
            found.push((line_of(&file.code, at), format!("#[{}]", attribute.trim())));
        }
    }
    found
}

fn test_names(file: &File) -> Vec<Finding> {
    let mut found = Vec::new();
    for mark in ["#[test]", "#[tokio::test"] {
        for (at, _) in file.code.match_indices(mark) {
            let tail = &file.code[at..];
            let name = tail.split_once("fn ").map_or("", |(_, after)| after);
            let name: String = name.chars().take_while(|c| is_word(*c)).collect();
            // A name made by `macro_rules!` is a variable here.
            let variable = name.is_empty();
            let words = name.split('_').filter(|word| !word.is_empty()).count();
            if !variable && (words < TEST_NAME_WORDS_MIN || name.starts_with("test_")) {
                found.push((line_of(&file.code, at), format!("`{name}` says too little")));
            }
        }
    }
    found
}

fn machine_paths(file: &File) -> Vec<Finding> {
    let roots = [
        concat!("/ro", "ot/"),
        concat!("/Us", "ers/"),
        concat!("/wo", "rk/"),
        concat!("/fa", "rm/"),
    ];
    let mut found = Vec::new();
    for root in roots {
        for (at, _) in file.text.match_indices(root) {
            let inner = |c: char| c.is_ascii_alphanumeric() || "._-]}$*".contains(c);
            if !file.text[..at].ends_with(inner) {
                found.push((
                    line_of(&file.text, at),
                    format!("an absolute path: {root}…"),
                ));
            }
        }
    }
    found
}
