//! One parser a setting, whatever the source of its text.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use ipnet::IpNet;

use crate::{
    config::{
        ConfigError, LogFormat, LogLevel, Switch,
        serving::Tls,
        setting::Bounds,
        sources::{Given, found},
    },
    model::{
        public_url::PublicUrl,
        push::Contact,
        toolset::{NotAToolset, Toolset},
    },
};

/// Characters of an experiment's name.
const EXPERIMENT_CHARS_MAX: usize = 64;
/// Bytes of a tool's name: as many as the MCP specification has one have.
const TOOL_NAME_BYTES_MAX: usize = 128;

impl Given {
    pub(super) fn switch(&self) -> Result<Switch, ConfigError> {
        self.choice(&[("on", Switch::On), ("off", Switch::Off)])
    }

    pub(super) fn tls(&self) -> Result<Tls, ConfigError> {
        self.choice(&[
            ("auto", Tls::Auto),
            ("built-in", Tls::BuiltIn),
            ("off", Tls::Off),
        ])
    }

    pub(super) fn log_format(&self) -> Result<LogFormat, ConfigError> {
        self.choice(&[("text", LogFormat::Text), ("json", LogFormat::Json)])
    }

    pub(super) fn log_level(&self) -> Result<LogLevel, ConfigError> {
        self.choice(&[
            ("error", LogLevel::Error),
            ("warn", LogLevel::Warn),
            ("info", LogLevel::Info),
            ("debug", LogLevel::Debug),
            ("trace", LogLevel::Trace),
        ])
    }

    pub(super) fn path(&self) -> Result<PathBuf, ConfigError> {
        match self.one()? {
            "" => Err(self.expected("a path", "")),
            path => Ok(self.base_dir().join(path)),
        }
    }

    pub(super) fn public_url(&self) -> Result<PublicUrl, ConfigError> {
        self.one()?.parse().map_err(|error| self.wrong(error))
    }

    pub(super) fn contact(&self) -> Result<Contact, ConfigError> {
        let text = self.one()?;
        text.parse()
            .map_err(|error| self.wrong(format!("{error}, found {}", found(text))))
    }

    /// A duration of whole seconds within the setting's bounds.
    pub(super) fn lifetime(&self) -> Result<Duration, ConfigError> {
        let text = self.one()?;
        let (min, max) = match self.setting.bounds {
            Bounds::Lifetime { min, max } => (min, max),
            Bounds::One | Bounds::List(_) => (Duration::ZERO, Duration::MAX),
        };
        humantime::parse_duration(text)
            .ok()
            .filter(|duration| (min..=max).contains(duration) && duration.subsec_nanos() == 0)
            .ok_or_else(|| {
                let (min, max) = (in_one_unit(min), in_one_unit(max));
                let expected = format!(
                    "a duration from {min} to {max} in whole seconds, such as 90s or 1h 30m"
                );
                self.expected(&expected, text)
            })
    }

    pub(super) fn addresses(&self) -> Result<Vec<SocketAddr>, ConfigError> {
        self.list(
            "an address and a port such as 127.0.0.1:8420 or [::1]:8420",
            |text| text.parse().ok(),
        )
    }

    /// An address that only this machine reaches.
    pub(super) fn own_address(&self) -> Result<SocketAddr, ConfigError> {
        let text = self.one()?;
        let address = text.parse::<SocketAddr>().ok();
        let own = address.filter(|address| address.ip().to_canonical().is_loopback());
        own.ok_or_else(|| {
            self.wrong(format!(
                "expected an address of this machine itself and a port, such as 127.0.0.1:9464, \
                 found {}; for others there is --metrics-token-file",
                found(text)
            ))
        })
    }

    /// Networks in CIDR notation; an address alone is the network of only that address.
    pub(super) fn networks(&self) -> Result<Vec<IpNet>, ConfigError> {
        self.list(
            "an address or a network such as 10.0.0.5 or 10.0.0.0/24",
            |text| {
                let network = match text.parse::<IpAddr>() {
                    Ok(address) => IpNet::from(address),
                    Err(_) => text.parse::<IpNet>().ok()?,
                };
                // A /0 would trust the whole internet to be the proxy, or forbid nothing.
                (network.prefix_len() > 0).then(|| network.trunc())
            },
        )
    }

    pub(super) fn experiments(&self) -> Result<Vec<String>, ConfigError> {
        self.list("* or a name of small letters, digits and hyphens", |text| {
            let of_name = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
            let is_name = text.len() <= EXPERIMENT_CHARS_MAX && text.bytes().all(of_name);
            (text == "*" || is_name).then(|| text.to_owned())
        })
    }

    /// Whether there are such tools is known where they are.
    pub(super) fn tools(&self) -> Result<Vec<String>, ConfigError> {
        self.list("the name of a tool", |text| {
            let is_name =
                text.len() <= TOOL_NAME_BYTES_MAX && text.bytes().all(|b| b.is_ascii_graphic());
            is_name.then(|| text.to_owned())
        })
    }

    pub(super) fn toolsets(&self) -> Result<Vec<Toolset>, ConfigError> {
        let expected = NotAToolset.to_string();
        let expected = expected.trim_start_matches("expected ");
        self.list(expected, |text| text.parse().ok())
    }

    fn choice<T: Clone>(&self, choices: &[(&str, T)]) -> Result<T, ConfigError> {
        let text = self.one()?;
        let chosen = choices.iter().find(|(name, _)| *name == text);
        chosen.map(|(_, choice)| choice.clone()).ok_or_else(|| {
            let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
            self.expected(&names.join(" or "), text)
        })
    }

    /// Every item of every text, which commas separate, through `parse`.
    fn list<T>(
        &self,
        expected: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Vec<T>, ConfigError> {
        let max = match self.setting.bounds {
            Bounds::List(max) => max,
            Bounds::One | Bounds::Lifetime { .. } => 1,
        };
        let mut items = Vec::new();
        for text in self.texts.iter().flat_map(|text| text.split(',')) {
            let text = text.trim();
            let item = Some(text).filter(|text| !text.is_empty()).and_then(&parse);
            items.push(item.ok_or_else(|| self.expected(expected, text))?);
            if items.len() > max {
                return Err(self.wrong(format!("expected at most {max}, found more")));
            }
        }
        Ok(items)
    }

    fn one(&self) -> Result<&str, ConfigError> {
        match self.texts.as_slice() {
            [text] => Ok(text),
            texts => Err(self.wrong(format!("expected one value, found {}", texts.len()))),
        }
    }

    fn expected(&self, expected: &str, text: &str) -> ConfigError {
        self.wrong(format!("expected {expected}, found {}", found(text)))
    }
}

/// A duration of whole seconds in the largest unit that fits it evenly; humantime would say
/// `11months 30days 3h 50m 24s` of a year.
pub(super) fn in_one_unit(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let units = [(24 * 60 * 60, 'd'), (60 * 60, 'h'), (60, 'm')];
    let fitting = units
        .iter()
        .find(|(unit, _)| seconds > 0 && seconds.is_multiple_of(*unit));
    match fitting {
        Some((unit, name)) => format!("{}{name}", seconds / unit),
        None => format!("{seconds}s"),
    }
}
