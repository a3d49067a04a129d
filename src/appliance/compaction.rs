//! The task that makes the data file smaller while nobody needs the disk.

use std::{sync::Arc, time::Duration};

use tokio::{task::spawn_blocking, time::Instant};

use crate::store::{Compacted, Store, StoreError, audit, space::IDLE_MIN};

/// How often it looks whether anything has changed.
const PERIOD: Duration = Duration::from_mins(1);

/// Compacts the data file when that is worth it, until it is aborted.
pub(super) async fn compact_for_ever(store: Arc<Store>) {
    let mut period = tokio::time::interval(PERIOD);
    let mut quiet = Quiet::default();
    loop {
        period.tick().await;
        match compact_if_idle(&store, &mut quiet, Instant::now()).await {
            Ok(None) => {}
            Ok(Some(Compacted {
                before_bytes,
                after_bytes,
            })) => tracing::info!(before_bytes, after_bytes, "the data file was made smaller"),
            Err(fault) => {
                tracing::warn!(%fault, "the data file could not be made smaller; it stays as it is");
            }
        }
    }
}

async fn compact_if_idle(
    store: &Arc<Store>,
    quiet: &mut Quiet,
    now: Instant,
) -> Result<Option<Compacted>, StoreError> {
    let newest = store.read(|tx| audit::head(tx))?.number;
    let Some(idle_for) = quiet.look(newest, now) else {
        return Ok(None);
    };
    let store = Arc::clone(store);
    let compacted = spawn_blocking(move || {
        if store.sizes()?.is_worth_compacting(idle_for) {
            store.compact().map(Some)
        } else {
            Ok(None)
        }
    });
    // Only a panic or the end of the process keeps it from its end.
    compacted.await.unwrap_or(Err(StoreError::Panicked))
}

/// Since when nothing has changed, as far as the audit log says: what it does not write down, such
/// as the last use of a session, is little.
#[derive(Debug, Default)]
struct Quiet {
    /// The newest entry when it was last looked at, and since when it is the newest.
    newest: Option<(u64, Instant)>,
    /// Whether this silence was reported.
    is_reported: bool,
}

impl Quiet {
    /// For how long nothing has changed, once in each silence: when it is as long as is asked for.
    /// To see how much is in the file takes reading all of it.
    fn look(&mut self, newest: u64, now: Instant) -> Option<Duration> {
        let since = match self.newest {
            Some((before, since)) if before == newest => since,
            _ => {
                self.newest = Some((newest, now));
                self.is_reported = false;
                now
            }
        };
        let idle_for = now - since;
        let is_due = idle_for >= IDLE_MIN && !self.is_reported;
        self.is_reported |= is_due;
        is_due.then_some(idle_for)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::entropy::SeededEntropy;

    #[test]
    fn each_silence_is_reported_once_when_it_is_long_enough() {
        let (mut quiet, start) = (Quiet::default(), Instant::now());
        let just_before = IDLE_MIN.saturating_sub(Duration::from_millis(1));
        assert_eq!(quiet.look(7, start), None);
        assert_eq!(quiet.look(7, start + just_before), None);
        assert_eq!(quiet.look(7, start + IDLE_MIN), Some(IDLE_MIN));
        assert_eq!(quiet.look(7, start + 2 * IDLE_MIN), None);
        // Something happens, and then nothing again.
        assert_eq!(quiet.look(8, start + 3 * IDLE_MIN), None);
        assert_eq!(quiet.look(8, start + 3 * IDLE_MIN + just_before), None);
        assert_eq!(quiet.look(8, start + 4 * IDLE_MIN), Some(IDLE_MIN));
    }

    #[tokio::test]
    async fn a_small_file_is_left_as_it_is() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("keystead.redb");
        let store = Arc::new(Store::open(&path, &SeededEntropy::new(1)).expect("a store"));
        let before = std::fs::metadata(&path).expect("the file").len();
        let (mut quiet, start) = (Quiet::default(), Instant::now());
        for now in [start, start + IDLE_MIN] {
            let compacted = compact_if_idle(&store, &mut quiet, now).await;
            assert_eq!(compacted.expect("sizes"), None);
        }
        assert!(quiet.is_reported);
        assert_eq!(std::fs::metadata(&path).expect("the file").len(), before);
    }
}
