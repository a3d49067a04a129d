//! What was measured, as the part of `docs/performance.md` that is never written by hand.

use std::{fmt::Write as _, fs, path::Path, process::Command};

use crate::{
    load::{Outcome, median, millis},
    options::{Options, ROOT},
    wire::Fault,
};

/// Where the measured part begins and ends in the document.
const BEGIN: &str = "<!-- measured by benches/run: begin -->";
const END: &str = "<!-- measured by benches/run: end -->";
const DOCUMENT: &str = "docs/performance.md";

/// One row of the table of aims.
pub(crate) struct Aim {
    what: String,
    ours: String,
    beside: String,
    found: String,
    bound: String,
    verdict: &'static str,
}

impl Aim {
    /// `rates` are ours and theirs; ours has to be `factor` times theirs.
    pub(crate) fn times(what: &str, beside: &str, rates: (f64, f64), factor: f64) -> Self {
        let (ours, theirs) = rates;
        Self {
            what: what.to_owned(),
            ours: format!("{ours:.0}/s"),
            beside: format!("{beside}: {theirs:.0}/s"),
            found: format!("{:.2} ×", ours / theirs),
            bound: format!("≥ {factor} ×"),
            verdict: verdict(ours >= factor * theirs),
        }
    }

    /// `ours` must not be more than `most`.
    pub(crate) fn at_most(what: &str, beside: &str, ours: f64, most: f64, unit: &str) -> Self {
        Self {
            what: what.to_owned(),
            ours: format!("{ours:.2} {unit}"),
            beside: beside.to_owned(),
            found: String::new(),
            bound: format!("≤ {most:.2} {unit}"),
            verdict: verdict(ours <= most),
        }
    }
}

const fn verdict(met: bool) -> &'static str {
    if met { "met" } else { "**missed**" }
}

/// What is collected while the suite runs.
#[derive(Default)]
pub(crate) struct Report {
    aims: Vec<Aim>,
    series: String,
    facts: Vec<String>,
}

impl Report {
    pub(crate) fn aim(&mut self, aim: Aim) {
        eprintln!(
            "{}: {} {} ({}), aim {}: {}",
            aim.what, aim.ours, aim.found, aim.beside, aim.bound, aim.verdict
        );
        self.aims.push(aim);
    }

    /// A comparison for which no aim was set.
    pub(crate) fn note(&mut self, what: &str, beside: &str, rates: (f64, f64)) {
        let mut aim = Aim::times(what, beside, rates, 0.0);
        (aim.bound, aim.verdict) = ("–".to_owned(), "–");
        self.aim(aim);
    }

    pub(crate) fn fact(&mut self, fact: &str) {
        eprintln!("{fact}");
        self.facts.push(fact.to_owned());
    }

    /// The rounds of one scenario on one server.
    pub(crate) fn series(
        &mut self,
        scenario: &str,
        server: &str,
        connections: usize,
        outcomes: &[Outcome],
    ) {
        let middle = median(outcomes);
        let rates = || outcomes.iter().map(|outcome| outcome.rate);
        let least = rates().fold(f64::INFINITY, f64::min);
        let most = rates().fold(0.0, f64::max);
        // Writing to a text cannot fail.
        let _ = writeln!(
            self.series,
            "| {scenario} | {server} | {connections} | {:.0} ({least:.0}–{most:.0}) | {:.2} | {:.2} | {:.2} | {:.0} % | {:.1} | {:.0} % | {:.0} |",
            middle.rate,
            millis(middle.p50),
            millis(middle.p90),
            millis(middle.p99),
            middle.server_cpu * 100.0,
            middle.server_micros(),
            middle.load_cpu * 100.0,
            middle.written,
        );
    }

    /// Prints it; a run of the whole suite writes it into the document.
    pub(crate) fn print(&self, options: &Options) -> Result<(), Fault> {
        let text = self.markdown(options);
        println!("{text}");
        if !options.words.is_empty() {
            return Ok(());
        }
        let path = Path::new(ROOT).join(DOCUMENT);
        let document = fs::read_to_string(&path)?;
        let parts = document.split_once(BEGIN).and_then(|(before, rest)| {
            let (_, after) = rest.split_once(END)?;
            Some((before, after))
        });
        let (before, after) =
            parts.ok_or_else(|| format!("expected «{BEGIN}» and «{END}» in {DOCUMENT}"))?;
        fs::write(path, format!("{before}{BEGIN}\n\n{text}\n{END}{after}"))?;
        Ok(())
    }

    fn markdown(&self, options: &Options) -> String {
        let mut text = format!(
            "{}\n\n### Aims\n\n| what | Keystead | beside it | ratio | aim | |\n|---|---|---|---|---|---|\n",
            circumstances(options)
        );
        for aim in &self.aims {
            let Aim {
                what,
                ours,
                beside,
                found,
                bound,
                verdict,
            } = aim;
            let _ = writeln!(
                text,
                "| {what} | {ours} | {beside} | {found} | {bound} | {verdict} |"
            );
        }
        text.push_str(
            "\n### Every series\n\nThe median of the rounds, and their range; milliseconds; the share of its core that the server and the \
             load used, and microseconds of the server's for each operation; bytes that the server gave to the disk for each operation, its log among them.\n\n\
             | scenario | server | connections | operations/s | p50 | p90 | p99 | server | µs each | load | bytes |\n\
             |---|---|---|---|---|---|---|---|---|---|---|\n",
        );
        text.push_str(&self.series);
        if !self.facts.is_empty() {
            text.push_str("\n### Beside that\n\n");
        }
        for fact in &self.facts {
            let _ = writeln!(text, "- {fact}");
        }
        text
    }
}

/// The machine, the date, the commit and the plan.
fn circumstances(options: &Options) -> String {
    let shell = |command: &str| {
        let output = Command::new("sh").args(["-c", command]).output();
        output.map_or_else(
            |_| "unknown".to_owned(),
            |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        )
    };
    let cpu = shell("sed -n 's/^model name.*: //p' /proc/cpuinfo | head -n 1");
    let memory = shell("awk '/^MemTotal/ { printf \"%.0f\", $2 / 1048576 }' /proc/meminfo");
    let disk = format!("df --output=fstype '{ROOT}' | tail -n 1");
    format!(
        "{}, commit {}; {} × {cpu}, {memory} GiB, {} on a virtual disk, Linux {}; node {}. `benches/run`: {} rounds of {} s after {} s, \
         each server on core 1, the load on core 0.",
        shell("date -u +%F"),
        shell("git rev-parse --short=10 HEAD"),
        shell("nproc --all"),
        shell(&disk),
        shell("uname -r"),
        shell(&format!("'{}' --version", options.places.node.display())),
        options.rounds,
        options.plan.measured.as_secs_f64(),
        options.plan.warm_up.as_secs_f64(),
    )
}
