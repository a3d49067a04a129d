//! The deliverer's task: takes what is due from the queue of pushes and hands it to push services.
//!
//! A message leaves the queue in a write that follows the answer of its push service, so that
//! whatever ends the process, it is sent at least once. Each browser's messages go one after the
//! other, and a person has a few places only, however many browsers they have: one whose push
//! services hang holds up nobody else.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    task::{self, JoinError, JoinSet, spawn_blocking},
    time::{Instant, sleep},
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
    notifications::{self, Outcome},
    runtime::{clock::Clock, outbound::POSTS_MAX},
    store::StoreError,
    web::{
        Web,
        push::{Parcel, PushOff, SealError, Sealed, outcome},
    },
};

/// Messages that are sent at once.
const PARALLEL_MAX: usize = 32;
/// What is left is for browsers that subscribe.
const _: () = assert!(PARALLEL_MAX < POSTS_MAX);
/// Messages to one person that are sent at once.
const PARALLEL_PER_PERSON_MAX: usize = 4;
/// Messages to one person that are sent or wait here; the rest of theirs stays in the queue, and
/// what is behind it is found. Nobody's wait without one that is being sent, so that all that wait
/// are this many for each of [`PARALLEL_MAX`] at the most.
const TAKEN_PER_PERSON_MAX: usize = 128;
/// Messages of the queue that are read at a time.
const PAGE_LEN: usize = 256;
/// Messages of the queue that a look may read and be repeated at once: more than may be taken.
const LOOK_LEN_MAX: usize = 8_192;
const _: () = assert!(PARALLEL_MAX * TAKEN_PER_PERSON_MAX < LOOK_LEN_MAX);
/// How long the deliverer rests after a fault of the store, and between two long looks.
const PAUSE: Duration = Duration::from_secs(1);
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
        let rest = deliverer.start_due();
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
    /// What is being sent.
    sending: HashMap<task::Id, QueuedPush>,
    /// Browsers to which something is being sent.
    busy: HashSet<Id>,
    /// What was found due and is not being sent yet, those that have waited longest first.
    waiting: Vec<QueuedPush>,
    /// Everything that is being sent or waits here: it is still in the queue.
    taken: HashSet<Id>,
    /// When the queue may be looked through again.
    look_at: Instant,
    reported: Arc<Reported>,
}

/// What a look through the queue found.
struct Looked {
    due: Vec<QueuedPush>,
    next_due_at: Option<Timestamp>,
    /// Messages that were read.
    read: usize,
}

impl Deliverer {
    fn new(web: Arc<Web>, clock: Arc<dyn Clock>) -> Self {
        Self {
            web,
            clock,
            tries: JoinSet::new(),
            sending: HashMap::new(),
            busy: HashSet::new(),
            waiting: Vec::new(),
            taken: HashSet::new(),
            look_at: Instant::now(),
            reported: Arc::default(),
        }
    }

    /// Begins to send what is due, as far as there are places. How long there is nothing else to
    /// do.
    fn start_due(&mut self) -> Duration {
        let now = self.clock.now();
        loop {
            self.start_waiting();
            if self.tries.len() >= PARALLEL_MAX {
                return REST_MAX;
            }
            if Instant::now() < self.look_at {
                return PAUSE;
            }
            let looked = match self.look(now) {
                Ok(looked) => looked,
                Err(fault) => {
                    tracing::error!(%fault, "the queue of pushes cannot be read; it is tried again");
                    return PAUSE;
                }
            };
            if looked.read > LOOK_LEN_MAX {
                self.look_at = Instant::now() + PAUSE;
            }
            if looked.due.is_empty() {
                let next = looked.next_due_at;
                return next.map_or(REST_MAX, |next| next.since(now).min(REST_MAX));
            }
            self.taken.extend(looked.due.iter().map(|push| push.id));
            self.waiting.extend(looked.due);
        }
    }

    /// Looks for as many messages as there can be places, past those that are taken already and
    /// those of whoever has enough of them here.
    fn look(&self, now: Timestamp) -> Result<Looked, StoreError> {
        let mut taken = per_person(self.sending.values().chain(&self.waiting));
        let mut is_wanted = |push: &QueuedPush| {
            let taken = taken.entry(push.user_id).or_default();
            let is_wanted = *taken < TAKEN_PER_PERSON_MAX && !self.taken.contains(&push.id);
            *taken += usize::from(is_wanted);
            is_wanted
        };
        self.web.store.read(|tx| {
            let mut looked = Looked {
                due: Vec::new(),
                next_due_at: notifications::next_due_at(tx, now)?,
                read: 0,
            };
            let mut last = None;
            loop {
                let mut page = notifications::due(tx, now, last.as_ref(), PAGE_LEN)?;
                let is_last = page.len() < PAGE_LEN;
                looked.read += page.len();
                last = page.last().cloned();
                page.retain(&mut is_wanted);
                looked.due.append(&mut page);
                if is_last || looked.due.len() >= PARALLEL_MAX {
                    return Ok(looked);
                }
            }
        })
    }

    fn start_waiting(&mut self) {
        let mut left = Vec::new();
        let mut sending = per_person(self.sending.values());
        for push in self.waiting.drain(..) {
            let theirs = sending.entry(push.user_id).or_default();
            let is_full = self.tries.len() >= PARALLEL_MAX || *theirs >= PARALLEL_PER_PERSON_MAX;
            if is_full || !self.busy.insert(push.subscription_id) {
                left.push(push);
                continue;
            }
            *theirs += 1;
            let (web, clock) = (Arc::clone(&self.web), Arc::clone(&self.clock));
            let reported = Arc::clone(&self.reported);
            let task = try_out(web, clock, push.clone(), reported);
            self.sending.insert(self.tries.spawn(task).id(), push);
        }
        self.waiting = left;
    }
}

/// How many of `pushes` each person has.
fn per_person<'a>(pushes: impl Iterator<Item = &'a QueuedPush>) -> HashMap<Id, usize> {
    let mut persons = HashMap::new();
    for push in pushes {
        *persons.entry(push.user_id).or_default() += 1;
    }
    persons
}

/// A message that was tried, and those behind it that wait if it does.
#[derive(Clone)]
struct Settled {
    push: QueuedPush,
    outcome: Outcome,
    behind: Vec<QueuedPush>,
}

impl Deliverer {
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
                Ok(0) => break,
                Ok(given_up) => {
                    tracing::warn!(
                        given_up,
                        "messages were not delivered within their tries or their time"
                    );
                    break;
                }
                Err(fault) => {
                    tracing::error!(%fault, "what became of pushes cannot be written down; nothing is sent until it can");
                    sleep(PAUSE).await;
                }
            }
        }
        for Settled { push, behind, .. } in settled {
            self.busy.remove(&push.subscription_id);
            for push in behind.iter().chain([&push]) {
                self.taken.remove(&push.id);
            }
        }
    }

    fn end(&mut self, tried: Tried) -> Option<Settled> {
        let (id, outcome) = tried.unwrap_or_else(|panic| {
            tracing::error!(%panic, "a push did not end in order");
            (panic.id(), Outcome::Later(None))
        });
        self.web.figures.pushed(outcome.into());
        let push = self.sending.remove(&id)?;
        let mut behind = Vec::new();
        if matches!(outcome, Outcome::Later(_)) {
            let is_behind = |other: &mut QueuedPush| other.subscription_id == push.subscription_id;
            behind.extend(self.waiting.extract_if(.., is_behind));
        }
        Some(Settled {
            push,
            outcome,
            behind,
        })
    }

    /// How many messages will never be delivered.
    async fn write(&self, settled: Vec<Settled>) -> Result<usize, StoreError> {
        let by = Origin::local(self.clock.now(), Actor::Keystead);
        let written = self.web.store.write(move |tx| {
            let mut given_up = 0;
            for Settled {
                push,
                outcome,
                behind,
            } in settled
            {
                match notifications::settle(tx, &by, &push, outcome)? {
                    Some(due_at) => {
                        for push in behind {
                            let waits = notifications::postpone(tx, &push, due_at)?;
                            given_up += usize::from(waits.is_none());
                        }
                    }
                    None => given_up += usize::from(matches!(outcome, Outcome::Later(_))),
                }
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
        deliverer.start_due();
        match deliverer.tries.join_next_with_id().await {
            Some(tried) => deliverer.settle(tried).await,
            None => break,
        }
    }
}
