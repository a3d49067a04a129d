//! The store against a plain model: random operations in random batches, some of which fail or
//! panic, with sweeps and restarts between them; after each step the two hold the same.
//!
//! `PROPTEST_CASES=4000 cargo test --lib store::tests::model` runs more than `cargo test` does.

use std::{collections::BTreeMap, fmt::Debug, time::Duration};

use proptest::{prelude::*, sample::select, test_runner::TestCaseResult};
use tempfile::TempDir;

use super::{
    invariants::assert_sound,
    plain::{Done, Operation, Plain},
    samples::{Fixed, at, read, store, write},
};
use crate::{
    model::timestamp::Timestamp,
    store::{
        Store, StoreError, WriteTx,
        sweep::{self, Pass},
    },
};

/// How a write ends once it has made its changes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Succeeds,
    Fails,
    Panics,
}

/// One write: operations that are kept together or not at all.
#[derive(Clone, Debug)]
struct Attempt {
    operations: Vec<Operation>,
    fate: Fate,
}

#[derive(Clone, Debug)]
enum Step {
    /// Writes that are all sent before the first is waited for, so that they share commits.
    Batch(Vec<Attempt>),
    /// A pass of the sweeper, in steps of so many rows.
    Sweep(usize),
    /// Time goes by.
    Wait(Duration),
    /// The store is closed and opened again.
    Reopen,
}

fn any_attempt() -> impl Strategy<Value = Attempt> {
    let fate = prop_oneof![
        8 => Just(Fate::Succeeds),
        1 => Just(Fate::Fails),
        1 => Just(Fate::Panics),
    ];
    let operations = proptest::collection::vec(Operation::any(), 1..6);
    (operations, fate).prop_map(|(operations, fate)| Attempt { operations, fate })
}

fn any_step() -> impl Strategy<Value = Step> {
    // Among them the time that a device and a code are remembered after their end.
    let times = [1, 4, 12, 601, 90_000].map(Duration::from_secs);
    prop_oneof![
        8 => proptest::collection::vec(any_attempt(), 1..6).prop_map(Step::Batch),
        2 => (1_usize..12).prop_map(Step::Sweep),
        2 => select(times.to_vec()).prop_map(Step::Wait),
        1 => Just(Step::Reopen),
    ]
}

/// A store, the model of it, and what time it is for both.
struct Pair {
    store: Option<Store>,
    /// Where the file is, for a store that has one.
    directory: Option<TempDir>,
    plain: Plain,
    now: Timestamp,
}

impl Pair {
    fn in_memory() -> Self {
        Self {
            store: Some(store()),
            directory: None,
            plain: Plain::default(),
            now: at(100),
        }
    }

    fn on_file() -> Self {
        let mut pair = Self::in_memory();
        pair.directory = Some(tempfile::tempdir().expect("a directory"));
        pair.reopen();
        pair
    }

    fn store(&self) -> &Store {
        self.store.as_ref().expect("it is open")
    }

    fn take(&mut self, step: Step) -> TestCaseResult {
        match step {
            Step::Batch(attempts) => self.write(attempts)?,
            Step::Sweep(rows) => self.sweep(rows)?,
            Step::Wait(time) => self.now = self.now.after(time),
            Step::Reopen => self.reopen(),
        }
        prop_assert_eq!(&read(self.store(), Plain::of), &self.plain);
        assert_sound(self.store());
        Ok(())
    }

    /// A store in memory would forget everything.
    fn reopen(&mut self) {
        if let Some(directory) = &self.directory {
            self.store = None;
            let path = directory.path().join("keystead.redb");
            self.store = Some(Store::open(&path, &Fixed).expect("it opens"));
        }
    }

    fn write(&mut self, attempts: Vec<Attempt>) -> TestCaseResult {
        let now = self.now;
        let mut answers = Vec::new();
        for Attempt { operations, fate } in attempts.clone() {
            let work = move |tx: &mut WriteTx<'_>| attempt(tx, &operations, fate, now);
            answers.push(self.store().write(work));
        }
        // The store takes writes in the order in which they were sent.
        for (Attempt { operations, fate }, answer) in attempts.into_iter().zip(answers) {
            let mut changed = self.plain.clone();
            let expected: Vec<Done> = operations
                .iter()
                .map(|operation| changed.perform(*operation, now))
                .collect();
            match (fate, answer.wait()) {
                (Fate::Succeeds, Ok(done)) => {
                    prop_assert_eq!(done, expected);
                    self.plain = changed;
                }
                (Fate::Fails, Err(StoreError::Closed))
                | (Fate::Panics, Err(StoreError::Panicked)) => {}
                (fate, answer) => prop_assert!(false, "{fate:?}: {answer:?}"),
            }
        }
        Ok(())
    }

    fn sweep(&mut self, rows: usize) -> TestCaseResult {
        let mut pass = Pass::begin(self.now, Plain::KEPT);
        let (mut clients, mut grants) = (Vec::new(), Vec::new());
        while !pass.is_over() {
            let here = pass.clone();
            let step = write(self.store(), move |tx| sweep::step(tx, here, rows));
            prop_assert_eq!(&step.damaged, &[]);
            clients.extend(step.expired_clients);
            grants.extend(step.ended_grants);
            pass = step.pass;
        }
        prop_assert_eq!((clients, grants), self.plain.sweep(self.now));
        Ok(())
    }
}

fn attempt(
    tx: &mut WriteTx<'_>,
    operations: &[Operation],
    fate: Fate,
    now: Timestamp,
) -> Result<Vec<Done>, StoreError> {
    let done = operations
        .iter()
        .map(|operation| operation.perform(tx, now))
        .collect::<Result<_, _>>()?;
    match fate {
        Fate::Succeeds => Ok(done),
        Fate::Fails => Err(StoreError::Closed),
        // A panic that prints nothing.
        Fate::Panics => std::panic::resume_unwind(Box::new("as the test wants it")),
    }
}

/// One in eight of what is asked for, by default 32: a case is long.
fn config() -> ProptestConfig {
    let asked = ProptestConfig::default();
    ProptestConfig {
        cases: asked.cases.div_ceil(8),
        ..asked
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn in_memory_it_does_what_the_model_does(
        steps in proptest::collection::vec(any_step(), 1..40),
    ) {
        let mut pair = Pair::in_memory();
        steps.into_iter().try_for_each(|step| pair.take(step))?;
    }

    #[test]
    fn on_file_it_does_what_the_model_does_and_a_restart_loses_nothing(
        steps in proptest::collection::vec(any_step(), 1..40),
    ) {
        let mut pair = Pair::on_file();
        steps.into_iter().try_for_each(|step| pair.take(step))?;
        pair.take(Step::Reopen)?;
    }
}

/// The generator reaches what it is for: a sequence that leaves every part of the model empty would
/// show nothing.
#[test]
fn every_operation_changes_the_model() {
    let all = Operation::examples();
    let mut plain = Plain::default();
    let mut changing: BTreeMap<String, bool> = BTreeMap::new();
    for (second, operation) in (100..).zip(all.iter().chain(&all)) {
        let before = plain.clone();
        plain.perform(*operation, at(second));
        let name = format!("{operation:?}");
        let name = name.split(' ').next().unwrap_or_default().to_owned();
        *changing.entry(name).or_default() |= plain != before;
    }
    let idle: Vec<_> = changing.iter().filter(|(_, changes)| !**changes).collect();
    assert!(idle.is_empty(), "{idle:?}");
}
