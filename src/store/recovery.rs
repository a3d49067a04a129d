//! After a fault of the disk: the file is opened anew, and writes are refused until it takes them.
//!
//! Once a file has answered with an error, redb takes no writes any more and reads only what it has
//! in memory. So the file is taken from it and opened anew, at first without changing a byte: who
//! reads goes on from there. Then it is tried, after a pause that grows, whether the file can be
//! written to. Why that is sound, whatever failed: decision 0009.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use crate::{
    crypto::digest::Digest,
    store::{
        error::StoreError,
        figures::Figures,
        handle::{Current, Handle},
        held::Failure,
        medium::Medium,
        meta,
        migrations::SCHEMAS,
        transaction::ReadTx,
    },
};

/// How long writes are refused before the disk is tried again.
///
/// After the first fault it is tried at once, so that one that has passed is hardly noticed. Each
/// further one without a commit in between makes the pause twice as long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pauses {
    /// After the second fault.
    pub(super) first: Duration,
    /// The longest.
    pub(super) longest: Duration,
}

impl Pauses {
    /// Those of a server.
    pub(super) const ORDINARY: Self = Self {
        first: Duration::from_secs(1),
        longest: Duration::from_secs(15),
    };

    /// After `faults` of them in a row.
    fn after(self, faults: u32) -> Duration {
        match faults {
            0 | 1 => Duration::ZERO,
            more => self
                .first
                .saturating_mul(1_u32.checked_shl(more - 2).unwrap_or(u32::MAX))
                .min(self.longest),
        }
    }
}

/// What the writer knows of the health of its file.
pub(super) struct Recovery {
    medium: Arc<dyn Medium>,
    current: Arc<Current>,
    /// Of the key of this deployment: what is opened anew must be the same file.
    identity: Digest,
    pauses: Pauses,
    figures: Arc<Figures>,
    /// Without a commit in between.
    faults: u32,
    fault: Option<Fault>,
    /// Whether the file was replaced and that is not known to be durable.
    is_unsettled: bool,
}

struct Fault {
    cause: StoreError,
    try_again_at: Instant,
}

impl Recovery {
    pub(super) fn new(
        medium: Arc<dyn Medium>,
        current: Arc<Current>,
        pauses: Pauses,
        figures: Arc<Figures>,
    ) -> Result<Self, StoreError> {
        let identity = meta::identity(&ReadTx::new(current.get().begin_read()?))?;
        Ok(Self {
            medium,
            current,
            identity,
            pauses,
            figures,
            faults: 0,
            fault: None,
            is_unsettled: false,
        })
    }

    /// How long it is until the file is to be tried again, if something is the matter with it.
    pub(super) fn due_in(&self) -> Option<Duration> {
        let fault = self.fault.as_ref()?;
        Some(fault.try_again_at.saturating_duration_since(Instant::now()))
    }

    /// The file to write to, or why none can be written to now. Tries again what is due.
    pub(super) fn ready(&mut self) -> Result<Arc<Handle>, StoreError> {
        // Somebody who reads may have met a fault since.
        if self.fault.is_none()
            && let Some(failure) = self.current.get().failure()
        {
            self.begin(StoreError::unwritable(failure));
        }
        match &self.fault {
            Some(fault) if Instant::now() < fault.try_again_at => return Err(fault.cause.clone()),
            Some(_) => self.try_again()?,
            None => {}
        }
        Ok(self.current.get())
    }

    /// What was written is durable.
    pub(super) fn committed(&mut self) {
        self.faults = 0;
    }

    /// What was written is not known to be durable, because of `error`. Opens the file anew for
    /// those who read, and says what to answer to those who wrote.
    pub(super) fn fail(&mut self, error: &StoreError) -> StoreError {
        let cause = match self.current.get().failure() {
            Some(failure) => StoreError::unwritable(failure),
            None => StoreError::Unwritable {
                cause: error.to_string().into(),
            },
        };
        self.begin(cause.clone());
        cause
    }

    fn begin(&mut self, cause: StoreError) {
        self.pause(cause);
        if let Err(fault) = self.open_anew() {
            tracing::error!(%fault, "the data file could not be opened anew");
        }
    }

    fn pause(&mut self, cause: StoreError) {
        self.faults = self.faults.saturating_add(1);
        self.figures.faults.add_one();
        self.figures.is_writable.set(0);
        let pause = self.pauses.after(self.faults);
        tracing::error!(fault = %cause, again_in = ?pause, "writes are refused");
        self.fault = Some(Fault {
            cause,
            try_again_at: Instant::now() + pause,
        });
    }

    /// Tries whether the file can be opened and changed again.
    fn try_again(&mut self) -> Result<(), StoreError> {
        let released = self.release();
        match &released {
            Ok(()) => {
                self.fault = None;
                self.figures.is_writable.set(1);
                tracing::info!("the data file was opened anew; writes are taken again");
            }
            Err(cause) => self.pause(cause.clone()),
        }
        released
    }

    fn release(&mut self) -> Result<(), StoreError> {
        self.settle()?;
        if self.current.get().is_over() {
            self.open_anew()?;
        }
        let released = self.current.get().release();
        released.map_err(|error| StoreError::unwritable(&Failure::of(&error)))
    }

    fn settle(&mut self) -> Result<(), StoreError> {
        if self.is_unsettled {
            let settled = self.medium.settle();
            settled.map_err(|error| StoreError::unwritable(&Failure::of(&error)))?;
            self.is_unsettled = false;
        }
        Ok(())
    }

    /// Goes over to the file that has replaced the one that is open. Who reads from the old one
    /// ends there.
    pub(super) fn go_over(&mut self) -> Result<(), StoreError> {
        self.is_unsettled = true;
        let gone_over = self.settle().and_then(|()| {
            let handle = self.open()?;
            let released = handle.release();
            released.map_err(|error| StoreError::unwritable(&Failure::of(&error)))?;
            self.current.replace(handle);
            Ok(())
        });
        if let Err(fault) = &gone_over {
            // What is written to the old file from here on, nobody would find.
            self.current.get().retire();
            self.pause(fault.clone());
        }
        gone_over
    }

    /// Puts a new opening of the file, not one byte of which has changed yet, in place of the one
    /// that failed.
    fn open_anew(&self) -> Result<(), StoreError> {
        // Two openings of one file must never be: what one frees, the other could be reading.
        self.current.get().retire();
        self.current.replace(self.open()?);
        Ok(())
    }

    fn open(&self) -> Result<Handle, StoreError> {
        let path = self.medium.path();
        Handle::open(&*self.medium, |tx| {
            SCHEMAS.require_newest(tx, path)?;
            if meta::identity(tx)? == self.identity {
                Ok(())
            } else {
                Err(StoreError::foreign(
                    path,
                    "it is that of another deployment",
                ))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_grows_from_nothing_to_the_longest() {
        let pauses = Pauses {
            first: Duration::from_secs(1),
            longest: Duration::from_secs(15),
        };
        let seconds = [0, 0, 1, 2, 4, 8, 15, 15];
        for (faults, seconds) in (0..).zip(seconds) {
            assert_eq!(
                pauses.after(faults),
                Duration::from_secs(seconds),
                "{faults}"
            );
        }
        assert_eq!(pauses.after(u32::MAX), Duration::from_secs(15));
    }
}
