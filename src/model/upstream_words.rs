//! An upstream in the words of whoever names it: the same in the configuration file and on the
//! command line.

use std::{str::FromStr, time::Duration};

use http::HeaderName;
use serde::{Deserialize, Serialize};

use crate::model::upstream::{
    ANSWER_BYTES, Bounds, CALL_TIMEOUTS, COMMAND_WORDS_MAX, Child, IDLE_TIMEOUTS, MEMORY_BYTES,
    OPEN_FILES, PATHS_MAX, Reach, Sandbox, SecretHeader, Source, TEXT_BYTES_MAX, Upstream,
    VARIABLES_MAX, Variable,
};

/// Headers that are the protocol's own business.
const HEADERS_OF_THE_PROTOCOL: [&str; 9] = [
    "accept",
    "connection",
    "content-length",
    "content-type",
    "host",
    "last-event-id",
    "te",
    "transfer-encoding",
    "upgrade",
];

/// An upstream as it is named. Absent is the default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UpstreamWords {
    /// What it is called.
    pub name: String,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// The endpoint of a server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// `NAME=SOURCE` of the program's environment, or `NAME` for the variable of that name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// `NAME=SOURCE` of the header that the server wants.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
    /// The user that the program runs as.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Where the program starts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub working_directory: Option<String>,
    /// Bytes of memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_bytes_max: Option<u64>,
    /// Open files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open_files_max: Option<u64>,
    /// Paths to read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub read_paths: Vec<String>,
    /// Paths to write.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub write_paths: Vec<String>,
    /// A duration such as `5m`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_timeout: Option<String>,
    /// A duration such as `30s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call_timeout: Option<String>,
    /// Bytes of a message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer_bytes_max: Option<u64>,
}

/// What an upstream is named with that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {complaint}")]
pub struct UpstreamWordsError {
    /// The field, by its name in the file.
    pub field: &'static str,
    complaint: String,
}

impl UpstreamWordsError {
    /// What was expected, and what was found.
    pub fn complaint(&self) -> &str {
        &self.complaint
    }
}

fn wrong(field: &'static str, complaint: &(impl ToString + ?Sized)) -> UpstreamWordsError {
    let complaint = complaint.to_string();
    UpstreamWordsError { field, complaint }
}

impl TryFrom<UpstreamWords> for Upstream {
    type Error = UpstreamWordsError;

    fn try_from(words: UpstreamWords) -> Result<Self, UpstreamWordsError> {
        Ok(Self {
            name: words.name.parse().map_err(|error| wrong("name", &error))?,
            bounds: words.bounds()?,
            reach: match words.url {
                Some(_) => words.server()?,
                None => Reach::Child(Box::new(words.child()?)),
            },
        })
    }
}

impl UpstreamWords {
    fn bounds(&self) -> Result<Bounds, UpstreamWordsError> {
        let preset = Bounds::default();
        let bytes = within("answer_bytes_max", self.answer_bytes_max, ANSWER_BYTES)?;
        Ok(Bounds {
            idle_timeout: duration("idle_timeout", self.idle_timeout.as_deref(), IDLE_TIMEOUTS)?
                .unwrap_or(preset.idle_timeout),
            call_timeout: duration("call_timeout", self.call_timeout.as_deref(), CALL_TIMEOUTS)?
                .unwrap_or(preset.call_timeout),
            answer_bytes_max: bytes.unwrap_or(preset.answer_bytes_max),
        })
    }

    fn server(self) -> Result<Reach, UpstreamWordsError> {
        let only_child = [
            ("command", !self.command.is_empty()),
            ("env", !self.env.is_empty()),
            ("user", self.user.is_some()),
            ("working_directory", self.working_directory.is_some()),
            ("memory_bytes_max", self.memory_bytes_max.is_some()),
            ("open_files_max", self.open_files_max.is_some()),
            ("read_paths", !self.read_paths.is_empty()),
            ("write_paths", !self.write_paths.is_empty()),
        ];
        if let Some((field, _)) = only_child.iter().find(|(_, given)| *given) {
            return Err(wrong(field, "expected none beside url, found some"));
        }
        let url = self.url.unwrap_or_default();
        Ok(Reach::Server {
            url: url.parse().map_err(|error| wrong("url", &error))?,
            header: self.header.as_deref().map(parse_header).transpose()?,
        })
    }

    fn child(self) -> Result<Child, UpstreamWordsError> {
        if self.header.is_some() {
            return Err(wrong("header", "expected none without url, found one"));
        }
        let found = self.command.len();
        if !(1..=COMMAND_WORDS_MAX).contains(&found) {
            let words = format!("expected 1 to {COMMAND_WORDS_MAX} words or a url, found {found}");
            return Err(wrong("command", &words));
        }
        if self.command.first().is_some_and(String::is_empty) {
            return Err(wrong("command", "expected a program first, found nothing"));
        }
        for word in &self.command {
            check_text("command", word)?;
        }
        if self.env.len() > VARIABLES_MAX {
            let words = format!("expected at most {VARIABLES_MAX}, found {}", self.env.len());
            return Err(wrong("env", &words));
        }
        let environment = self.env.iter().map(|text| parse_variable(text));
        Ok(Child {
            environment: environment.collect::<Result<_, _>>()?,
            command: self.command,
            sandbox: Sandbox {
                user: self.user.map(|text| word("user", text)).transpose()?,
                working_directory: self
                    .working_directory
                    .map(|text| absolute("working_directory", text))
                    .transpose()?,
                memory_bytes_max: within("memory_bytes_max", self.memory_bytes_max, MEMORY_BYTES)?,
                open_files_max: within("open_files_max", self.open_files_max, OPEN_FILES)?,
                read_paths: paths("read_paths", self.read_paths)?,
                write_paths: paths("write_paths", self.write_paths)?,
            },
        })
    }
}

/// Arguments and variables end at a zero byte.
fn check_text(field: &'static str, text: &str) -> Result<(), UpstreamWordsError> {
    if text.len() > TEXT_BYTES_MAX {
        let words = format!(
            "expected at most {TEXT_BYTES_MAX} bytes, found {}",
            text.len()
        );
        return Err(wrong(field, &words));
    }
    if text.contains('\0') {
        return Err(wrong(field, "expected no zero byte, found one"));
    }
    Ok(())
}

fn word(field: &'static str, text: String) -> Result<String, UpstreamWordsError> {
    check_text(field, &text)?;
    if text.is_empty() || text.chars().any(|c| c.is_whitespace() || c == ':') {
        return Err(wrong(field, &format!("expected one word, found {text:?}")));
    }
    Ok(text)
}

fn absolute(field: &'static str, text: String) -> Result<String, UpstreamWordsError> {
    check_text(field, &text)?;
    if !text.starts_with('/') {
        let words = format!("expected a path that begins with /, found {text:?}");
        return Err(wrong(field, &words));
    }
    Ok(text)
}

fn paths(field: &'static str, texts: Vec<String>) -> Result<Vec<String>, UpstreamWordsError> {
    if texts.len() > PATHS_MAX {
        let words = format!("expected at most {PATHS_MAX}, found {}", texts.len());
        return Err(wrong(field, &words));
    }
    let checked = texts.into_iter().map(|text| absolute(field, text));
    checked.collect()
}

fn within(
    field: &'static str,
    given: Option<u64>,
    (min, max): (u64, u64),
) -> Result<Option<u64>, UpstreamWordsError> {
    match given {
        Some(found) if !(min..=max).contains(&found) => {
            let words = format!("expected {min} to {max}, found {found}");
            Err(wrong(field, &words))
        }
        fits => Ok(fits),
    }
}

fn duration(
    field: &'static str,
    given: Option<&str>,
    (min, max): (Duration, Duration),
) -> Result<Option<Duration>, UpstreamWordsError> {
    let Some(text) = given else { return Ok(None) };
    let parsed = humantime::parse_duration(text).ok();
    let fits = parsed.filter(|found| (min..=max).contains(found) && found.subsec_nanos() == 0);
    fits.map(Some).ok_or_else(|| {
        let (min, max) = (min.as_secs(), max.as_secs());
        let words = format!("expected {min}s to {max}s in whole seconds, found {text:?}");
        wrong(field, &words)
    })
}

impl FromStr for Source {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("env", name)) if is_variable_name(name) => Ok(Self::Environment(name.to_owned())),
            Some(("file", path)) if path.starts_with('/') => Ok(Self::File(path.to_owned())),
            Some(("text", text)) => Ok(Self::Text(text.to_owned())),
            _ => Err("expected env:NAME, file:/PATH or text:VALUE".to_owned()),
        }
    }
}

fn is_variable_name(name: &str) -> bool {
    let of_name = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let begins_with_digit = name.starts_with(|c: char| c.is_ascii_digit());
    (1..=TEXT_BYTES_MAX).contains(&name.len()) && name.bytes().all(of_name) && !begins_with_digit
}

fn parse_variable(text: &str) -> Result<Variable, UpstreamWordsError> {
    check_text("env", text)?;
    let (name, value) = match text.split_once('=') {
        None => (text, Ok(Source::Environment(text.to_owned()))),
        Some((name, source)) => (name, source.parse()),
    };
    if !is_variable_name(name) {
        let words = format!("expected NAME or NAME=SOURCE, found the name {name:?}");
        return Err(wrong("env", &words));
    }
    Ok(Variable {
        name: name.to_owned(),
        value: value.map_err(|error| wrong("env", &format!("{name}: {error}")))?,
    })
}

/// The value is never in the words: they stand in a shell's history and in the data file.
fn parse_header(text: &str) -> Result<SecretHeader, UpstreamWordsError> {
    check_text("header", text)?;
    let (name, source) = text.split_once('=').unwrap_or((text, ""));
    let parsed: HeaderName = name.parse().map_err(|_| {
        wrong(
            "header",
            "expected NAME=env:VARIABLE or NAME=file:/PATH with a header's name",
        )
    })?;
    if HEADERS_OF_THE_PROTOCOL.contains(&parsed.as_str()) || parsed.as_str().starts_with("mcp-") {
        let words = format!("expected one that the protocol does not use itself, found {parsed}");
        return Err(wrong("header", &words));
    }
    match source.parse() {
        Ok(value @ (Source::Environment(_) | Source::File(_))) => Ok(SecretHeader {
            name: parsed.as_str().to_owned(),
            value,
        }),
        Ok(Source::Text(_)) | Err(_) => Err(wrong(
            "header",
            &format!("{parsed}: expected env:VARIABLE or file:/PATH, which keep a secret a secret"),
        )),
    }
}
