//! How often one may call: per account, per address, per client, and all together.
//!
//! Every limit is a row of [`LIMITS`]. The allowance is a bucket (GCRA): a burst at once, then one
//! call a period.

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
    crypto::{
        digest::Digest,
        entropy::{Entropy, random},
    },
    metrics::{Counter, counters},
    model::{id::Id, timestamp::Timestamp},
};

/// Buckets of one limit at the most.
///
/// Who calls is hashed to one of them, so that memory is bounded however many addresses come, and
/// nothing ever has to be searched for what may be forgotten. Two callers may share a bucket; which
/// two cannot be known from outside.
pub const BUCKETS_MAX: usize = u16::MAX as usize + 1;

/// What is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// A try at a password.
    SignIn,
    /// Telling somebody that there were too many of them.
    SignInWarning,
    /// `POST /oauth2/token`.
    Token,
    /// `POST /oauth2/revoke`.
    Revocation,
    /// `POST /oauth2/register`.
    Registration,
    /// `POST /oauth2/introspect`.
    Introspection,
    /// `POST /oauth2/device_authorization`.
    DeviceAuthorization,
    /// A try at the code that a device shows (RFC 8628 §5.1; threat 14).
    DeviceCode,
    /// A browser that is to be pushed to, or a test push: for each a server is called.
    WebPush,
    /// A message at the MCP endpoint.
    Mcp,
    /// A notification that is not of Keystead itself.
    Notification,
}

impl Endpoint {
    /// What it is called where it is counted.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SignIn => "sign_in",
            Self::SignInWarning => "sign_in_warning",
            Self::Token => "token",
            Self::Revocation => "revocation",
            Self::Registration => "registration",
            Self::Introspection => "introspection",
            Self::DeviceAuthorization => "device_authorization",
            Self::DeviceCode => "device_code",
            Self::WebPush => "web_push",
            Self::Mcp => "mcp",
            Self::Notification => "notification",
        }
    }
}

/// Who has an allowance of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Per {
    /// Each account name, whether or not there is such an account.
    Account,
    /// Each IPv4 address, and each /64 of IPv6: that is what one customer has.
    Address,
    /// Each client; a public one at each address, because anybody can use its name.
    Client,
    /// Each browser session.
    Session,
    /// Each grant, whichever of its tokens is shown: a new one is no new allowance.
    Grant,
    /// Each who sends, for each who would read it.
    Sender,
    /// All callers together.
    Box,
}

impl Per {
    /// What it is called where it is counted.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Address => "address",
            Self::Client => "client",
            Self::Session => "session",
            Self::Grant => "grant",
            Self::Sender => "sender",
            Self::Box => "box",
        }
    }
}

/// One row of [`LIMITS`].
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// What is limited.
    pub endpoint: Endpoint,
    /// Who has an allowance of their own.
    pub per: Per,
    /// Calls at once.
    pub burst: NonZeroU32,
    /// Time after which one more call is allowed.
    pub period: Duration,
}

const fn limit(endpoint: Endpoint, per: Per, burst: u32, period: Duration) -> Limit {
    Limit {
        endpoint,
        per,
        burst: NonZeroU32::new(burst).expect("a burst is not zero"),
        period,
    }
}

/// Every limit. A whole site can be one address (a proxy that is not trusted, a carrier's NAT), and
/// hosts such as claude.ai serve all their users from a few, so those of addresses are generous.
pub const LIMITS: &[Limit] = &[
    limit(Endpoint::SignIn, Per::Account, 10, Duration::from_secs(10)),
    limit(Endpoint::SignIn, Per::Address, 30, Duration::from_secs(2)),
    limit(
        Endpoint::SignInWarning,
        Per::Account,
        1,
        Duration::from_hours(1),
    ),
    limit(
        Endpoint::Token,
        Per::Address,
        600,
        Duration::from_millis(50),
    ),
    limit(
        Endpoint::Token,
        Per::Client,
        300,
        Duration::from_millis(100),
    ),
    limit(
        Endpoint::Revocation,
        Per::Address,
        300,
        Duration::from_millis(200),
    ),
    limit(
        Endpoint::Revocation,
        Per::Client,
        300,
        Duration::from_millis(200),
    ),
    limit(
        Endpoint::Registration,
        Per::Address,
        60,
        Duration::from_secs(20),
    ),
    // A resource server asks about every call that it gets.
    limit(
        Endpoint::Introspection,
        Per::Address,
        6_000,
        Duration::from_millis(1),
    ),
    limit(
        Endpoint::Introspection,
        Per::Client,
        6_000,
        Duration::from_millis(1),
    ),
    limit(
        Endpoint::DeviceAuthorization,
        Per::Address,
        60,
        Duration::from_secs(2),
    ),
    limit(
        Endpoint::DeviceAuthorization,
        Per::Client,
        60,
        Duration::from_secs(2),
    ),
    // With 25.6 billion codes, 10,000 of them in use and 100,000 sessions that try, one is hit in a
    // month.
    limit(
        Endpoint::DeviceCode,
        Per::Session,
        10,
        Duration::from_mins(1),
    ),
    limit(
        Endpoint::DeviceCode,
        Per::Address,
        30,
        Duration::from_secs(10),
    ),
    limit(Endpoint::WebPush, Per::Account, 20, Duration::from_secs(10)),
    // A model calls a few tools a second; a program that loops is held here.
    limit(Endpoint::Mcp, Per::Grant, 600, Duration::from_millis(20)),
    // A client that goes on for ever takes two days to push everything else out of an inbox, and
    // its person can mute it.
    limit(
        Endpoint::Notification,
        Per::Sender,
        30,
        Duration::from_secs(20),
    ),
    // Strangers alone never fill the box: what they register in `client.unapproved_ttl` is less
    // than what it holds.
    limit(
        Endpoint::Registration,
        Per::Box,
        1_000,
        Duration::from_secs(10),
    ),
];

/// Who calls, as far as one limit is concerned.
#[derive(Clone, Copy, Debug)]
pub enum Subject<'a> {
    /// Somebody who typed this account name.
    Account(&'a str),
    /// Somebody at this address.
    Address(IpAddr),
    /// This client, or this resource server, which showed its secret.
    Client(Id),
    /// Somebody at this address who gave the name of this client, which has no secret.
    PublicClient(Id, IpAddr),
    /// Somebody in this browser session.
    Session(Id),
    /// Somebody with a token of this grant.
    Grant(Id),
    /// This client, or this person, who would tell something to that person.
    Sender(Id, Id),
    /// Anybody.
    Everybody,
}

impl Subject<'_> {
    const fn per(self) -> Per {
        match self {
            Self::Account(_) => Per::Account,
            Self::Address(_) => Per::Address,
            Self::Client(_) | Self::PublicClient(..) => Per::Client,
            Self::Session(_) => Per::Session,
            Self::Grant(_) => Per::Grant,
            Self::Sender(..) => Per::Sender,
            Self::Everybody => Per::Box,
        }
    }

    /// What tells this caller from others.
    fn name(self) -> Vec<u8> {
        match self {
            Self::Account(name) => name.trim().to_ascii_lowercase().into_bytes(),
            Self::Address(address) => address_key(address).to_vec(),
            Self::PublicClient(id, address) => [*id.as_bytes(), address_key(address)].concat(),
            Self::Sender(from, to) => [*from.as_bytes(), *to.as_bytes()].concat(),
            Self::Client(id) | Self::Session(id) | Self::Grant(id) => id.as_bytes().to_vec(),
            Self::Everybody => Vec::new(),
        }
    }
}

/// One key for an IPv4 address, one for a whole /64 of IPv6.
fn address_key(address: IpAddr) -> [u8; 16] {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => {
            let mut octets = address.octets();
            octets[8..].fill(0);
            octets
        }
    }
}

/// Too many calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// Seconds until one more may be made, at least 1.
    pub seconds: u64,
    /// Whose allowance is used up.
    pub per: Per,
}

/// Keeps [`LIMITS`].
pub struct Throttle(Option<Buckets>);

struct Buckets {
    /// Keeps to itself who shares a bucket with whom.
    seed: [u8; 16],
    clock: RequestClock,
    /// In the order of [`LIMITS`].
    limiters: Vec<(Limit, Limiter)>,
    refused: [Counter; LIMITS.len()],
}

type Limiter = RateLimiter<u16, DefaultKeyedStateStore<u16>, RequestClock, NoOpMiddleware<Nanos>>;

impl Throttle {
    /// The limits of a box that is in use.
    ///
    /// # Panics
    /// Never: no period of [`LIMITS`] is zero, which a test tries.
    pub fn on(entropy: &dyn Entropy) -> Self {
        let clock = RequestClock::default();
        let limiter = |limit: &Limit| {
            let quota = Quota::with_period(limit.period)
                .expect("a period is not zero")
                .allow_burst(limit.burst);
            (
                *limit,
                RateLimiter::dashmap_with_clock(quota, clock.clone()),
            )
        };
        Self(Some(Buckets {
            seed: random(entropy),
            limiters: LIMITS.iter().map(limiter).collect(),
            refused: counters(),
            clock: clock.clone(),
        }))
    }

    /// No limit, for tests and benchmarks.
    pub const fn off() -> Self {
        Self(None)
    }

    /// Takes one call of `subject` at `endpoint`; without a row for it, there is no limit.
    pub fn check(
        &self,
        now: Timestamp,
        endpoint: Endpoint,
        subject: Subject<'_>,
    ) -> Result<(), Wait> {
        let Some(buckets) = &self.0 else {
            return Ok(());
        };
        buckets.clock.advance_to(now);
        let is_meant = |limit: &Limit| limit.endpoint == endpoint && limit.per == subject.per();
        let rows = buckets.limiters.iter().zip(&buckets.refused);
        let mut meant = rows.filter(|((limit, _), _)| is_meant(limit));
        meant.try_for_each(|((_, limiter), refused)| {
            limiter.check_key(&buckets.place(subject)).map_err(|until| {
                refused.add_one();
                let wait = until
                    .earliest_possible()
                    .duration_since(buckets.clock.now());
                let millis = Duration::from(wait).as_millis();
                Wait {
                    seconds: u64::try_from(millis.div_ceil(1_000))
                        .unwrap_or(u64::MAX)
                        .max(1),
                    per: subject.per(),
                }
            })
        })
    }

    /// How many calls each row of [`LIMITS`] has refused.
    pub fn refusals(&self) -> Vec<(&'static Limit, u64)> {
        let refused = |place: usize| self.0.as_ref().map_or(0, |on| on.refused[place].get());
        let rows = LIMITS.iter().enumerate();
        rows.map(|(place, limit)| (limit, refused(place))).collect()
    }

    /// Takes one try at the password of `account` from `address`.
    ///
    /// The account need not exist: what was typed counts, so that nobody learns whether it does.
    pub fn check_sign_in(
        &self,
        now: Timestamp,
        account: &str,
        address: IpAddr,
    ) -> Result<(), Wait> {
        self.check(now, Endpoint::SignIn, Subject::Address(address))?;
        self.check(now, Endpoint::SignIn, Subject::Account(account))
    }
}

impl Throttle {
    /// Takes one try of `session` from `address` at the code that a device shows.
    pub fn check_device_code(
        &self,
        now: Timestamp,
        session: Id,
        address: IpAddr,
    ) -> Result<(), Wait> {
        self.check(now, Endpoint::DeviceCode, Subject::Address(address))?;
        self.check(now, Endpoint::DeviceCode, Subject::Session(session))
    }
}

impl Buckets {
    fn place(&self, subject: Subject<'_>) -> u16 {
        let digest = Digest::of(&[&self.seed[..], &subject.name()].concat());
        let [high, low, ..] = *digest.as_bytes();
        u16::from_be_bytes([high, low])
    }
}

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

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;
    use crate::{
        config::{Config, flags::Flags},
        runtime::entropy::SeededEntropy,
        store::clients::CLIENTS_MAX,
    };

    fn throttle() -> Throttle {
        Throttle::on(&SeededEntropy::new(1))
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(1_790_000_000_000 + seconds * 1_000)
    }

    fn address(last: u8) -> IpAddr {
        Ipv4Addr::new(192, 0, 2, last).into()
    }

    fn id(number: u8) -> Id {
        Id::from_bytes([number; 16])
    }

    /// Calls of `subject` that are let through at one moment.
    fn allowed(
        throttle: &Throttle,
        now: Timestamp,
        endpoint: Endpoint,
        subject: Subject<'_>,
    ) -> u32 {
        let passes = |_: &u32| throttle.check(now, endpoint, subject).is_ok();
        let tries = 0..10_000;
        u32::try_from(tries.take_while(passes).count()).expect("few")
    }

    #[test]
    fn every_limit_stands_once_and_is_kept_for_each_who_calls() {
        for (place, row) in LIMITS.iter().enumerate() {
            let same = |other: &Limit| (other.endpoint, other.per) == (row.endpoint, row.per);
            assert_eq!(
                LIMITS.iter().position(same),
                Some(place),
                "{row:?} stands twice"
            );
            let (subject, another) = match row.per {
                Per::Account => (Subject::Account("ada"), Some(Subject::Account("grace"))),
                Per::Address => {
                    let other = Subject::Address(address(2));
                    (Subject::Address(address(1)), Some(other))
                }
                Per::Client => (Subject::Client(id(1)), Some(Subject::Client(id(2)))),
                Per::Session => {
                    let session = |number| Subject::Session(Id::from_bytes([number; 16]));
                    (session(1), Some(session(2)))
                }
                Per::Grant => (Subject::Grant(id(1)), Some(Subject::Grant(id(2)))),
                Per::Sender => {
                    let other = Subject::Sender(id(1), id(3));
                    (Subject::Sender(id(1), id(2)), Some(other))
                }
                Per::Box => (Subject::Everybody, None),
            };
            let (throttle, burst) = (throttle(), row.burst.get());
            assert_eq!(
                allowed(&throttle, at(0), row.endpoint, subject),
                burst,
                "{row:?}"
            );
            let wait = throttle
                .check(at(0), row.endpoint, subject)
                .expect_err("one more");
            let period = row.period.as_millis().div_ceil(1_000);
            assert_eq!(u128::from(wait.seconds), period, "{row:?}");
            if let Some(another) = another {
                assert_eq!(
                    allowed(&throttle, at(0), row.endpoint, another),
                    burst,
                    "{row:?}"
                );
            }
            // Who waits as long as was asked gets through.
            assert_eq!(
                throttle.check(at(wait.seconds), row.endpoint, subject),
                Ok(()),
                "{row:?}"
            );
        }
    }

    #[test]
    fn an_account_rests_after_a_burst_from_wherever_it_comes() {
        let throttle = throttle();
        for attempt in 0..10 {
            assert_eq!(
                throttle.check_sign_in(at(0), "Ada", address(attempt)),
                Ok(())
            );
        }
        let wait = throttle
            .check_sign_in(at(0), " ada ", address(99))
            .expect_err("the eleventh");
        assert!((1..=10).contains(&wait.seconds), "{wait:?}");
        assert_eq!(throttle.check_sign_in(at(0), "grace", address(99)), Ok(()));
        assert_eq!(
            throttle.check_sign_in(at(wait.seconds), "ada", address(99)),
            Ok(())
        );
    }

    #[test]
    fn an_address_rests_whatever_names_it_tries() {
        let throttle = throttle();
        for attempt in 0..30 {
            let name = format!("user{attempt}");
            assert_eq!(throttle.check_sign_in(at(0), &name, address(1)), Ok(()));
        }
        assert!(throttle.check_sign_in(at(0), "user30", address(1)).is_err());
        assert_eq!(throttle.check_sign_in(at(0), "user30", address(2)), Ok(()));
    }

    /// Whoever knows a public client's name could otherwise keep all its users out.
    #[test]
    fn a_stranger_does_not_use_up_the_allowance_of_a_public_client() {
        let throttle = throttle();
        let of = |last| Subject::PublicClient(id(1), address(last));
        allowed(&throttle, at(0), Endpoint::Token, of(1));
        assert!(throttle.check(at(0), Endpoint::Token, of(1)).is_err());
        assert_eq!(throttle.check(at(0), Endpoint::Token, of(2)), Ok(()));
    }

    #[test]
    fn one_customer_is_one_address() {
        let of = |text: &str| address_key(text.parse::<Ipv6Addr>().expect(text).into());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:192.0.2.1"), address_key(address(1)));
    }

    /// Each of them is let in: a flood of addresses keeps nobody out who comes after it.
    #[test]
    fn a_million_addresses_take_no_more_memory_than_the_buckets() {
        let throttle = throttle();
        for number in 0..1_000_000_u128 {
            let address = Ipv6Addr::from((0x2001_0db8 << 96) | (number << 64)).into();
            let call = throttle.check(at(0), Endpoint::Token, Subject::Address(address));
            assert_eq!(call, Ok(()), "address number {number}");
        }
        let buckets = throttle.0.expect("it is on");
        let kept: usize = buckets
            .limiters
            .iter()
            .map(|(_, limiter)| limiter.len())
            .sum();
        assert!(
            kept > BUCKETS_MAX / 2 && kept <= BUCKETS_MAX,
            "{kept} buckets"
        );
    }

    #[test]
    fn strangers_alone_never_fill_the_box() {
        let row = LIMITS
            .iter()
            .find(|row| (row.endpoint, row.per) == (Endpoint::Registration, Per::Box))
            .expect("registration is limited for all together");
        let environment = [("HOME", "/nowhere")].into_iter().collect();
        let config = Config::load(&Flags::default(), &environment).expect("a configuration");
        let lifetime = config.lifetimes.unapproved_client_ttl;
        let registered =
            u128::from(row.burst.get()) + lifetime.as_millis() / row.period.as_millis();
        assert!(registered < CLIENTS_MAX as u128, "{registered}");
    }

    #[test]
    fn every_limit_is_documented() {
        let page = include_str!("../../docs/configuration.md");
        let rows = page.lines().filter_map(|line| line.strip_prefix("| "));
        let documented: Vec<&str> = rows.collect();
        for row in LIMITS {
            let what = match row.endpoint {
                Endpoint::SignIn => "A try at a password",
                Endpoint::SignInWarning => "Being told of too many tries",
                Endpoint::Token => "`POST /oauth2/token`",
                Endpoint::Revocation => "`POST /oauth2/revoke`",
                Endpoint::Registration => "`POST /oauth2/register`",
                Endpoint::Introspection => "`POST /oauth2/introspect`",
                Endpoint::DeviceAuthorization => "`POST /oauth2/device_authorization`",
                Endpoint::DeviceCode => "A try at a device's code",
                Endpoint::WebPush => "A browser that is to be pushed to, or a test push",
                Endpoint::Mcp => "A message at `/mcp`",
                Endpoint::Notification => "A notification that a program sends",
            };
            let whom = match row.per {
                Per::Account => "each account name",
                Per::Address => "each address",
                Per::Client => "each client",
                Per::Session => "each browser session",
                Per::Grant => "each grant",
                Per::Sender => "each sender, for each person who would read it",
                Per::Box => "all together",
            };
            let (burst, period) = (row.burst, humantime::format_duration(row.period));
            let expected = format!("{what} | {whom} | {burst} | {period} |");
            assert!(
                documented.contains(&expected.as_str()),
                "no row | {expected}"
            );
        }
    }

    /// Threat 14: guesses at the code of somebody's device.
    #[test]
    fn a_browser_that_guesses_codes_rests_wherever_it_goes() {
        let throttle = throttle();
        let session = |number| Id::from_bytes([number; 16]);
        let try_code =
            |number, last| throttle.check_device_code(at(0), session(number), address(last));
        for attempt in 0..10 {
            assert_eq!(try_code(1, attempt), Ok(()));
        }
        assert!(try_code(1, 99).is_err());
        assert_eq!(try_code(2, 99), Ok(()));
        for number in 0..30 {
            let _ = try_code(100 + number, 7);
        }
        assert!(try_code(250, 7).is_err());
    }

    #[test]
    fn off_is_off() {
        let throttle = Throttle::off();
        for _ in 0..1_000 {
            assert_eq!(throttle.check_sign_in(at(0), "ada", address(1)), Ok(()));
        }
    }
}
