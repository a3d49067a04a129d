//! Signals: when to stop, when to read the certificates again, and which one is not to end us.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGTERM and SIGINT: someone wants the process to end.
#[derive(Debug)]
pub struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    /// From now on both signals wait here instead of ending the process.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for either signal.
    pub async fn requested(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// SIGHUP: someone wants files to be read again.
#[derive(Debug)]
pub struct Reload(Signal);

impl Reload {
    /// From now on the signal waits here instead of ending the process.
    pub fn listen() -> io::Result<Self> {
        signal(SignalKind::hangup()).map(Self)
    }

    /// Waits for the next signal. Several that arrive while no one waits count as one.
    pub async fn requested(&mut self) {
        if self.0.recv().await.is_none() {
            // The stream ends only with the runtime; no signal can come any more.
            std::future::pending::<()>().await;
        }
    }
}

/// SIGXFSZ, which has this number on every Linux that there is a binary for.
const FILE_LIMIT: i32 = 25;

/// SIGXFSZ: a file would become larger than the limit of the process. From now on it does not end
/// the process, and the write alone fails, as it does on a full disk.
pub fn outlive_file_limit() -> io::Result<()> {
    // What has once been listened for has lost its old effect for good.
    signal(SignalKind::from_raw(FILE_LIMIT)).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Signals reach the whole process, so that one test covers the three of them in order.
    #[tokio::test]
    async fn a_signal_is_heard_by_whom_it_is_for() {
        let (mut stop, mut reload) = (
            Stop::listen().expect("stop"),
            Reload::listen().expect("hup"),
        );
        send("HUP");
        reload.requested().await;
        send("TERM");
        stop.requested().await;
        send("INT");
        stop.requested().await;
        outlive_file_limit().expect("xfsz");
        send("XFSZ");
    }

    fn send(name: &str) {
        let kill = format!("kill -{name} {}", std::process::id());
        let status = std::process::Command::new("sh")
            .args(["-c", &kill])
            .status()
            .expect("a shell");
        assert!(status.success());
    }
}
