//! What a fuzzer calls: each target takes bytes as a stranger may send them to the parser that
//! meets them first, and panics where what came out is not what it has to be.
//!
//! `tests/fuzz/` gives each target to libFuzzer; the tests below take each through its corpus. This
//! module is compiled for tests and with the feature `fuzzing` only.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::HeaderValue;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use url::form_urlencoded;

use crate::{
    http::params::{NAME_BYTES_MAX, PARAMS_MAX, Params, VALUE_BYTES_MAX},
    mcp::local,
    model::{
        oauth2::{
            client::{AuthMethod, REDIRECT_URIS_MAX},
            client_id::DocumentUrl,
            redirect_uri::RedirectUri,
            scope::ScopeSet,
        },
        upstream::{Upstream, UpstreamName},
        upstream_words::UpstreamWords,
    },
    store::fuzzing::read_write_read,
    web::{
        oauth2::{
            client_credentials::Presented,
            client_documents::{self, DOCUMENT_BYTES_MAX},
            register::{parse_metadata, print_metadata},
        },
        pages::inbox::markdown,
    },
};

/// Something to be fuzzed.
pub struct Target {
    /// Its name, its binary in `tests/fuzz/targets/` and its directory in `tests/fuzz/corpus/`.
    pub name: &'static str,
    /// What is done with one input.
    pub run: fn(&[u8]),
}

/// Every target.
pub const TARGETS: &[Target] = &[
    target("form_parameters", form_parameters),
    target("redirect_uris", redirect_uris),
    target("scopes", scopes),
    target("client_metadata", client_metadata),
    target("metadata_documents", metadata_documents),
    target("basic_credentials", basic_credentials),
    target("upstream_words", upstream_words),
    target("stdio_messages", stdio_messages),
    target("markdown", markdown),
    target("records", records),
];

const fn target(name: &'static str, run: fn(&[u8])) -> Target {
    Target { name, run }
}

/// A form or a query: printed again, it says the same.
///
/// # Panics
/// If it does not.
pub fn form_parameters(bytes: &[u8]) {
    let Ok(params) = Params::parse(bytes) else {
        return;
    };
    let pairs: Vec<(&str, &str)> = params.pairs().collect();
    assert!(pairs.len() <= PARAMS_MAX);
    for (name, value) in &pairs {
        assert!(name.len() <= NAME_BYTES_MAX && (1..=VALUE_BYTES_MAX).contains(&value.len()));
        let values = params.all(name);
        assert!(values.contains(value));
        assert_eq!(params.get(name).is_ok(), values.len() == 1);
    }
    let mut print = form_urlencoded::Serializer::new(String::new());
    let printed = print.extend_pairs(&pairs).finish();
    assert_eq!(Params::parse(printed), Ok(params));
}

/// Two redirect URIs, one a line: each is kept byte for byte, and they match both ways or not at
/// all.
///
/// # Panics
/// If it does not.
pub fn redirect_uris(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let (first, second) = text.split_once('\n').unwrap_or((text, text));
    let (Ok(first), Ok(second)) = (first.parse(), second.parse()) else {
        return;
    };
    let (first, second): (RedirectUri, RedirectUri) = (first, second);
    assert_eq!(first.as_str().parse(), Ok(first.clone()));
    assert!(first.allows(&first));
    assert_eq!(first.allows(&second), second.allows(&first));
    // What stands in the policy and on the page can end neither.
    let source = first.form_action_source();
    assert!(!source.contains([' ', ';', ',', '\'']), "{source}");
    assert!(!first.shown_host().is_empty());
    if first.allows(&second) {
        assert_eq!(first.shown_host(), second.shown_host());
        assert_eq!(first.kind(), second.kind());
    }
}

/// A set of scopes: printed again, it is the same set.
///
/// # Panics
/// If it does not.
pub fn scopes(bytes: &[u8]) {
    let text = std::str::from_utf8(bytes).ok();
    let Some(Ok(scopes)) = text.map(str::parse::<ScopeSet>) else {
        return;
    };
    assert!(scopes.iter().count() <= ScopeSet::LEN_MAX);
    assert_eq!(scopes.to_string().parse(), Ok(scopes));
}

/// The body of a registration: what was understood, registered again, is the same.
///
/// # Panics
/// If it does not.
pub fn client_metadata(bytes: &[u8]) {
    let Ok(metadata) = parse_metadata(bytes) else {
        return;
    };
    assert!(metadata.redirect_uris.len() <= REDIRECT_URIS_MAX);
    assert!(
        metadata
            .grant_types
            .is_sorted_by(|first, second| first < second)
    );
    let printed = print_metadata(&metadata).to_string();
    let again = parse_metadata(printed.as_bytes()).expect("what was registered can be registered");
    assert_eq!(again, metadata, "{printed}");
}

/// A URL, and from the next line on the document that its host gives: it is that of this URL, and
/// says the same when it is printed again.
///
/// # Panics
/// If it does not.
pub fn metadata_documents(bytes: &[u8]) {
    let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else {
        return;
    };
    let (url, document) = (std::str::from_utf8(&bytes[..end]), &bytes[end + 1..]);
    let Some(Ok(url)) = url.ok().map(str::parse::<DocumentUrl>) else {
        return;
    };
    assert_eq!(url.as_str().as_bytes(), &bytes[..end]);
    let Ok(parsed) = client_documents::parse(&url, document) else {
        return;
    };
    assert_eq!(parsed.url, url);
    assert_eq!(parsed.metadata.auth_method, AuthMethod::None);
    let mut printed = print_metadata(&parsed.metadata);
    printed["client_id"] = url.as_str().into();
    let printed = printed.to_string();
    // Printed, it can be longer than a document may be.
    if printed.len() <= DOCUMENT_BYTES_MAX {
        let again = client_documents::parse(&url, printed.as_bytes());
        assert_eq!(again, Ok(parsed), "{printed}");
    }
}

/// An `Authorization` header: what was read, sent as RFC 6749 has it, is read the same.
///
/// # Panics
/// If it does not.
pub fn basic_credentials(bytes: &[u8]) {
    let header = HeaderValue::from_bytes(bytes).ok();
    let Some(Ok(presented)) = header.as_ref().map(Presented::from_basic) else {
        return;
    };
    let encoded = |part: &Option<String>| {
        let part = part.as_deref().unwrap_or_default();
        utf8_percent_encode(part, NON_ALPHANUMERIC).to_string()
    };
    let pair = format!("{}:{}", encoded(&presented.id), encoded(&presented.secret));
    let printed = format!("Basic {}", STANDARD.encode(pair));
    let printed = HeaderValue::from_str(&printed).expect("base64 can be a header");
    // Not by `assert_eq`, which would print a secret.
    assert!(Presented::from_basic(&printed).ok() == Some(presented));
}

/// An upstream as it is named on the administration socket: printed again, its words are the same;
/// where it can be one, its scopes and the names of its tools lead back to it.
///
/// # Panics
/// If they do not.
pub fn upstream_words(bytes: &[u8]) {
    let Ok(words) = serde_json::from_slice::<UpstreamWords>(bytes) else {
        return;
    };
    let printed = serde_json::to_vec(&words).expect("words can be JSON");
    let again: UpstreamWords = serde_json::from_slice(&printed).expect("what was printed");
    assert_eq!(again, words);
    let named = words.name.clone();
    let Ok(upstream) = Upstream::try_from(words) else {
        return;
    };
    let name = upstream.name;
    assert_eq!(name.as_str(), named);
    for scope in name.scopes() {
        let set: ScopeSet = scope.name.parse().expect("a scope that can be asked for");
        assert!(set.iter().eq([scope.name.as_str()]));
    }
    let prefixed = name.prefixed("tool__of__it");
    assert_eq!(UpstreamName::split(&prefixed), Some((name, "tool__of__it")));
}

/// Bytes of a line of [`stdio_messages`].
const LINE_BYTES_MAX: usize = 512;

/// What a program of this machine writes: the lines are those that it wrote, none is too long, and
/// each is a message or an error of JSON-RPC.
///
/// # Panics
/// If it is not so.
pub fn stdio_messages(bytes: &[u8]) {
    let mut rest = bytes;
    for (line, message) in local::read_whole(bytes, LINE_BYTES_MAX) {
        assert!(line.len() <= LINE_BYTES_MAX);
        let after = rest.strip_prefix(&line[..]);
        rest = after
            .and_then(|rest| rest.strip_prefix(b"\n"))
            .expect("its own line");
        match message {
            Ok(message) => assert_eq!(message["jsonrpc"], "2.0"),
            Err(refusal) => {
                assert_eq!(refusal["jsonrpc"], "2.0");
                assert!(
                    refusal["error"]["code"]
                        .as_i64()
                        .is_some_and(|code| code < 0)
                );
            }
        }
    }
}

/// The content of a notification: nothing but what may pass stands in the HTML, every tag ends in
/// its order, and a link leads to the box or to https.
///
/// # Panics
/// If it does not.
pub fn markdown(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let html = markdown::html(text);
    let mut open = Vec::new();
    for tag in html.split('<').skip(1) {
        let (tag, _) = tag.split_once('>').expect("a tag that ends");
        let (name, rest) = tag.split_once(' ').unwrap_or((tag, ""));
        match (name, rest) {
            ("br", "/") => {}
            ("p" | "em" | "strong" | "code" | "pre" | "ul" | "ol" | "li", "") => open.push(name),
            ("ol", start) => {
                let number = start
                    .strip_prefix("start=\"")
                    .and_then(|rest| rest.strip_suffix('"'));
                assert!(
                    number.is_some_and(|number| number.parse::<u64>().is_ok()),
                    "{html}"
                );
                open.push(name);
            }
            ("a", target) => {
                let href = target
                    .strip_prefix("href=\"")
                    .and_then(|rest| rest.strip_suffix('"'));
                let href = href.unwrap_or_else(|| panic!("a link without a target: {html}"));
                let is_own = href.starts_with('/') && !href.starts_with("//");
                assert!(is_own || href.starts_with("https://"), "{html}");
                assert!(!href.contains('"') && !open.contains(&"a"), "{html}");
                open.push(name);
            }
            _ => assert_eq!(name.strip_prefix('/'), open.pop(), "{html}"),
        }
    }
    assert_eq!(open, Vec::<&str>::new(), "{html}");
}

/// The table that the first byte chooses, and a record of it: what was read can be written and is
/// read the same.
///
/// # Panics
/// If it does not.
pub fn records(bytes: &[u8]) {
    if let Some((table, record)) = bytes.split_first() {
        read_write_read(*table, record);
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use proptest::{collection::vec, prelude::*, sample::Index, test_runner::TestRunner};

    use super::*;

    /// Variations of one input of the corpus that the tests try.
    const VARIATIONS: u32 = 64;

    /// The corpus of `target`, by the names of its files.
    fn corpus(target: &Target) -> Vec<(String, Vec<u8>)> {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus");
        let files = fs::read_dir(corpus.join(target.name)).expect("every target has a corpus");
        files
            .map(|file| {
                let path = file.expect("the corpus can be listed").path();
                let bytes = fs::read(&path).expect("the corpus can be read");
                (path.display().to_string(), bytes)
            })
            .collect()
    }

    #[test]
    fn every_target_has_a_corpus_and_a_binary_and_nothing_else_does() {
        let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz");
        let names = |directory: &str| {
            let entries = fs::read_dir(home.join(directory)).expect(directory);
            let mut names: Vec<String> = entries
                .map(|entry| entry.expect(directory).path())
                .map(|path| path.file_stem().expect("a name").display().to_string())
                .collect();
            names.sort_unstable();
            names
        };
        let mut known: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
        known.sort_unstable();
        assert_eq!(names("corpus"), known);
        assert_eq!(names("targets"), known);
        let manifest = fs::read_to_string(home.join("Cargo.toml")).expect("a manifest");
        for name in known {
            assert!(manifest.contains(&format!("targets/{name}.rs")), "{name}");
        }
    }

    #[test]
    fn no_input_of_the_corpus_breaks_its_target() {
        for target in TARGETS {
            let corpus = corpus(target);
            assert!(!corpus.is_empty(), "{} has no corpus", target.name);
            for (_, bytes) in corpus {
                (target.run)(&bytes);
            }
        }
    }

    /// What libFuzzer does for hours, for a moment wherever it cannot run: bytes of the corpus
    /// replaced, cut and doubled.
    #[test]
    fn no_variation_of_the_corpus_breaks_its_target() {
        for target in TARGETS {
            for (name, bytes) in corpus(target) {
                let config = ProptestConfig {
                    cases: VARIATIONS,
                    ..ProptestConfig::default()
                };
                let changes = vec((any::<Index>(), any::<u8>()), 0..4);
                let cut = (any::<Index>(), any::<Index>());
                let varied =
                    TestRunner::new(config).run(&(changes, cut), |(changes, (from, to))| {
                        let mut varied = bytes.clone();
                        for (place, byte) in changes {
                            if !varied.is_empty() {
                                let place = place.index(varied.len());
                                varied[place] = byte;
                            }
                        }
                        let (from, to) = (from.index(varied.len() + 1), to.index(varied.len() + 1));
                        let tail = varied.split_off(from.max(to));
                        varied.truncate(from.min(to));
                        varied.extend(tail);
                        (target.run)(&varied);
                        Ok(())
                    });
                varied.unwrap_or_else(|error| panic!("{name}: {error}"));
            }
        }
    }
}
