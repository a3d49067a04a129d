//! Measures Keystead beside its limits and its peers. `benches/run` builds and starts it; what came
//! of it is in `docs/performance.md`.

mod bench;
mod constant;
mod counter;
mod deployment;
mod engine;
mod families;
mod fan_out;
mod inbox;
mod load;
mod options;
mod peer;
mod process;
mod report;
mod scenario;
mod suite;
mod tools;
mod wire;

use std::process::ExitCode;

use bench::Filled;
use options::{Options, USAGE};
use peer::Peer;
use scenario::Scenario;
use wire::Fault;

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
    let options = Options::parse(rest)?;
    match command.as_str() {
        "suite" => suite::run(&options),
        "load" => load_alone(&options),
        "engine" => {
            let data = options.places.data.join("engine");
            let outcome = engine::run(&data, options.connections, options.plan)?;
            println!("{}", outcome.print());
            Ok(())
        }
        "constant" => constant::serve(),
        "counter" => counter::serve(options.words.first().map_or("", String::as_str)),
        other => Err(format!("expected a command, found {other}\n{USAGE}").into()),
    }
}

/// One scenario on one server, for whoever changes what it costs.
fn load_alone(options: &Options) -> Result<(), Fault> {
    let named = options
        .words
        .first()
        .and_then(|name| Scenario::find(name))
        .ok_or_else(|| format!("expected a scenario\n{USAGE}"))?;
    process::pin_the_load()?;
    let draws = matches!(named, Scenario::RandomRotation | Scenario::RandomBearer);
    if draws && options.peer == Peer::Keystead {
        let filled = Filled::start(&options.places, options.families)?;
        let mut bench = filled.bench(named, options.connections)?;
        for _ in 0..options.rounds {
            let outcome = bench.round(&filled.process, options.plan)?;
            println!("{} of {}: {outcome}", named.name(), options.families);
        }
        return filled.process.stop();
    }
    for _ in 0..options.rounds {
        let outcome = bench::on_fresh_server(options.peer, named, options.connections, options)?;
        println!("{} {}: {outcome}", options.peer.name(), named.name());
    }
    Ok(())
}
