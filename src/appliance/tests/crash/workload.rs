//! Everything that OAuth clients, people and administrators do, each scene by somebody of its own.
//!
//! A scene that meets a fault ends there: what it had asked for may be either way.

use std::time::Duration;

use serde_json::json;

use super::journal::{Given, Journal, Thing};
use crate::{
    accounts::{sessions, users},
    appliance::tests::{
        administered::{self, Credentials},
        browser::{Browser, Form},
        client_app::{CALLBACK, ClientApp, public_at},
        house::{House, PASSWORD, Tokens, origin},
        wire::{Answer, Ask, Fields},
    },
    audit,
    model::{
        credential::Credential,
        oauth2::client::GrantType,
        user::{Role, User},
    },
    oauth2provider::{app_secrets, apps},
    store::{
        StoreError,
        sweep::{Kept, Pass},
    },
};

const DEVICE_GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";
/// How long a device waits before it polls.
const INTERVAL: Duration = Duration::from_secs(5);
/// So few rows that a sweep has many steps.
const STEP_ROWS: usize = 8;
const DAY: Duration = Duration::from_hours(25);

/// The store failed a request.
#[derive(Debug)]
pub(super) struct Faulted;

type Outcome<T = ()> = Result<T, Faulted>;

/// The answer, which has to have that status or be a fault.
#[track_caller]
fn taken(answer: Answer, status: u16) -> Outcome<Answer> {
    if matches!(answer.status, 500 | 503) {
        return Err(Faulted);
    }
    Ok(answer.expect(status))
}

/// Whom a scene is about, and what they were given.
struct Scene<'a> {
    house: &'a House,
    journal: &'a Journal,
}

/// What an app got.
struct Connected {
    app: ClientApp,
    tokens: Tokens,
    access: Given,
    refresh: Given,
}

impl Connected {
    fn all(&self) -> [Given; 2] {
        [self.access, self.refresh]
    }
}

/// Plays every scene, four at a time. How many of them met a fault.
pub(super) async fn play(house: &House, journal: &Journal) -> usize {
    let scene = Scene { house, journal };
    let together = tokio::join!(
        scene.refresh("ann"),
        scene.revoke("ben"),
        scene.device("cid"),
        scene.serve_itself(),
    );
    let then = tokio::join!(
        scene.replay("dan"),
        scene.take_back("eve"),
        scene.disable("fay"),
        scene.sign_in_and_out("gus"),
    );
    let last = tokio::join!(scene.leave("hal"), scene.replace_registration());
    let swept = scene.sweep().await;
    [
        together.0, together.1, together.2, together.3, then.0, then.1, then.2, then.3, last.0,
        last.1, swept,
    ]
    .iter()
    .filter(|outcome| outcome.is_err())
    .count()
}

impl<'a> Scene<'a> {
    /// Rotates a refresh token again and again.
    async fn refresh(&self, name: &str) -> Outcome {
        let (_, browser) = self.member(name).await?;
        let mut connected = self.connect(&browser).await?;
        for _ in 0..4 {
            connected = self.rotate(connected).await?;
        }
        Ok(())
    }

    /// Revokes one access token, then everything.
    async fn revoke(&self, name: &str) -> Outcome {
        let (_, browser) = self.member(name).await?;
        let connected = self.connect(&browser).await?;
        let (app, tokens) = (&connected.app, &connected.tokens);
        let access = [connected.access];
        self.end(&access, app.revoking(&tokens.access), 200).await?;
        let next = self.rotate(connected).await?;
        let ask = next.app.revoking(&next.tokens.refresh);
        self.end(&next.all(), ask, 200).await
    }

    /// Gets tokens for a device that shows a code.
    async fn device(&self, name: &str) -> Outcome {
        let (_, mut browser) = self.member(name).await?;
        let app = self.device_app().await?;
        let form = app.identified(&[("scope", "user:read")]);
        let begun = Ask::form("/oauth2/device_authorization", &form);
        let begun = taken(self.house.ask(begun).await, 200)?;
        let page = browser.open_form("/device", "/device").await;
        let entered = page.with("user_code", &begun.text("user_code"));
        let entered = taken(browser.submit(&entered).await, 303)?;
        let page = taken(browser.get(entered.location()).await, 200)?;
        let page = Form::find(&page.body, "/device/consent");
        let allowed = page.fields.with("decision", "allow");
        taken(browser.post(&page.action, &allowed).await, 303)?;
        let code = begun.text("device_code");
        let form = app.identified(&[("grant_type", DEVICE_GRANT), ("device_code", &code)]);
        let code = [self.journal.given(Thing::Device(form.clone()))];
        self.journal.wait(self.house, INTERVAL);
        self.journal.ending(&code);
        let answer = taken(self.house.token(&form).await, 200)?;
        self.journal.ended(&code);
        let connected = self.connected(app, &answer);
        self.rotate(connected).await.map(drop)
    }

    /// Acts for itself with one secret, then with another.
    async fn serve_itself(&self) -> Outcome {
        let metadata = administered::job(&[GrantType::ClientCredentials], Some("user:read"));
        let made = self.house.write(|tx, moment| {
            apps::create(tx, moment.act(), metadata, apps::FirstSecret::AtOnce)
        });
        let (client, first) = made.await.map_err(|_| Faulted)?;
        let first = first.expect("a secret");
        let first_id = first.id();
        let credentials = |secret: &Credential| Credentials {
            id: client.id.to_string(),
            secret: secret.reveal(),
        };
        let first = credentials(&first);
        let secret = self.journal.given(Thing::Secret(first.clone()));
        let token = self.own_token(&first).await?;
        let id = client.id;
        let added = self
            .house
            .write(move |tx, moment| app_secrets::add(tx, moment.act(), id));
        let second = credentials(&added.await.map_err(|_| Faulted)?);
        self.journal.given(Thing::Secret(second.clone()));
        self.journal.ending(&[secret, token]);
        let removed = self
            .house
            .write(move |tx, moment| app_secrets::remove(tx, moment.by, id, first_id));
        assert!(removed.await.map_err(|_: StoreError| Faulted)?);
        self.journal.ended(&[secret, token]);
        self.own_token(&second).await.map(drop)
    }

    async fn own_token(&self, client: &Credentials) -> Outcome<Given> {
        let form = client.identified(&[("grant_type", "client_credentials")]);
        let answer = taken(self.house.token(&form).await, 200)?;
        let (client, token) = (client.clone(), answer.text("access_token"));
        Ok(self.journal.given(Thing::Own { client, token }))
    }

    /// Uses a refresh token a second time when it is too late for that.
    async fn replay(&self, name: &str) -> Outcome {
        let (_, browser) = self.member(name).await?;
        let first = self.connect(&browser).await?;
        let (app, access) = (first.app.clone(), first.access);
        let old = app.refreshing(&first.tokens.refresh);
        let second = self.rotate(first).await?;
        let window = self.house.app.web.provider.lifetimes.replay_window;
        self.journal
            .wait(self.house, window + Duration::from_secs(1));
        let all = [access, second.access, second.refresh];
        self.journal.ending(&all);
        taken(self.house.token(&old).await, 400)?;
        self.journal.ended(&all);
        Ok(())
    }

    /// Takes a grant back on the account page.
    async fn take_back(&self, name: &str) -> Outcome {
        let (_, browser) = self.member(name).await?;
        let connected = self.connect(&browser).await?;
        let page = taken(browser.get("/account").await, 200)?;
        let grant = Form::all(&page.body)
            .into_iter()
            .find(|form| form.action.starts_with("/account/grants/"))
            .expect("a grant");
        let ask = browser.dress(Ask::form(&grant.action, &grant.fields));
        self.end(&connected.all(), ask, 303).await
    }

    /// Disables somebody who is connected.
    async fn disable(&self, name: &str) -> Outcome {
        let (user, browser) = self.member(name).await?;
        let connected = self.connect(&browser).await?;
        let cookie = self.house.app.web.session_cookie();
        let cookie = browser.cookie(cookie).expect("signed in").to_owned();
        let session = self.journal.given(Thing::Session(cookie));
        let all = [connected.access, connected.refresh, session];
        self.journal.ending(&all);
        let disabled = self
            .house
            .write(move |tx, moment| users::disable(tx, moment.act(), user));
        disabled.await.map_err(|_| Faulted)?;
        self.journal.ended(&all);
        Ok(())
    }

    /// Signs in with a password, and out.
    async fn sign_in_and_out(&self, name: &str) -> Outcome {
        self.user(name).await?;
        let mut browser = self.house.stranger();
        let form = browser.open_form("/sign-in", "/sign-in").await;
        let form = form.with("username", name).with("password", PASSWORD);
        taken(browser.submit(&form).await, 303)?;
        let cookie = self.house.app.web.session_cookie();
        let cookie = browser.cookie(cookie).expect("signed in").to_owned();
        let session = [self.journal.given(Thing::Session(cookie))];
        let page = taken(browser.get("/account").await, 200)?;
        let form = Form::find(&page.body, "/sign-out");
        let ask = browser.dress(Ask::form(&form.action, &form.fields));
        self.end(&session, ask, 303).await
    }

    /// Gets a code and does not come for its tokens; stays signed in.
    async fn leave(&self, name: &str) -> Outcome {
        let (_, browser) = self.member(name).await?;
        let cookie = self.house.app.web.session_cookie();
        let cookie = browser.cookie(cookie).expect("signed in").to_owned();
        self.journal.given(Thing::Session(cookie));
        let app = self.app().await?;
        self.code(&browser, &app).await.map(drop)
    }

    /// Replaces the registration of a client.
    async fn replace_registration(&self) -> Outcome {
        let app = self.app().await?;
        let mut changed = public_at(CALLBACK);
        changed["client_name"] = json!("Another name");
        taken(app.replace(self.house, &changed).await, 200)?;
        Ok(())
    }

    /// Sweeps out what has ended within a day.
    async fn sweep(&self) -> Outcome {
        self.journal.a_day_passes();
        self.journal.wait(self.house, DAY);
        let now = self.house.now();
        let mut pass = Pass::begin(
            now,
            Kept {
                audit: Duration::from_hours(1),
                notifications: Duration::from_hours(1),
            },
        );
        while !pass.is_over() {
            let swept = self
                .house
                .write(move |tx, _| audit::sweep(tx, now, pass, STEP_ROWS));
            pass = swept.await.map_err(|_: StoreError| Faulted)?.pass;
        }
        Ok(())
    }

    /// Asks for what ends `given`.
    async fn end(&self, given: &[Given], ask: Ask, status: u16) -> Outcome {
        self.journal.ending(given);
        taken(self.house.ask(ask).await, status)?;
        self.journal.ended(given);
        Ok(())
    }

    async fn user(&self, name: &str) -> Outcome<User> {
        let name = name.parse().expect("a name");
        let made = self.house.write(move |tx, moment| {
            users::create(tx, moment.act(), name, Role::Member, House::password_hash())
        });
        made.await.map_err(|_| Faulted)
    }

    /// A new account, at a browser that is signed in.
    async fn member(&self, name: &str) -> Outcome<(User, Browser<'a>)> {
        let user = self.user(name).await?;
        let who = user.clone();
        let opened = self.house.write(move |tx, moment| {
            let lifetimes = &moment.provider.lifetimes;
            sessions::open(tx, moment.act(), lifetimes, &who, &origin())
        });
        let session = opened.await.map_err(|_| Faulted)?.expect("a session");
        let mut browser = self.house.stranger();
        browser.keep(self.house.app.web.session_cookie(), &session.reveal());
        Ok((user, browser))
    }

    async fn app(&self) -> Outcome<ClientApp> {
        let ask = Ask::json("/oauth2/register", &public_at(CALLBACK));
        let app = ClientApp::of(&taken(self.house.ask(ask).await, 201)?);
        self.journal.given(Thing::Registration(app.clone()));
        Ok(app)
    }

    async fn device_app(&self) -> Outcome<ClientApp> {
        let metadata = json!({
            "client_name": "A television",
            "grant_types": [DEVICE_GRANT, "refresh_token"],
            "token_endpoint_auth_method": "none",
        });
        let ask = Ask::json("/oauth2/register", &metadata);
        let registered = taken(self.house.ask(ask).await, 201)?;
        Ok(ClientApp {
            id: registered.text("client_id"),
            secret: None,
            registration_token: registered.text("registration_access_token"),
            redirect_uri: String::new(),
            resource: String::new(),
        })
    }

    async fn code(&self, browser: &Browser<'_>, app: &ClientApp) -> Outcome<(String, Given)> {
        let page = taken(browser.authorize(&app.request()).await, 200)?;
        let fields = Form::find(&page.body, "/oauth2/authorize").fields;
        let code = taken(browser.decide(&fields).await, 303)?.code();
        let (app, given) = (app.clone(), code.clone());
        let given = self.journal.given(Thing::Code { app, code: given });
        Ok((code, given))
    }

    /// Registers an app, allows it everything and gets its tokens.
    async fn connect(&self, browser: &Browser<'_>) -> Outcome<Connected> {
        let app = self.app().await?;
        let (code, given) = self.code(browser, &app).await?;
        let exchange: Fields = app.exchange(&code);
        self.journal.ending(&[given]);
        let answer = taken(self.house.token(&exchange).await, 200)?;
        self.journal.ended(&[given]);
        Ok(self.connected(app, &answer))
    }

    fn connected(&self, app: ClientApp, answer: &Answer) -> Connected {
        let tokens = Tokens::of(answer);
        let access = self.journal.given(Thing::Access(tokens.access.clone()));
        let refresh = self.journal.given(Thing::Refresh {
            app: app.clone(),
            token: tokens.refresh.clone(),
        });
        Connected {
            app,
            tokens,
            access,
            refresh,
        }
    }

    async fn rotate(&self, connected: Connected) -> Outcome<Connected> {
        let Connected { app, tokens, .. } = &connected;
        self.journal.ending(&[connected.refresh]);
        let answer = taken(
            self.house.token(&app.refreshing(&tokens.refresh)).await,
            200,
        )?;
        self.journal.ended(&[connected.refresh]);
        Ok(self.connected(connected.app, &answer))
    }
}
