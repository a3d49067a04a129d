//! The crash campaign in the process: a disk that loses its power, or fails, at each of its
//! operations in turn while everything is done that OAuth knows.
//!
//! A short one is part of `cargo test`. The long one is the same with more of it:
//! `KEYSTEAD_CRASH_SEEDS=50 cargo test --lib crash_`, from the seed `KEYSTEAD_CRASH_SEED` on; see
//! also `tests/crash`. What fails is found again by the seed and the place that the failure names.

mod journal;
mod workload;

use std::{ops::Range, sync::Arc};

use rand::RngExt as _;

use self::{journal::Journal, workload::play};
use super::house::{House, NOON};
use crate::{
    audit,
    runtime::entropy::SeededEntropy,
    store::{
        Store, StoreError, check,
        testing::{Cuts, Disk, Fault, Plan, seeded},
    },
};

/// How many seeds the long campaign has; each tries every place.
const SEEDS: &str = "KEYSTEAD_CRASH_SEEDS";
/// The first of them, where it is not 1.
const FIRST_SEED: &str = "KEYSTEAD_CRASH_SEED";
/// Of so many places the short campaign cuts at one.
const CUT_STRIDE: usize = 11;
/// Of so many operations the short campaign lets one fail. For each, everything is played anew.
const FAULT_STRIDE: usize = 33;

/// Which seeds are tried, and of how many places one: `stride` in the short campaign, each in the
/// long one.
#[expect(
    clippy::disallowed_methods,
    reason = "how long a campaign is to be is said to the test command, which has no arguments"
)]
fn extent(stride: usize) -> (Range<u64>, usize) {
    let number = |name| std::env::var(name).map(|text| text.parse().expect("a number"));
    let first = number(FIRST_SEED).unwrap_or(1);
    match number(SEEDS) {
        Ok(seeds) => (first..first + seeds, 1),
        Err(_) => (first..first + 1, stride),
    }
}

/// Asserts that the store is whole: each record, each index, the chain of the audit log.
fn assert_whole(store: &Store, place: &str) {
    let checked: Result<_, StoreError> = store.read(|tx| Ok(check::check(tx, &|| true)));
    let checked = checked.expect("it reads").expect("nobody stops it");
    assert!(checked.faults.is_empty(), "{place}: {:#?}", checked.faults);
    let verified = store.read(|tx| audit::verify(tx));
    assert!(verified.is_ok(), "{place}: {verified:?}");
}

/// Opens what a cut left and holds it to what was answered before.
async fn assert_kept(image: Vec<u8>, journal: &Journal, cut: usize, seed: u64) {
    let mut random = seeded(seed ^ cut as u64);
    let entropy = SeededEntropy::new(seed.wrapping_add(2));
    let mut disk = Disk::holding(image);
    let image = disk.record();
    let mut store = disk.store(&entropy).expect("it opens");
    if random.random() {
        // The power goes a second time, while the file is opened and repaired.
        let mut cuts = Cuts::of(image, disk.recorded());
        let again = random.random_range(0..=cuts.len());
        let image = cuts.image(again, &mut random);
        disk = Disk::holding(image);
        store = disk.store(&entropy).expect("it opens after a second cut");
    }
    let place = format!("seed {seed}, cut {cut}");
    assert_whole(&store, &place);
    let house = House::of_store(Arc::new(store), journal.time_at(cut), seed.wrapping_add(3));
    journal.hold_to(&house, cut).await;
    assert_whole(&house.store, &place);
}

/// Point 2 of the promise: a power cut takes nothing that was answered, wherever it comes.
#[tokio::test]
async fn crash_a_power_cut_at_any_place_takes_nothing_that_was_answered() {
    let (seeds, stride) = extent(CUT_STRIDE);
    for seed in seeds {
        let disk = Disk::default();
        let store = Arc::new(disk.store(&SeededEntropy::new(seed)).expect("a store"));
        let image = disk.record();
        let house = House::of_store(store, NOON, seed.wrapping_add(1));
        let journal = Journal::new(&disk, NOON);
        assert_eq!(
            Box::pin(play(&house, &journal)).await,
            0,
            "nothing fails yet"
        );
        let mut cuts = Cuts::of(image, disk.recorded());
        let mut random = seeded(seed);
        // Right behind each sync, and anywhere between it and the next.
        let syncs: Vec<usize> = cuts.syncs().into_iter().collect();
        let between = syncs.windows(2).flat_map(|pair| {
            let anywhere = random.random_range(pair[0]..=pair[1]);
            [pair[0], anywhere]
        });
        let mut places: Vec<usize> = between.chain([cuts.len()]).collect();
        let first = random.random_range(0..stride);
        places = places.into_iter().skip(first).step_by(stride).collect();
        for cut in places {
            let image = cuts.image(cut, &mut random);
            assert_kept(image, &journal, cut, seed).await;
        }
    }
}

/// Point 6: whatever operation of the disk fails, and for how long, each request is answered, what
/// was answered is there, what can be read is read, and it goes on without a restart.
#[tokio::test]
async fn crash_a_fault_at_any_place_is_answered_and_passes() {
    let (seeds, stride) = extent(FAULT_STRIDE);
    let operations = {
        let disk = Disk::default();
        let store = Arc::new(disk.store(&SeededEntropy::new(1)).expect("a store"));
        let house = House::of_store(store, NOON, 2);
        Box::pin(play(&house, &Journal::new(&disk, NOON))).await;
        disk.asked()
    };
    for seed in seeds {
        let mut random = seeded(seed);
        let first = random.random_range(0..stride);
        for place in (first..operations).step_by(stride) {
            let fault = [Fault::Refused, Fault::Full, Fault::Unsynced][random.random_range(0..3)];
            let count = [1, 2, 40, usize::MAX][random.random_range(0..4)];
            assert_goes_on(seed, place, fault, count).await;
        }
    }
}

async fn assert_goes_on(seed: u64, place: usize, fault: Fault, count: usize) {
    let disk = Disk::default();
    let store = Arc::new(disk.store(&SeededEntropy::new(seed)).expect("a store"));
    disk.record();
    let from = disk.asked() + place;
    let house = House::of_store(store, NOON, seed.wrapping_add(1));
    let journal = Journal::new(&disk, NOON);
    disk.fail(Plan { from, count, fault });
    Box::pin(play(&house, &journal)).await;
    let name = format!("seed {seed}, {fault:?} at {place}, {count} times");
    if count == usize::MAX && disk.asked() > from {
        house.get("/readyz").await.expect(503);
        house.get("/healthz").await.expect(200);
        assert_whole(&house.store, &name);
    }
    disk.mend();
    until_ready(&house, &name).await;
    assert_whole(&house.store, &name);
    let durable = disk.durable();
    let now = house.now();
    journal.hold_to(&house, usize::MAX).await;
    drop(house);
    // And what was answered was durable, whatever the disk said of its syncs.
    let entropy = SeededEntropy::new(seed.wrapping_add(2));
    let store = Disk::holding(durable).store(&entropy).expect("it opens");
    assert_whole(&store, &name);
    let house = House::of_store(Arc::new(store), now, seed.wrapping_add(3));
    journal.hold_to(&house, usize::MAX).await;
}

async fn until_ready(house: &House, name: &str) {
    for _ in 0..1_000 {
        let written = house.store.write(|_| Ok::<_, StoreError>(())).await;
        if written.is_ok() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    panic!("{name}: it does not go on");
}
