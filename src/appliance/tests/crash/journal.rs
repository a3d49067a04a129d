//! What was answered, and so what must hold after a crash or a fault.

use std::{cell::RefCell, time::Duration};

use crate::{
    appliance::tests::{
        administered::Credentials,
        client_app::ClientApp,
        house::House,
        wire::{Answer, Ask, Fields},
    },
    model::timestamp::Timestamp,
    store::testing::Disk,
};

/// Something that somebody was given and may rely on.
#[derive(Clone, Debug)]
pub(super) enum Thing {
    /// An access token for the MCP endpoint.
    Access(String),
    /// An access token of a client for itself.
    Own { client: Credentials, token: String },
    /// The cookie of a browser session.
    Session(String),
    /// What a client manages its registration with.
    Registration(ClientApp),
    /// A client's secret.
    Secret(Credentials),
    /// A refresh token.
    Refresh { app: ClientApp, token: String },
    /// An authorization code.
    Code { app: ClientApp, code: String },
    /// A device code that was allowed, in the form that polls with it.
    Device(Fields),
}

impl Thing {
    /// Whether trying it uses it up.
    fn is_of_single_use(&self) -> bool {
        matches!(
            self,
            Self::Refresh { .. } | Self::Code { .. } | Self::Device(_)
        )
    }

    /// Whether it works at `house`.
    async fn works(&self, house: &House) -> bool {
        match self {
            Self::Access(token) => is(200, 401, &house.mcp(token).await),
            Self::Own { client, token } => {
                let answer = client.introspect(house, token).await;
                is(200, 401, &answer) && answer.json()["active"] == true
            }
            Self::Session(cookie) => {
                let mut browser = house.stranger();
                browser.keep(house.app.web.session_cookie(), cookie);
                is(200, 303, &browser.get("/account").await)
            }
            Self::Registration(app) => {
                let ask = Ask::get(&app.path()).bearer(&app.registration_token);
                is(200, 401, &house.ask(ask).await)
            }
            Self::Secret(client) => {
                let form = client.identified(&[("grant_type", "client_credentials")]);
                is(200, 401, &house.token(&form).await)
            }
            Self::Refresh { app, token } => {
                is(200, 400, &house.token(&app.refreshing(token)).await)
            }
            Self::Code { app, code } => is(200, 400, &house.token(&app.exchange(code)).await),
            Self::Device(form) => is(200, 400, &house.token(form).await),
        }
    }
}

#[track_caller]
fn is(yes: u16, no: u16, answer: &Answer) -> bool {
    assert!([yes, no].contains(&answer.status), "{answer:#?}");
    answer.status == yes
}

/// A thing, and from which places of the disk's record on it works and works no more.
#[derive(Clone, Debug)]
struct Promise {
    thing: Thing,
    given: usize,
    /// Its end was asked for: from here on either may be.
    ending: Option<usize>,
    /// Its end was answered.
    ended: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    Works,
    Gone,
    Either,
}

impl Promise {
    /// What is expected after a cut behind `cut` operations.
    fn at(&self, cut: usize) -> Expected {
        if self.ended.is_some_and(|ended| ended <= cut) {
            return Expected::Gone;
        }
        if self.given > cut || self.ending.is_some_and(|ending| ending < cut) {
            return Expected::Either;
        }
        Expected::Works
    }
}

/// Which promise.
#[derive(Clone, Copy, Debug)]
pub(super) struct Given(usize);

/// Everything that was promised, by place in the record of a disk.
pub(super) struct Journal {
    disk: Disk,
    promises: RefCell<Vec<Promise>>,
    clock: RefCell<Vec<(usize, Timestamp)>>,
}

impl Journal {
    pub(super) fn new(disk: &Disk, now: Timestamp) -> Self {
        Self {
            disk: disk.clone(),
            promises: RefCell::default(),
            clock: RefCell::new(vec![(0, now)]),
        }
    }

    /// Somebody was given `thing` just now.
    pub(super) fn given(&self, thing: Thing) -> Given {
        let mut promises = self.promises.borrow_mut();
        promises.push(Promise {
            thing,
            given: self.disk.position(),
            ending: None,
            ended: None,
        });
        Given(promises.len() - 1)
    }

    /// The end of these is about to be asked for.
    pub(super) fn ending(&self, given: &[Given]) {
        for Given(number) in given {
            self.promises.borrow_mut()[*number].ending = Some(self.disk.position());
        }
    }

    /// The end of these was answered just now.
    pub(super) fn ended(&self, given: &[Given]) {
        for Given(number) in given {
            self.promises.borrow_mut()[*number].ended = Some(self.disk.position());
        }
    }

    /// Everything but what lasts for days may end from here on, by itself.
    pub(super) fn a_day_passes(&self) {
        for promise in &mut *self.promises.borrow_mut() {
            match promise.thing {
                Thing::Registration(_) | Thing::Secret(_) | Thing::Refresh { .. } => {}
                _ => promise.ending = promise.ending.or(Some(self.disk.position())),
            }
        }
    }

    /// Lets time pass at `house`.
    pub(super) fn wait(&self, house: &House, time: Duration) {
        house.wait(time);
        let place = self.disk.position();
        self.clock.borrow_mut().push((place, house.now()));
    }

    /// The time at a cut behind `cut` operations.
    pub(super) fn time_at(&self, cut: usize) -> Timestamp {
        let clock = self.clock.borrow();
        let passed = clock.iter().take_while(|(place, _)| *place < cut.max(1));
        passed.last().expect("it began at 0").1
    }

    /// Holds `house` to everything that had been answered before a cut behind `cut` operations.
    pub(super) async fn hold_to(&self, house: &House, cut: usize) {
        let promises = self.promises.borrow().clone();
        for is_of_single_use in [false, true] {
            for promise in &promises {
                let expected = promise.at(cut);
                // That something is gone is told by using it, which ends what came of it.
                let is_next = promise.thing.is_of_single_use() == is_of_single_use
                    && (expected == Expected::Works || !is_of_single_use);
                if is_next && expected != Expected::Either {
                    let works = promise.thing.works(house).await;
                    assert_eq!(works, expected == Expected::Works, "{cut}: {promise:#?}");
                }
            }
        }
        house.wait(house.app.web.provider.lifetimes.replay_window + Duration::from_secs(1));
        for promise in &promises {
            if promise.at(cut) == Expected::Gone && promise.thing.is_of_single_use() {
                assert!(!promise.thing.works(house).await, "{cut}: {promise:#?}");
            }
        }
    }
}
