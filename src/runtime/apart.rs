//! Reads that take long, where they keep no request waiting.

use tokio::{sync::Semaphore, task::spawn_blocking};

use crate::store::StoreError;

/// Such reads at once; one more waits. Each goes on to its end when nobody waits for it any more.
const AT_ONCE: usize = 4;

static ROOM: Semaphore = Semaphore::const_new(AT_ONCE);

/// Does `work`, which reads for long, on a thread that serves no request.
///
/// # Panics
/// Never: the semaphore is not closed.
pub async fn apart<T, E>(work: impl FnOnce() -> Result<T, E> + Send + 'static) -> Result<T, E>
where
    T: Send + 'static,
    E: From<StoreError> + Send + 'static,
{
    let place = ROOM.acquire().await.expect("the room is never closed");
    let done = spawn_blocking(move || {
        let _place = place;
        work()
    });
    // Only a panic or the end of the process keeps it from its end.
    done.await
        .unwrap_or_else(|_| Err(StoreError::Panicked.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_runs_on_another_thread_and_a_panic_is_a_fault() {
        let here = std::thread::current().id();
        let there = apart(|| Ok::<_, StoreError>(std::thread::current().id())).await;
        assert_ne!(there.expect("a thread"), here);
        // As many as there is room for, so that a place that is not given back would be missed.
        for _ in 0..=AT_ONCE {
            let panicked = apart(|| -> Result<(), StoreError> { panic!("on purpose") }).await;
            assert!(matches!(panicked, Err(StoreError::Panicked)));
        }
    }
}
