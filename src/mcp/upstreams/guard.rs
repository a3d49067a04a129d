//! What stands between an upstream and the protocol library: messages that nobody asked for are
//! dropped, slowed down, or end the connection.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use rmcp::{
    RoleClient,
    model::{ServerJsonRpcMessage, ServerNotification},
    service::{RxJsonRpcMessage, TxJsonRpcMessage},
    transport::Transport,
};
use tokio::time::{Instant, sleep_until};

/// Messages that nobody asked for, in one [`UNASKED_WINDOW`]; then nothing more is read until it
/// is over, so that the upstream waits and not we.
pub(super) const UNASKED_MAX: usize = 256;
/// The time over which they are counted.
pub(super) const UNASKED_WINDOW: Duration = Duration::from_secs(1);
/// Messages to an upstream that it has not taken: all calls at once and a cancellation of each,
/// and answers to what it asks. One that takes none and asks for more is cut off.
pub(super) const SENDING_MAX: usize = 1_024;

/// Why a connection ended, for whoever's call ended with it. The first word stands.
#[derive(Clone, Debug, Default)]
pub(super) struct Cause(Arc<Mutex<Option<String>>>);

impl Cause {
    pub(super) fn say(&self, why: &(impl ToString + ?Sized)) {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        said.get_or_insert_with(|| why.to_string());
    }

    pub(super) fn words(&self) -> String {
        let said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let unknown = || "its connection broke off".to_owned();
        said.clone().unwrap_or_else(unknown)
    }
}

/// A transport whose other end is not trusted to be quiet.
pub(super) struct Guarded<T> {
    transport: T,
    cause: Cause,
    since: Instant,
    unasked: usize,
    sending: Arc<AtomicUsize>,
}

impl<T> Guarded<T> {
    pub(super) fn new(transport: T, cause: Cause) -> Self {
        Self {
            transport,
            cause,
            since: Instant::now(),
            unasked: 0,
            sending: Arc::default(),
        }
    }

    /// Waits where one more message that nobody asked for is one too many. A wait that is given up
    /// half-way is begun again by the next call.
    async fn slow_down(&mut self) {
        let end = self.since + UNASKED_WINDOW;
        if self.unasked >= UNASKED_MAX {
            sleep_until(end).await;
        }
        if Instant::now() >= end {
            self.since = Instant::now();
            self.unasked = 0;
        }
    }
}

/// Counts one message on its way, until it is sent or given up.
struct Sending(Arc<AtomicUsize>);

impl Drop for Sending {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<T: Transport<RoleClient>> Transport<RoleClient> for Guarded<T> {
    type Error = T::Error;

    fn send(
        &mut self,
        item: TxJsonRpcMessage<RoleClient>,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send + 'static {
        self.sending.fetch_add(1, Ordering::Relaxed);
        let counted = Sending(Arc::clone(&self.sending));
        let sent = self.transport.send(item);
        async move {
            let _counted = counted;
            sent.await
        }
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleClient>> {
        loop {
            self.slow_down().await;
            let message = self.transport.receive().await?;
            match &message {
                ServerJsonRpcMessage::Response(_) | ServerJsonRpcMessage::Error(_) => {
                    return Some(message);
                }
                ServerJsonRpcMessage::Request(_) => {
                    self.unasked += 1;
                    if self.sending.load(Ordering::Relaxed) > SENDING_MAX {
                        self.cause.say("it asks, and does not listen");
                        return None;
                    }
                    return Some(message);
                }
                ServerJsonRpcMessage::Notification(notification) => {
                    self.unasked += 1;
                    // Its log and its progress are for a client that shows them.
                    if matches!(
                        notification.notification,
                        ServerNotification::ToolListChangedNotification(_)
                    ) {
                        return Some(message);
                    }
                }
            }
        }
    }

    async fn close(&mut self) -> Result<(), Self::Error> {
        self.transport.close().await
    }
}
