//! The calls of one stream that are under way.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rmcp::model::RequestId;
use tokio::sync::Notify;

use super::CALLS_MAX;

/// Why a call does not begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotBegun {
    /// An answer could not be told from another's.
    #[error("id: expected one that no other call under way has")]
    Again,
    /// The stream has as many as it may have.
    #[error("expected at most {CALLS_MAX} calls at once: wait for an answer")]
    TooMany,
}

/// The calls that were taken and not answered.
#[derive(Clone, Default)]
pub(super) struct Calls(Arc<Inner>);

#[derive(Default)]
struct Inner {
    ids: Mutex<HashSet<RequestId>>,
    ended: Notify,
}

impl Calls {
    /// Counts a call as under way.
    pub(super) fn begin(&self, id: &RequestId) -> Result<(), NotBegun> {
        let mut ids = self.ids();
        if ids.contains(id) {
            return Err(NotBegun::Again);
        }
        if ids.len() >= CALLS_MAX {
            return Err(NotBegun::TooMany);
        }
        ids.insert(id.clone());
        Ok(())
    }

    /// It was answered, or its caller has given it up.
    pub(super) fn end(&self, id: &RequestId) {
        self.ids().remove(id);
        self.0.ended.notify_waiters();
    }

    /// Done once none is under way.
    pub(super) async fn all_ended(&self) {
        loop {
            // Made before the look, so that an end between the two is not missed.
            let ended = self.0.ended.notified();
            if self.ids().is_empty() {
                return;
            }
            ended.await;
        }
    }

    fn ids(&self) -> MutexGuard<'_, HashSet<RequestId>> {
        self.0.ids.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    fn id(number: usize) -> RequestId {
        RequestId::Number(i64::try_from(number).expect("a small number"))
    }

    #[test]
    fn an_id_is_under_way_once_and_not_for_ever() {
        let calls = Calls::default();
        assert_eq!(calls.begin(&id(1)), Ok(()));
        assert_eq!(calls.begin(&id(1)), Err(NotBegun::Again));
        calls.end(&id(1));
        assert_eq!(calls.begin(&id(1)), Ok(()));
    }

    #[test]
    fn one_more_than_there_may_be_has_to_wait() {
        let calls = Calls::default();
        for number in 0..CALLS_MAX {
            assert_eq!(calls.begin(&id(number)), Ok(()));
        }
        assert_eq!(calls.begin(&id(CALLS_MAX)), Err(NotBegun::TooMany));
        calls.end(&id(0));
        assert_eq!(calls.begin(&id(CALLS_MAX)), Ok(()));
    }

    #[tokio::test]
    async fn the_end_of_all_is_waited_for() {
        let calls = Calls::default();
        calls.all_ended().await;
        calls.begin(&id(1)).expect("room");
        let short = Duration::from_millis(10);
        assert!(timeout(short, calls.all_ended()).await.is_err());
        let other = calls.clone();
        let waiting = tokio::spawn(async move { other.all_ended().await });
        tokio::task::yield_now().await;
        calls.end(&id(1));
        waiting.await.expect("no panic");
    }
}
