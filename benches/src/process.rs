//! A server under load: a process on a core of its own, and what the system says of it.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader, Lines},
    net::SocketAddr,
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use crate::wire::Fault;

/// The core of whatever is measured.
pub(crate) const SERVER_CORE: &str = "1";
/// The core of the load.
pub(crate) const LOAD_CORE: &str = "0";
/// How long a server may take until it says that it is ready.
const READY_MAX: Duration = Duration::from_mins(1);
/// Ticks of the system's accounting in a second, on every Linux that one meets.
const TICKS: u64 = 100;

/// A server that runs; it is killed when it is dropped.
pub(crate) struct Process {
    child: Child,
    output: Lines<BufReader<ChildStdout>>,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// What it says its URL is.
    pub(crate) url: String,
    /// From its start until it said that it was ready.
    pub(crate) ready_after: Duration,
}

impl Process {
    /// Starts `program` on [`SERVER_CORE`], its log in `log`, and waits for the line that begins
    /// with `ready` and ends with its URL.
    pub(crate) fn start(
        program: &Path,
        args: &[&str],
        log: &Path,
        ready: &str,
    ) -> Result<Self, Fault> {
        let started = Instant::now();
        let mut child = Command::new("taskset")
            .args(["-c", SERVER_CORE])
            .arg(program)
            .args(args)
            .env("NO_COLOR", "1")
            .env("NODE_ENV", "production")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(log)?)
            .spawn()?;
        let output = child.stdout.take().ok_or("no standard output")?;
        let mut process = Self {
            child,
            output: BufReader::new(output).lines(),
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            url: String::new(),
            ready_after: Duration::ZERO,
        };
        let Some(url) = process.line(ready)? else {
            let log = fs::read_to_string(log)?;
            return Err(format!("expected the line «{ready}», found none, and:\n{log}").into());
        };
        process.url = url;
        process.ready_after = started.elapsed();
        let (_, port) = process.url.rsplit_once(':').ok_or("no port in the URL")?;
        process.address.set_port(port.parse()?);
        Ok(process)
    }

    /// What follows `prefix` in the next line of its output that begins so.
    pub(crate) fn line(&mut self, prefix: &str) -> Result<Option<String>, Fault> {
        for line in self.output.by_ref() {
            if let Some(rest) = line?.strip_prefix(prefix) {
                return Ok(Some(rest.trim().to_owned()));
            }
        }
        Ok(None)
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Bytes of memory that it has, of its own and of files.
    pub(crate) fn memory(&self) -> Result<u64, Fault> {
        Ok(number(self.id(), "status", "VmRSS:")? * 1024)
    }

    /// Ends it as a power cut would.
    pub(crate) fn kill(mut self) -> Result<(), Fault> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn stop(mut self) -> Result<(), Fault> {
        let pid = self.child.id().to_string();
        Command::new("kill").args(["-TERM", &pid]).status()?;
        let asked = Instant::now();
        while self.child.try_wait()?.is_none() {
            if asked.elapsed() > READY_MAX {
                return Err("expected it to end, found that it runs".into());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // One that has ended cannot be killed, and that is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Processor time of all threads of a process.
pub(crate) fn cpu_of(pid: u32) -> Result<Duration, Fault> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, fields) = stat.rsplit_once(')').ok_or("no name in stat")?;
    // `man proc_pid_stat`: utime and stime are the 14th and 15th; the name was the 2nd.
    let ticks = fields.split_whitespace().skip(11).take(2);
    let ticks: u64 = ticks.map(|ticks| ticks.parse().unwrap_or(0)).sum();
    Ok(Duration::from_millis(ticks * 1000 / TICKS))
}

/// Bytes that a process gave to the disk, its log's among them.
pub(crate) fn bytes_written_by(pid: u32) -> Result<u64, Fault> {
    number(pid, "io", "write_bytes:")
}

fn number(pid: u32, file: &str, name: &str) -> Result<u64, Fault> {
    let text = fs::read_to_string(format!("/proc/{pid}/{file}"))?;
    let mut lines = text.lines().filter_map(|line| line.strip_prefix(name));
    let value = lines.next().ok_or(format!("no {name} in {file}"))?;
    Ok(value.trim().trim_end_matches(" kB").parse()?)
}

/// Puts this process, the load, on [`LOAD_CORE`]. To be called before it has threads.
pub(crate) fn pin_the_load() -> Result<(), Fault> {
    let pid = std::process::id().to_string();
    let pinned = Command::new("taskset")
        .args(["-cp", LOAD_CORE, &pid])
        .stdout(Stdio::null())
        .status()?;
    if pinned.success() {
        Ok(())
    } else {
        Err("expected taskset to pin the load, found that it failed".into())
    }
}
