//! What must hold whatever a handler does: a panic is one failed request, and what has begun is
//! counted until it has ended.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};

use crate::http::response;

/// Something panicked; the panic hook of `runtime::logs` has written what it said to the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Panicked;

/// Does `work`; a panic in it ends there.
///
/// What `work` held may be half done, so that nothing of it may be used again: it is dropped.
pub(crate) fn caught<T>(work: impl FnOnce() -> T) -> Result<T, Panicked> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|_| Panicked)
}

/// Awaits `work`; a panic in it ends there.
pub(crate) async fn caught_in<T>(work: impl Future<Output = T>) -> Result<T, Panicked> {
    let mut work = pin!(work);
    std::future::poll_fn(|cx| match caught(|| work.as_mut().poll(cx)) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(done)) => Poll::Ready(Ok(done)),
        Err(panicked) => Poll::Ready(Err(panicked)),
    })
    .await
}

/// How many requests a connection has begun, and how many of them have not ended.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    begun: u64,
    open: u64,
}

/// What one connection is busy with.
#[derive(Clone, Debug, Default)]
pub(crate) struct Activity(watch::Sender<Count>);

impl Activity {
    /// Counts a request until the guard is dropped.
    pub(crate) fn begin(&self) -> Busy {
        self.0.send_modify(|count| {
            count.begun += 1;
            count.open += 1;
        });
        Busy(self.0.clone())
    }

    /// Waits until the connection has let its time pass: until `first_by` for its first request,
    /// `idle` without a request after that.
    pub(crate) async fn quiet(&self, first_by: Instant, idle: Duration) {
        let mut counts = self.0.subscribe();
        let (mut seen, mut deadline) = (0, first_by);
        loop {
            let next = counts.wait_for(|count| count.begun > seen);
            match timeout_at(deadline, next).await {
                // The sender is `self`, which outlives this wait.
                Err(_) | Ok(Err(_)) => return,
                Ok(Ok(count)) => seen = count.begun,
            }
            if counts.wait_for(|count| count.open == 0).await.is_err() {
                return;
            }
            deadline = Instant::now() + idle;
        }
    }
}

/// A request that has begun and not ended.
#[derive(Debug)]
pub(crate) struct Busy(watch::Sender<Count>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.send_modify(|count| count.open -= 1);
    }
}

/// A body that keeps its request counted until it is written or dropped.
#[derive(Debug)]
pub(crate) struct Counted {
    body: response::Body,
    _busy: Busy,
}

impl Counted {
    pub(crate) fn new(body: response::Body, busy: Busy) -> Self {
        Self { body, _busy: busy }
    }
}

impl Body for Counted {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Duration = Duration::from_secs(10);
    const IDLE: Duration = Duration::from_mins(1);

    /// How long it is from now until the connection is quiet.
    async fn quiet_after(activity: &Activity) -> Duration {
        let start = Instant::now();
        activity.quiet(start + FIRST, IDLE).await;
        start.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_asks_nothing_is_quiet_soon() {
        assert_eq!(
            quiet_after(&Activity::default()).await.as_secs(),
            FIRST.as_secs()
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_asked_may_be_idle_for_longer() {
        let activity = Activity::default();
        drop(activity.begin());
        assert_eq!(quiet_after(&activity).await.as_secs(), IDLE.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn an_open_request_is_never_quiet() {
        let activity = Activity::default();
        let busy = activity.begin();
        let long = Duration::from_hours(1);
        tokio::spawn(async move {
            tokio::time::sleep(long).await;
            drop(busy);
        });
        assert_eq!(
            quiet_after(&activity).await.as_secs(),
            (long + IDLE).as_secs()
        );
    }

    #[tokio::test]
    async fn a_panic_is_caught_at_once_and_after_a_wait() {
        assert_eq!(caught(|| 1), Ok(1));
        assert_eq!(caught(|| panic!("on purpose")), Err::<(), _>(Panicked));
        let late = async {
            tokio::task::yield_now().await;
            panic!("on purpose");
        };
        assert_eq!(caught_in(late).await, Err::<(), _>(Panicked));
    }
}
