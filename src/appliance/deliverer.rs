//! The deliverer's task: takes what is due from the queue of pushes and hands it to push services.
//!
//! A message leaves the queue in a write that follows the answer of its push service, so that
//! whatever ends the process, it is sent at least once. Each browser's messages go one after the
//! other, and whoever has waited longest since their last turn comes next. A person has one place,
//! and a few more only while many are free: those whose push services hang hold up nobody else.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    task::{self, JoinError, JoinSet, spawn_blocking},
    time::sleep,
};

use crate::{
    appliance::StartError,
    config::Switch,
    crypto::web_push::{VapidKey, WebPushError},
    model::{
        audit::{Actor, Origin},
        id::Id,
        push::QueuedPush,
        timestamp::Timestamp,
    },
    notifications::{self, LINES_READ_MAX, Outcome},
    runtime::{clock::Clock, outbound::POSTS_MAX},
    store::{
        StoreError,
        pushes::{Line, SUBSCRIPTIONS_PER_USER_MAX},
    },
    web::{
        Web,
        push::{Parcel, PushOff, SealError, Sealed, outcome},
    },
};

/// Messages that are sent at once.
const PARALLEL_MAX: usize = 32;
/// What is left is for browsers that subscribe.
const _: () = assert!(PARALLEL_MAX < POSTS_MAX);
/// Of these, those for persons to whom nothing is being sent.
const PLACES_OF_ONE_MAX: usize = 16;
/// Messages to one person that are sent at once, as long as there are other places than those.
const PARALLEL_PER_PERSON_MAX: usize = 4;
/// A look passes over lines of persons who have a place only, so that it comes to its end.
const _: () = assert!(PARALLEL_MAX * (SUBSCRIPTIONS_PER_USER_MAX + 1) <= LINES_READ_MAX);
/// How long the deliverer rests after a fault of the store.
pub(super) const PAUSE: Duration = Duration::from_secs(1);
/// The longest that it rests: the clock may be set meanwhile.
const REST_MAX: Duration = Duration::from_mins(1);
/// Refusals that are told apart; more are not said.
const REPORTED_MAX: usize = 1_000;

/// Makes the box ready to push: it has a pair of keys, and whoever tells somebody something knows
/// whether it is to be pushed.
pub(super) async fn prepare(web: &Web) -> Result<(), StartError> {
    let generated =
        VapidKey::generate().map_err(|error| StartError::System(io::Error::other(error)))?;
    let off = web.push_off();
    let push = if off.is_none() {
        Switch::On
    } else {
        Switch::Off
    };
    match off {
        Some(PushOff::Egress) => tracing::warn!("--egress off: notifications are not pushed"),
        None if web.vouchers.contact().is_none() => tracing::warn!(
            "push services may refuse messages that name nobody to write to; expected an https \
             public URL or --webpush-contact"
        ),
        Some(PushOff::Experiment(_)) | None => {}
    }
    let written = web.store.write(move |tx| {
        notifications::ensure_vapid(tx, generated)?;
        notifications::switch_push(tx, push);
        Ok::<_, StoreError>(())
    });
    Ok(written.await?)
}

/// Sends what is due, until it is aborted.
pub(super) async fn deliver_for_ever(web: Arc<Web>, clock: Arc<dyn Clock>) {
    let woken = Arc::clone(&web.queued);
    let mut deliverer = Deliverer::new(web, clock);
    loop {
        let rest = deliverer.start_due().await;
        tokio::select! {
            () = woken.notified() => {}
            Some(tried) = deliverer.tries.join_next_with_id() => deliverer.settle(tried).await,
            () = sleep(rest) => {}
        }
    }
}

/// A try that has ended, or that panicked.
type Tried = Result<(task::Id, Outcome), JoinError>;

struct Deliverer {
    web: Arc<Web>,
    clock: Arc<dyn Clock>,
    tries: JoinSet<Outcome>,
    /// What is being sent; it is still in the queue.
    sending: HashMap<task::Id, QueuedPush>,
    /// Whether the log has it that the store fails.
    is_fault_said: bool,
    reported: Arc<Reported>,
}

/// Who has which of the places.
#[derive(Default)]
struct Places {
    /// To each of these something is being sent.
    browsers: HashSet<Id>,
    /// How many of them each person has.
    persons: HashMap<Id, usize>,
}

impl Places {
    fn of<'a>(sending: impl Iterator<Item = &'a QueuedPush>) -> Self {
        let mut places = Self::default();
        for push in sending {
            places.browsers.insert(push.subscription_id);
            *places.persons.entry(push.user_id).or_default() += 1;
        }
        places
    }

    fn free(&self) -> usize {
        PARALLEL_MAX.saturating_sub(self.browsers.len())
    }

    /// Takes one for the browser of `line`, if there is one for it.
    fn take(&mut self, line: &Line) -> bool {
        let theirs = self.persons.get(&line.user_id).copied().unwrap_or(0);
        let is_admitted = match theirs {
            0 => self.free() > 0,
            theirs => theirs < PARALLEL_PER_PERSON_MAX && self.free() > PLACES_OF_ONE_MAX,
        };
        let is_taken = is_admitted && self.browsers.insert(line.subscription_id);
        if is_taken {
            self.persons.insert(line.user_id, theirs + 1);
        }
        is_taken
    }
}

impl Deliverer {
    fn new(web: Arc<Web>, clock: Arc<dyn Clock>) -> Self {
        Self {
            web,
            clock,
            tries: JoinSet::new(),
            sending: HashMap::new(),
            is_fault_said: false,
            reported: Arc::default(),
        }
    }

    /// Begins to send what is due, as far as there are places. How long there is nothing else to
    /// do.
    async fn start_due(&mut self) -> Duration {
        let mut places = Places::of(self.sending.values());
        if places.free() == 0 {
            return REST_MAX;
        }
        let (web, now) = (Arc::clone(&self.web), self.clock.now());
        // No long read, which would wait for those of others (`runtime/apart.rs`).
        let looked = spawn_blocking(move || {
            let free = places.free();
            web.store
                .read(|tx| notifications::due(tx, now, free, |line| places.take(line)))
        });
        let due = match looked.await.unwrap_or(Err(StoreError::Panicked)) {
            Ok(due) => {
                self.is_fault_said = false;
                due
            }
            Err(fault) => {
                self.say_fault(
                    &fault,
                    "the queue of pushes cannot be read; it is tried again",
                );
                return PAUSE;
            }
        };
        for push in due.pushes {
            let (web, clock) = (Arc::clone(&self.web), Arc::clone(&self.clock));
            let reported = Arc::clone(&self.reported);
            let task = try_out(web, clock, push.clone(), reported);
            self.sending.insert(self.tries.spawn(task).id(), push);
        }
        let next = due.next_at.map(|next| next.since(now));
        next.map_or(REST_MAX, |next| next.min(REST_MAX))
    }

    /// Says a fault of the store, unless the one before it was said and nothing succeeded since.
    fn say_fault(&mut self, fault: &StoreError, what: &str) {
        if !std::mem::replace(&mut self.is_fault_said, true) {
            tracing::error!(%fault, "{what}");
        }
    }

    /// Writes down what became of `first`, and of whatever has ended besides.
    ///
    /// Until that is written nothing else is begun: it would be sent again and again by a box that
    /// cannot know that it was.
    async fn settle(&mut self, first: Tried) {
        let mut settled = Vec::new();
        let mut next = Some(first);
        while let Some(tried) = next {
            settled.extend(self.end(tried));
            next = self.tries.try_join_next_with_id();
        }
        loop {
            match self.write(settled.clone()).await {
                Ok(given_up) => {
                    self.is_fault_said = false;
                    if given_up > 0 {
                        tracing::warn!(
                            given_up,
                            "messages were not delivered within their tries or their time"
                        );
                    }
                    return;
                }
                Err(fault) => {
                    self.say_fault(
                        &fault,
                        "what became of pushes cannot be written down; nothing is sent until it can",
                    );
                    sleep(PAUSE).await;
                }
            }
        }
    }

    fn end(&mut self, tried: Tried) -> Option<(QueuedPush, Outcome)> {
        let (id, outcome) = tried.unwrap_or_else(|panic| {
            tracing::error!(%panic, "a push did not end in order");
            (panic.id(), Outcome::Later(None))
        });
        self.web.figures.pushed(outcome.into());
        Some((self.sending.remove(&id)?, outcome))
    }

    /// How many messages will never be delivered.
    async fn write(&self, settled: Vec<(QueuedPush, Outcome)>) -> Result<usize, StoreError> {
        let by = Origin::local(self.clock.now(), Actor::Keystead);
        let written = self.web.store.write(move |tx| {
            let mut given_up = 0;
            for (push, outcome) in settled {
                let is_kept = notifications::settle(tx, &by, &push, outcome)?.is_some();
                let is_late = outcome == Outcome::Nothing && push.expires_at.has_passed(by.at);
                let is_later = matches!(outcome, Outcome::Later(_));
                given_up += usize::from(is_late || is_later && !is_kept);
            }
            Ok(given_up)
        });
        written.await
    }
}

/// Tries to deliver `push` once.
async fn try_out(
    web: Arc<Web>,
    clock: Arc<dyn Clock>,
    push: QueuedPush,
    reported: Arc<Reported>,
) -> Outcome {
    let (sealing, now) = (Arc::clone(&web), clock.now());
    let sealed = spawn_blocking(move || seal(&sealing, now, &push));
    let sealed = match sealed.await.unwrap_or(Err(StoreError::Panicked.into())) {
        Ok(Some(sealed)) => sealed,
        Ok(None) => return Outcome::Nothing,
        Err(SealError::WebPush(
            error @ (WebPushError::PublicKey | WebPushError::TooLong { .. }),
        )) => {
            tracing::warn!(%error, "a message cannot be encrypted for its browser; it is dropped");
            return Outcome::Refused;
        }
        Err(error) => {
            tracing::error!(%error, "a message cannot be encrypted; it is tried again");
            return Outcome::Later(None);
        }
    };
    let service = sealed.push_service();
    let answer = sealed.send(&web.outbound).await;
    let outcome = outcome(&answer);
    match (&answer, outcome) {
        (Ok(posted), Outcome::Refused) => reported.say(&service, posted.status.as_u16()),
        (Ok(posted), _) => tracing::debug!(service, status = %posted.status, "pushed"),
        (Err(error), _) => tracing::debug!(service, %error, "a push service gave no answer"),
    }
    outcome
}

/// None if there is nothing to send.
fn seal(web: &Web, now: Timestamp, push: &QueuedPush) -> Result<Option<Sealed>, SealError> {
    web.store.read(|tx| {
        let parts = notifications::parts(tx, now, push)?;
        let Some((browser, notification)) = parts else {
            return Ok(None);
        };
        let said_by = notifications::said_by(tx, notification.sender)?;
        let parcel = Parcel::of(&notification, said_by.as_deref(), push, now);
        web.seal(tx, now, &browser, &parcel).map(Some)
    })
}

/// The refusals that are in the log already, by push service and status.
#[derive(Default)]
struct Reported(Mutex<BTreeSet<(String, u16)>>);

impl Reported {
    /// Says once of each push service and status that it refuses messages by it.
    fn say(&self, service: &str, status: u16) {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if said.len() < REPORTED_MAX && said.insert((service.to_owned(), status)) {
            tracing::warn!(
                service,
                status,
                "a push service refuses messages; they are dropped, and this is said once"
            );
        }
    }
}

/// Sends everything that is due now, and writes down what became of it.
#[cfg(test)]
pub(super) async fn deliver_due(web: &Arc<Web>, clock: &Arc<dyn Clock>) {
    let mut deliverer = Deliverer::new(Arc::clone(web), Arc::clone(clock));
    loop {
        deliverer.start_due().await;
        match deliverer.tries.join_next_with_id().await {
            Some(tried) => deliverer.settle(tried).await,
            None => break,
        }
    }
}
