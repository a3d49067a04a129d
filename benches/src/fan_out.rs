//! Telling somebody who has browsers: what goes into their inbox and the queue of pushes, and what
//! leaves that queue again, through the store and without a network.

use std::{fs, path::Path, rc::Rc};

use keystead::{
    audit::Act,
    model::{
        audit::{Actor, Origin},
        id::Id,
        notification::{Sender, Template, Urgency},
        push::PushKeys,
        timestamp::Timestamp,
    },
    notifications::{self, Message, Outcome, Told},
    runtime::{
        clock::{Clock as _, SystemClock},
        entropy::OsEntropy,
    },
    store::{Store, StoreError, WriteTx, users},
};

use crate::{
    engine::closed_loop, inbox::person, load, options::Options, report::Report, wire::Fault,
};

/// Who tells somebody at once.
const WAITING: usize = 64;
/// People who are told, in turn.
const PEOPLE: usize = 1_000;
/// Browsers of each.
const BROWSERS: [usize; 3] = [0, 1, 4];

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
    Ok(())
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
