//! The settings: one table that flags, environment names, file keys and the documentation share.

use std::time::Duration;

use crate::model::toolset::Toolset;

/// Listen addresses at most.
pub const LISTEN_MAX: usize = 16;
/// Trusted proxies at most.
pub const TRUSTED_PROXIES_MAX: usize = 64;
/// Networks that may be called, at most.
pub const EGRESS_ALLOW_MAX: usize = 64;
/// Experiments named at most.
pub const EXPERIMENTS_MAX: usize = 64;
/// Tools that can be switched off at most.
pub const TOOLS_OFF_MAX: usize = 256;
/// The port where nothing else is said.
pub const DEFAULT_PORT: u16 = 8420;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);
const YEAR: Duration = Duration::from_hours(365 * 24);
const TEN_YEARS: Duration = Duration::from_hours(3650 * 24);
/// OAuth 2.1 §4.1.2 recommends ten minutes at most.
const CODE_TTL_MAX: Duration = Duration::from_mins(10);
/// Longer, and a stolen refresh token would go unnoticed.
const REPLAY_WINDOW_MAX: Duration = Duration::from_mins(5);

/// One thing that can be set.
#[derive(Debug)]
pub struct Setting {
    /// Its name in the file; the flag and the variable follow from it.
    pub key: &'static str,
    /// Where it can be given.
    pub reach: Reach,
    /// What stands for its value in help.
    pub value: &'static str,
    /// How often, or between which bounds.
    pub bounds: Bounds,
    /// What holds when nobody gives it.
    pub preset: Preset,
    /// One line for help and documentation.
    pub help: &'static str,
}

/// Where a setting can be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// As a flag of every command and in the environment, not in the file.
    FileName,
    /// As a flag of every command, in the environment and in the file.
    EveryCommand,
    /// As a flag of `serve`, in the environment and in the file.
    Serve,
    /// In the file only.
    File,
}

/// How often, or between which bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bounds {
    /// One value.
    One,
    /// Up to so many values.
    List(usize),
    /// One duration in whole seconds, both ends allowed.
    Lifetime {
        /// The shortest.
        min: Duration,
        /// The longest.
        max: Duration,
    },
}

/// What holds when nobody gives a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// This text, read by the setting's own parser.
    Text(&'static str),
    /// Something that these words describe.
    Words(&'static str),
}

impl Setting {
    /// The flag without its dashes; `None` for what only the file can say.
    pub fn flag(&self) -> Option<String> {
        (self.reach != Reach::File).then(|| self.key.replace('_', "-"))
    }

    /// The environment variable; `None` for what only the file can say.
    pub fn variable(&self) -> Option<String> {
        (self.reach != Reach::File).then(|| format!("KEYSTEAD_{}", self.key.to_uppercase()))
    }

    /// What help and documentation say of the default.
    pub fn preset_words(&self) -> &'static str {
        match self.preset {
            Preset::Text(words) | Preset::Words(words) => words,
        }
    }
}

/// Every setting, in the order of help and documentation.
pub static SETTINGS: &[&Setting] = &[
    &CONFIG,
    &DATA,
    &LISTEN,
    &PUBLIC_URL,
    &TLS,
    &TLS_CERT,
    &TLS_KEY,
    &TRUSTED_PROXY,
    &EGRESS,
    &EGRESS_ALLOW,
    &EGRESS_CA,
    &WEBPUSH_CONTACT,
    &RATE_LIMIT,
    &REGISTRATION,
    &MANAGEMENT_API,
    &METRICS_LISTEN,
    &METRICS_TOKEN_FILE,
    &MCP_TOOLS_OFF,
    &MCP_TOOLSETS_OFF,
    &EXPERIMENTS,
    &LOG_FORMAT,
    &LOG_LEVEL,
    &TOKEN_ACCESS_TTL,
    &TOKEN_REFRESH_IDLE_TTL,
    &TOKEN_REFRESH_ABSOLUTE_TTL,
    &TOKEN_CODE_TTL,
    &TOKEN_REPLAY_WINDOW,
    &SESSION_IDLE_TTL,
    &SESSION_ABSOLUTE_TTL,
    &CONSENT_TTL,
    &CLAIM_TTL,
    &CLIENT_UNAPPROVED_TTL,
    &AUDIT_KEPT,
    &NOTIFICATIONS_KEPT,
];

/// The configuration file itself.
pub static CONFIG: Setting = Setting {
    key: "config",
    reach: Reach::FileName,
    value: "FILE",
    bounds: Bounds::One,
    preset: Preset::Words("none"),
    help: "Read settings from this TOML file",
};

/// The data directory.
pub static DATA: Setting = Setting {
    key: "data",
    reach: Reach::EveryCommand,
    value: "DIR",
    bounds: Bounds::One,
    preset: Preset::Words(
        "$STATE_DIRECTORY, else $XDG_DATA_HOME/keystead, else ~/.local/share/keystead",
    ),
    help: "Keep the data in this directory",
};

/// Where to listen.
pub static LISTEN: Setting = Setting {
    key: "listen",
    reach: Reach::Serve,
    value: "ADDR",
    bounds: Bounds::List(LISTEN_MAX),
    preset: Preset::Words("127.0.0.1:8420 and [::1]:8420, or what the public URL needs"),
    help: "Listen on this address and port; can be repeated",
};

/// The address under which browsers and clients know it.
pub static PUBLIC_URL: Setting = Setting {
    key: "public_url",
    reach: Reach::Serve,
    value: "URL",
    bounds: Bounds::One,
    preset: Preset::Words("http://localhost and the port it listens on"),
    help: "The address that browsers and clients use",
};

/// Who speaks TLS.
pub static TLS: Setting = Setting {
    key: "tls",
    reach: Reach::Serve,
    value: "auto|built-in|off",
    bounds: Bounds::One,
    preset: Preset::Text("auto"),
    help: "Whether to speak TLS, and with which certificate",
};

/// The certificate chain to speak TLS with.
pub static TLS_CERT: Setting = Setting {
    key: "tls_cert",
    reach: Reach::Serve,
    value: "FILE",
    bounds: Bounds::One,
    preset: Preset::Words("none"),
    help: "PEM file with the certificate chain",
};

/// The private key of [`TLS_CERT`].
pub static TLS_KEY: Setting = Setting {
    key: "tls_key",
    reach: Reach::Serve,
    value: "FILE",
    bounds: Bounds::One,
    preset: Preset::Words("none"),
    help: "PEM file with the certificate's private key",
};

/// Whose word about the client's address is taken, and who may be served plain http.
pub static TRUSTED_PROXY: Setting = Setting {
    key: "trusted_proxy",
    reach: Reach::Serve,
    value: "CIDR",
    bounds: Bounds::List(TRUSTED_PROXIES_MAX),
    preset: Preset::Words("none"),
    help: "Address or network of a reverse proxy in front; can be repeated",
};

/// Whether anything may be fetched.
pub static EGRESS: Setting = Setting {
    key: "egress",
    reach: Reach::Serve,
    value: "on|off",
    bounds: Bounds::One,
    preset: Preset::Text("on"),
    help: "Whether anything may be fetched from other servers",
};

/// What may be called beside the public internet.
pub static EGRESS_ALLOW: Setting = Setting {
    key: "egress_allow",
    reach: Reach::Serve,
    value: "CIDR",
    bounds: Bounds::List(EGRESS_ALLOW_MAX),
    preset: Preset::Words("none"),
    help: "Private address or network that may be fetched from; can be repeated",
};

/// Whom to trust beside the machine's own certificate authorities.
pub static EGRESS_CA: Setting = Setting {
    key: "egress_ca",
    reach: Reach::Serve,
    value: "FILE",
    bounds: Bounds::One,
    preset: Preset::Words("none"),
    help: "PEM file with more certificate authorities to trust when fetching",
};

/// Whom a push service may write to.
pub static WEBPUSH_CONTACT: Setting = Setting {
    key: "webpush_contact",
    reach: Reach::Serve,
    value: "URL",
    bounds: Bounds::One,
    preset: Preset::Words("the public URL where it is https, else none"),
    help: "Whom push services may write to: mailto: and an address, or an https URL",
};

/// Whether requests are limited.
pub static RATE_LIMIT: Setting = Setting {
    key: "rate_limit",
    reach: Reach::Serve,
    value: "on|off",
    bounds: Bounds::One,
    preset: Preset::Text("on"),
    help: "Whether requests are limited; off is for tests and benchmarks",
};

/// Whether clients may register themselves.
pub static REGISTRATION: Setting = Setting {
    key: "registration",
    reach: Reach::Serve,
    value: "on|off",
    bounds: Bounds::One,
    preset: Preset::Text("on"),
    help: "Whether clients may register themselves, until the owner changes it",
};

/// Whether the management API is served.
pub static MANAGEMENT_API: Setting = Setting {
    key: "management_api",
    reach: Reach::Serve,
    value: "on|off",
    bounds: Bounds::One,
    preset: Preset::Text("on"),
    help: "Whether /api/v2 is served; off, it cannot be told from what does not exist",
};

/// Where this machine reads the metrics.
pub static METRICS_LISTEN: Setting = Setting {
    key: "metrics_listen",
    reach: Reach::Serve,
    value: "ADDR",
    bounds: Bounds::One,
    preset: Preset::Words("none"),
    help: "Serve /metrics to this machine itself on this address and port",
};

/// Where the token is that opens the metrics to others.
pub static METRICS_TOKEN_FILE: Setting = Setting {
    key: "metrics_token_file",
    reach: Reach::Serve,
    value: "FILE",
    bounds: Bounds::One,
    preset: Preset::Words("none"),
    help: "Serve /metrics at the public URL to who shows the token in this file",
};

/// Tools that nobody gets.
pub static MCP_TOOLS_OFF: Setting = Setting {
    key: "mcp_tools_off",
    reach: Reach::Serve,
    value: "LIST",
    bounds: Bounds::List(TOOLS_OFF_MAX),
    preset: Preset::Words("none"),
    help: "MCP tools that are switched off, separated by commas",
};

/// Sets of tools that nobody gets.
pub static MCP_TOOLSETS_OFF: Setting = Setting {
    key: "mcp_toolsets_off",
    reach: Reach::Serve,
    value: "LIST",
    bounds: Bounds::List(Toolset::ALL.len()),
    preset: Preset::Words("none"),
    help: "Sets of MCP tools that are switched off: standard, readonly, search",
};

/// Experiments to turn on.
pub static EXPERIMENTS: Setting = Setting {
    key: "experiments",
    reach: Reach::Serve,
    value: "LIST",
    bounds: Bounds::List(EXPERIMENTS_MAX),
    preset: Preset::Words("none"),
    help: "Experiments to turn on, separated by commas; * is every safe one",
};

/// How a log line looks.
pub static LOG_FORMAT: Setting = Setting {
    key: "log_format",
    reach: Reach::Serve,
    value: "text|json",
    bounds: Bounds::One,
    preset: Preset::Text("text"),
    help: "How a log line looks",
};

/// What is logged.
pub static LOG_LEVEL: Setting = Setting {
    key: "log_level",
    reach: Reach::Serve,
    value: "error|warn|info|debug|trace",
    bounds: Bounds::One,
    preset: Preset::Text("info"),
    help: "The least severity that is logged",
};

/// Life of an access token.
pub static TOKEN_ACCESS_TTL: Setting = lifetime(
    "token.access_ttl",
    (SECOND, DAY),
    "1h",
    "Life of an access token",
);

/// Life of a refresh token that nobody uses.
pub static TOKEN_REFRESH_IDLE_TTL: Setting = lifetime(
    "token.refresh_idle_ttl",
    (SECOND, YEAR),
    "30d",
    "Life of a refresh token that nobody uses",
);

/// Life of a refresh token family, used or not.
pub static TOKEN_REFRESH_ABSOLUTE_TTL: Setting = lifetime(
    "token.refresh_absolute_ttl",
    (SECOND, YEAR),
    "180d",
    "Life of a refresh token family, however much it is used",
);

/// Life of an authorization code.
pub static TOKEN_CODE_TTL: Setting = lifetime(
    "token.code_ttl",
    (SECOND, CODE_TTL_MAX),
    "60s",
    "Life of an authorization code",
);

/// How long the direct predecessor of a refresh token still answers.
pub static TOKEN_REPLAY_WINDOW: Setting = lifetime(
    "token.replay_window",
    (Duration::ZERO, REPLAY_WINDOW_MAX),
    "30s",
    "How long a rotated refresh token still answers; 0s is never",
);

/// Life of a browser session that nobody uses.
pub static SESSION_IDLE_TTL: Setting = lifetime(
    "session.idle_ttl",
    (SECOND, YEAR),
    "7d",
    "Life of a browser session that nobody uses",
);

/// Life of a browser session, used or not.
pub static SESSION_ABSOLUTE_TTL: Setting = lifetime(
    "session.absolute_ttl",
    (SECOND, YEAR),
    "30d",
    "Life of a browser session, however much it is used",
);

/// How long a consent page can be answered.
pub static CONSENT_TTL: Setting = lifetime(
    "consent.ttl",
    (SECOND, HOUR),
    "10m",
    "How long a consent page can be answered",
);

/// How long the first owner's link works.
pub static CLAIM_TTL: Setting = lifetime(
    "claim.ttl",
    (SECOND, DAY),
    "1h",
    "Life of the link by which the first owner claims the box",
);

/// How long a self-registered client waits for somebody's approval.
pub static CLIENT_UNAPPROVED_TTL: Setting = lifetime(
    "client.unapproved_ttl",
    (MINUTE, YEAR),
    "7d",
    "Life of a self-registered client that no user approved",
);

/// How long an entry of the audit log is kept.
pub static AUDIT_KEPT: Setting = lifetime(
    "audit.kept",
    (DAY, TEN_YEARS),
    "365d",
    "How long an entry of the audit log is kept",
);

/// How long a notification is kept.
pub static NOTIFICATIONS_KEPT: Setting = lifetime(
    "notifications.kept",
    (DAY, TEN_YEARS),
    "90d",
    "How long a notification is kept",
);

const fn lifetime(
    key: &'static str,
    (min, max): (Duration, Duration),
    preset: &'static str,
    help: &'static str,
) -> Setting {
    Setting {
        key,
        reach: Reach::File,
        value: "DURATION",
        bounds: Bounds::Lifetime { min, max },
        preset: Preset::Text(preset),
        help,
    }
}
