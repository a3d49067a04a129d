//! What must hold whatever a handler does: a panic is one failed request, and what has begun is
//! counted until it has ended.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::{
    runtime::Handle,
    sync::watch,
    time::{Instant, sleep_until},
};
use tracing::Instrument;

use crate::http::{figures::Figures, response, server::Phase};

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
///
/// It is pinned where it was made: a future that is handed on by value is there twice, and copied.
pub(crate) async fn caught_in<T>(
    mut work: Pin<&mut impl Future<Output = T>>,
) -> Result<T, Panicked> {
    std::future::poll_fn(|cx| match caught(|| work.as_mut().poll(cx)) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(done)) => Poll::Ready(Ok(done)),
        Err(panicked) => Poll::Ready(Err(panicked)),
    })
    .await
}

/// Work that goes on when whoever waits for it is dropped: in a task of its own then, which
/// `phase` counts among its listeners. As long as it is waited for it needs no task.
pub(crate) struct Finishing<T: Send + 'static> {
    work: Option<Pin<Box<dyn Future<Output = T> + Send>>>,
    phase: Arc<watch::Sender<Phase>>,
}

impl<T: Send + 'static> Finishing<T> {
    pub(crate) fn new(
        work: impl Future<Output = T> + Send + 'static,
        phase: Arc<watch::Sender<Phase>>,
    ) -> Self {
        Self {
            work: Some(Box::pin(work)),
            phase,
        }
    }
}

impl<T: Send + 'static> Future for Finishing<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let work = self.work.as_mut().expect("nobody polls what has ended");
        let polled = work.as_mut().poll(cx);
        if polled.is_ready() {
            self.work = None;
        }
        polled
    }
}

impl<T: Send + 'static> Drop for Finishing<T> {
    fn drop(&mut self) {
        // Without a runtime the process is ending, and there is nothing left to run it.
        if let Some(work) = self.work.take()
            && let Ok(runtime) = Handle::try_current()
        {
            let phase = self.phase.subscribe();
            // The span of the request is the current one while its future is dropped.
            runtime.spawn(async move { drop((work.await, phase)) }.in_current_span());
        }
    }
}

/// How many requests of a connection have not ended, and when one last did.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    open: u64,
    ended_at: Option<Instant>,
}

/// What one connection is busy with.
///
/// Nobody is woken when it changes: whoever waits for quiet looks when it could be there.
#[derive(Clone, Debug, Default)]
pub(crate) struct Activity(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    count: Mutex<Count>,
    figures: Arc<Figures>,
}

impl Activity {
    /// Of a connection of the server that counts in `figures`.
    pub(crate) fn of(figures: &Arc<Figures>) -> Self {
        Self(Arc::new(Shared {
            count: Mutex::default(),
            figures: Arc::clone(figures),
        }))
    }

    /// Counts a request until the guard is dropped.
    pub(crate) fn begin(&self) -> Busy {
        self.count().open += 1;
        self.0.figures.streams.add_one();
        Busy(self.clone())
    }

    fn count(&self) -> MutexGuard<'_, Count> {
        self.0.count.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the connection has let its time pass: until `first_by` for its first request,
    /// `idle` without a request after that.
    pub(crate) async fn quiet(&self, first_by: Instant, idle: Duration) {
        let mut look_at = first_by;
        loop {
            sleep_until(look_at).await;
            let (count, now) = (*self.count(), Instant::now());
            look_at = match count.ended_at {
                _ if count.open > 0 => now + idle,
                Some(ended_at) if ended_at + idle > now => ended_at + idle,
                _ => return,
            };
        }
    }
}

/// A request that has begun and not ended.
#[derive(Debug)]
pub(crate) struct Busy(Activity);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.0.figures.streams.take_one();
        let mut count = self.0.count();
        count.open -= 1;
        count.ended_at = Some(Instant::now());
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
    use std::pin::pin;

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
        assert_eq!(caught_in(pin!(late)).await, Err::<(), _>(Panicked));
    }
}
