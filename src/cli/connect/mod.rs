//! `keystead connect`.

mod entry;
mod file;
mod hosts;
mod json;
mod toml;

#[cfg(test)]
mod tests;

use std::{
    io,
    path::{Path, PathBuf},
};

use clap::Args;

use self::{
    entry::MergeError,
    file::{FileError, HostFile, OWN_MODE, PROJECT_MODE},
    hosts::{Host, Transport},
};
use crate::{
    appliance::{
        administration::{Command, Reply},
        socket::{self, CallError},
    },
    cli::{console::Console, failure::Failure, rows::text_of},
    config::{Config, environment::Environment, serving::PublicSource},
    model::{public_url::PublicUrl, toolset::Toolset, upstream::UpstreamName},
    oauth2provider::{MCP_PATH, upstream_path},
};

/// What the server is called where nobody says otherwise.
const NAME: &str = "keystead";
/// Characters of a server's name.
const NAME_LEN_MAX: usize = 64;

/// Print or write the configuration with which a host program finds this server
#[derive(Debug, Args)]
#[command(after_help = "\
HOST is claude-code, claude-desktop, vscode, cursor, codex or gemini. What is printed is what its
file has to hold; where that file is stands beside it. The host calls the public URL and signs you
in with a browser; with --stdio, and always for claude-desktop, it starts `keystead mcp` on this
machine instead, which needs no sign-in.

--write keeps whatever else stands in the file, comments and order too, and makes a copy of the file
beside it first. A file that cannot be read is left as it is.

Examples:
  keystead connect claude-code
  keystead connect codex --write
  keystead connect claude-desktop --user ada --write
  keystead connect vscode --project --toolset readonly
  keystead connect gemini --upstream files
  keystead connect cursor --url https://box.lan")]
pub(super) struct Connect {
    /// Which program: see below
    #[arg(value_parser = hosts::find)]
    host: &'static Host,
    /// Have it start `keystead mcp`, and not call the URL
    #[arg(long, conflicts_with = "url")]
    stdio: bool,
    /// With --stdio, whom to act as; can be left out where there is only one user
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Offer these tools only: standard, readonly or search
    #[arg(long, value_name = "SET")]
    toolset: Option<Toolset>,
    /// Offer the tools of this other server behind the box only, by their own names
    #[arg(long, value_name = "NAME", conflicts_with = "toolset")]
    upstream: Option<UpstreamName>,
    /// What the server is called there [default: keystead, or the name of --upstream]
    #[arg(long, value_name = "NAME", value_parser = parse_name)]
    name: Option<String>,
    /// The public URL of the box [default: that of the server of --data]
    #[arg(long)]
    url: Option<PublicUrl>,
    /// The file of the project in this directory, and not the user's
    #[arg(long)]
    project: bool,
    /// Write it into the file
    #[arg(long)]
    write: bool,
}

/// Why a host was not told.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    /// Who calls over HTTP says who they are by signing in.
    #[error("expected --stdio beside --user: at the URL, whoever signs in is the user")]
    UserWithoutStdio,
    /// The host has no such file.
    #[error("expected no --project, because {0} has no file of a project")]
    NoProject(&'static str),
    /// The host has no other way.
    #[error("expected no --url, because {0} takes no URL from its file")]
    NoUrl(&'static str),
    /// There is no home directory.
    #[error("expected HOME to name an absolute path")]
    NoHome,
    /// Clients would find nothing there.
    #[error("there is no upstream {0}: `keystead upstream list` shows those that there are")]
    NoSuchUpstream(UpstreamName),
    /// The port is chosen at the start.
    #[error("no server runs on this data directory: start it, or name its address with --url")]
    NoAddress,
    /// A path that no JSON can hold.
    #[error("expected a path in UTF-8, found {}", .0.display())]
    Path(PathBuf),
    /// The file cannot be changed.
    #[error("{} was not changed: {cause}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: FileError,
    },
    /// The file cannot be understood.
    #[error(
        "{} was not changed: {cause}. Put in by hand what is on standard output, or mend it first",
        path.display()
    )]
    Merge {
        /// The file.
        path: PathBuf,
        /// Why, as words.
        cause: String,
    },
    /// The system refuses.
    #[error("cannot find this program's own file: {0}")]
    Program(io::Error),
}

impl Connect {
    /// Does it.
    pub(super) fn execute(
        self,
        config: &Config,
        environment: &Environment,
        console: &mut Console<'_>,
    ) -> Result<(), Failure> {
        let transport = self.transport(config, console)?;
        let path = self.path(environment)?;
        let shown = text_of(path.to_string_lossy());
        let printed = self.host.merge("", self.name(), &transport);
        let printed = printed.map_err(|cause| merge_failed(&path, &cause))?;
        if !self.write {
            console.print(&printed)?;
            return console.note(&self.where_it_goes(&shown, &transport));
        }
        let failed = |cause| ConnectError::File {
            path: path.clone(),
            cause,
        };
        let file = HostFile::open(&path).map_err(failed)?;
        let merged = match self.host.merge(file.text(), self.name(), &transport) {
            Ok(merged) => merged,
            Err(cause) => {
                console.print(&printed)?;
                return Err(merge_failed(&path, &cause).into());
            }
        };
        if merged == file.text() {
            return console.note(&format!("{shown} has it already; nothing was changed."));
        }
        let new_mode = if self.project { PROJECT_MODE } else { OWN_MODE };
        let copy = file.replace(&merged, new_mode).map_err(failed)?;
        let before = copy.map_or_else(String::new, |copy| {
            format!(
                " What was there before is in {}.",
                text_of(copy.to_string_lossy())
            )
        });
        let then = self.host.then(self.name(), &transport);
        console.note(&format!("{shown} is written.{before}\n{then}"))
    }

    /// What the server is called there. One upstream stands beside the box, and not in its place.
    fn name(&self) -> &str {
        let of_upstream = self.upstream.as_ref().map(UpstreamName::as_str);
        self.name.as_deref().or(of_upstream).unwrap_or(NAME)
    }

    fn transport(&self, config: &Config, console: &mut Console<'_>) -> Result<Transport, Failure> {
        let host = self.host;
        if self.stdio || !host.takes_urls() {
            if self.url.is_some() {
                return Err(ConnectError::NoUrl(host.title).into());
            }
            self.ask_as_the_host_will(&config.data_dir)?;
            return Ok(self.program(&config.data_dir)?);
        }
        if self.user.is_some() {
            return Err(ConnectError::UserWithoutStdio.into());
        }
        let url = if let Some(url) = &self.url {
            url.clone()
        } else {
            self.check_upstream(&config.data_dir)?;
            public_url(config, console)?
        };
        // A path, and not a query: some hosts compare the URL with the resource byte by byte.
        let path = match (&self.upstream, self.toolset) {
            (Some(name), _) => upstream_path(name),
            (None, Some(set)) => format!("{MCP_PATH}/{set}"),
            (None, None) => MCP_PATH.to_owned(),
        };
        Ok(Transport::Http(url.join(&path)))
    }

    /// A server that does not run cannot be asked.
    fn check_upstream(&self, data_dir: &Path) -> Result<(), Failure> {
        let Some(name) = &self.upstream else {
            return Ok(());
        };
        let reply = match socket::call(data_dir, &Command::UpstreamList) {
            Err(CallError::NoServer(_)) => return Ok(()),
            answered => answered??,
        };
        match reply {
            Reply::Upstreams(rows) if rows.iter().all(|row| row.name != name.as_str()) => {
                Err(ConnectError::NoSuchUpstream(name.clone()).into())
            }
            _ => Ok(()),
        }
    }

    /// What `mcp` would refuse is refused here, where somebody reads why. A server that does not run
    /// cannot be asked.
    fn ask_as_the_host_will(&self, data_dir: &Path) -> Result<(), Failure> {
        let command = Command::Mcp {
            user: self.user.clone(),
            toolset: self.toolset.map(|set| set.to_string()),
            upstream: self.upstream.as_ref().map(ToString::to_string),
        };
        match socket::open_talk(data_dir, &command) {
            Err(CallError::NoServer(_)) => Ok(()),
            opened => Ok(opened?.map(drop)?),
        }
    }

    fn program(&self, data_dir: &Path) -> Result<Transport, ConnectError> {
        let program = std::env::current_exe().map_err(ConnectError::Program)?;
        let data_dir = std::path::absolute(data_dir).map_err(ConnectError::Program)?;
        let mut words = vec!["mcp".to_owned(), "--data".to_owned(), utf8(data_dir)?];
        if let Some(user) = &self.user {
            words.extend(["--user".to_owned(), user.clone()]);
        }
        if let Some(toolset) = self.toolset {
            words.extend(["--toolset".to_owned(), toolset.to_string()]);
        }
        if let Some(upstream) = &self.upstream {
            words.extend(["--upstream".to_owned(), upstream.to_string()]);
        }
        Ok(Transport::Stdio(utf8(program)?, words))
    }

    /// The file that the host reads.
    fn path(&self, environment: &Environment) -> Result<PathBuf, ConnectError> {
        if !self.project {
            let place = self.host.places.here(environment);
            return place.ok_or(ConnectError::NoHome);
        }
        let project = self.host.project;
        let project = project.ok_or(ConnectError::NoProject(self.host.title))?;
        std::path::absolute(project).map_err(|cause| ConnectError::File {
            path: project.into(),
            cause: cause.into(),
        })
    }

    fn where_it_goes(&self, path: &str, transport: &Transport) -> String {
        let Host { title, places, .. } = self.host;
        let then = self.host.then(self.name(), transport);
        let everywhere = if self.project {
            String::new()
        } else {
            format!(
                "\n  Linux    {}\n  macOS    {}\n  Windows  {}",
                places.linux, places.macos, places.windows
            )
        };
        format!(
            "{title} reads it from {path}.{everywhere}\n\
             The same command with --write puts it there.\n{then}"
        )
    }
}

/// The public URL of the server that runs, or that the configuration would have.
fn public_url(config: &Config, console: &mut Console<'_>) -> Result<PublicUrl, Failure> {
    let answer = match socket::call(&config.data_dir, &Command::PublicUrl) {
        Err(CallError::NoServer(_)) => return configured_url(config, console),
        answered => answered?,
    };
    match answer? {
        Reply::PublicUrl(url) => {
            note_authority(&url, &config.data_dir, console)?;
            Ok(url.parse().map_err(|_| ConnectError::NoAddress)?)
        }
        _ => Err(ConnectError::NoAddress.into()),
    }
}

/// Says where the certificate of the box's own authority is, if it ever had one. Whether it signs
/// what is served now, the one who started the server knows.
fn note_authority(url: &str, data_dir: &Path, console: &mut Console<'_>) -> Result<(), Failure> {
    let data_dir = std::path::absolute(data_dir).map_err(ConnectError::Program)?;
    let certificate = data_dir.join("ca.crt");
    if !url.starts_with("https:") || !certificate.is_file() {
        return Ok(());
    }
    console.note(&format!(
        "Where the box uses its own certificate authority, a program that runs on Node.js needs\n  \
         NODE_EXTRA_CA_CERTS={}\nin its environment.",
        text_of(certificate.to_string_lossy())
    ))
}

fn configured_url(config: &Config, console: &mut Console<'_>) -> Result<PublicUrl, Failure> {
    let serving = config.network.plan().map_err(|_| ConnectError::NoAddress)?;
    let port = serving
        .listen
        .first()
        .map_or(0, |place| place.address.port());
    match serving.public_url {
        PublicSource::Given(url) => Ok(url),
        PublicSource::FirstListener if port != 0 => {
            let url = format!("http://localhost:{port}");
            let url = url.parse().map_err(|_| ConnectError::NoAddress)?;
            let data_dir = config.data_dir.to_string_lossy();
            console.note(&format!(
                "No server runs on {}: this is the default; --url names another.",
                text_of(data_dir)
            ))?;
            Ok(url)
        }
        PublicSource::FirstListener => Err(ConnectError::NoAddress.into()),
    }
}

/// What every host takes as a name.
fn parse_name(text: &str) -> Result<String, String> {
    let is_taken = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if (1..=NAME_LEN_MAX).contains(&text.len()) && text.chars().all(is_taken) {
        return Ok(text.to_owned());
    }
    Err(format!(
        "expected 1 to {NAME_LEN_MAX} letters, digits, hyphens and underscores"
    ))
}

fn utf8(path: PathBuf) -> Result<String, ConnectError> {
    let text = path.into_os_string().into_string();
    text.map_err(|path| ConnectError::Path(path.into()))
}

fn merge_failed(path: &Path, cause: &MergeError) -> ConnectError {
    ConnectError::Merge {
        path: path.to_owned(),
        cause: cause.to_string(),
    }
}
