//! An instant, as every record and every check sees it.

use std::{fmt, time::Duration};

use bincode::{Decode, Encode};

/// A moment in time.
///
/// One request sees one `Timestamp`, read at the door and passed down. On the wire it is whole
/// seconds ([`Timestamp::seconds`]); inside, milliseconds keep identifiers in time order.
///
/// # Units
/// Milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The Unix epoch: before everything that can be stored.
    pub const EPOCH: Self = Self(0);
    /// Later than everything that can be stored.
    pub const NEVER: Self = Self(u64::MAX);

    /// The instant that many milliseconds after the epoch.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the epoch.
    pub const fn millis(self) -> u64 {
        self.0
    }

    /// Whole seconds since the epoch, as RFC 7519's `NumericDate` and RFC 7591 count.
    pub const fn seconds(self) -> u64 {
        self.0 / 1000
    }

    /// This instant and `duration` more; [`Timestamp::NEVER`] instead of an overflow.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(millis))
    }

    /// This instant less `duration`; the epoch instead of an underflow.
    #[must_use]
    pub fn before(self, duration: Duration) -> Self {
        let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Self(self.0.saturating_sub(millis))
    }

    /// How long it is from `earlier` to this instant; zero when `earlier` is not earlier.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// Whether something that ends at this instant has ended at `now`: it has, from the first
    /// millisecond of the end on.
    pub fn has_passed(self, now: Self) -> bool {
        now >= self
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC, to the second.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match std::time::UNIX_EPOCH.checked_add(Duration::from_secs(self.seconds())) {
            // humantime ends at the year 9999 and says so by an error of `Display`.
            Some(instant) if self.seconds() < 253_402_300_800 => {
                write!(f, "{}", humantime::format_rfc3339_seconds(instant))
            }
            _ => f.write_str("never"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_now_has_ended() {
        let end = Timestamp::from_millis(5_000);
        assert!(!end.has_passed(Timestamp::from_millis(4_999)));
        assert!(end.has_passed(Timestamp::from_millis(5_000)));
    }

    #[test]
    fn arithmetic_stops_at_the_ends() {
        let long = Duration::from_secs(u64::MAX);
        assert_eq!(Timestamp::from_millis(1).after(long), Timestamp::NEVER);
        assert_eq!(Timestamp::from_millis(1).before(long), Timestamp::EPOCH);
        assert_eq!(Timestamp::EPOCH.since(Timestamp::NEVER), Duration::ZERO);
    }

    #[test]
    fn it_prints_as_rfc_3339() {
        assert_eq!(
            Timestamp::from_millis(1_000).to_string(),
            "1970-01-01T00:00:01Z"
        );
        assert_eq!(Timestamp::NEVER.to_string(), "never");
    }
}
