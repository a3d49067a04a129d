//! The configuration file: TOML, its keys the settings' keys.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::config::{
    ConfigError,
    setting::{Reach, SETTINGS, Setting},
    sources::{Given, Origin},
    upstreams,
};
use crate::model::upstream::Upstream;

/// Bytes of a configuration file.
const CONFIG_FILE_BYTES_MAX: u64 = 64 * 1024;

/// What a configuration file says, not yet parsed beyond TOML.
pub(super) struct File {
    path: PathBuf,
    said: BTreeMap<&'static str, Said>,
    upstreams: Vec<Upstream>,
}

struct Said {
    line: usize,
    texts: Vec<String>,
}

impl File {
    /// Reads the file at `path`, which `place` named.
    pub(super) fn read(path: &Path, place: &str) -> Result<Self, ConfigError> {
        let text = read_bounded(path).map_err(|cause| ConfigError::Unreadable {
            place: place.to_owned(),
            path: path.to_owned(),
            cause,
        })?;
        Self::parse(path, &text)
    }

    /// What `text`, which stands in the file at `path`, says.
    pub(super) fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let table = DeTable::parse(text).map_err(|error| ConfigError::Syntax {
            path: path.to_owned(),
            line: line_of(text, error.span().map_or(0, |span| span.start)),
            message: error.message().to_owned(),
        })?;
        let mut file = Self {
            path: path.to_owned(),
            said: BTreeMap::new(),
            upstreams: upstreams::parse(path, text)?,
        };
        file.take(text, "", table.get_ref())?;
        Ok(file)
    }

    /// The upstreams that it names.
    pub(super) fn upstreams(&self) -> &[Upstream] {
        &self.upstreams
    }

    /// What it says of `setting`.
    pub(super) fn find(&self, setting: &'static Setting) -> Option<Given> {
        let said = self.said.get(setting.key)?;
        Some(Given {
            setting,
            origin: Origin::File {
                path: self.path.clone(),
                line: said.line,
            },
            texts: said.texts.clone(),
        })
    }

    /// Takes in every key of `table`. Only tables that hold a setting are entered, so the depth is
    /// that of the longest key.
    fn take(&mut self, text: &str, prefix: &str, table: &DeTable<'_>) -> Result<(), ConfigError> {
        for (name, value) in table {
            let key = format!("{prefix}{}", name.get_ref());
            let inner = format!("{key}.");
            let line = line_of(text, name.span().start);
            if key == upstreams::KEY {
                // Read by itself: it is no setting, but a list of things that are named.
            } else if let Some(setting) = setting_of(&key) {
                let texts = texts_of(text, value);
                self.said.insert(setting.key, Said { line, texts });
            } else if let (DeValue::Table(table), true) = (value.get_ref(), holds_setting(&inner)) {
                self.take(text, &inner, table)?;
            } else {
                return Err(ConfigError::UnknownKey {
                    nearest: nearest(&key),
                    key,
                    path: self.path.clone(),
                    line,
                });
            }
        }
        Ok(())
    }
}

fn read_bounded(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let mut file = fs::File::open(path)?.take(CONFIG_FILE_BYTES_MAX + 1);
    file.read_to_string(&mut text)?;
    if file.limit() == 0 {
        return Err(io::Error::other(format!(
            "expected at most {CONFIG_FILE_BYTES_MAX} bytes, found more"
        )));
    }
    Ok(text)
}

/// A string as it is, a list item by item, anything else as it is written: the setting's parser
/// then says what it expected instead.
fn texts_of(text: &str, value: &Spanned<DeValue<'_>>) -> Vec<String> {
    match value.get_ref() {
        DeValue::String(string) => vec![string.to_string()],
        DeValue::Array(items) => items.iter().flat_map(|item| texts_of(text, item)).collect(),
        _ => vec![text.get(value.span()).unwrap_or_default().to_owned()],
    }
}

fn settings() -> impl Iterator<Item = &'static Setting> {
    let in_file = |setting: &&Setting| setting.reach != Reach::FileName;
    SETTINGS.iter().copied().filter(in_file)
}

fn setting_of(key: &str) -> Option<&'static Setting> {
    settings().find(|setting| setting.key == key)
}

fn holds_setting(prefix: &str) -> bool {
    settings().any(|setting| setting.key.starts_with(prefix))
}

/// How much two keys must look alike, from 0 to 1, before one is offered for the other.
const LIKENESS_MIN: f64 = 0.6;

fn nearest(key: &str) -> Option<&'static str> {
    let key = key.replace('-', "_");
    let keys = settings().map(|setting| setting.key);
    keys.chain([upstreams::KEY])
        .map(|known| (strsim::normalized_damerau_levenshtein(&key, known), known))
        .filter(|(likeness, _)| *likeness >= LIKENESS_MIN)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, key)| key)
}

pub(super) fn line_of(text: &str, offset: usize) -> usize {
    let before = text.as_bytes().iter().take(offset);
    1 + before.filter(|byte| **byte == b'\n').count()
}
