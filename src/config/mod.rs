//! Floor 0: flags, environment and file become one [`Config`]; nothing reads the environment
//! afterwards.
//!
//! A flag wins over the environment, the environment over the file, the file over the default.
//! Whatever its source, the text of a setting goes through the one parser that the setting has.

pub mod environment;
pub mod flags;
pub mod serving;
pub mod setting;

mod data_dir;
mod error;
mod file;
mod lifetimes;
mod sources;
mod upstreams;
mod value;

use std::{net::SocketAddr, path::PathBuf};

use ipnet::IpNet;

pub use error::ConfigError;
pub use lifetimes::Lifetimes;

use crate::model::upstream::Upstream;
use crate::{
    config::{
        environment::Environment,
        flags::Flags,
        serving::{Network, Tls},
        sources::{Given, Sources},
    },
    model::{push::Contact, toolset::Toolset},
};

/// Everything that can be set, after every value was parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where the data file, the administration socket and the built-in CA are.
    pub data_dir: PathBuf,
    /// How it is reached; [`Network::plan`] decides what that means.
    pub network: Network,
    /// Whether anything may be fetched from another server.
    pub egress: Switch,
    /// Networks that may be called although they are not on the public internet.
    pub egress_allow: Vec<IpNet>,
    /// Certificate authorities to trust in calls, beside those of the machine.
    pub egress_ca: Option<PathBuf>,
    /// Whom push services may write to; the public URL stands in where it is https.
    pub webpush_contact: Option<Contact>,
    /// Whether requests are limited per address and per account.
    pub rate_limit: Switch,
    /// Whether clients may register themselves, until the owner decides otherwise.
    pub registration: Switch,
    /// Whether the management API is served.
    pub management_api: Switch,
    /// Who gets the metrics.
    pub metrics: Metrics,
    /// What is not to be had at the MCP endpoint.
    pub mcp_off: McpOff,
    /// Names of experiments to turn on; `*` is every safe one.
    pub experiments: Vec<String>,
    /// What is logged, and how.
    pub log: Log,
    /// How long everything that ends lasts.
    pub lifetimes: Lifetimes,
    /// Other MCP servers behind this one; only the file can name them.
    pub upstreams: Vec<Upstream>,
}

/// On or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Switch {
    /// It is done.
    On,
    /// It is not done.
    Off,
}

impl Switch {
    /// Whether it is on.
    pub fn is_on(self) -> bool {
        self == Self::On
    }
}

/// Who gets the metrics; nobody where neither is set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metrics {
    /// This machine, at an address of its own.
    pub listen: Option<SocketAddr>,
    /// Whoever shows the token in this file, at the public URL.
    pub token_file: Option<PathBuf>,
}

/// What the owner has switched off of the MCP endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct McpOff {
    /// Names of tools.
    pub tools: Vec<String>,
    /// Sets of tools.
    pub toolsets: Vec<Toolset>,
}

/// What is logged, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Log {
    /// One line of text an event, or one JSON object.
    pub format: LogFormat,
    /// The least severity that is written.
    pub level: LogLevel,
}

/// How an event is written to standard error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For a person.
    Text,
    /// One JSON object a line.
    Json,
}

/// The least severity that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// What needs somebody.
    Error,
    /// What may need somebody.
    Warn,
    /// What happens.
    Info,
    /// What explains a fault.
    Debug,
    /// Everything.
    Trace,
}

impl Config {
    /// The configuration that `flags`, `environment` and the file that they name make.
    ///
    /// Reads the file and nothing else; the data directory need not exist.
    ///
    /// # Errors
    /// The first value that is wrong, with the place where it was given.
    pub fn load(flags: &Flags, environment: &Environment) -> Result<Self, ConfigError> {
        let sources = Sources::open(flags, environment)?;
        Ok(Self {
            data_dir: data_dir::find(&sources, environment)?,
            network: network(&sources)?,
            egress: sources.get(&setting::EGRESS)?.switch()?,
            egress_allow: sources
                .find(&setting::EGRESS_ALLOW)?
                .map_or(Ok(Vec::new()), |given| given.networks())?,
            egress_ca: sources
                .find(&setting::EGRESS_CA)?
                .map(|given| given.path())
                .transpose()?,
            webpush_contact: sources
                .find(&setting::WEBPUSH_CONTACT)?
                .map(|given| given.contact())
                .transpose()?,
            rate_limit: sources.get(&setting::RATE_LIMIT)?.switch()?,
            registration: sources.get(&setting::REGISTRATION)?.switch()?,
            management_api: sources.get(&setting::MANAGEMENT_API)?.switch()?,
            metrics: Metrics {
                listen: sources
                    .find(&setting::METRICS_LISTEN)?
                    .map(|given| given.own_address())
                    .transpose()?,
                token_file: sources
                    .find(&setting::METRICS_TOKEN_FILE)?
                    .map(|given| given.path())
                    .transpose()?,
            },
            mcp_off: McpOff {
                tools: sources
                    .find(&setting::MCP_TOOLS_OFF)?
                    .map_or(Ok(Vec::new()), |given| given.tools())?,
                toolsets: sources
                    .find(&setting::MCP_TOOLSETS_OFF)?
                    .map_or(Ok(Vec::new()), |given| given.toolsets())?,
            },
            experiments: sources
                .find(&setting::EXPERIMENTS)?
                .map_or(Ok(Vec::new()), |given| given.experiments())?,
            log: Log {
                format: sources.get(&setting::LOG_FORMAT)?.log_format()?,
                level: sources.get(&setting::LOG_LEVEL)?.log_level()?,
            },
            lifetimes: Lifetimes::load(&sources)?,
            upstreams: sources.upstreams().to_vec(),
        })
    }
}

fn network(sources: &Sources<'_>) -> Result<Network, ConfigError> {
    Ok(Network {
        listen: sources
            .find(&setting::LISTEN)?
            .map_or(Ok(Vec::new()), |given| given.addresses())?,
        public_url: sources
            .find(&setting::PUBLIC_URL)?
            .map(|given| given.public_url())
            .transpose()?,
        tls: tls(sources)?,
        trusted_proxies: sources
            .find(&setting::TRUSTED_PROXY)?
            .map_or(Ok(Vec::new()), |given| given.networks())?,
    })
}

fn tls(sources: &Sources<'_>) -> Result<Tls, ConfigError> {
    let mode = sources.get(&setting::TLS)?;
    let cert = sources.find(&setting::TLS_CERT)?;
    let key = sources.find(&setting::TLS_KEY)?;
    let only_one = |given: &Given, missing| {
        let complaint =
            format!("expected {missing} as well: a certificate and its key go together");
        given.wrong(complaint)
    };
    match (mode.tls()?, cert, key) {
        (tls, None, None) => Ok(tls),
        (_, Some(cert), None) => Err(only_one(&cert, "tls_key")),
        (_, None, Some(key)) => Err(only_one(&key, "tls_cert")),
        (Tls::Auto, Some(cert), Some(key)) => Ok(Tls::Files {
            cert: cert.path()?,
            key: key.path()?,
        }),
        (_, Some(cert), Some(_)) => {
            Err(mode.wrong(format!("expected auto, because {} is given", cert.place())))
        }
    }
}

#[cfg(test)]
mod tests;
