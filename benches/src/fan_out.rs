//! Telling somebody who has browsers: what goes into their inbox and the queue of pushes, and what
//! leaves that queue again, through the store and without a network; and what a look into a full
//! queue costs.

use std::{
    fs,
    path::Path,
    rc::Rc,
    time::{Duration, Instant},
};

use keystead::{
    audit::Act,
    model::{
        audit::{Actor, Origin},
        id::Id,
        notification::{Sender, Template, Urgency},
        push::{PushKeys, QueuedPush},
        timestamp::Timestamp,
    },
    notifications::{self, Message, Outcome, PUSH_TTL, Told},
    runtime::{
        clock::{Clock as _, SystemClock},
        entropy::OsEntropy,
    },
    store::{
        Store, StoreError, WriteTx,
        pushes::{self, Line, QUEUE_PER_USER_MAX, SUBSCRIPTIONS_PER_USER_MAX},
        users,
    },
};

use crate::{
    engine::closed_loop,
    inbox::person,
    load::{self, percentile},
    options::Options,
    report::Report,
    wire::Fault,
};

/// Who tells somebody at once.
const WAITING: usize = 64;
/// People who are told, in turn.
const PEOPLE: usize = 1_000;
/// Browsers of each.
const BROWSERS: [usize; 3] = [0, 1, 4];
/// People whose messages fill the queue, each of whom has as many browsers as one may have.
const WAITING_PEOPLE: usize = 100;
/// Messages for each of these browsers.
const LINE_LEN: usize = QUEUE_PER_USER_MAX / SUBSCRIPTIONS_PER_USER_MAX;
/// As many places as the deliverer has, each of them a person's, and as many that are free: the most
/// that a look passes over.
const PLACES: usize = 32;

/// Measures each number of browsers beside none.
pub(crate) fn measure(options: &Options, report: &mut Report) -> Result<(), Fault> {
    let mut rounds = BROWSERS.map(|_| Vec::new());
    for _ in 0..options.rounds {
        for (browsers, outcomes) in BROWSERS.into_iter().zip(&mut rounds) {
            let data = options.places.data.join("fan-out");
            outcomes.push(run(&data, browsers, options)?);
        }
    }
    let rates: Vec<f64> = rounds
        .iter()
        .map(|outcomes| load::median(outcomes).rate)
        .collect();
    for (browsers, outcomes) in BROWSERS.into_iter().zip(&rounds) {
        let scenario = format!("tell, {browsers} browsers");
        report.series(&scenario, "Keystead's store", WAITING, outcomes);
    }
    for (browsers, rate) in BROWSERS.into_iter().zip(&rates).skip(1) {
        let what = format!("tell somebody with {browsers} browsers, {WAITING} at once");
        report.note(&what, "nobody's browser", (*rate, rates[0]));
    }
    look(options, report)
}

/// How long it takes to find what is to be tried next.
fn look(options: &Options, report: &mut Report) -> Result<(), Fault> {
    let data = options.places.data.join("look");
    if data.exists() {
        fs::remove_dir_all(&data)?;
    }
    fs::create_dir_all(&data)?;
    let store = Store::open(&data.join("keystead.redb"), &OsEntropy)?;
    let people = waiting(&store)?;
    let queued = store.read(|tx| pushes::queue_len(tx))?;
    let now = SystemClock.now();
    for (what, passed) in [("the next", 0), ("past 32 people", PLACES)] {
        let passed = people[..passed].to_vec();
        let times = timed(options.plan.measured, || {
            let found = store.read(|tx| {
                let is_wanted = |line: &Line| !passed.contains(&line.user_id);
                notifications::due(tx, now, PLACES, is_wanted)
            })?;
            // Or this measures something else.
            (found.pushes.len() == PLACES)
                .then_some(())
                .ok_or(StoreError::Closed)
        })?;
        report.fact(&times.described(&format!("{PLACES} of {queued} messages, {what}")));
    }
    let times = timed(options.plan.measured, || {
        let theirs = store.read(|tx| pushes::queue_len_of_user(tx, people[0], QUEUE_PER_USER_MAX));
        theirs.map(drop)
    })?;
    report.fact(&times.described("How many messages one person has who has as many as they may"));
    Ok(())
}

/// How long something took, in order.
struct Times(Vec<Duration>);

impl Times {
    fn described(&self, what: &str) -> String {
        let micros = |percent| percentile(&self.0, percent).as_secs_f64() * 1e6;
        format!(
            "{what}: p50 {:.0} µs, p99 {:.0} µs, {} times",
            micros(50),
            micros(99),
            self.0.len()
        )
    }
}

fn timed(
    time: Duration,
    mut work: impl FnMut() -> Result<(), StoreError>,
) -> Result<Times, StoreError> {
    let mut times = Vec::new();
    let begun = Instant::now();
    while begun.elapsed() < time {
        let asked = Instant::now();
        work()?;
        times.push(asked.elapsed());
    }
    times.sort_unstable();
    Ok(Times(times))
}

/// Fills the queue, in the order of these people.
fn waiting(store: &Store) -> Result<Vec<Id>, Fault> {
    let now = SystemClock.now();
    let mut people = Vec::new();
    for number in 0..WAITING_PEOPLE {
        let user_id = Id::generate(now.after(Duration::from_millis(number as u64)), &OsEntropy);
        let queued = store.write(move |tx| {
            for _ in 0..SUBSCRIPTIONS_PER_USER_MAX {
                let subscription_id = Id::generate(now, &OsEntropy);
                for _ in 0..LINE_LEN {
                    let push = QueuedPush {
                        id: Id::generate(now, &OsEntropy),
                        due_at: now,
                        user_id,
                        subscription_id,
                        notification_id: Id::generate(now, &OsEntropy),
                        attempts: 0,
                        expires_at: now.after(PUSH_TTL),
                    };
                    pushes::enqueue(tx, &push)?;
                }
            }
            Ok::<_, StoreError>(())
        });
        queued.wait()?;
        people.push(user_id);
    }
    Ok(people)
}

fn run(data: &Path, browsers: usize, options: &Options) -> Result<load::Outcome, Fault> {
    if data.exists() {
        fs::remove_dir_all(data)?;
    }
    fs::create_dir_all(data)?;
    let store = Store::open(&data.join("keystead.redb"), &OsEntropy)?;
    let people = Rc::new(fill(&store, browsers)?);
    closed_loop(store, WAITING, options.plan, move || {
        let people = Rc::clone(&people);
        move |store: Rc<Store>, number| {
            let place = usize::try_from(number).unwrap_or_default() % PEOPLE;
            let reader = people[place];
            async move {
                store.write(move |tx| tell(tx, reader)).await?;
                // As the deliverer does once the push services have answered.
                store.write(move |tx| settle(tx, browsers)).await
            }
        }
    })
}

fn fill(store: &Store, browsers: usize) -> Result<Vec<Id>, Fault> {
    let now = SystemClock.now();
    let mut point = [1; 65];
    point[0] = 4;
    let keys = PushKeys::new(&point, &[2; 16])?;
    let filled = store.write(move |tx| {
        let by = Origin::local(now, Actor::Keystead);
        let act = act(now, &by);
        let mut people = Vec::new();
        for number in 0..PEOPLE {
            let (user, _, _) = person(number, now)?;
            users::put(tx, &user)?;
            people.push(user.id);
            for browser in 0..browsers {
                let endpoint = format!("https://push.example/{number}/{browser}").parse();
                let endpoint = endpoint.map_err(|_| StoreError::Closed)?;
                let browser = notifications::subscription(act, user.id, endpoint, keys.clone());
                notifications::subscribe(tx, &by, &browser)?;
            }
        }
        Ok::<_, StoreError>(people)
    });
    Ok(filled.wait()?)
}

fn act(now: Timestamp, by: &Origin) -> Act<'_> {
    Act {
        now,
        entropy: &OsEntropy,
        by,
    }
}

fn tell(tx: &mut WriteTx<'_>, reader: Id) -> Result<(), StoreError> {
    let now = SystemClock.now();
    let by = Origin::local(now, Actor::Keystead);
    let message = Message {
        template: Template::Custom,
        targets: Vec::new(),
        title: "The backup is done".to_owned(),
        content: "It took **two minutes**, and everything is where it belongs.".to_owned(),
        actions: Vec::new(),
        urgency: Urgency::Normal,
        sender: Sender::Administrator,
    };
    match notifications::send(tx, act(now, &by), reader, message)? {
        Ok(Told::Kept { .. }) => Ok(()),
        // Then this measures something else.
        Ok(Told::Unwanted) | Err(_) => Err(StoreError::Closed),
    }
}

fn settle(tx: &mut WriteTx<'_>, browsers: usize) -> Result<(), StoreError> {
    let now = SystemClock.now();
    let by = Origin::local(now, Actor::Keystead);
    for push in notifications::due(tx, now, browsers, |_| true)?.pushes {
        notifications::settle(tx, &by, &push, Outcome::Delivered)?;
    }
    Ok(())
}
