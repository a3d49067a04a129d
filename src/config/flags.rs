//! The settings as flags: the table gives clap its arguments, clap gives back raw text.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
};

use clap::{
    Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches,
    builder::{Resettable, Str},
    value_parser,
};

use crate::config::setting::{Bounds, Reach, SETTINGS, Setting};

/// The settings that were given as flags, as they were written.
#[derive(Clone, Debug, Default)]
pub struct Flags(BTreeMap<&'static str, Vec<OsString>>);

impl Flags {
    /// These flags and `others`.
    #[must_use]
    pub fn and(mut self, others: Self) -> Self {
        self.0.extend(others.0);
        self
    }

    /// What was given for `setting`.
    pub fn find(&self, setting: &Setting) -> Option<impl Iterator<Item = &OsStr>> {
        let texts = self.0.get(setting.key)?;
        Some(texts.iter().map(OsString::as_os_str))
    }

    fn from_matches(matches: &ArgMatches, reaches: &[Reach]) -> Self {
        let given = |setting: &&'static Setting| {
            let texts = matches.get_many::<OsString>(setting.key)?;
            Some((setting.key, texts.cloned().collect()))
        };
        Self(settings_of(reaches).filter_map(|s| given(&s)).collect())
    }
}

impl FromIterator<(&'static Setting, OsString)> for Flags {
    fn from_iter<I: IntoIterator<Item = (&'static Setting, OsString)>>(given: I) -> Self {
        let mut flags = Self::default();
        for (setting, text) in given {
            flags.0.entry(setting.key).or_default().push(text);
        }
        flags
    }
}

/// The flags that every command takes.
#[derive(Clone, Debug, Default)]
pub struct CommonFlags(pub Flags);

/// The flags of `serve`.
#[derive(Clone, Debug, Default)]
pub struct ServeFlags(pub Flags);

const COMMON: &[Reach] = &[Reach::FileName, Reach::EveryCommand];
const SERVE: &[Reach] = &[Reach::Serve];

impl Args for CommonFlags {
    fn augment_args(command: Command) -> Command {
        // Global: `keystead user list --data DIR` reads as well as `keystead --data DIR user list`.
        command.args(settings_of(COMMON).map(|setting| {
            argument(setting)
                .global(true)
                .help_heading("Options of every command")
        }))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for CommonFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(Self(Flags::from_matches(matches, COMMON)))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for ServeFlags {
    fn augment_args(command: Command) -> Command {
        command.args(settings_of(SERVE).map(argument))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for ServeFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(Self(Flags::from_matches(matches, SERVE)))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

fn settings_of(reaches: &[Reach]) -> impl Iterator<Item = &'static Setting> {
    let of = |setting: &&Setting| reaches.contains(&setting.reach);
    SETTINGS.iter().copied().filter(of)
}

fn argument(setting: &'static Setting) -> Arg {
    // Raw text whatever it is: the setting's own parser judges it, and names the setting when it
    // is not even UTF-8.
    Arg::new(setting.key)
        .long(Resettable::from(setting.flag().map(Str::from)))
        .value_name(setting.value)
        .value_parser(value_parser!(OsString))
        .action(match setting.bounds {
            Bounds::List(_) => ArgAction::Append,
            Bounds::One | Bounds::Lifetime { .. } => ArgAction::Set,
        })
        .help(match setting.preset_words() {
            "none" => setting.help.to_owned(),
            words => format!("{} [default: {words}]", setting.help),
        })
}
