//! The closed loop: so many connections, each of which sends its next request when it has the
//! answer to the one before.

use std::{
    cell::RefCell,
    fmt,
    rc::Rc,
    time::{Duration, Instant},
};

use tokio::task::LocalSet;

use crate::{
    process::{self, Process},
    scenario::{Caller, Heard},
    wire::{Connection, Fault},
};

/// How one scenario is run.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) warm_up: Duration,
    pub(crate) measured: Duration,
}

/// What a run came to.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    /// Operations a second.
    pub(crate) rate: f64,
    /// Of one operation.
    pub(crate) p50: Duration,
    pub(crate) p90: Duration,
    pub(crate) p99: Duration,
    /// Of one core, what the load and what the server used.
    pub(crate) load_cpu: f64,
    pub(crate) server_cpu: f64,
    /// Bytes that the server had written to the disk, for one operation.
    pub(crate) written: f64,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:>9.0}/s  p50 {:>8.3} ms  p90 {:>8.3} ms  p99 {:>8.3} ms  server {:>3.0} %, {:>5.1} µs each  load {:>3.0} %  {:>6.0} bytes written each",
            self.rate,
            millis(self.p50),
            millis(self.p90),
            millis(self.p99),
            self.server_cpu * 100.0,
            self.server_micros(),
            self.load_cpu * 100.0,
            self.written,
        )
    }
}

impl Outcome {
    /// Processor time of the server for one operation: what is left of a comparison where the
    /// machine is busy with something else.
    pub(crate) fn server_micros(&self) -> f64 {
        self.server_cpu * 1e6 / self.rate.max(1.0)
    }

    /// The numbers as [`Outcome::parse`] reads them.
    pub(crate) fn print(&self) -> String {
        let micros = [self.p50, self.p90, self.p99].map(|time| time.as_micros());
        let [p50, p90, p99] = micros;
        let Self {
            rate,
            server_cpu,
            written,
            ..
        } = self;
        format!("{rate} {p50} {p90} {p99} {server_cpu} {written}")
    }

    pub(crate) fn parse(text: &str) -> Result<Self, Fault> {
        let numbers: Vec<f64> = text
            .split(' ')
            .map(str::parse)
            .collect::<Result<_, _>>()
            .map_err(|_| format!("expected numbers, found {text:?}"))?;
        let [rate, p50, p90, p99, server_cpu, written] = numbers[..] else {
            return Err(format!("expected six numbers, found {text:?}").into());
        };
        let micros = |count: f64| Duration::from_secs_f64(count / 1e6);
        Ok(Self {
            rate,
            p50: micros(p50),
            p90: micros(p90),
            p99: micros(p99),
            load_cpu: 0.0,
            server_cpu,
            written,
        })
    }
}

/// The outcome in the middle, by its rate.
pub(crate) fn median(outcomes: &[Outcome]) -> Outcome {
    let mut sorted = outcomes.to_vec();
    sorted.sort_by(|a, b| a.rate.total_cmp(&b.rate));
    sorted.swap_remove(sorted.len() / 2)
}

pub(crate) fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// Runs `callers`, each on a connection of its own, against `server`.
pub(crate) fn run(
    server: &Process,
    plan: Plan,
    callers: &mut Vec<Box<dyn Caller>>,
) -> Result<Outcome, Fault> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let times = Rc::new(RefCell::new(Vec::new()));
    let local = LocalSet::new();
    let measured = local.block_on(&runtime, async {
        let begin = Instant::now() + plan.warm_up;
        let end = begin + plan.measured;
        let mut tasks = Vec::new();
        for mut caller in callers.drain(..) {
            let connection = Connection::open(server.address).await?;
            let times = Rc::clone(&times);
            tasks.push(tokio::task::spawn_local(async move {
                call(connection, &mut *caller, begin, end, &times)
                    .await
                    .map_err(|fault| fault.to_string())?;
                Ok::<_, String>(caller)
            }));
        }
        tokio::time::sleep_until(begin.into()).await;
        let before = Usage::now(server.id())?;
        tokio::time::sleep_until(end.into()).await;
        let after = Usage::now(server.id())?;
        for task in tasks {
            callers.push(task.await??);
        }
        Ok::<_, Fault>((before, after))
    });
    let (before, after) = measured?;
    Ok(outcome(times.take(), &before, &after))
}

async fn call(
    mut connection: Connection,
    caller: &mut dyn Caller,
    begin: Instant,
    end: Instant,
    times: &RefCell<Vec<Duration>>,
) -> Result<(), Fault> {
    let mut request = Vec::new();
    loop {
        let asked = Instant::now();
        loop {
            request.clear();
            caller.ask(&mut request);
            let answer = connection.send(&request).await?;
            if caller.hear(&answer)? == Heard::Done {
                break;
            }
        }
        let answered = Instant::now();
        if answered >= end {
            return Ok(());
        }
        if asked >= begin {
            times.borrow_mut().push(answered - asked);
        }
    }
}

/// What was used so far.
pub(crate) struct Usage {
    at: Instant,
    load: Duration,
    server: Duration,
    written: u64,
}

impl Usage {
    /// Of this process, and of the server with that id.
    pub(crate) fn now(server: u32) -> Result<Self, Fault> {
        Ok(Self {
            at: Instant::now(),
            load: process::cpu_of(std::process::id())?,
            server: process::cpu_of(server)?,
            written: process::bytes_written_by(server)?,
        })
    }
}

/// What `times` of single operations come to.
pub(crate) fn outcome(mut times: Vec<Duration>, before: &Usage, after: &Usage) -> Outcome {
    times.sort_unstable();
    let wall = (after.at - before.at).as_secs_f64();
    let share =
        |later: Duration, earlier: Duration| later.saturating_sub(earlier).as_secs_f64() / wall;
    #[expect(clippy::cast_precision_loss, reason = "counts of some seconds")]
    let (count, written) = (times.len() as f64, (after.written - before.written) as f64);
    Outcome {
        rate: count / wall,
        p50: percentile(&times, 50),
        p90: percentile(&times, 90),
        p99: percentile(&times, 99),
        load_cpu: share(after.load, before.load),
        server_cpu: share(after.server, before.server),
        written: written / count.max(1.0),
    }
}

/// Of sorted times.
pub(crate) fn percentile(times: &[Duration], percent: usize) -> Duration {
    let last = times.len().saturating_sub(1);
    times.get(last * percent / 100).copied().unwrap_or_default()
}
