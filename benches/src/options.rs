//! The words behind a command.

use std::{path::PathBuf, time::Duration};

use crate::{
    load::Plan,
    peer::{Peer, Places},
    wire::Fault,
};

pub(crate) const USAGE: &str = "\
keystead-benches suite [PART…] [option…]   everything, or these parts of it; see benches/run
    --rounds N          of each measurement, interleaved  [3]
    --seconds S         of each round, after a warm-up of half of it  [4]
    --sizes N,N,…       of the series of sizes  [1000,100000,10000000]
keystead-benches load SCENARIO [option…]   one scenario against one server
    --peer NAME         keystead, node-memory, node-map, node-sqlite, hyper,
                        rmcp-json or rmcp-sessions  [keystead]
    --connections N     [64]
    --families N        prepared, for what draws at random  [1000]
keystead-benches engine [option…]          the store alone, with so many --connections waiting
keystead-benches constant                  the bare hyper server
keystead-benches counter HOW               an MCP server with one tool: json, sessions or stdio
  everywhere
    --keystead FILE     the binary  [the one beside this program]
    --data DIR          on the disk that is measured  [target/bench]
";

/// The repository.
pub(crate) const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// What was asked for.
pub(crate) struct Options {
    pub(crate) words: Vec<String>,
    pub(crate) peer: Peer,
    pub(crate) connections: usize,
    pub(crate) plan: Plan,
    pub(crate) rounds: usize,
    pub(crate) families: u64,
    pub(crate) sizes: Vec<u64>,
    pub(crate) places: Places,
}

impl Options {
    pub(crate) fn parse(words: &[String]) -> Result<Self, Fault> {
        let root = PathBuf::from(ROOT);
        let here = std::env::current_exe()?;
        let mut options = Self {
            words: Vec::new(),
            peer: Peer::Keystead,
            connections: 64,
            plan: plan(4.0),
            rounds: 3,
            families: 1_000,
            sizes: vec![1_000, 100_000, 10_000_000],
            places: Places {
                keystead: here.with_file_name("keystead"),
                node: root.join("target/node/bin/node"),
                node_oidc_provider: root.join("benches/peers/node-oidc-provider"),
                data: root.join("target/bench"),
            },
        };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let Some(name) = word.strip_prefix("--") else {
                options.words.push(word.clone());
                continue;
            };
            let value = words
                .next()
                .ok_or_else(|| format!("--{name}: expected a value"))?;
            options.set(name, value)?;
        }
        Ok(options)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), Fault> {
        match name {
            "peer" => {
                let found = Peer::find(value);
                self.peer = found.ok_or("--peer: expected a peer's name")?;
            }
            "connections" => self.connections = value.parse()?,
            "seconds" => self.plan = plan(value.parse()?),
            "rounds" => self.rounds = value.parse()?,
            "families" => self.families = value.parse()?,
            "sizes" => {
                let sizes: Result<_, _> = value.split(',').map(str::parse).collect();
                self.sizes = sizes?;
            }
            "keystead" => self.places.keystead = value.into(),
            "data" => self.places.data = value.into(),
            _ => return Err(format!("expected an option, found --{name}\n{USAGE}").into()),
        }
        Ok(())
    }
}

fn plan(seconds: f64) -> Plan {
    Plan {
        warm_up: Duration::from_secs_f64(seconds / 2.0),
        measured: Duration::from_secs_f64(seconds),
    }
}
