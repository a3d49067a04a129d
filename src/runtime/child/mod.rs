//! Programs that this process runs: begun with a clean environment in a process group of their own,
//! heard line by line, and ended with their whole group.

mod confine;
mod log;

use std::{
    io,
    path::PathBuf,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use rustix::{
    io::Errno,
    process::{Pid, Signal, kill_process_group},
};
use tokio::{
    process::{ChildStdin, ChildStdout, Command},
    sync::oneshot,
    task::JoinHandle,
    time::timeout,
};

pub use confine::{ConfineError, become_confined};
pub use log::Said;

use crate::model::upstream::Sandbox;

/// How long a group that was told to end has, before it is made to.
pub const GRACE: Duration = Duration::from_secs(3);

/// How long the end of a program's standard error is waited for, once its leash is let go.
pub const LAST_WORDS_TIMEOUT: Duration = Duration::from_secs(3);

/// How long the end of a program is waited for that has let go of its streams.
pub const END_TIMEOUT: Duration = Duration::from_secs(5);

/// A program to run.
#[derive(Clone, Debug)]
pub struct Program {
    /// What its log lines are marked with.
    pub name: String,
    /// The program and its arguments; never empty.
    pub command: Vec<String>,
    /// All of its environment.
    pub environment: Vec<(String, String)>,
    /// What it is restricted to.
    pub sandbox: Sandbox,
}

/// Runs programs.
#[derive(Clone, Debug)]
pub struct Launcher {
    /// This binary, which restricts itself and then becomes the program.
    own: PathBuf,
}

/// A program that runs.
#[derive(Debug)]
pub struct Running {
    /// What it reads.
    pub stdin: ChildStdin,
    /// What it writes.
    pub stdout: ChildStdout,
    /// What it says on its standard error that may tell why it ended.
    pub last_words: LastWords,
    /// Its end, if that comes by itself.
    pub own_end: OwnEnd,
    /// By which it is ended.
    pub leash: Leash,
}

/// What a program says that may tell why it ended, once it has.
#[derive(Debug)]
pub struct LastWords(JoinHandle<Said>);

impl LastWords {
    /// The lines, of at most [`LAST_WORDS_TIMEOUT`] from now; none if it still could say something
    /// then.
    pub async fn hear(self) -> Said {
        match timeout(LAST_WORDS_TIMEOUT, self.0).await {
            Ok(Ok(said)) => said,
            Ok(Err(error)) => {
                tracing::error!(%error, "a program was not heard to its end");
                Said::default()
            }
            Err(_) => Said::default(),
        }
    }
}

/// The end of a program that nobody told to end.
#[derive(Debug)]
pub struct OwnEnd(oneshot::Receiver<ExitStatus>);

impl OwnEnd {
    /// How it ended, of at most [`END_TIMEOUT`] from now; none if it has not. Its leash is held
    /// meanwhile: without it the program ends because it was told to.
    pub async fn hear(&mut self) -> Option<ExitStatus> {
        timeout(END_TIMEOUT, &mut self.0).await.ok()?.ok()
    }
}

/// Ends a program when it is dropped.
#[derive(Debug)]
pub struct Leash {
    /// Nothing is ever sent: the end of the sender is the news.
    _held: oneshot::Sender<()>,
    ended: Option<JoinHandle<()>>,
}

impl Leash {
    /// Ends the program, and waits until it and its group are gone.
    pub async fn end(mut self) {
        let ended = self.ended.take();
        drop(self);
        if let Some(ended) = ended
            && let Err(error) = ended.await
        {
            tracing::error!(%error, "a program was not seen to its end");
        }
    }
}

impl Launcher {
    /// One that restricts programs by the running binary itself.
    pub fn of_this_binary() -> io::Result<Self> {
        // Where a new version was put in its place, the running one is still to be had there.
        let running = PathBuf::from("/proc/self/exe");
        let own = if running.exists() {
            running
        } else {
            std::env::current_exe()?
        };
        Ok(Self { own })
    }

    /// Runs `program`.
    ///
    /// # Errors
    /// If the system cannot begin it. A program that cannot be restricted as it should be ends at
    /// once, and says why on its standard error.
    pub fn launch(&self, program: &Program) -> io::Result<Running> {
        let mut command = self.command(program)?;
        command
            .env_clear()
            .envs(
                program
                    .environment
                    .iter()
                    .map(|(name, value)| (name, value)),
            )
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            // The last resort, where not even the runtime is left to do it in order.
            .kill_on_drop(true);
        let mut child = command.spawn()?;
        let (Some(stdin), Some(stdout), Some(stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(io::Error::other("expected three streams, found fewer"));
        };
        let last_words = LastWords(tokio::spawn(log::follow(program.name.clone(), stderr)));
        let (held, dropped) = oneshot::channel();
        let (says_so, own_end) = oneshot::channel();
        let ended = tokio::spawn(keep(program.name.clone(), child, dropped, says_so));
        let leash = Leash {
            _held: held,
            ended: Some(ended),
        };
        Ok(Running {
            stdin,
            stdout,
            last_words,
            own_end: OwnEnd(own_end),
            leash,
        })
    }

    /// What is not restricted is begun without a detour.
    fn command(&self, program: &Program) -> io::Result<Command> {
        if program.sandbox == Sandbox::default() {
            let (name, arguments) = program
                .command
                .split_first()
                .ok_or(io::ErrorKind::InvalidInput)?;
            let mut command = Command::new(name);
            command.args(arguments);
            return Ok(command);
        }
        let sandbox = serde_json::to_string(&program.sandbox)?;
        let mut command = Command::new(&self.own);
        command.args(["upstream-exec", &sandbox, "--"]);
        command.args(&program.command);
        Ok(command)
    }
}

/// Sees a program to its end: its own, or that of its leash. Its group goes with it, whatever it
/// began.
async fn keep(
    name: String,
    mut child: tokio::process::Child,
    dropped: oneshot::Receiver<()>,
    says_so: oneshot::Sender<ExitStatus>,
) {
    let Some(group) = child.id().and_then(|id| Pid::from_raw(id.cast_signed())) else {
        return;
    };
    let _rest = Rest(group);
    tokio::select! {
        ended = child.wait() => {
            match ended {
                Ok(status) => {
                    tracing::info!(upstream = name, %status, "a program ended");
                    // Who asks no more had its answers, and does not need to know why they end.
                    let _unheard = says_so.send(status);
                }
                Err(error) => tracing::error!(upstream = name, %error, "a program was lost"),
            }
        }
        _ = dropped => {
            signal(group, Signal::TERM);
            if timeout(GRACE, child.wait()).await.is_err() {
                tracing::warn!(upstream = name, "a program did not end when it was told to");
                signal(group, Signal::KILL);
                if let Err(error) = child.wait().await {
                    tracing::error!(upstream = name, %error, "a program was lost");
                }
            }
        }
    }
}

/// A group of which nobody is left once this is dropped: what a program began may outlive it, and
/// the server may stop before it has seen the program to its end.
struct Rest(Pid);

impl Drop for Rest {
    fn drop(&mut self) {
        signal(self.0, Signal::KILL);
    }
}

fn signal(group: Pid, signal: Signal) {
    match kill_process_group(group, signal) {
        // Nobody is left in it.
        Ok(()) | Err(Errno::SRCH) => {}
        Err(error) => tracing::error!(%error, ?group, "a group of processes could not be ended"),
    }
}

#[cfg(test)]
mod tests;
