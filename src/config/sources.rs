//! Where the text of a setting comes from, and which of several wins.

use std::{
    ffi::OsStr,
    fmt,
    path::{Path, PathBuf},
};

use crate::config::{
    ConfigError,
    environment::Environment,
    file::File,
    flags::Flags,
    setting::{self, Preset, Setting},
};
use crate::model::upstream::Upstream;

/// Flags, environment and file, strongest first.
pub(super) struct Sources<'a> {
    flags: &'a Flags,
    environment: &'a Environment,
    file: Option<File>,
}

/// The text that was given for a setting, and where.
#[derive(Debug)]
pub(super) struct Given {
    pub(super) setting: &'static Setting,
    pub(super) origin: Origin,
    /// One text, or several where the setting is a list.
    pub(super) texts: Vec<String>,
}

/// Where a text was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    Flag,
    Environment,
    File { path: PathBuf, line: usize },
    Default,
}

impl<'a> Sources<'a> {
    /// The two sources, and the file that one of them names.
    pub(super) fn open(
        flags: &'a Flags,
        environment: &'a Environment,
    ) -> Result<Self, ConfigError> {
        let mut sources = Self::of(flags, environment, None);
        if let Some(name) = sources.find(&setting::CONFIG)? {
            sources.file = Some(File::read(&name.path()?, &name.place())?);
        }
        Ok(sources)
    }

    /// These three.
    pub(super) fn of(flags: &'a Flags, environment: &'a Environment, file: Option<File>) -> Self {
        Self {
            flags,
            environment,
            file,
        }
    }

    /// The upstreams that the file names.
    pub(super) fn upstreams(&self) -> &[Upstream] {
        self.file.as_ref().map_or(&[], File::upstreams)
    }

    /// What the strongest source says of `setting`.
    pub(super) fn find(&self, setting: &'static Setting) -> Result<Option<Given>, ConfigError> {
        if let Some(texts) = self.flags.find(setting) {
            return Given::from_os(setting, Origin::Flag, texts).map(Some);
        }
        let variable = setting.variable();
        if let Some(text) = variable.and_then(|name| self.environment.find(&name)) {
            return Given::from_os(setting, Origin::Environment, [text]).map(Some);
        }
        Ok(self.file.as_ref().and_then(|file| file.find(setting)))
    }

    /// What the strongest source says of `setting`, else its default.
    pub(super) fn get(&self, setting: &'static Setting) -> Result<Given, ConfigError> {
        Ok(self
            .find(setting)?
            .unwrap_or_else(|| Given::preset(setting)))
    }
}

impl Given {
    fn from_os<'t>(
        setting: &'static Setting,
        origin: Origin,
        texts: impl IntoIterator<Item = &'t OsStr>,
    ) -> Result<Self, ConfigError> {
        let mut given = Self {
            setting,
            origin,
            texts: Vec::new(),
        };
        for text in texts {
            let Some(text) = text.to_str() else {
                return Err(given.wrong(format!("expected UTF-8 text, found {}", found(text))));
            };
            given.texts.push(text.to_owned());
        }
        Ok(given)
    }

    fn preset(setting: &'static Setting) -> Self {
        let texts = match setting.preset {
            Preset::Text(text) => vec![text.to_owned()],
            Preset::Words(_) => Vec::new(),
        };
        Self {
            setting,
            origin: Origin::Default,
            texts,
        }
    }

    /// Where it was given, as the person wrote it.
    pub(super) fn place(&self) -> String {
        let name = |name: Option<String>| name.unwrap_or_else(|| self.setting.key.to_owned());
        match &self.origin {
            Origin::Flag => format!("--{}", name(self.setting.flag())),
            Origin::Environment => name(self.setting.variable()),
            Origin::File { path, line } => {
                format!("{} in {} line {line}", self.setting.key, path.display())
            }
            Origin::Default => format!("the default of {}", self.setting.key),
        }
    }

    /// The refusal of it with `complaint`, which says what was expected and what was found.
    pub(super) fn wrong(&self, complaint: impl fmt::Display) -> ConfigError {
        ConfigError::Value {
            place: self.place(),
            complaint: complaint.to_string(),
        }
    }

    /// What a relative path is relative to: the file that says it, else the working directory.
    pub(super) fn base_dir(&self) -> &Path {
        match &self.origin {
            Origin::File { path, .. } => path.parent().unwrap_or(Path::new("")),
            Origin::Flag | Origin::Environment | Origin::Default => Path::new(""),
        }
    }
}

/// Characters of a wrong value that a message repeats.
const FOUND_CHARS_MAX: usize = 80;

/// A wrong value as a message shows it: quoted, without control characters, not too long.
pub(super) fn found(text: impl AsRef<OsStr>) -> String {
    let text = text.as_ref().to_string_lossy();
    match text.char_indices().nth(FOUND_CHARS_MAX) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}
