//! Token families without HTTP: written straight into a data file in large batches, with secrets
//! that can be made again from a number, so that millions need no memory of their own.

use std::{
    collections::{HashMap, HashSet},
    path::Path,
};

use keystead::{
    crypto::{digest::Digest, entropy::Entropy},
    model::{
        credential::{Credential, CredentialKind},
        id::Id,
        oauth2::{
            grant::Grant,
            token::{AccessToken, Holder, RefreshChain, TokenFamily},
        },
        timestamp::Timestamp,
    },
    runtime::{
        clock::{Clock as _, SystemClock},
        entropy::OsEntropy,
    },
    store::{Store, StoreError, grants, tokens, users},
};

use crate::wire::Fault;

/// Families that share one commit.
const BATCH: u64 = 20_000;
/// The families were begun within this time before now, evenly.
const BEGUN_WITHIN_MS: u64 = 10 * 60 * 1000;
const HOUR_MS: u64 = 60 * 60 * 1000;
const DAY_MS: u64 = 24 * HOUR_MS;

/// So many families, each with one access token, begun before `now`.
#[derive(Clone, Copy)]
pub(crate) struct Known {
    pub(crate) count: u64,
    now: Timestamp,
}

/// Bytes that follow from a number.
struct Numbered([u8; 32]);

impl Entropy for Numbered {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.copy_from_slice(&self.0[..bytes.len()]);
    }
}

impl Known {
    /// One family.
    pub(crate) fn one(now: Timestamp) -> Self {
        Self { count: 1, now }
    }

    fn begun_at(&self, number: u64) -> Timestamp {
        let age = BEGUN_WITHIN_MS * (self.count - number) / self.count.max(1);
        Timestamp::from_millis(self.now.millis() - age)
    }

    fn credential(&self, kind: CredentialKind, number: u64) -> Credential {
        let seed = format!("{}{number}", kind.prefix());
        let bytes = Numbered(*Digest::of(seed.as_bytes()).as_bytes());
        let id = Id::generate(self.begun_at(number), &bytes);
        let made = Credential::with_id(kind, id, &bytes);
        if kind == CredentialKind::RefreshToken {
            return Credential::refresh_token(id, 0, made.secret().clone());
        }
        made
    }

    /// The first refresh token of family `number`.
    pub(crate) fn refresh_token(&self, number: u64) -> String {
        self.credential(CredentialKind::RefreshToken, number)
            .reveal()
    }

    /// Its first access token.
    pub(crate) fn access_token(&self, number: u64) -> String {
        self.credential(CredentialKind::AccessToken, number)
            .reveal()
    }

    /// What the store keeps of family `number`.
    pub(crate) fn records(&self, number: u64, grant: &Grant) -> (TokenFamily, AccessToken) {
        let refresh = self.credential(CredentialKind::RefreshToken, number);
        let access = self.credential(CredentialKind::AccessToken, number);
        let in_days = |days| Timestamp::from_millis(self.now.millis() + days * DAY_MS);
        let family = TokenFamily {
            id: refresh.id(),
            holder: Holder::Person {
                user_id: grant.user_id,
                grant_id: grant.id,
            },
            client_id: grant.client_id,
            resource: grant.resource.clone(),
            scopes: grant.scopes.clone(),
            expires_at: in_days(180),
            refresh: Some(RefreshChain {
                generation: 0,
                digest: refresh.digest(),
                predecessor: None,
                idle_expires_at: in_days(30),
            }),
            secret_id: None,
        };
        let access = AccessToken {
            id: access.id(),
            digest: access.digest(),
            family_id: family.id,
            resource: grant.resource.clone(),
            scopes: grant.scopes.clone(),
            // Longer than the default, so that a long measurement does not outlive them.
            expires_at: in_days(1),
            secret_id: None,
        };
        (family, access)
    }
}

/// Writes `count` families of the grant that the client has into the data file at `path`, which no
/// server may have open.
pub(crate) fn fill(path: &Path, client_id: &str, count: u64) -> Result<Known, Fault> {
    let store = Store::open(path, &OsEntropy)?;
    let client_id: Id = client_id.parse()?;
    let grant = store.read(|tx| {
        for user in users::list(tx)? {
            let mut grants = grants::list_of_user(tx, user.id)?.into_iter();
            if let Some(grant) = grants.find(|grant| grant.client_id == client_id) {
                return Ok::<_, StoreError>(Some(grant));
            }
        }
        Ok(None)
    })?;
    let grant = grant.ok_or("expected a grant of the client, found none")?;
    let known = Known {
        count,
        now: SystemClock.now(),
    };
    let mut written = 0;
    while written < count {
        let (grant, end) = (grant.clone(), count.min(written + BATCH));
        let batch = store.write(move |tx| {
            for number in written..end {
                let (family, access) = known.records(number, &grant);
                tokens::add_family(tx, &family)?;
                tokens::put_access_token(tx, &access)?;
            }
            Ok::<_, StoreError>(())
        });
        batch.wait()?;
        written = end;
    }
    Ok(known)
}

/// The current refresh tokens of known families. What is drawn is nobody else's until its
/// successor is put back.
pub(crate) struct Families {
    known: Known,
    rotated: HashMap<u64, String>,
    drawn: HashSet<u64>,
    draws: Draws,
}

impl Families {
    pub(crate) fn new(known: Known) -> Self {
        Self {
            known,
            rotated: HashMap::new(),
            drawn: HashSet::new(),
            draws: Draws::of(0),
        }
    }

    pub(crate) fn draw(&mut self) -> (u64, String) {
        let number = loop {
            let number = self.draws.below(self.known.count);
            if self.drawn.insert(number) {
                break number;
            }
        };
        let rotated = self.rotated.get(&number).cloned();
        let token = rotated.unwrap_or_else(|| self.known.refresh_token(number));
        (number, token)
    }

    pub(crate) fn put_back(&mut self, number: u64, successor: String) {
        self.drawn.remove(&number);
        self.rotated.insert(number, successor);
    }
}

/// Numbers that are spread, and the same in every run.
pub(crate) struct Draws(u64);

impl Draws {
    /// The stream of one connection.
    pub(crate) fn of(connection: usize) -> Self {
        Self((connection as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// xorshift64.
    pub(crate) fn below(&mut self, count: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % count.max(1)
    }
}
