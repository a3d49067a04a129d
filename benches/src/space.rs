//! How large the data file gets while tokens come and go: a million cycles of issue, rotation and
//! expiry, with the sweeper as the server has it. `keystead-space DIRECTORY [CYCLES]`. Without
//! cycles (0), it measures only how long the largest single writes keep the writer.
//!
//! Time is simulated, so that everything ends within the run: ten days pass. The disk is real.

use std::{
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};

use keystead::{
    audit::{self, Act},
    crypto::{digest::Digest, entropy::random},
    model::{
        audit::{Action, Actor, Change, Object, Origin},
        id::Id,
        oauth2::{
            client::{AuthMethod, Client, ClientMetadata, ClientName, ClientOrigin},
            code::{AuthorizationCode, CodeStage},
            grant::Grant,
            resource::ResourceUri,
            scope::ScopeSet,
            token::{AccessToken, Holder, Predecessor, RefreshChain, TokenFamily},
        },
        timestamp::Timestamp,
    },
    oauth2provider::{
        apps::{self, AppFields},
        revoke,
    },
    runtime::entropy::SeededEntropy,
    store::{
        Answer, Keys, Read as _, Store, StoreError, TABLES, WriteTx, clients, codes, grants,
        pace::Pace,
        sweep::{self, Kept, Pass},
        tokens,
    },
};

const CYCLES: u64 = 1_000_000;
/// The simulated time that all cycles take together.
const RUN: Duration = Duration::from_hours(240);
/// Cycles that share a commit, as they do with as many connections.
const BATCH: u64 = 64;
/// Access tokens of a family, one after the other.
const ROTATIONS: u64 = 10;
const ACCESS_TTL: Duration = Duration::from_hours(1);
const FAMILY_TTL: Duration = Duration::from_hours(48);
const CODE_TTL: Duration = Duration::from_mins(1);
const KEPT: Kept = Kept {
    audit: Duration::from_hours(24),
    notifications: Duration::from_hours(24),
};
/// The sweeper passes that often.
const PERIOD: Duration = Duration::from_mins(1);
const START: Timestamp = Timestamp::from_millis(1_790_000_000_000);
/// Rows that are read at a time to add up their bytes.
const PAGE: usize = 10_000;
/// Lines of the table that is printed.
const LINES: u64 = 10;

type Fault = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match run(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("keystead-space: {fault}");
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[String]) -> Result<(), Fault> {
    let (directory, cycles) = match words {
        [directory] => (directory, CYCLES),
        [directory, cycles] => (directory, cycles.parse()?),
        _ => return Err("expected a directory, and maybe a number of cycles".into()),
    };
    print_largest_writes()?;
    if cycles == 0 {
        return Ok(());
    }
    let path = Path::new(directory).join("space.redb");
    let entropy = SeededEntropy::new(1);
    let store = Store::open(&path, &entropy)?;
    let mut box_ = Deployment::new(store, entropy, cycles);
    println!("| cycles | rows | live bytes | file bytes | factor |\n|---|---|---|---|---|");
    while box_.cycle < cycles {
        box_.issue_batch()?;
        box_.sweep_when_due()?;
        if box_.cycle % (cycles / LINES) < BATCH {
            print_line(&box_, &path)?;
        }
    }
    box_.now = box_.now.after(RUN);
    box_.sweep()?;
    print_line(&box_, &path)?;
    println!();
    print_times("commits of 64 writes", box_.batches);
    print_times("steps of the sweeper, with their commit", box_.steps);
    Ok(())
}

fn print_times(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    println!(
        "{what}: {}, median {:?}, 99 of 100 within {:?}, longest {:?}",
        times.len(),
        times[times.len() / 2],
        times[times.len() * 99 / 100],
        times[times.len() - 1]
    );
}

/// One write each, in memory, so that what is measured is the writer and not the disk.
fn print_largest_writes() -> Result<(), Fault> {
    let (user, client) = (Id::from_bytes([1; 16]), Id::from_bytes([7; 16]));
    println!("| the largest writes, without the disk | grants | time |\n|---|---|---|");
    let given = grants::GRANTS_PER_USER_MAX;
    print_write(
        "everything that a person allowed an app is taken back",
        given,
        move |tx, act| {
            let ended = revoke::revoke_grants_of_client(tx, act.by, user, client)?;
            assert_eq!(ended, grants::GRANTS_PER_USER_MAX);
            Ok(())
        },
    )?;
    let given = grants::GRANTS_PER_CLIENT_MAX;
    print_write("an app is removed", given, move |tx, act| {
        assert!(apps::remove(tx, act, client)?);
        Ok(())
    })?;
    println!();
    Ok(())
}

fn print_write(
    what: &str,
    given: usize,
    work: impl FnOnce(&mut WriteTx<'_>, Act<'_>) -> Result<(), StoreError> + Send + 'static,
) -> Result<(), Fault> {
    let store = Store::in_memory(&SeededEntropy::new(1))?;
    let filled = store.write(move |tx| {
        let client = Client {
            id: Id::from_bytes([7; 16]),
            origin: ClientOrigin::Administrator,
            metadata: metadata(),
            registration_digest: None,
            created_at: START,
            updated_at: START,
            approved_at: None,
            last_used_at: None,
        };
        clients::put(tx, &client)?;
        let entropy = SeededEntropy::new(2);
        for number in 0..given {
            let now = START.after(Duration::from_millis(u64::try_from(number).unwrap_or(0)));
            // As many people as the client's grants need.
            let user = u8::try_from(number / grants::GRANTS_PER_USER_MAX).unwrap_or(0) + 1;
            let family = TokenFamily {
                client_id: client.id,
                ..family(&entropy, now, Id::from_bytes([user; 16]))
            };
            add_grant(tx, &family, now)?;
        }
        Ok::<_, StoreError>(())
    });
    filled.wait()?;
    let began = Instant::now();
    let done = store.write(move |tx| {
        let by = Origin::local(START, Actor::Administrator);
        let entropy = SeededEntropy::new(3);
        let act = Act {
            now: START,
            entropy: &entropy,
            by: &by,
        };
        work(tx, act)
    });
    done.wait()?;
    println!("| {what} | {given} | {:.1?} |", began.elapsed());
    Ok(())
}

fn metadata() -> ClientMetadata {
    AppFields {
        name: ClientName::parse("Claude").expect("a name"),
        redirect_uris: Vec::new(),
        icon: None,
        scope: None,
        auth_method: AuthMethod::None,
        grant_types: Vec::new(),
    }
    .into_metadata()
}

fn print_line(box_: &Deployment, path: &Path) -> Result<(), Fault> {
    let (rows, live) = live(&box_.store)?;
    let file = std::fs::metadata(path)?.len();
    // Both are far below what a float counts exactly.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a ratio is printed with one digit"
    )]
    let factor = file as f64 / live as f64;
    println!(
        "| {} | {rows} | {live} | {file} | {factor:.1} |",
        box_.cycle
    );
    Ok(())
}

/// Rows, and bytes of their keys and values.
fn live(store: &Store) -> Result<(u64, u64), StoreError> {
    store.read(|tx| {
        let (mut count, mut bytes) = (0, 0);
        for definition in TABLES {
            let mut from = Vec::new();
            loop {
                let rows = tx.scan(definition.table, &Keys::from(&from), PAGE)?;
                let Some((last, _)) = rows.last() else { break };
                from.clone_from(last);
                from.push(0);
                count += rows.len() as u64;
                bytes += rows
                    .iter()
                    .map(|(key, value)| (key.len() + value.len()) as u64)
                    .sum::<u64>();
            }
        }
        Ok((count, bytes))
    })
}

struct Deployment {
    store: Store,
    entropy: SeededEntropy,
    now: Timestamp,
    /// Simulated time between two cycles.
    pause: Duration,
    cycle: u64,
    swept_at: Timestamp,
    pace: Pace,
    /// How long each commit of a batch took.
    batches: Vec<Duration>,
    /// How long each step of the sweeper took.
    steps: Vec<Duration>,
    /// The families of the batch that was begun last, which are rotated in turn.
    families: Vec<TokenFamily>,
}

impl Deployment {
    fn new(store: Store, entropy: SeededEntropy, cycles: u64) -> Self {
        Self {
            store,
            entropy,
            now: START,
            pause: RUN / u32::try_from(cycles).unwrap_or(u32::MAX),
            cycle: 0,
            swept_at: START,
            pace: Pace::FIRST,
            batches: Vec::new(),
            steps: Vec::new(),
            families: Vec::new(),
        }
    }

    /// Begins as many families as a batch has, or rotates those of the last.
    fn issue_batch(&mut self) -> Result<(), StoreError> {
        let round = self.cycle / BATCH % ROTATIONS;
        let begins = round == 0;
        if begins {
            self.families = (0..BATCH).map(|_| self.family()).collect();
        }
        let mut writes = Vec::new();
        for place in 0..self.families.len() {
            self.now = self.now.after(self.pause);
            let family = &mut self.families[place];
            if !begins {
                rotate(family, self.now);
            }
            let (family, now) = (family.clone(), self.now);
            let token = access_token(&family, Id::generate(now, &self.entropy), now);
            let code = Id::generate(now, &self.entropy);
            writes.push(self.store.write(move |tx| {
                if begins {
                    begin(tx, &family, code, now)?;
                } else {
                    tokens::put_family(tx, &family)?;
                    record(tx, now, Action::TokenRefreshed, Object::Family(family.id))?;
                }
                tokens::put_access_token(tx, &token)
            }));
        }
        self.cycle += BATCH;
        let began = Instant::now();
        writes.into_iter().try_for_each(Answer::wait)?;
        self.batches.push(began.elapsed());
        Ok(())
    }

    /// A family of one of a hundred people.
    fn family(&self) -> TokenFamily {
        let [random] = random::<1>(&self.entropy);
        let mut user = [0; 16];
        user[0] = random % 100;
        family(&self.entropy, self.now, Id::from_bytes(user))
    }

    fn sweep_when_due(&mut self) -> Result<(), StoreError> {
        if self.now.since(self.swept_at) < PERIOD {
            return Ok(());
        }
        self.sweep()
    }

    /// One pass, as the server's own task does it.
    fn sweep(&mut self) -> Result<(), StoreError> {
        self.swept_at = self.now;
        let mut pass = Pass::begin(self.now, KEPT);
        while !pass.is_over() {
            let (rows, now, here) = (self.pace.rows(), self.now, pass.clone());
            let mut step = self.store.read(|tx| sweep::rehearse(tx, here, rows))?;
            if step.changed > 0 {
                let began = Instant::now();
                let swept = self
                    .store
                    .write(move |tx| audit::sweep(tx, now, pass, rows));
                step = swept.wait()?;
                let took = began.elapsed();
                self.pace = self.pace.after(step.changed, took);
                self.steps.push(took);
            }
            pass = step.pass;
        }
        Ok(())
    }
}

fn family(entropy: &SeededEntropy, now: Timestamp, user_id: Id) -> TokenFamily {
    let id = Id::generate(now, entropy);
    TokenFamily {
        id,
        holder: Holder::Person {
            user_id,
            grant_id: Id::generate(now, entropy),
        },
        client_id: Id::from_bytes([7; 16]),
        resource: resource(),
        scopes: scopes(),
        expires_at: now.after(FAMILY_TTL),
        refresh: Some(RefreshChain {
            generation: 0,
            digest: Digest::of(id.as_bytes()),
            predecessor: None,
            idle_expires_at: now.after(FAMILY_TTL),
        }),
        secret_id: None,
    }
}

/// Keeps the grant of `family`, and says whose it is.
fn add_grant(
    tx: &mut WriteTx<'_>,
    family: &TokenFamily,
    now: Timestamp,
) -> Result<(Id, Id), StoreError> {
    let Holder::Person { user_id, grant_id } = family.holder else {
        unreachable!("every family here has a grant");
    };
    let grant = Grant {
        id: grant_id,
        user_id,
        client_id: family.client_id,
        scopes: scopes(),
        resource: resource(),
        redirect_uri: "https://app.example/callback".parse().ok(),
        created_at: now,
        expires_at: family.expires_at,
    };
    grants::add(tx, &grant)?;
    Ok((user_id, grant_id))
}

fn begin(
    tx: &mut WriteTx<'_>,
    family: &TokenFamily,
    code: Id,
    now: Timestamp,
) -> Result<(), StoreError> {
    let (user_id, grant_id) = add_grant(tx, family, now)?;
    record(tx, now, Action::ConsentGiven, Object::Grant(grant_id))?;
    let code = AuthorizationCode {
        id: code,
        digest: Digest::of(code.as_bytes()),
        grant_id,
        user_id,
        client_id: family.client_id,
        session_id: user_id,
        redirect_uri: None,
        challenge: "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
            .parse()
            .expect("the challenge of RFC 7636"),
        resource: resource(),
        scopes: scopes(),
        state_digest: Some(Digest::of(b"state")),
        expires_at: now.after(CODE_TTL),
        stage: CodeStage::Exchanged {
            family_id: family.id,
        },
    };
    codes::put(tx, &code)?;
    tokens::add_family(tx, family)?;
    record(tx, now, Action::TokenIssued, Object::Family(family.id))
}

fn rotate(family: &mut TokenFamily, now: Timestamp) {
    let Some(chain) = family.refresh.take() else {
        return;
    };
    family.refresh = Some(RefreshChain {
        generation: chain.generation + 1,
        digest: Digest::of(chain.digest.as_bytes()),
        predecessor: Some(Predecessor {
            digest: chain.digest,
            rotated_at: now,
        }),
        idle_expires_at: chain.idle_expires_at,
    });
}

fn access_token(family: &TokenFamily, id: Id, now: Timestamp) -> AccessToken {
    AccessToken {
        id,
        digest: Digest::of(id.as_bytes()),
        family_id: family.id,
        resource: resource(),
        scopes: scopes(),
        expires_at: now.after(ACCESS_TTL),
        secret_id: None,
    }
}

fn record(
    tx: &mut WriteTx<'_>,
    now: Timestamp,
    action: Action,
    object: Object,
) -> Result<(), StoreError> {
    let by = Origin::local(now, Actor::Client(Id::from_bytes([7; 16])));
    audit::record(tx, &by, action, object, [Change::to("generation", &1)])
}

fn resource() -> ResourceUri {
    "https://box.lan/mcp".parse().expect("a resource")
}

fn scopes() -> ScopeSet {
    ScopeSet::of(["user:read", "grants:read"])
}
