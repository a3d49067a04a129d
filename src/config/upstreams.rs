//! The upstreams that a configuration file names: `[[upstream]]`.

use std::{collections::BTreeSet, path::Path};

use serde::Deserialize;
use toml::Spanned;

use crate::{
    config::{ConfigError, file::line_of},
    model::{
        upstream::{UPSTREAMS_MAX, Upstream},
        upstream_words::UpstreamWords,
    },
};

/// The key that an upstream stands under.
pub(super) const KEY: &str = "upstream";

/// What is read of a file here; the rest is settings.
#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    upstream: Vec<Spanned<UpstreamWords>>,
}

/// The upstreams that `text` names, which stands in the file at `path`.
pub(super) fn parse(path: &Path, text: &str) -> Result<Vec<Upstream>, ConfigError> {
    let document: Document = toml::from_str(text).map_err(|error| {
        let line = line_of(text, error.span().map_or(0, |span| span.start));
        ConfigError::Value {
            place: format!("{KEY} in {} line {line}", path.display()),
            complaint: complaint(error.message()),
        }
    })?;
    let wrong = |words: &Spanned<UpstreamWords>, field: &str, complaint: String| {
        let line = line_of(text, words.span().start);
        ConfigError::Value {
            place: format!("{KEY}.{field} in {} line {line}", path.display()),
            complaint,
        }
    };
    let mut names = BTreeSet::new();
    let mut upstreams = Vec::new();
    for words in &document.upstream {
        let upstream = Upstream::try_from(words.get_ref().clone())
            .map_err(|error| wrong(words, error.field, error.complaint().to_owned()))?;
        if !names.insert(upstream.name.clone()) {
            let complaint = format!("expected each once, found {} twice", upstream.name);
            return Err(wrong(words, "name", complaint));
        }
        if names.len() > UPSTREAMS_MAX {
            let complaint = format!("expected at most {UPSTREAMS_MAX} upstreams, found more");
            return Err(wrong(words, "name", complaint));
        }
        upstreams.push(upstream);
    }
    Ok(upstreams)
}

/// The parser's words, in those of the file.
fn complaint(message: &str) -> String {
    match message {
        "invalid type: map, expected a sequence" => {
            format!("expected [[{KEY}]] for each of them, found [{KEY}]")
        }
        other => other.replace(
            "expected a sequence",
            "expected a list such as [\"a\", \"b\"]",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::upstream::{Bounds, Reach, Source};

    fn parse_text(text: &str) -> Result<Vec<Upstream>, String> {
        parse(Path::new("k.toml"), text).map_err(|error| error.to_string())
    }

    #[test]
    fn an_upstream_is_named_with_as_little_as_it_needs() {
        let found = parse_text(
            "listen = [\"127.0.0.1:0\"]\n[[upstream]]\nname = \"files\"\ncommand = [\"mcp-files\", \"/srv\"]\n\
             env = [\"LANGUAGE\", \"KEY=file:/run/key\", \"MODE=text:a=b\"]\n\
             [[upstream]]\nname = \"wiki\"\nurl = \"http://10.0.0.5:8080/mcp\"\n\
             header = \"Authorization=env:WIKI\"\ncall_timeout = \"2m\"\n",
        )
        .expect("two");
        let [files, wiki] = found.as_slice() else {
            panic!("{found:?}");
        };
        assert_eq!(files.bounds, Bounds::default());
        let Reach::Child(child) = &files.reach else {
            panic!("{files:?}");
        };
        assert_eq!(child.command, ["mcp-files", "/srv"]);
        let sources: Vec<_> = child
            .environment
            .iter()
            .map(|v| (v.name.as_str(), &v.value))
            .collect();
        let environment = |name: &str| Source::Environment(name.to_owned());
        assert_eq!(
            sources,
            [
                ("LANGUAGE", &environment("LANGUAGE")),
                ("KEY", &Source::File("/run/key".to_owned())),
                ("MODE", &Source::Text("a=b".to_owned())),
            ]
        );
        let Reach::Server { url, header } = &wiki.reach else {
            panic!("{wiki:?}");
        };
        assert_eq!(url.as_str(), "http://10.0.0.5:8080/mcp");
        let header = header.as_ref().expect("a header");
        assert_eq!(
            (header.name.as_str(), &header.value),
            ("authorization", &environment("WIKI"))
        );
        assert_eq!(wiki.bounds.call_timeout.as_secs(), 120);
    }

    fn assert_refused(text: &str, words: &str) {
        let error = parse_text(text).expect_err(words);
        assert!(error.contains(words), "{text}: {error}");
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        let of = |lines: &str| format!("[[upstream]]\nname = \"a\"\n{lines}");
        let child = "command = [\"x\"]\n";
        for (text, words) in [
            (
                of(""),
                "upstream.command in k.toml line 1: expected 1 to 64 words or a url",
            ),
            (
                of("name2 = 1\n"),
                "upstream in k.toml line 3: unknown field `name2`",
            ),
            (
                "[upstream]\nname = \"a\"\n".to_owned(),
                "upstream in k.toml line 1: expected [[upstream]] for each of them, found [upstream]",
            ),
            (
                of("command = \"x\"\n"),
                "upstream in k.toml line 3: invalid type: string \"x\", expected a list such as",
            ),
            (
                "[[upstream]]\nname = \"A_b\"\ncommand = [\"x\"]\n".to_owned(),
                "small letters",
            ),
            (
                of("command = [\"x\"]\n[[upstream]]\nname = \"a\"\ncommand = [\"x\"]\n"),
                "found a twice",
            ),
            (
                of("command = [\"x\"]\nurl = \"http://b/\"\n"),
                "expected none beside url",
            ),
            (of("url = \"ftp://b/\"\n"), "expected an http or https URL"),
            (
                of("url = \"https://u:p@b/\"\n"),
                "a secret belongs in a header",
            ),
            (
                of("url = \"https://b/\"\nheader = \"Authorization=text:x\"\n"),
                "keep a secret a secret",
            ),
            (
                of("url = \"https://b/\"\nheader = \"Host=env:x\"\n"),
                "does not use itself",
            ),
            (
                of("url = \"https://b/\"\nheader = \"Mcp-Session-Id=env:x\"\n"),
                "does not use itself",
            ),
        ] {
            assert_refused(&text, words);
        }
        let many = |n: usize| of(child).replace("\"a\"", &format!("\"a{n}\""));
        let many: Vec<String> = (0..=UPSTREAMS_MAX).map(many).collect();
        assert_refused(&many.concat(), "expected at most 16 upstreams");
    }

    /// The words that stand in backticks.
    fn quoted(text: &str) -> impl Iterator<Item = &str> {
        text.split('`').skip(1).step_by(2)
    }

    #[test]
    fn the_documentation_lists_every_key_in_its_order() {
        let document = include_str!("../../docs/configuration.md");
        let (_, part) = document
            .split_once("\n## Other MCP servers\n")
            .expect("the part about upstreams");
        let rows = part.lines().filter(|line| line.starts_with("| `"));
        let listed: Vec<&str> = rows
            .filter_map(|row| row.split(" | ").next())
            .flat_map(quoted)
            .collect();
        // Whoever writes a key that there is not is told of all that there are.
        let told = serde_json::from_str::<UpstreamWords>(r#"{"other": 1}"#);
        let told = told.expect_err("no such key").to_string();
        assert_eq!(listed, quoted(&told).skip(1).collect::<Vec<_>>());
    }

    #[test]
    fn what_a_program_is_held_to_is_within_bounds() {
        let child = "[[upstream]]\nname = \"a\"\ncommand = [\"x\"]\n";
        for (line, words) in [
            ("env = [\"1A=env:x\"]", "found the name \"1A\""),
            (
                "env = [\"A=x\"]",
                "expected env:NAME, file:/PATH or text:VALUE",
            ),
            ("env = [\"A=file:x\"]", "expected env:NAME"),
            ("read_paths = [\"srv\"]", "begins with /"),
            ("user = \"a b\"", "expected one word"),
            ("idle_timeout = \"0s\"", "expected 1s to 86400s"),
            ("call_timeout = \"11m\"", "expected 1s to 600s"),
            ("answer_bytes_max = 1", "expected 65536 to"),
            ("memory_bytes_max = 1", "expected 16777216 to"),
        ] {
            assert_refused(&format!("{child}{line}\n"), words);
        }
    }
}
