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
            "{:>9.0}/s  p50 {:>8.3} ms  p90 {:>8.3} ms  p99 {:>8.3} ms  server {:>3.0} %  load {:>3.0} %  {:>6.0} bytes written each",
            self.rate,
            millis(self.p50),
            millis(self.p90),
            millis(self.p99),
            self.server_cpu * 100.0,
            self.load_cpu * 100.0,
            self.written,
        )
    }
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
        let before = Usage::now(server)?;
        tokio::time::sleep_until(end.into()).await;
        let after = Usage::now(server)?;
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

struct Usage {
    at: Instant,
    load: Duration,
    server: Duration,
    written: u64,
}

impl Usage {
    fn now(server: &Process) -> Result<Self, Fault> {
        Ok(Self {
            at: Instant::now(),
            load: process::cpu_of(std::process::id())?,
            server: server.cpu()?,
            written: server.bytes_written()?,
        })
    }
}

fn outcome(mut times: Vec<Duration>, before: &Usage, after: &Usage) -> Outcome {
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
