//! Contract §6, "Web push", and issue 6 point 3: who may subscribe what, and what becomes of a message.
//! Threats 24 and 40: what a push service can do to this server, and what it can be made to call.

mod delivery;
mod subscriptions;

use std::{collections::BTreeSet, panic::Location, sync::Arc, time::Duration};

use http::Method;
use serde_json::{Value, json};
use tokio::{
    sync::Notify,
    task::JoinHandle,
    time::{Instant, sleep},
};

use super::{
    browser::Browser,
    house::{House, LOCAL},
    wire::{Answer, Ask},
};
use crate::{
    appliance::deliverer::{PAUSE, deliver_due, deliver_for_ever, prepare},
    crypto::web_push::VapidKey,
    model::{
        id::Id,
        notification::{Button, Sender, Template, Urgency},
        push::{PushKeys, QueuedPush, Subscription},
        user::{Role, User},
    },
    notifications::{self, ATTEMPTS_MAX, Message, PUSH_TTL, Told},
    runtime::{
        entropy::SeededEntropy,
        log_lines::testing::Lines,
        outbound::{
            Outbound,
            testing::{Asked, GLOBAL, Says, Script, World, answer, served},
        },
    },
    store::{
        Read as _, StoreError, Table,
        pushes::{self, QUEUE_PER_USER_MAX, SUBSCRIPTIONS_PER_USER_MAX},
        sessions,
        testing::{Disk, Fault},
        users,
    },
};

/// The browser of RFC 8291, appendix A.
const P256DH: &str =
    "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";
const AUTH: &str = "BTBZMqHH6r4Tts7J_aSIgg";
/// Longer than anything here takes.
const SOON: Duration = Duration::from_mins(1);
/// Longer than a busy machine takes to begin all tries, and shorter than a push service of the tests
/// is silent.
const PATIENCE: Duration = Duration::from_secs(40);

/// A deployment that pushes, and the push service that it reaches.
struct Setting {
    house: House,
    asked: Asked,
    script: Script,
}

impl Setting {
    async fn where_names_are(answers: &[&[&str]], variables: &[(&str, &str)]) -> Self {
        Self::reaching(served(answers, status("201 Created")).await, variables).await
    }

    /// With push services that are waited for as long as a busy machine may want.
    async fn patient() -> Self {
        let world = served(&[&[GLOBAL]], status("201 Created")).await;
        let outbound = world.outbound.within(PATIENCE);
        Self::reaching(World { outbound, ..world }, &[]).await
    }

    async fn reaching(world: World, variables: &[(&str, &str)]) -> Self {
        let World {
            asked,
            outbound,
            script,
        } = world;
        let house = House::with_push(outbound, variables);
        prepare(&house.app.web).await.expect("a pair");
        Self {
            house,
            asked,
            script,
        }
    }

    /// With its data on `disk`.
    async fn on(disk: &Disk) -> Self {
        let store = disk.store(&SeededEntropy::new(1)).expect("a store");
        let world = served(&[&[GLOBAL]], status("201 Created")).await;
        let house = House::with_push_on(Arc::new(store), world.outbound);
        prepare(&house.app.web).await.expect("a pair");
        Self {
            house,
            asked: world.asked,
            script: world.script,
        }
    }

    async fn open() -> Self {
        Self::where_names_are(&[&[GLOBAL]], &[]).await
    }

    /// A browser of `user` that is told at `path`, and was never tried.
    async fn browser(&self, user: &User, path: &str) -> Id {
        let (user_id, path) = (user.id, path.to_owned());
        let added = self.house.write(move |tx, moment| {
            let endpoint = at(&path).parse().expect("an endpoint");
            let subscription = notifications::subscription(moment.act(), user_id, endpoint, keys());
            assert!(notifications::subscribe(tx, moment.by, &subscription)?);
            Ok::<_, StoreError>(subscription.id)
        });
        added.await.expect("a write")
    }

    async fn tell(&self, user: &User, title: &str) -> usize {
        tell(&self.house, user, title).await
    }

    async fn deliver(&self) {
        deliver_due(&self.house.app.web, &self.house.app.clock).await;
    }

    /// The deliverer as a server has it, until it is aborted.
    fn deliverer(&self) -> JoinHandle<()> {
        let (web, clock) = (&self.house.app.web, &self.house.app.clock);
        tokio::spawn(deliver_for_ever(Arc::clone(web), Arc::clone(clock)))
    }

    fn queued(&self) -> Vec<QueuedPush> {
        let queued = self.house.store.read(|tx| {
            let mut queued = Vec::new();
            for user in users::list(tx)? {
                queued.extend(pushes::queue_of_user(tx, user.id, QUEUE_PER_USER_MAX)?);
            }
            Ok::<_, StoreError>(queued)
        });
        queued.expect("a read")
    }

    fn browsers(&self, user: &User) -> Vec<Subscription> {
        let found = self
            .house
            .store
            .read(|tx| pushes::list_of_user(tx, user.id));
        found.expect("a read")
    }

    /// How often each path was asked, `POST` by `POST`.
    fn asked_at(&self, path: &str) -> Vec<String> {
        let mut requests = self.asked.requests();
        requests.retain(|head| head.starts_with(&format!("POST {path} ")));
        requests
    }
}

/// Waits for `is_so`, which nothing here takes longer to become than [`SOON`].
#[track_caller]
fn soon(is_so: impl Fn() -> bool) -> impl Future<Output = ()> {
    let caller = Location::caller();
    async move {
        let begun = Instant::now();
        while !is_so() {
            assert!(begun.elapsed() < SOON, "{caller}: it never became so");
            sleep(Duration::from_millis(10)).await;
        }
    }
}

async fn tell(house: &House, user: &User, title: &str) -> usize {
    let (user_id, title) = (user.id, title.to_owned());
    let told = house.write(move |tx, moment| {
        let message = Message {
            template: Template::Custom,
            targets: Vec::new(),
            title,
            content: "A text".to_owned(),
            actions: vec![Button {
                label: "Look".to_owned(),
                url: "/account".parse().expect("a link"),
            }],
            urgency: Urgency::High,
            sender: Sender::Administrator,
        };
        notifications::send(tx, moment.act(), user_id, message)
    });
    match told.await.map_err(|fault: StoreError| fault) {
        Ok(Ok(Told::Kept { pushes, .. })) => pushes,
        other => panic!("{other:?}"),
    }
}

fn at(path: &str) -> String {
    format!("https://app.example{path}")
}

fn keys() -> PushKeys {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    let bytes = |text| URL_SAFE_NO_PAD.decode(text).expect("base64url");
    PushKeys::new(&bytes(P256DH), &bytes(AUTH)).expect("keys")
}

fn status(line: &str) -> Says {
    Says::Bytes(answer(line, "", ""))
}

#[track_caller]
fn header<'a>(head: &'a str, name: &str) -> &'a str {
    let value = head.lines().find_map(|line| {
        let (found, value) = line.split_once(": ")?;
        found.eq_ignore_ascii_case(name).then_some(value)
    });
    value.unwrap_or_else(|| panic!("no {name}: {head}"))
}
