//! The store alone: the writes of a rotation, table by table and of the same size, through
//! [`Store::write`], without HTTP, without a decision, without encoding.

use std::{
    cell::{Cell, RefCell},
    fs,
    path::Path,
    rc::Rc,
    time::Instant,
};

use keystead::{
    audit,
    model::{
        audit::{Action, Actor, Change, Object, Origin},
        id::Id,
        oauth2::{
            grant::Grant,
            token::{Predecessor, TokenFamily},
        },
        timestamp::Timestamp,
    },
    runtime::{
        clock::{Clock as _, SystemClock},
        entropy::{OsEntropy, SeededEntropy},
    },
    store::{Keys, Read as _, Store, StoreError, Table, tokens},
};
use tokio::task::LocalSet;

use crate::{
    families::Known,
    load::{Outcome, Plan, Usage, outcome},
    wire::Fault,
};

/// The name of the chain's head among the facts about the file.
const AUDIT_HEAD: &[u8] = b"audit_head";

/// The bytes that one rotation writes.
#[derive(Clone)]
struct Rows {
    family: Vec<u8>,
    access: Vec<u8>,
    audit: Vec<u8>,
    head: Vec<u8>,
}

/// Runs `waiting` writers in a closed loop on a new data file in `data`.
pub(crate) fn run(data: &Path, waiting: usize, plan: Plan) -> Result<Outcome, Fault> {
    if data.exists() {
        fs::remove_dir_all(data)?;
    }
    fs::create_dir_all(data)?;
    let store = Store::open(&data.join("keystead.redb"), &OsEntropy)?;
    let rows = sample(&store)?;
    let entropy = Rc::new(SeededEntropy::new(1));
    closed_loop(store, waiting, plan, move || {
        let family = Id::generate(SystemClock.now(), &*entropy);
        let (rows, entropy) = (rows.clone(), Rc::clone(&entropy));
        move |store, number| {
            let (rows, entropy) = (rows.clone(), Rc::clone(&entropy));
            async move {
                let access = Id::generate(SystemClock.now(), &*entropy);
                write(&store, rows, number, family, access).await
            }
        }
    })
}

/// `waiting` writers that `made` makes, each of which goes on when its work before is answered. The
/// numbers that they get are all different.
pub(crate) fn closed_loop<W, F>(
    store: Store,
    waiting: usize,
    plan: Plan,
    made: impl Fn() -> W,
) -> Result<Outcome, Fault>
where
    W: Fn(Rc<Store>, u64) -> F + 'static,
    F: Future<Output = Result<(), StoreError>>,
{
    let times = Rc::new(RefCell::new(Vec::new()));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let local = LocalSet::new();
    let pid = std::process::id();
    let measured: Result<_, Fault> = local.block_on(&runtime, async {
        let store = Rc::new(store);
        let begin = Instant::now() + plan.warm_up;
        let end = begin + plan.measured;
        let number = Rc::new(Cell::new(1_u64));
        let mut writers = Vec::new();
        for _ in 0..waiting {
            let (store, work) = (Rc::clone(&store), made());
            let (times, number) = (Rc::clone(&times), Rc::clone(&number));
            writers.push(tokio::task::spawn_local(async move {
                loop {
                    number.set(number.get() + 1);
                    let asked = Instant::now();
                    work(Rc::clone(&store), number.get()).await?;
                    let answered = Instant::now();
                    if answered >= end {
                        return Ok::<_, StoreError>(());
                    }
                    if asked >= begin {
                        times.borrow_mut().push(answered - asked);
                    }
                }
            }));
        }
        tokio::time::sleep_until(begin.into()).await;
        let before = Usage::now(pid)?;
        tokio::time::sleep_until(end.into()).await;
        let after = Usage::now(pid)?;
        for writer in writers {
            writer.await??;
        }
        Ok((before, after))
    });
    let (before, after) = measured?;
    Ok(outcome(times.take(), &before, &after))
}

async fn write(
    store: &Store,
    rows: Rows,
    number: u64,
    family: Id,
    access: Id,
) -> Result<(), StoreError> {
    let written = store.write(move |tx| {
        tx.put(Table::TokenFamilies, family.as_bytes(), rows.family);
        tx.put(Table::AccessTokens, access.as_bytes(), rows.access);
        tx.put(Table::Audit, &number.to_be_bytes(), rows.audit);
        tx.put(Table::Meta, AUDIT_HEAD, rows.head);
        Ok::<_, StoreError>(())
    });
    written.await
}

/// What the store makes of the records of a rotation.
fn sample(store: &Store) -> Result<Rows, Fault> {
    let now = SystemClock.now();
    let id = |millis| Id::generate(Timestamp::from_millis(millis), &OsEntropy);
    let grant = Grant {
        id: id(1),
        user_id: id(2),
        client_id: id(3),
        scopes: "user:read".parse()?,
        resource: "http://localhost:8420".parse()?,
        redirect_uri: None,
        created_at: now,
        expires_at: Timestamp::NEVER,
    };
    let (family, access) = Known::one(now).records(0, &grant);
    let family = rotated(family, now);
    let written = store.write(move |tx| {
        tokens::put_family(tx, &family)?;
        tokens::put_access_token(tx, &access)?;
        let origin = Origin {
            address: Some([127, 0, 0, 1].into()),
            request_id: Some(id(4).to_string()),
            ..Origin::local(now, Actor::Client(grant.client_id))
        };
        let object = Object::Family(family.id);
        let changes = [Change::to("generation", &1)];
        audit::record(tx, &origin, Action::TokenRefreshed, object, changes)?;
        Ok::<_, StoreError>((family.id, access.id))
    });
    let (family, access) = written.wait()?;
    store.read(|tx| {
        let row = |table, key: &[u8]| {
            let found = tx.get(table, key).map_err(Fault::from)?;
            found.ok_or_else(|| Fault::from("expected the sampled row, found none"))
        };
        let newest = tx.scan(Table::Audit, &Keys::ALL.newest_first(), 1)?;
        Ok(Rows {
            family: row(Table::TokenFamilies, family.as_bytes())?,
            access: row(Table::AccessTokens, access.as_bytes())?,
            audit: newest.into_iter().next().ok_or("no entry")?.1,
            head: row(Table::Meta, AUDIT_HEAD)?,
        })
    })
}

fn rotated(mut family: TokenFamily, now: Timestamp) -> TokenFamily {
    if let Some(chain) = &mut family.refresh {
        chain.predecessor = Some(Predecessor {
            digest: chain.digest,
            rotated_at: now,
        });
    }
    family
}
