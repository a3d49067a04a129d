//! Measures Keystead beside its limits and its peers. `benches/run` builds and starts it; what came
//! of it is in `docs/performance.md`.

mod constant;
mod deployment;
mod load;
mod peer;
mod process;
mod scenario;
mod wire;

use std::{cell::RefCell, path::PathBuf, process::ExitCode, rc::Rc, time::Duration};

use load::{Outcome, Plan};
use peer::{Peer, Places};
use process::Process;
use scenario::{Caller, Constant, Families, Scenario};
use wire::{Connection, Fault};

const USAGE: &str = "\
keystead-benches load SCENARIO [option…]   one scenario against one server
    --peer NAME         keystead, node-memory, node-map, node-sqlite or hyper  [keystead]
    --connections N     [64]
    --seconds S         measured, after a warm-up of a quarter of it  [5]
    --rounds N          [3]
    --families N        for random-rotation  [1000]
    --keystead FILE     the binary  [the one beside this program]
    --data DIR          on the disk that is measured  [target/bench]
keystead-benches constant                  the bare hyper server
";

/// The repository.
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match run(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("keystead-benches: {fault}");
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[String]) -> Result<(), Fault> {
    let Some((command, rest)) = words.split_first() else {
        return Err(USAGE.into());
    };
    match command.as_str() {
        "constant" => constant::serve(),
        "load" => load_once(&Options::parse(rest)?),
        other => Err(format!("expected a command, found {other}\n{USAGE}").into()),
    }
}

/// The words behind a command.
struct Options {
    first: String,
    peer: Peer,
    connections: usize,
    plan: Plan,
    rounds: usize,
    families: usize,
    places: Places,
}

impl Options {
    fn parse(words: &[String]) -> Result<Self, Fault> {
        let root = PathBuf::from(ROOT);
        let here = std::env::current_exe()?;
        let mut options = Self {
            first: String::new(),
            peer: Peer::Keystead,
            connections: 64,
            plan: plan(5.0),
            rounds: 3,
            families: 1_000,
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
                options.first.clone_from(word);
                continue;
            };
            let value = words.next().ok_or_else(|| format!("--{name}: no value"))?;
            match name {
                "peer" => options.peer = Peer::find(value).ok_or("--peer: no such peer")?,
                "connections" => options.connections = value.parse()?,
                "seconds" => options.plan = plan(value.parse()?),
                "rounds" => options.rounds = value.parse()?,
                "families" => options.families = value.parse()?,
                "keystead" => options.places.keystead = value.into(),
                "data" => options.places.data = value.into(),
                _ => return Err(format!("expected an option, found --{name}\n{USAGE}").into()),
            }
        }
        Ok(options)
    }
}

fn plan(seconds: f64) -> Plan {
    Plan {
        warm_up: Duration::from_secs_f64(seconds / 4.0),
        measured: Duration::from_secs_f64(seconds),
    }
}

fn load_once(options: &Options) -> Result<(), Fault> {
    let found = Scenario::find(&options.first);
    let scenario = found.ok_or_else(|| format!("expected a scenario\n{USAGE}"))?;
    process::pin_the_load()?;
    let mut process = options.peer.start(&options.places)?;
    let mut bench = Bench::of(options.peer, &mut process, scenario, options)?;
    for _ in 0..options.rounds {
        let outcome = bench.round(&process, options.plan)?;
        println!(
            "{:<12} {:<15} {:>3} connections {outcome}",
            options.peer.name(),
            scenario.name(),
            options.connections
        );
    }
    process.stop()
}

/// One scenario on one server, ready to be run several times.
struct Bench {
    callers: Vec<Box<dyn Caller>>,
}

impl Bench {
    fn of(
        peer: Peer,
        process: &mut Process,
        scenario: Scenario,
        options: &Options,
    ) -> Result<Self, Fault> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let callers = runtime.block_on(async {
            let Some(deployment) = peer.prepare(process).await? else {
                let constant = Constant::of_constant_server(&process.address.to_string());
                let caller = || Box::new(constant.clone()) as Box<dyn Caller>;
                let callers = std::iter::repeat_with(caller).take(options.connections);
                return Ok::<_, Fault>(callers.collect());
            };
            let mut connection = Connection::open(process.address).await?;
            let mut tokens = Vec::new();
            if scenario == Scenario::RandomRotation {
                for _ in 0..options.families {
                    let issued = deployment.tokens(&mut connection, &deployment.public);
                    tokens.push(issued.await?.refresh);
                }
            }
            let families = Rc::new(RefCell::new(Families::new(tokens)));
            scenario::callers(
                scenario,
                &mut connection,
                &deployment,
                options.connections,
                &families,
            )
            .await
        })?;
        Ok(Self { callers })
    }

    fn round(&mut self, process: &Process, plan: Plan) -> Result<Outcome, Fault> {
        load::run(process, plan, &mut self.callers)
    }
}
