//! A deployment to be asked.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, OnceLock},
    time::Duration,
};

use http::header::HOST;
use http_body_util::{BodyExt as _, Full};
use tokio::sync::watch;

use super::{
    browser::Browser,
    client_app::ClientApp,
    wire::{Answer, Ask, Fields},
};
use crate::{
    accounts::{
        claim,
        sessions::{self, SignInOrigin},
        users,
    },
    appliance::{Appliance, outbound::Ways, start},
    audit,
    config::{Config, flags::Flags},
    crypto::{entropy::Entropy, password},
    http::{
        dispatch::{Application, Dispatcher},
        limits::Limits,
        response::Response,
        server::Phase,
    },
    mcp::upstreams::{Connect, testing::Nowhere},
    model::{
        audit::{Actor, Origin},
        credential::Credential,
        timestamp::Timestamp,
        user::{Role, User},
    },
    oauth2provider::Moment,
    runtime::{
        clock::{Clock, ManualClock},
        entropy::SeededEntropy,
        outbound::Outbound,
    },
    store::{
        Store, StoreError, WriteTx,
        sweep::{Kept, Pass, Step},
    },
};

/// The public URL of a house on plain http.
pub(super) const LOCAL: &str = "http://localhost:8420";
/// The public URL of a house on https.
pub(super) const SECURE: &str = "https://box.example";
/// Everybody's password.
pub(super) const PASSWORD: &str = "correct horse battery";

/// When a house opens, unless a test has it otherwise.
pub(super) const NOON: Timestamp = Timestamp::from_millis(1_790_000_000_000);
const RATE_LIMIT_OFF: (&str, &str) = ("KEYSTEAD_RATE_LIMIT", "off");

/// A deployment with nobody in it, whose requests need no socket.
pub(super) struct House {
    pub(super) app: Arc<Appliance>,
    pub(super) store: Arc<Store>,
    pub(super) public_url: &'static str,
    clock: Arc<ManualClock>,
    dispatcher: Dispatcher<Appliance>,
}

impl House {
    /// On plain http, without rate limits.
    pub(super) fn open() -> Self {
        Self::with(LOCAL, &[RATE_LIMIT_OFF])
    }

    /// On https, without rate limits.
    pub(super) fn on_https() -> Self {
        Self::with(SECURE, &[RATE_LIMIT_OFF])
    }

    /// With the limits that a box in use has.
    pub(super) fn with_rate_limits() -> Self {
        Self::with(LOCAL, &[])
    }

    /// On plain http, without rate limits, and with that way to other servers.
    pub(super) fn with_outbound(outbound: Outbound) -> Self {
        Self::made_of(LOCAL, &[RATE_LIMIT_OFF], outbound, Arc::new(Nowhere))
    }

    /// On plain http, with everything on that is safe, without rate limits unless `variables` say
    /// otherwise, and with that way to push services.
    pub(super) fn with_push(outbound: Outbound, variables: &[(&str, &str)]) -> Self {
        let on = [("KEYSTEAD_EXPERIMENTS", "*"), RATE_LIMIT_OFF];
        let variables = [&on, variables].concat();
        Self::made_of(LOCAL, &variables, outbound, Arc::new(Nowhere))
    }

    /// The same, on what is in `store` and without rate limits.
    pub(super) fn with_push_on(store: Arc<Store>, outbound: Outbound) -> Self {
        let entropy: Arc<dyn Entropy> = Arc::new(SeededEntropy::new(2));
        let on = [("KEYSTEAD_EXPERIMENTS", "*"), RATE_LIMIT_OFF];
        let ways = Ways {
            outbound,
            upstreams: Arc::new(Nowhere),
        };
        Self::on(LOCAL, &on, ways, store, &entropy, NOON)
    }

    /// As these variables of the environment make it, without a way to other servers.
    pub(super) fn with(public_url: &'static str, variables: &[(&str, &str)]) -> Self {
        Self::made_of(public_url, variables, Outbound::off(), Arc::new(Nowhere))
    }

    /// On plain http, without rate limits, and with `upstreams` behind it.
    pub(super) fn with_upstreams(upstreams: Arc<dyn Connect>) -> Self {
        Self::made_of(LOCAL, &[RATE_LIMIT_OFF], Outbound::off(), upstreams)
    }

    fn made_of(
        public_url: &'static str,
        variables: &[(&str, &str)],
        outbound: Outbound,
        upstreams: Arc<dyn Connect>,
    ) -> Self {
        let entropy: Arc<dyn Entropy> = Arc::new(SeededEntropy::new(1));
        let store = Arc::new(in_memory(&*entropy));
        let ways = Ways {
            outbound,
            upstreams,
        };
        Self::on(public_url, variables, ways, store, &entropy, NOON)
    }

    /// On plain http, without rate limits, on what is in `store` at `now`. What is drawn at random
    /// must not be drawn again, so each house of one store has a seed of its own.
    pub(super) fn of_store(store: Arc<Store>, now: Timestamp, seed: u64) -> Self {
        let entropy: Arc<dyn Entropy> = Arc::new(SeededEntropy::new(seed));
        let variables = &[RATE_LIMIT_OFF];
        let ways = Ways {
            outbound: Outbound::off(),
            upstreams: Arc::new(Nowhere),
        };
        Self::on(LOCAL, variables, ways, store, &entropy, now)
    }

    fn on(
        public_url: &'static str,
        variables: &[(&str, &str)],
        ways: Ways,
        store: Arc<Store>,
        entropy: &Arc<dyn Entropy>,
        now: Timestamp,
    ) -> Self {
        let home = [("HOME", "/nowhere")];
        let environment = home.iter().chain(variables).copied().collect();
        let config = Config::load(&Flags::default(), &environment).expect("a configuration");
        let clock = Arc::new(ManualClock::new(now));
        let parsed = public_url.parse().expect("a public URL");
        let shared: Arc<dyn Clock> = Arc::clone(&clock) as _;
        let app = start::build(&config, parsed, &store, entropy, &shared, None, ways)
            .expect("an appliance");
        let phase = Arc::new(watch::Sender::new(Phase::Serving));
        let dispatcher = Dispatcher::new(Arc::clone(&app), Limits::default(), phase);
        Self {
            app,
            store,
            public_url,
            clock,
            dispatcher,
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(super) fn wait(&self, time: Duration) {
        self.clock.advance(time);
    }

    /// The answer to a request from this machine.
    pub(super) async fn ask(&self, ask: Ask) -> Answer {
        self.ask_from(Ipv4Addr::LOCALHOST.into(), ask).await
    }

    /// The answer to a request from `peer`. `Host` is ours where the request names none.
    pub(super) async fn ask_from(&self, peer: IpAddr, ask: Ask) -> Answer {
        let ours = self.app.web.provider.public_url.authority();
        asked_from(&self.dispatcher, peer, ours, ask).await
    }

    /// The answer to a request from `peer`, whose body is still to come.
    pub(super) async fn begin(&self, peer: IpAddr, ask: Ask) -> Response {
        let ours = self.app.web.provider.public_url.authority();
        begun_from(&self.dispatcher, peer, ours, ask).await
    }

    pub(super) async fn get(&self, target: &str) -> Answer {
        self.ask(Ask::get(target)).await
    }

    /// What the token endpoint says to `fields`.
    pub(super) async fn token(&self, fields: &Fields) -> Answer {
        self.ask(Ask::form("/oauth2/token", fields)).await
    }

    /// What the MCP endpoint says to a list of tools that is asked for with `token`.
    pub(super) async fn mcp(&self, token: &str) -> Answer {
        self.ask(list_tools("/mcp").bearer(token)).await
    }

    /// Does something for an administrator of the box.
    pub(super) async fn write<T: Send + 'static, E: From<StoreError> + Send + 'static>(
        &self,
        work: impl FnOnce(&mut WriteTx<'_>, Moment<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E> {
        self.app
            .web
            .write(Origin::local(self.now(), Actor::Administrator), work)
            .await
    }

    /// The hash of [`PASSWORD`].
    pub(super) fn password_hash() -> String {
        static HASH: OnceLock<String> = OnceLock::new();
        HASH.get_or_init(|| password::hash(PASSWORD, &[7; password::SALT_LEN]))
            .clone()
    }

    /// One whole pass of the sweeper at `now`, in one step, with the audit log kept for good.
    pub(super) async fn sweep(&self, now: Timestamp) -> Step {
        let pass = Pass::begin(now, Kept::FOR_GOOD);
        let swept = self
            .store
            .write(move |tx| audit::sweep(tx, now, pass, usize::MAX));
        swept.await.expect("a sweep")
    }

    /// A new account, with [`PASSWORD`].
    pub(super) async fn person(&self, name: &str, role: Role) -> User {
        let hash = Self::password_hash();
        let name = name.parse().expect("a name");
        let made = self.write(move |tx, moment| users::create(tx, moment.act(), name, role, hash));
        made.await.expect("an account")
    }

    /// A new member, at a browser that is signed in.
    pub(super) async fn member(&self, name: &str) -> Browser<'_> {
        let user = self.person(name, Role::Member).await;
        self.signed_in(&user).await
    }

    /// Another browser of `user`, signed in.
    pub(super) async fn signed_in(&self, user: &User) -> Browser<'_> {
        let (user, origin) = (user.clone(), origin());
        let opened = self.write(move |tx, moment| {
            let lifetimes = &moment.provider.lifetimes;
            sessions::open(tx, moment.act(), lifetimes, &user, &origin)
        });
        let session = opened.await.expect("the store writes").expect("a session");
        let mut browser = Browser::new(self);
        browser.keep(self.app.web.session_cookie(), &session.reveal());
        browser
    }

    /// A person whom nobody knows.
    pub(super) fn stranger(&self) -> Browser<'_> {
        Browser::new(self)
    }

    /// The path of a new claim link, as the server prints it when it starts.
    pub(super) async fn claim_path(&self) -> String {
        let opened = self.write(|tx, moment| {
            let ttl = moment.provider.lifetimes.claim_ttl;
            claim::open(tx, moment.now, moment.entropy, ttl)
        });
        let claim: Option<Credential> = opened.await.expect("the store writes");
        format!("/claim/{}", claim.expect("no owner yet").reveal())
    }

    /// Keeps `user` from signing in.
    pub(super) async fn disable(&self, user: &User) {
        let user = user.clone();
        let disabled = self.write(move |tx, moment| users::disable(tx, moment.act(), user));
        disabled.await.expect("an account that can be disabled");
    }

    /// A member at a browser, a public client, and the tokens that it got for everything.
    pub(super) async fn connected(&self) -> (Browser<'_>, ClientApp, Tokens) {
        let (ada, app) = (self.member("ada").await, ClientApp::public(self).await);
        let code = app.code(&ada).await;
        let tokens = Tokens::of(&self.token(&app.exchange(&code)).await);
        (ada, app, tokens)
    }
}

/// The answer of `dispatcher`, which is known as `host`, to a request from this machine.
pub(super) async fn asked<A: Application>(
    dispatcher: &Dispatcher<A>,
    host: &str,
    ask: Ask,
) -> Answer {
    asked_from(dispatcher, Ipv4Addr::LOCALHOST.into(), host, ask).await
}

async fn asked_from<A: Application>(
    dispatcher: &Dispatcher<A>,
    peer: IpAddr,
    host: &str,
    ask: Ask,
) -> Answer {
    let answer = begun_from(dispatcher, peer, host, ask).await;
    let (parts, body) = answer.into_parts();
    let Ok(body) = body.collect().await;
    Answer {
        status: parts.status.as_u16(),
        headers: parts.headers,
        body: String::from_utf8(body.to_bytes().into()).expect("answers are UTF-8"),
    }
}

async fn begun_from<A: Application>(
    dispatcher: &Dispatcher<A>,
    peer: IpAddr,
    host: &str,
    ask: Ask,
) -> Response {
    let mut request = http::Request::new(Full::from(ask.body));
    *request.method_mut() = ask.method;
    *request.uri_mut() = ask.target.parse().expect("a target");
    *request.headers_mut() = ask.headers;
    // As hyper does for every request that wants to become something else.
    let upgrade = hyper::upgrade::on(&mut request);
    request.extensions_mut().insert(upgrade);
    request
        .headers_mut()
        .entry(HOST)
        .or_insert_with(|| host.parse().expect("a host"));
    dispatcher.answer(peer, request).await
}

fn in_memory(entropy: &dyn Entropy) -> Store {
    // It is made by waiting for its writer, which no thread of a runtime may do.
    std::thread::scope(|scope| {
        let made = scope.spawn(|| Store::in_memory(entropy));
        made.join().expect("no panic").expect("a store in memory")
    })
}

pub(super) fn origin() -> SignInOrigin {
    SignInOrigin {
        browser: "a browser".to_owned(),
        address: Ipv4Addr::LOCALHOST.into(),
    }
}

/// A request for the list of tools at `path`, without a credential.
pub(super) fn list_tools(path: &str) -> Ask {
    let message = serde_json::json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" });
    Ask::json(path, &message)
        .header("accept", "application/json, text/event-stream")
        .header("mcp-protocol-version", "2025-11-25")
}

/// What a client got.
#[derive(Clone, Debug)]
pub(super) struct Tokens {
    pub(super) access: String,
    pub(super) refresh: String,
    pub(super) scope: String,
}

impl Tokens {
    #[track_caller]
    pub(super) fn of(answer: &Answer) -> Self {
        assert_eq!(answer.status, 200, "{answer:#?}");
        Self {
            access: answer.text("access_token"),
            refresh: answer.text("refresh_token"),
            scope: answer.text("scope"),
        }
    }
}
