//! Looking through a store: whether every record can be read, every index agrees with its records
//! both ways, and everything that ends will be swept. Changes nothing, and holds a page at a time.
//!
//! The links of the audit log are one floor up ([`crate::audit`] verifies them); here its numbers
//! are counted.

mod rules;

use std::{collections::BTreeMap, fmt};

use crate::{
    crypto::digest::Digest,
    model::{id::Id, timestamp::Timestamp},
    store::{
        Read, Row, StoreError, TABLES, Table, audit, codec, meta, rows,
        sweep::{self, Swept},
    },
};

/// Faults that are described; of those beyond it only the number is told.
pub const FAULTS_MAX: usize = 100;
/// Records whose row in the expiry index is looked for at once: each round reads the whole index,
/// and holds this many ids.
const SCHEDULED_MAX: usize = 500_000;

/// What is in a store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Every table, in the order of [`TABLES`].
    pub tables: Vec<TableSize>,
    /// What is wrong; the first [`FAULTS_MAX`] of it.
    pub faults: Vec<Fault>,
    /// How much is wrong.
    pub fault_count: u64,
}

/// How much is in a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableSize {
    /// The table.
    pub table: Table,
    /// Its rows.
    pub rows: u64,
    /// Bytes of its keys and values, without what the file needs besides.
    pub bytes: u64,
}

/// Something that contradicts itself or cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The table's name.
    pub table: &'static str,
    /// The row; none where it is no single one. Never a secret, nor a name or a URL.
    pub key: Option<String>,
    /// What was expected there, or what was found.
    pub what: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = self.key.iter().map(|key| format!(" {key}"));
        write!(
            f,
            "{}{}: {}",
            self.table,
            key.collect::<String>(),
            self.what
        )
    }
}

/// Checks everything that `tx` sees. `None` when `go_on` said no: it is asked before each page.
pub fn check(tx: &dyn Read, go_on: &dyn Fn() -> bool) -> Option<Checked> {
    let mut checker = Checker {
        tx,
        go_on,
        found: Checked::default(),
        scheduled: BTreeMap::new(),
        entry: 0,
    };
    match checker.check_tables() {
        Ok(()) => Some(checker.found),
        Err(Stopped) => None,
    }
}

/// Whoever asked for the check does not wait for it any more.
struct Stopped;

/// Why a table was not looked through to its end.
enum Halt {
    Stopped,
    Unreadable(StoreError),
}

impl From<StoreError> for Halt {
    fn from(fault: StoreError) -> Self {
        Self::Unreadable(fault)
    }
}

struct Checker<'a> {
    tx: &'a dyn Read,
    go_on: &'a dyn Fn() -> bool,
    found: Checked,
    /// What has to have a row in the expiry index, and until when.
    scheduled: BTreeMap<(Swept, Id), Timestamp>,
    /// The number of the audit entry before the next one.
    entry: u64,
}

impl Checker<'_> {
    fn check_tables(&mut self) -> Result<(), Stopped> {
        self.check_facts();
        for definition in TABLES {
            self.found.tables.push(TableSize {
                table: definition.table,
                rows: 0,
                bytes: 0,
            });
            self.each_page(definition.table, |checker, page| {
                for (key, value) in page {
                    checker.count(&key, &value);
                    checker.check_row(definition.table, &key, &value);
                }
                if checker.scheduled.len() >= SCHEDULED_MAX {
                    checker.check_scheduled()?;
                }
                Ok(())
            })?;
        }
        self.check_head();
        self.check_scheduled()
    }

    /// Walks a table. That it cannot be walked is a fault of that table alone.
    fn each_page(
        &mut self,
        table: Table,
        mut take: impl FnMut(&mut Self, Vec<Row>) -> Result<(), Stopped>,
    ) -> Result<(), Stopped> {
        let (tx, go_on) = (self.tx, self.go_on);
        let walked = rows::each_page(tx, table, |page| {
            if !go_on() {
                return Err(Halt::Stopped);
            }
            take(self, page).map_err(|Stopped| Halt::Stopped)
        });
        match walked {
            Ok(()) => Ok(()),
            Err(Halt::Stopped) => Err(Stopped),
            Err(Halt::Unreadable(fault)) => {
                self.say(table, None, format!("cannot be read: {fault}"));
                Ok(())
            }
        }
    }

    fn count(&mut self, key: &[u8], value: &[u8]) {
        if let Some(size) = self.found.tables.last_mut() {
            size.rows += 1;
            size.bytes += (key.len() + value.len()) as u64;
        }
    }

    fn check_row(&mut self, table: Table, key: &[u8], value: &[u8]) {
        let fault = match rules::check(self, table, key, value) {
            Ok(()) => return,
            Err(rules::Wrong::Contradiction(what)) => what.to_owned(),
            // The table is named already.
            Err(rules::Wrong::Store(StoreError::Corrupt { reason, .. })) => reason,
            Err(rules::Wrong::Store(fault)) => fault.to_string(),
        };
        self.say(table, Some(shown(table, key)), fault);
    }

    fn say(&mut self, table: Table, key: Option<String>, what: String) {
        self.found.fault_count += 1;
        if self.found.faults.len() < FAULTS_MAX {
            self.found.faults.push(Fault {
                table: table.name(),
                key,
                what,
            });
        }
    }

    /// The facts without which nothing can be read.
    fn check_facts(&mut self) {
        let facts = [
            meta::find_schema(self.tx).map(|schema| schema.is_some()),
            meta::key(self.tx).map(|_| true),
            audit::base(self.tx).map(|base| {
                self.entry = base.number;
                true
            }),
        ];
        for fact in facts {
            match fact {
                Ok(true) => {}
                Ok(false) => self.say(Table::Meta, None, "names no schema".to_owned()),
                Err(fault) => self.say(Table::Meta, None, fault.to_string()),
            }
        }
    }

    fn check_head(&mut self) {
        match audit::head(self.tx) {
            Ok(head) if head.number == self.entry => {}
            Ok(head) => {
                let what = format!(
                    "expected the newest entry to be {}, found {}",
                    head.number, self.entry
                );
                self.say(Table::Audit, None, what);
            }
            Err(fault) => self.say(Table::Audit, None, fault.to_string()),
        }
    }

    /// Everything that is not swept in the order of its own table has a row in the expiry index,
    /// not later than its end: otherwise it would stay for good.
    fn check_scheduled(&mut self) -> Result<(), Stopped> {
        let mut missing = std::mem::take(&mut self.scheduled);
        if missing.is_empty() {
            return Ok(());
        }
        let walked = rows::each_page(self.tx, Table::Expiry, |page| {
            if !(self.go_on)() {
                return Err(Halt::Stopped);
            }
            for (key, _) in page {
                // What is no row of the index is said where the index itself is checked.
                let Ok((at, kind, id)) = sweep::parse_key(&key) else {
                    continue;
                };
                if missing.get(&(kind, id)).is_some_and(|end| at <= *end) {
                    missing.remove(&(kind, id));
                }
            }
            Ok(())
        });
        if let Err(Halt::Stopped) = walked {
            return Err(Stopped);
        }
        for (kind, id) in missing.into_keys() {
            let table = rules::table_of(kind);
            self.say(
                table,
                Some(shown(table, id.as_bytes())),
                "is never swept: it has no row in the expiry index before its end".to_owned(),
            );
        }
        Ok(())
    }
}

/// A key as it may be shown to anybody: ids, instants and numbers as they are, the rest as a digest.
fn shown(table: Table, key: &[u8]) -> String {
    match table {
        Table::Meta => String::from_utf8_lossy(key).into_owned(),
        Table::Audit => {
            codec::number(table, key).map_or_else(|_| hex(key), |number| number.to_string())
        }
        Table::UsersByName
        | Table::DevicesByUserCode
        | Table::ResourceServersByIdentifier
        | Table::ClientsByDocument
        | Table::PinnedDocuments
        | Table::Upstreams
        | Table::SubscriptionsByEndpoint => format!("{:?}", Digest::of(key)),
        Table::Users
        | Table::Sessions
        | Table::SessionsByUser
        | Table::Clients
        | Table::ClientSecrets
        | Table::Grants
        | Table::GrantsByUser
        | Table::GrantsByClient
        | Table::SpentConsents
        | Table::Codes
        | Table::TokenFamilies
        | Table::AccessTokens
        | Table::Devices
        | Table::ResourceServers
        | Table::Expiry
        | Table::Notifications
        | Table::NotificationsByUser
        | Table::InboxCounts
        | Table::NotificationSettings
        | Table::Subscriptions
        | Table::PushQueue
        | Table::PushLines => hex(key),
    }
}

fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().map(|byte| format!("{byte:02x}"));
    digits.collect::<Vec<_>>().concat()
}
