//! One measurement: a server, made ready, under one scenario.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use crate::{
    counter::TOOL,
    deployment::Deployment,
    families::{self, Known},
    load::{self, Outcome, Plan},
    options::Options,
    peer::{Peer, Places, start_keystead},
    process::{Process, SERVER_CORE},
    scenario::{self, Caller, Constant, Scenario},
    tools,
    wire::{Connection, Fault, Writer},
};

/// Keystead's file in its data directory.
const DATA_FILE: &str = "keystead.redb";

/// One scenario with its connections' state, to be run several times on one server.
pub(crate) struct Bench {
    callers: Vec<Box<dyn Caller>>,
}

impl Bench {
    pub(crate) fn of(
        process: &Process,
        deployment: Option<&Deployment>,
        scenario: Scenario,
        connections: usize,
        known: Option<Known>,
    ) -> Result<Self, Fault> {
        let Some(deployment) = deployment else {
            let constant = Constant::of_constant_server(&process.address.to_string());
            let caller = || Box::new(constant.clone()) as Box<dyn Caller>;
            let callers = std::iter::repeat_with(caller).take(connections).collect();
            return Ok(Self { callers });
        };
        let callers = runtime()?.block_on(async {
            let mut connection = Connection::open(process.address).await?;
            scenario::callers(scenario, &mut connection, deployment, connections, known).await
        })?;
        Ok(Self { callers })
    }

    /// Calls of the one tool of rmcp's own kind of server.
    pub(crate) fn of_rmcp(
        process: &Process,
        peer: Peer,
        connections: usize,
    ) -> Result<Self, Fault> {
        let writer = Writer {
            host: process.address.to_string(),
        };
        let callers = runtime()?.block_on(async {
            let mut connection = Connection::open(process.address).await?;
            let mut callers: Vec<Box<dyn Caller>> = Vec::new();
            for _ in 0..connections {
                let request = match peer {
                    Peer::RmcpSessions => tools::call_in_session(&mut connection, &writer).await?,
                    _ => tools::call(&writer, "", TOOL),
                };
                callers.push(Box::new(Constant::of_tool(request)));
            }
            Ok::<_, Fault>(callers)
        })?;
        Ok(Self { callers })
    }

    pub(crate) fn round(&mut self, process: &Process, plan: Plan) -> Result<Outcome, Fault> {
        load::run(process, plan, &mut self.callers)
    }
}

pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, Fault> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    Ok(builder.enable_all().build()?)
}

/// One round of `scenario` on a server that has just been started on an empty directory.
pub(crate) fn on_fresh_server(
    peer: Peer,
    scenario: Scenario,
    connections: usize,
    options: &Options,
) -> Result<Outcome, Fault> {
    let mut process = peer.start(&options.places)?;
    let deployment = runtime()?.block_on(peer.prepare(&mut process))?;
    let mut bench = match peer {
        Peer::RmcpJson | Peer::RmcpSessions => Bench::of_rmcp(&process, peer, connections)?,
        _ => Bench::of(&process, deployment.as_ref(), scenario, connections, None)?,
    };
    let outcome = bench.round(&process, options.plan)?;
    process.stop()?;
    Ok(outcome)
}

/// One round of the bare engine, in a process on the servers' core.
pub(crate) fn on_engine(waiting: usize, options: &Options) -> Result<Outcome, Fault> {
    let output = Command::new("taskset")
        .args(["-c", SERVER_CORE])
        .arg(std::env::current_exe()?)
        .args(["engine", "--connections", &waiting.to_string()])
        .args([
            "--seconds",
            &options.plan.measured.as_secs_f64().to_string(),
        ])
        .arg("--data")
        .arg(&options.places.data)
        .stderr(Stdio::inherit())
        .output()?;
    let text = String::from_utf8(output.stdout)?;
    Outcome::parse(text.trim())
}

/// Whether the system has the data file in its memory.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum PageCache {
    /// As after a restart of the machine.
    Cold,
    /// As after the end of the process alone.
    Warm,
}

/// A Keystead that has been claimed, stopped, filled with families and started again.
pub(crate) struct Filled {
    pub(crate) process: Process,
    pub(crate) deployment: Deployment,
    pub(crate) known: Known,
    data: PathBuf,
    log: PathBuf,
    program: PathBuf,
    port: u16,
}

impl Filled {
    pub(crate) fn start(places: &Places, count: u64) -> Result<Self, Fault> {
        let places = Places {
            data: places.data.join(format!("of-{count}")),
            ..places.clone()
        };
        let mut process = Peer::Keystead.start(&places)?;
        let prepared = runtime()?.block_on(Peer::Keystead.prepare(&mut process))?;
        let deployment = prepared.ok_or("expected a deployment, found none")?;
        let port = process.address.port();
        process.stop()?;
        let data = places.data.join(Peer::Keystead.name());
        let log = places.data.join("keystead.log");
        let file = data.join(DATA_FILE);
        let known = families::fill(&file, &deployment.public.id, count)?;
        Ok(Self {
            process: start_keystead(&places.keystead, &data, &log, port)?,
            deployment,
            known,
            data,
            log,
            program: places.keystead,
            port,
        })
    }

    pub(crate) fn file_bytes(&self) -> Result<u64, Fault> {
        Ok(fs::metadata(self.data.join(DATA_FILE))?.len())
    }

    pub(crate) fn bench(&self, scenario: Scenario, connections: usize) -> Result<Bench, Fault> {
        let deployment = Some(&self.deployment);
        let known = Some(self.known);
        Bench::of(&self.process, deployment, scenario, connections, known)
    }

    /// Ends the server with `end`, starts it again, and returns the time from its start to its first
    /// answer to a bearer token.
    pub(crate) fn restart(
        self,
        end: impl FnOnce(Process) -> Result<(), Fault>,
        cache: PageCache,
    ) -> Result<(Self, Duration), Fault> {
        end(self.process)?;
        if cache == PageCache::Cold {
            forget(&self.data.join(DATA_FILE))?;
        }
        let started = Instant::now();
        let process = start_keystead(&self.program, &self.data, &self.log, self.port)?;
        let request = self.deployment.open(&self.known.access_token(0));
        let answered = runtime()?.block_on(async {
            let mut connection = Connection::open(process.address).await?;
            let answer = connection.send(&request).await?;
            if answer.status == 200 {
                Ok(started.elapsed())
            } else {
                Err(answer.unexpected("200"))
            }
        });
        let answered = answered?;
        Ok((Self { process, ..self }, answered))
    }
}

/// Takes a file out of the system's page cache.
fn forget(file: &std::path::Path) -> Result<(), Fault> {
    // GNU dd: with `count=0` the advice is for the whole file, and nothing is read.
    let input = format!("if={}", file.display());
    let advised = Command::new("dd")
        .args([&input, "iflag=nocache", "count=0"])
        .stderr(Stdio::null())
        .status()?;
    if advised.success() {
        Ok(())
    } else {
        Err("expected dd to drop the page cache of a file, found that it failed".into())
    }
}
