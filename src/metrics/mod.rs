//! Floor 0: what is counted while the server runs.
//!
//! Atomics and nothing else: whoever counts holds them ready, and takes neither a lock nor memory to
//! do so. Each room has a struct of its own made of these; what they are called outside, and how
//! they are written out, is known to `appliance/metrics/` alone.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// Upper bounds for how long something takes, in nanoseconds: from what a look-up in memory takes to
/// what the longest call may.
pub static DURATIONS: [u64; 17] = [
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
    30_000_000_000,
];

/// How often something happened. It only grows, and begins anew with the process.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// It happened once more.
    pub fn add_one(&self) {
        self.add(1);
    }

    /// It happened `times` more.
    pub fn add(&self, times: u64) {
        // Nothing follows from one count about another, so no order has to be kept.
        self.0.fetch_add(times, Ordering::Relaxed);
    }

    /// How often it has happened.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How many of something there are now.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    /// There is one more.
    pub fn add_one(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// There is one less, of those that were added.
    pub fn take_one(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    /// There are `count`.
    pub fn set(&self, count: u64) {
        self.0.store(count, Ordering::Relaxed);
    }

    /// How many there are.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// One more until what this returns is dropped.
    pub fn hold(&self) -> Held<'_> {
        self.add_one();
        Held(self)
    }
}

/// One of those that a [`Gauge`] counts.
#[derive(Debug)]
pub struct Held<'a>(&'a Gauge);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.take_one();
    }
}

/// How values are spread.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [u64],
    /// One more than there are bounds: the last is for what is above all of them.
    buckets: Box<[Counter]>,
    sum: Counter,
}

impl Histogram {
    /// An empty one. A value belongs to the first of `bounds`, which grow, that is not less.
    pub fn new(bounds: &'static [u64]) -> Self {
        let empty = |_| Counter::default();
        Self {
            bounds,
            buckets: (0..=bounds.len()).map(empty).collect(),
            sum: Counter::default(),
        }
    }

    /// An empty one of [`DURATIONS`].
    pub fn of_durations() -> Self {
        Self::new(&DURATIONS)
    }

    /// Takes a value.
    pub fn record(&self, value: u64) {
        let place = self.bounds.partition_point(|bound| *bound < value);
        self.buckets[place].add_one();
        self.sum.add(value);
    }

    /// Takes a duration, in nanoseconds.
    pub fn record_duration(&self, took: Duration) {
        self.record(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
    }

    /// The sum of all values.
    pub fn sum(&self) -> u64 {
        self.sum.get()
    }

    /// Each upper bound with how many values belong to it; `None` is above all bounds.
    pub fn buckets(&self) -> impl Iterator<Item = (Option<u64>, u64)> {
        let bounds = self.bounds.iter().copied().map(Some);
        let bounds = bounds.chain(std::iter::once(None));
        bounds.zip(self.buckets.iter().map(Counter::get))
    }

    /// How many values it has.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(Counter::get).sum()
    }
}

/// An empty counter for each of `N` kinds.
pub fn counters<const N: usize>() -> [Counter; N] {
    std::array::from_fn(|_| Counter::default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_belongs_to_the_first_bound_that_is_not_less() {
        static BOUNDS: [u64; 3] = [1, 10, 100];
        let histogram = Histogram::new(&BOUNDS);
        for value in [0, 1, 2, 10, 11, 100, 101, 7_000] {
            histogram.record(value);
        }
        let buckets: Vec<_> = histogram.buckets().collect();
        assert_eq!(
            buckets,
            [(Some(1), 2), (Some(10), 2), (Some(100), 2), (None, 2)]
        );
        assert_eq!((histogram.count(), histogram.sum()), (8, 7_225));
    }

    #[test]
    fn the_bounds_of_durations_grow() {
        assert!(DURATIONS.is_sorted_by(|one, next| one < next));
        let histogram = Histogram::of_durations();
        histogram.record_duration(Duration::from_micros(100));
        histogram.record_duration(Duration::MAX);
        let filled: Vec<_> = histogram
            .buckets()
            .filter(|(_, count)| *count > 0)
            .collect();
        assert_eq!(filled, [(Some(100_000), 1), (None, 1)]);
    }

    #[test]
    fn what_is_held_counts_until_it_is_dropped() {
        let gauge = Gauge::default();
        let (one, other) = (gauge.hold(), gauge.hold());
        assert_eq!(gauge.get(), 2);
        drop(one);
        assert_eq!(gauge.get(), 1);
        drop(other);
        assert_eq!(gauge.get(), 0);
    }

    /// What several threads count at once is counted once each.
    #[test]
    fn no_count_is_lost_between_threads() {
        let (counter, gauge) = (Counter::default(), Gauge::default());
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..10_000 {
                        let _held = gauge.hold();
                        counter.add_one();
                    }
                });
            }
        });
        assert_eq!((counter.get(), gauge.get()), (40_000, 0));
    }
}
