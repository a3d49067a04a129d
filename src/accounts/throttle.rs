//! How often one may try: per account and per address, with bounded memory.

use std::{
    net::IpAddr,
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use governor::{
    Quota, RateLimiter,
    clock::{Clock, Reference as _},
    middleware::NoOpMiddleware,
    nanos::Nanos,
    state::keyed::DefaultKeyedStateStore,
};

use crate::{
    crypto::digest::Digest,
    model::{id::Id, timestamp::Timestamp},
};

/// Keys that one limiter remembers. Beyond it, those that are back at rest are forgotten; if that
/// is not enough, everybody new is asked to wait.
pub const KEYS_MAX: usize = 100_000;

/// Sign-ins to one account: this many at once, then one every [`ACCOUNT_PERIOD`].
pub const ACCOUNT_BURST: NonZeroU32 = NonZeroU32::new(10).expect("10");
/// See [`ACCOUNT_BURST`].
pub const ACCOUNT_PERIOD: Duration = Duration::from_secs(10);
/// Sign-ins from one address: this many at once, then one every [`ADDRESS_PERIOD`].
pub const ADDRESS_BURST: NonZeroU32 = NonZeroU32::new(30).expect("30");
/// See [`ADDRESS_BURST`].
pub const ADDRESS_PERIOD: Duration = Duration::from_secs(2);
/// Codes of devices that one browser session tries: this many at once, then one every
/// [`CODE_SESSION_PERIOD`]. With 25.6 billion codes, 10,000 of them in use and 100,000 sessions
/// that try, one is hit in a month.
pub const CODE_SESSION_BURST: NonZeroU32 = NonZeroU32::new(10).expect("10");
/// See [`CODE_SESSION_BURST`].
pub const CODE_SESSION_PERIOD: Duration = Duration::from_mins(1);
/// Codes of devices that one address tries: this many at once, then one every
/// [`CODE_ADDRESS_PERIOD`].
pub const CODE_ADDRESS_BURST: NonZeroU32 = NonZeroU32::new(30).expect("30");
/// See [`CODE_ADDRESS_BURST`].
pub const CODE_ADDRESS_PERIOD: Duration = Duration::from_secs(10);

/// The clock of the limiters: the `now` of the latest request.
#[derive(Clone, Debug, Default)]
struct RequestClock(Arc<AtomicU64>);

impl RequestClock {
    fn advance_to(&self, now: Timestamp) {
        self.0.fetch_max(now.millis(), Ordering::Relaxed);
    }
}

impl Clock for RequestClock {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        Nanos::from(Duration::from_millis(self.0.load(Ordering::Relaxed)))
    }
}

/// A limiter with a key of its own for everybody.
struct Limiter {
    clock: RequestClock,
    limiter: RateLimiter<
        [u8; 16],
        DefaultKeyedStateStore<[u8; 16]>,
        RequestClock,
        NoOpMiddleware<Nanos>,
    >,
}

impl Limiter {
    fn new(burst: NonZeroU32, period: Duration) -> Self {
        let quota = Quota::with_period(period)
            .expect("the period is not zero")
            .allow_burst(burst);
        let clock = RequestClock::default();
        let limiter = RateLimiter::dashmap_with_clock(quota, clock.clone());
        Self { clock, limiter }
    }

    fn check(&self, now: Timestamp, key: [u8; 16]) -> Result<(), Wait> {
        self.clock.advance_to(now);
        if self.limiter.len() >= KEYS_MAX {
            self.limiter.retain_recent();
            if self.limiter.len() >= KEYS_MAX {
                return Err(Wait { seconds: 60 });
            }
        }
        self.limiter.check_key(&key).map_err(|until| {
            let wait = until.earliest_possible().duration_since(self.clock.now());
            Wait {
                seconds: Duration::from(wait).as_secs().max(1),
            }
        })
    }
}

/// Too many attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// Seconds until one more may be made, at least 1.
    pub seconds: u64,
}

/// Limits how often one may try to sign in.
pub struct SignInThrottle {
    limiters: Option<(Limiter, Limiter)>,
}

/// Limits how often one may guess at the code that a device shows (RFC 8628 §5.1; threat 14).
pub struct DeviceCodeThrottle {
    limiters: Option<(Limiter, Limiter)>,
}

impl DeviceCodeThrottle {
    /// The limits of a box that is in use.
    pub fn on() -> Self {
        Self {
            limiters: Some((
                Limiter::new(CODE_SESSION_BURST, CODE_SESSION_PERIOD),
                Limiter::new(CODE_ADDRESS_BURST, CODE_ADDRESS_PERIOD),
            )),
        }
    }

    /// No limit, for tests and benchmarks.
    pub fn off() -> Self {
        Self { limiters: None }
    }

    /// Takes one attempt of the browser session `session_id` from `address`.
    pub fn check(&self, now: Timestamp, session_id: Id, address: IpAddr) -> Result<(), Wait> {
        let Some((sessions, addresses)) = &self.limiters else {
            return Ok(());
        };
        addresses.check(now, address_key(address))?;
        sessions.check(now, *session_id.as_bytes())
    }
}

impl SignInThrottle {
    /// The limits of a box that is in use.
    pub fn on() -> Self {
        Self {
            limiters: Some((
                Limiter::new(ACCOUNT_BURST, ACCOUNT_PERIOD),
                Limiter::new(ADDRESS_BURST, ADDRESS_PERIOD),
            )),
        }
    }

    /// No limit, for tests and benchmarks.
    pub fn off() -> Self {
        Self { limiters: None }
    }

    /// Takes one attempt at `account` from `address`.
    ///
    /// The account need not exist: what was typed is the key, so that nobody learns whether it
    /// does.
    pub fn check(&self, now: Timestamp, account: &str, address: IpAddr) -> Result<(), Wait> {
        let Some((accounts, addresses)) = &self.limiters else {
            return Ok(());
        };
        addresses.check(now, address_key(address))?;
        accounts.check(now, account_key(account))
    }
}

fn account_key(account: &str) -> [u8; 16] {
    let digest = Digest::of(account.trim().to_ascii_lowercase().as_bytes());
    let mut key = [0; 16];
    key.copy_from_slice(&digest.as_bytes()[..16]);
    key
}

/// One key for an IPv4 address, one for a whole /64 of IPv6: that is what one customer has.
pub fn address_key(address: IpAddr) -> [u8; 16] {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => {
            let mut octets = address.octets();
            octets[8..].fill(0);
            octets
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(1_790_000_000_000 + seconds * 1_000)
    }

    fn address(last: u8) -> IpAddr {
        Ipv4Addr::new(192, 0, 2, last).into()
    }

    #[test]
    fn an_account_rests_after_a_burst_from_wherever_it_comes() {
        let throttle = SignInThrottle::on();
        for attempt in 0..10 {
            assert_eq!(throttle.check(at(0), "Ada", address(attempt)), Ok(()));
        }
        let wait = throttle
            .check(at(0), " ada ", address(99))
            .expect_err("the eleventh");
        assert!((1..=10).contains(&wait.seconds), "{wait:?}");
        assert_eq!(throttle.check(at(0), "grace", address(99)), Ok(()));
        assert_eq!(throttle.check(at(wait.seconds), "ada", address(99)), Ok(()));
    }

    #[test]
    fn an_address_rests_whatever_names_it_tries() {
        let throttle = SignInThrottle::on();
        for attempt in 0..30 {
            let name = format!("user{attempt}");
            assert_eq!(throttle.check(at(0), &name, address(1)), Ok(()));
        }
        assert!(throttle.check(at(0), "user30", address(1)).is_err());
        assert_eq!(throttle.check(at(0), "user30", address(2)), Ok(()));
    }

    #[test]
    fn one_customer_is_one_address() {
        let of = |text: &str| address_key(text.parse::<Ipv6Addr>().expect(text).into());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:192.0.2.1"), address_key(address(1)));
    }

    /// Threat 14: guesses at the code of somebody's device.
    #[test]
    fn a_browser_that_guesses_codes_rests_wherever_it_goes() {
        let throttle = DeviceCodeThrottle::on();
        let session = |number| Id::from_bytes([number; 16]);
        for attempt in 0..10 {
            assert_eq!(throttle.check(at(0), session(1), address(attempt)), Ok(()));
        }
        assert!(throttle.check(at(0), session(1), address(99)).is_err());
        assert_eq!(throttle.check(at(0), session(2), address(99)), Ok(()));
        for number in 0..20 {
            let _ = throttle.check(at(0), session(100 + number), address(7));
        }
        for number in 0..30 {
            let _ = throttle.check(at(0), session(150 + number), address(7));
        }
        assert!(throttle.check(at(0), session(250), address(7)).is_err());
    }

    #[test]
    fn off_is_off() {
        let throttle = SignInThrottle::off();
        for _ in 0..1_000 {
            assert_eq!(throttle.check(at(0), "ada", address(1)), Ok(()));
        }
    }
}
