//! All that is measured, in rounds that take turns: whatever disturbs the machine for a while
//! disturbs both sides of a comparison.

use std::{thread::sleep, time::Duration};

use crate::{
    bench::{self, Bench, Filled, PageCache, on_engine, on_fresh_server},
    fan_out, inbox,
    load::{Outcome, Plan, median, millis},
    options::Options,
    peer::Peer,
    process::{self, Process},
    report::{Aim, Report},
    scenario::Scenario,
    tools::{Behind, Pipe},
    wire::Fault,
};

/// A part of the suite, by the name that `benches/run` takes.
type Part = fn(&Options, &mut Report) -> Result<(), Fault>;

pub(crate) const PARTS: [(&str, Part); 12] = [
    ("rotation", rotation),
    ("latency", latency),
    ("reads", reads),
    ("tools", tools),
    ("upstreams", upstreams),
    ("code", code),
    ("registration", registration),
    ("sizes", sizes),
    ("start", start),
    ("memory", memory),
    ("inbox", inbox::measure),
    ("fan-out", fan_out::measure),
];

/// Tokens in the file whose start is measured.
const START_FAMILIES: u64 = 1_000_000;
/// Rotations after which the memory is looked at for the last time.
const MEMORY_ROTATIONS: f64 = 1e6;
/// How long a server is left alone before its idle memory is read.
const IDLE: Duration = Duration::from_secs(2);

/// Runs the parts that are named, or all.
pub(crate) fn run(options: &Options) -> Result<(), Fault> {
    let known = |word: &String| PARTS.iter().any(|(name, _)| name == word);
    if let Some(unknown) = options.words.iter().find(|word| !known(word)) {
        let names = PARTS.map(|(name, _)| name).join(", ");
        return Err(format!("expected parts among {names}, found {unknown}").into());
    }
    process::pin_the_load()?;
    let mut report = Report::default();
    for (name, part) in PARTS {
        if options.words.is_empty() || options.words.iter().any(|word| word == name) {
            eprintln!("==> {name}");
            part(options, &mut report)?;
        }
    }
    report.print(options)
}

/// Who stands in one column of a comparison.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Server(Peer),
    Engine,
}

impl Side {
    fn name(self) -> &'static str {
        match self {
            Self::Server(peer) => peer.name(),
            Self::Engine => "engine",
        }
    }
}

const KEYSTEAD: Side = Side::Server(Peer::Keystead);
const MAP: Side = Side::Server(Peer::NodeMap);
const SQLITE: Side = Side::Server(Peer::NodeSqlite);
const HYPER: Side = Side::Server(Peer::Hyper);
const RMCP_JSON: Side = Side::Server(Peer::RmcpJson);
const RMCP_SESSIONS: Side = Side::Server(Peer::RmcpSessions);

/// The same scenario on each side, in turns.
fn compare(
    sides: &[Side],
    scenario: Scenario,
    connections: usize,
    options: &Options,
    report: &mut Report,
) -> Result<Vec<Outcome>, Fault> {
    let mut outcomes = vec![Vec::new(); sides.len()];
    for _ in 0..options.rounds {
        for (side, outcomes) in sides.iter().zip(&mut outcomes) {
            let outcome = match side {
                Side::Server(peer) => on_fresh_server(*peer, scenario, connections, options)?,
                Side::Engine => on_engine(connections, options)?,
            };
            eprintln!(
                "{:<12} {:<12} {connections:>3} {outcome}",
                scenario.name(),
                side.name()
            );
            outcomes.push(outcome);
        }
    }
    for (side, outcomes) in sides.iter().zip(&outcomes) {
        report.series(scenario.name(), side.name(), connections, outcomes);
    }
    Ok(outcomes.iter().map(|outcomes| median(outcomes)).collect())
}

fn rotation(options: &Options, report: &mut Report) -> Result<(), Fault> {
    let sides = [KEYSTEAD, MAP, SQLITE, Side::Engine];
    for (connections, factor) in [(64, 6.0), (256, 10.0)] {
        let found = compare(&sides, Scenario::Rotation, connections, options, report)?;
        let what = format!("durable rotations, {connections} connections");
        let rates = |side: usize| (found[0].rate, found[side].rate);
        report.aim(Aim::times(
            &what,
            "node-oidc-provider in memory",
            rates(1),
            factor,
        ));
        report.note(&what, "node-oidc-provider with SQLite", rates(2));
        report.aim(Aim::times(&what, "the bare store", rates(3), 0.5));
    }
    Ok(())
}

fn latency(options: &Options, report: &mut Report) -> Result<(), Fault> {
    let sides = [KEYSTEAD, Side::Engine];
    let found = compare(&sides, Scenario::Rotation, 1, options, report)?;
    let (ours, engine) = (millis(found[0].p50), millis(found[1].p50));
    report.aim(Aim::at_most(
        "one connection, p50 of a rotation",
        &format!("a commit of the bare store, {engine:.3} ms"),
        ours,
        engine + 0.3,
        "ms",
    ));
    Ok(())
}

fn reads(options: &Options, report: &mut Report) -> Result<(), Fault> {
    let constant = compare(&[HYPER], Scenario::Metadata, 64, options, report)?;
    for (scenario, what, factor) in [
        (Scenario::Bearer, "bearer check", 0.5),
        (Scenario::Introspect, "introspection, client proved", 0.4),
    ] {
        let found = compare(&[KEYSTEAD], scenario, 64, options, report)?;
        let rates = (found[0].rate, constant[0].rate);
        let beside = "bare hyper, a constant";
        report.aim(Aim::times(what, beside, rates, factor));
    }
    Ok(())
}

fn tools(options: &Options, report: &mut Report) -> Result<(), Fault> {
    let sides = [KEYSTEAD, RMCP_JSON, RMCP_SESSIONS];
    for connections in [1, 16, 64] {
        let found = compare(&sides, Scenario::ToolCall, connections, options, report)?;
        let what = format!("tools/call with a bearer check, {connections} connections");
        let rates = |side: usize| (found[0].rate, found[side].rate);
        let beside = "rmcp in JSON, nobody checked";
        report.aim(Aim::times(&what, beside, rates(1), 0.8));
        report.note(&what, "rmcp with sessions, nobody checked", rates(2));
    }
    Ok(())
}

/// Each round directly, then through Keystead, one call after the other.
fn upstreams(options: &Options, report: &mut Report) -> Result<(), Fault> {
    let behind = bench::runtime()?.block_on(Behind::start(&options.places))?;
    let (keystead, deployment) = (&behind.keystead, Some(&behind.deployment));
    let of = |scenario| Bench::of(keystead, deployment, scenario, 1, None);
    let (mut http, mut stdio) = (of(Scenario::UpstreamHttp)?, of(Scenario::UpstreamStdio)?);
    let mut direct = Bench::of_rmcp(&behind.counter, Peer::RmcpJson, 1)?;
    let mut pipe = Pipe::start()?;
    let mut outcomes = [const { Vec::new() }; 4];
    for _ in 0..options.rounds {
        outcomes[0].push(direct.round(&behind.counter, options.plan)?);
        outcomes[1].push(http.round(keystead, options.plan)?);
        outcomes[2].push(pipe.round(options.plan)?);
        outcomes[3].push(stdio.round(keystead, options.plan)?);
    }
    for (place, scenario) in [(0, Scenario::UpstreamHttp), (2, Scenario::UpstreamStdio)] {
        let (directly, through) = (&outcomes[place], &outcomes[place + 1]);
        report.series(scenario.name(), "directly", 1, directly);
        report.series(scenario.name(), "through keystead", 1, through);
        let middle = |outcomes: &[Outcome]| millis(median(outcomes).p50);
        let (directly, through) = (middle(directly), middle(through));
        let what = format!("a call of an upstream, {}: added at p50", scenario.name());
        let beside = format!("{through:.3} ms, and {directly:.3} ms directly");
        let aim = Aim::at_most(&what, &beside, through - directly, 0.3, "ms");
        report.aim(aim);
    }
    drop(pipe);
    behind.stop()
}

fn code(options: &Options, report: &mut Report) -> Result<(), Fault> {
    let sides = [KEYSTEAD, MAP, SQLITE];
    let found = compare(&sides, Scenario::Code, 64, options, report)?;
    let what = "code and PKCE, whole flow";
    let rates = |side: usize| (found[0].rate, found[side].rate);
    let beside = "node-oidc-provider in memory";
    report.aim(Aim::times(what, beside, rates(1), 8.0));
    report.note(what, "node-oidc-provider with SQLite", rates(2));
    Ok(())
}

fn registration(options: &Options, report: &mut Report) -> Result<(), Fault> {
    for (scenario, what, factor) in [
        (Scenario::Register, "registration", 5.0),
        (Scenario::Metadata, "metadata document", 6.0),
    ] {
        let found = compare(&[KEYSTEAD, MAP], scenario, 64, options, report)?;
        let rates = (found[0].rate, found[1].rate);
        let beside = "node-oidc-provider in memory";
        report.aim(Aim::times(what, beside, rates, factor));
    }
    Ok(())
}

fn sizes(options: &Options, report: &mut Report) -> Result<(), Fault> {
    let scenarios = [
        Scenario::RandomRotation,
        Scenario::RandomBearer,
        Scenario::Code,
    ];
    let mut servers: Vec<(Filled, Vec<Bench>)> = Vec::new();
    for size in &options.sizes {
        eprintln!("filling a file with {size} families");
        let filled = Filled::start(&options.places, *size)?;
        let benches: Result<_, Fault> = scenarios
            .iter()
            .map(|scenario| filled.bench(*scenario, 64))
            .collect();
        #[expect(clippy::cast_precision_loss, reason = "bytes of a file")]
        let each = filled.file_bytes()? as f64 / *size as f64;
        report.fact(&format!(
            "Bytes of file for each of {size} families with an access token: {each:.0}"
        ));
        servers.push((filled, benches?));
    }
    for (place, scenario) in scenarios.iter().enumerate() {
        let mut outcomes = vec![Vec::new(); servers.len()];
        for _ in 0..options.rounds {
            for ((filled, benches), outcomes) in servers.iter_mut().zip(&mut outcomes) {
                let outcome = benches[place].round(&filled.process, options.plan)?;
                let (name, size) = (scenario.name(), filled.known.count);
                eprintln!("{name:<15} {size:>8} {outcome}");
                outcomes.push(outcome);
            }
        }
        let name = |size: u64| format!("keystead, {size} families");
        for (size, outcomes) in options.sizes.iter().zip(&outcomes) {
            report.series(scenario.name(), &name(*size), 64, outcomes);
        }
        if let ([first, .., last], [least, .., most]) = (&outcomes[..], &options.sizes[..]) {
            let (few, many) = (median(first).rate, median(last).rate);
            let what = format!("cost of {} with {most} families", scenario.name());
            let beside = format!("with {least} families");
            report.aim(Aim::at_most(&what, &beside, few / many, 2.0, "times"));
        }
    }
    for (filled, _) in servers {
        filled.process.stop()?;
    }
    Ok(())
}

fn start(options: &Options, report: &mut Report) -> Result<(), Fault> {
    let mut filled = Filled::start(&options.places, START_FAMILIES)?;
    let (mut clean, mut cold, mut warm) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..options.rounds {
        let time;
        (filled, time) = filled.restart(Process::stop, PageCache::Cold)?;
        clean.push(time);
        for (cache, times) in [(PageCache::Cold, &mut cold), (PageCache::Warm, &mut warm)] {
            let mut bench = filled.bench(Scenario::Rotation, 64)?;
            bench.round(&filled.process, options.plan)?;
            let time;
            (filled, time) = filled.restart(Process::kill, cache)?;
            times.push(time);
        }
    }
    filled.process.stop()?;
    let beside = format!("{START_FAMILIES} families");
    for (times, what, most) in [
        (
            &mut clean,
            "start to first answer, after a clean stop",
            50.0,
        ),
        (
            &mut cold,
            "the same after kill -9 under load, file not in memory",
            1e3,
        ),
        (
            &mut warm,
            "the same after kill -9 under load, file in memory",
            1e3,
        ),
    ] {
        times.sort_unstable();
        eprintln!("{what}: {times:?}");
        let middle = millis(times[times.len() / 2]);
        report.aim(Aim::at_most(what, &beside, middle, most, "ms"));
    }
    Ok(())
}

fn memory(options: &Options, report: &mut Report) -> Result<(), Fault> {
    // Started again, because claiming a box takes the memory of a password's hash.
    let filled = Filled::start(&options.places, 1)?;
    sleep(IDLE);
    let idle = megabytes(filled.process.memory()?);
    report.aim(Aim::at_most("memory, idle", "–", idle, 20.0, "MB"));
    let mut bench = filled.bench(Scenario::Rotation, 64)?;
    let plan = Plan {
        warm_up: Duration::ZERO,
        measured: options.plan.measured,
    };
    let (mut rotations, mut seen) = (0.0, Vec::new());
    while rotations < MEMORY_ROTATIONS {
        let outcome = bench.round(&filled.process, plan)?;
        rotations += outcome.rate * plan.measured.as_secs_f64();
        let now = megabytes(filled.process.memory()?);
        eprintln!("after {rotations:.0} rotations: {now:.1} MB");
        seen.push(format!("{now:.1} after {rotations:.0}"));
    }
    let last = megabytes(filled.process.memory()?);
    report.aim(Aim::at_most(
        "memory, after 1000000 rotations",
        "–",
        last,
        40.0,
        "MB",
    ));
    report.fact(&format!("Megabytes under rotation: {}", seen.join(", ")));
    #[expect(clippy::cast_precision_loss, reason = "bytes of a file")]
    let each = filled.file_bytes()? as f64 / rotations;
    report.fact(&format!(
        "Bytes of file for each of {rotations:.0} rotations, whose access tokens live and whose \
         audit entries are kept: {each:.0}"
    ));
    filled.process.stop()
}

fn megabytes(bytes: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "bytes of memory")]
    let bytes = bytes as f64;
    bytes / 1e6
}
