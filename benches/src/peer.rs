//! Whom we measure: Keystead, and what stands beside it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    deployment::{Browser, Deployment, KEYSTEAD, NODE_OIDC_PROVIDER, Paths},
    process::Process,
    wire::{Connection, Fault, Writer},
};

/// Where the programs are and where their data goes.
#[derive(Clone)]
pub(crate) struct Places {
    /// The binary that is measured.
    pub(crate) keystead: PathBuf,
    /// A node with SQLite in it.
    pub(crate) node: PathBuf,
    /// The directory of `server.mjs`.
    pub(crate) node_oidc_provider: PathBuf,
    /// On the disk that is measured; emptied at the start of each run.
    pub(crate) data: PathBuf,
}

/// A server to be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    Keystead,
    /// With the adapter that it brings.
    NodeMemory,
    /// With plain maps instead. Its own adapter keeps 1,000 rows, of which 64 connections that rotate
    /// lose some, and then it refuses what it has issued.
    NodeMap,
    /// With SQLite, every statement durable.
    NodeSqlite,
    /// Answers a constant.
    Hyper,
    /// rmcp's own kind of server, without sessions, with answers in JSON.
    RmcpJson,
    /// The same as the library does it by itself: sessions, and event streams.
    RmcpSessions,
}

impl Peer {
    pub(crate) const ALL: [(&'static str, Self); 7] = [
        ("keystead", Self::Keystead),
        ("node-memory", Self::NodeMemory),
        ("node-map", Self::NodeMap),
        ("node-sqlite", Self::NodeSqlite),
        ("hyper", Self::Hyper),
        ("rmcp-json", Self::RmcpJson),
        ("rmcp-sessions", Self::RmcpSessions),
    ];

    pub(crate) fn find(name: &str) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|(known, _)| *known == name).map(|(_, peer)| peer)
    }

    pub(crate) fn name(self) -> &'static str {
        let mut all = Self::ALL.into_iter();
        all.find(|(_, known)| *known == self)
            .map_or("", |(name, _)| name)
    }

    /// Starts it on a fresh data directory.
    pub(crate) fn start(self, places: &Places) -> Result<Process, Fault> {
        let data = places.data.join(self.name());
        if data.exists() {
            fs::remove_dir_all(&data)?;
        }
        fs::create_dir_all(&data)?;
        let log = places.data.join(format!("{}.log", self.name()));
        match self {
            Self::Keystead => start_keystead(&places.keystead, &data, &log, 0),
            Self::NodeMemory => start_node(places, "memory", &data, &log),
            Self::NodeMap => start_node(places, "map", &data, &log),
            Self::NodeSqlite => start_node(places, "sqlite", &data, &log),
            Self::Hyper => start_own(&["constant"], &log),
            Self::RmcpJson => start_own(&["counter", "json"], &log),
            Self::RmcpSessions => start_own(&["counter", "sessions"], &log),
        }
    }

    /// Makes it ready to be asked.
    pub(crate) async fn prepare(self, process: &mut Process) -> Result<Option<Deployment>, Fault> {
        let paths = match self {
            Self::Keystead => KEYSTEAD,
            _ => NODE_OIDC_PROVIDER,
        };
        self.prepare_at(process, paths).await
    }

    /// The same, with other things to ask for.
    pub(crate) async fn prepare_at(
        self,
        process: &mut Process,
        paths: Paths,
    ) -> Result<Option<Deployment>, Fault> {
        let (_, host) = process.url.split_once("://").ok_or("no scheme")?;
        let writer = Writer {
            host: host.to_owned(),
        };
        let link = match self {
            Self::Hyper | Self::RmcpJson | Self::RmcpSessions => return Ok(None),
            Self::Keystead => {
                let said = process.line("Claim this box")?;
                let said = said.ok_or("expected a claim link, found none")?;
                let link = said
                    .split_whitespace()
                    .last()
                    .unwrap_or_default()
                    .to_owned();
                Some(link)
            }
            _ => None,
        };
        let mut connection = Connection::open(process.address).await?;
        let browser = match link {
            Some(link) => Browser::claim(&mut connection, &writer, &link).await?,
            None => Browser::default(),
        };
        let prepared = Deployment::prepare(&mut connection, writer, paths, browser);
        prepared.await.map(Some)
    }
}

/// As it ships, but for the rate limits: they would stop any load from one address. The log is on,
/// at its default level, one line a request, into a file.
pub(crate) fn start_keystead(
    program: &Path,
    data: &Path,
    log: &Path,
    port: u16,
) -> Result<Process, Fault> {
    start_keystead_with(program, data, log, port, &[])
}

/// The same with more flags.
pub(crate) fn start_keystead_with(
    program: &Path,
    data: &Path,
    log: &Path,
    port: u16,
    more: &[&str],
) -> Result<Process, Fault> {
    let (data, listen) = (data.display().to_string(), format!("127.0.0.1:{port}"));
    let mut args = vec!["serve", "--data", &data, "--listen", &listen];
    args.extend(["--rate-limit", "off"]);
    args.extend(more);
    Process::start(program, &args, log, "Keystead is ready at ")
}

/// A server that this program is.
fn start_own(args: &[&str], log: &Path) -> Result<Process, Fault> {
    let program = std::env::current_exe()?;
    Process::start(&program, args, log, "ready at ")
}

fn start_node(places: &Places, adapter: &str, data: &Path, log: &Path) -> Result<Process, Fault> {
    let script = places.node_oidc_provider.join("server.mjs");
    let (script, file) = (script.display().to_string(), data.join("oidc.sqlite"));
    let file = file.display().to_string();
    let args = [script.as_str(), adapter, &file];
    Process::start(&places.node, &args, log, "ready at ")
}
