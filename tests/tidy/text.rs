//! The text of a tracked file, and what can be found in it without a parser.

use std::path::Path;

/// A tracked file, read twice: as it stands, and with comments and literals blanked out.
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) text: String,
    pub(crate) code: String,
}

impl File {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let code = if is_rust(path) {
            blanked(text)
        } else {
            String::new()
        };
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
            code,
        }
    }

    /// The directory or file directly under `src/`; `None` for the crate's roots and what is not source.
    pub(crate) fn room(&self) -> Option<&str> {
        let below = self.path.strip_prefix("src/")?;
        match below.split_once('/') {
            Some((room, _)) => Some(room),
            None => below
                .strip_suffix(".rs")
                .filter(|name| !["lib", "main"].contains(name)),
        }
    }
}

/// `text` without the tests at its end, or nothing for a file that is tests altogether.
pub(crate) fn without_tests<'a>(path: &str, text: &'a str) -> &'a str {
    let only_tests = path.contains("/tests/")
        || ["/tests.rs", "/testing.rs"]
            .iter()
            .any(|name| path.ends_with(name));
    let source = text.split("\n#[cfg(test)]\nmod tests").next();
    source.filter(|_| !only_tests).unwrap_or_default()
}

/// A line, counted from 1, and what was found there.
pub(crate) type Finding = (usize, String);

/// What follows each `path` (`crate::` or `super::`) in `code`: one name, or the heads of a group.
pub(crate) fn named_after(code: &str, path: &str) -> Vec<Finding> {
    let mut named = Vec::new();
    for (at, _) in code.match_indices(path) {
        if code[..at].ends_with(is_word) {
            continue;
        }
        let start = at + path.len();
        let group = if code[start..].starts_with('{') {
            group_end(&code[start..])
        } else {
            0
        };
        let mut depth = 0;
        let mut head = true;
        for (offset, piece) in pieces(&code[start..start + group]) {
            match piece {
                "{" => depth += 1,
                "}" => depth -= 1,
                "," => {}
                word if head && depth == 1 => {
                    named.push((line_of(code, start + offset), word.to_owned()));
                }
                _ => {}
            }
            head = matches!(piece, "{" | ",");
        }
        if group == 0 {
            let word: String = code[start..].chars().take_while(|c| is_word(*c)).collect();
            named.push((line_of(code, start), word));
        }
    }
    named
}

/// The length of the braced group that `code` begins with.
fn group_end(code: &str) -> usize {
    let mut depth = 0;
    for (at, c) in code.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 1 => return at + 1,
            '}' => depth -= 1,
            _ => {}
        }
    }
    code.len()
}

/// The words and the single signs of `code`, with the offset of each; blanks are left out.
pub(crate) fn pieces(code: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut rest = 0;
    std::iter::from_fn(move || {
        rest += code[rest..].find(|c: char| !c.is_whitespace())?;
        let tail = &code[rest..];
        let first = tail.chars().next()?;
        let len = match tail.find(|c| !is_word(c)) {
            Some(0) => first.len_utf8(),
            Some(len) => len,
            None => tail.len(),
        };
        rest += len;
        Some((rest - len, &tail[..len]))
    })
}

pub(crate) fn lines_with(text: &str, part: &str) -> Vec<Finding> {
    let matches = text.match_indices(part);
    matches
        .map(|(at, _)| (line_of(text, at), format!("`{part}`")))
        .collect()
}

pub(crate) fn words(code: &str, word: &str) -> Vec<Finding> {
    let all = pieces(code).filter(|(_, piece)| *piece == word);
    all.map(|(at, _)| (line_of(code, at), format!("`{word}`")))
        .collect()
}

pub(crate) fn line_of(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

pub(crate) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

pub(crate) fn is_rust(path: &str) -> bool {
    Path::new(path)
        .extension()
        .is_some_and(|extension| extension == "rs")
}

/// `text` with comments and literals turned into blanks; every line stays where it was.
fn blanked(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (hidden, shown) = match hidden_len(rest, &code) {
            0 => (0, first.len_utf8()),
            hidden => (hidden, 0),
        };
        code.extend(
            rest[..hidden]
                .chars()
                .map(|c| if c == '\n' { c } else { ' ' }),
        );
        code += &rest[..shown];
        rest = &rest[hidden + shown..];
    }
    code
}

/// How many bytes the comment or literal takes that begins between `before` and `rest`; 0 where
/// none does.
fn hidden_len(rest: &str, before: &str) -> usize {
    let until = |end: &str, from: usize| {
        rest[from..]
            .find(end)
            .map_or(rest.len(), |at| from + at + end.len())
    };
    if rest.starts_with("//") {
        return rest.find('\n').unwrap_or(rest.len());
    }
    if rest.starts_with("/*") {
        return block_comment_len(rest);
    }
    if rest.starts_with('"') {
        return string_len(rest);
    }
    if let Some(inside) = rest.strip_prefix('\'') {
        let mut chars = inside.chars();
        return match (chars.next(), chars.next()) {
            (Some('\\'), _) => until("'", 3),
            (Some(c), Some('\'')) => c.len_utf8() + 2,
            _ => 0, // a lifetime
        };
    }
    if !before.ends_with(is_word) {
        let raw = rest.trim_start_matches(['b', 'c']);
        if let Some(fence) = raw.strip_prefix('r').filter(|_| rest.len() - raw.len() < 2) {
            let hashes = fence.len() - fence.trim_start_matches('#').len();
            if fence[hashes..].starts_with('"') {
                let body = rest.len() - fence.len() + hashes + 1;
                return until(&format!("\"{}", "#".repeat(hashes)), body);
            }
        }
    }
    0
}

fn block_comment_len(rest: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < rest.len() {
        let tail = &rest[at..];
        if tail.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if tail.starts_with("*/") {
            depth -= 1;
            at += 2;
        } else {
            at += tail.chars().next().map_or(1, char::len_utf8);
        }
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

fn string_len(rest: &str) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            '"' if !escaped => return at + 1,
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    rest.len()
}

#[test]
pub(crate) fn blanking_leaves_code_and_lines_where_they_were() {
    let table = [
        ("a // b\nc", "a     \nc"),
        ("a /* b /* c */ \n d */ e", "a              \n      e"),
        (r#"f("\"x", 'y', '\'', "z")"#, "f(     ,    ,     ,    )"),
        ("r#\"a \" b\"# c br\"d\" e", "           c       e"),
        ("fn f<'a>(x: &'a str) {}", "fn f<'a>(x: &'a str) {}"),
        ("\"é\" x", "    x"),
    ];
    for (text, expected) in table {
        assert_eq!(blanked(text).trim_end(), expected.trim_end(), "{text}");
    }
}
