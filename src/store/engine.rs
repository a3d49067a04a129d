//! The engine: one file, one writer, snapshot reads. The only place that speaks redb's words.
//!
//! A write is a closure. The writer thread runs all closures that wait in one redb transaction,
//! commits once, durably, and then answers each of them. A batch forms by itself while the disk
//! takes the one before it; there is no artificial wait.

use std::{
    collections::BTreeMap,
    ops::Bound,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    pin::Pin,
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    task::{Context, Poll},
    thread::JoinHandle,
};

use redb::{
    Database, Durability, ReadTransaction, ReadableDatabase as _, ReadableTable as _,
    ReadableTableMetadata as _, TableDefinition, WriteTransaction, backends::InMemoryBackend,
};
use tokio::sync::oneshot;

use crate::store::{
    error::StoreError,
    tables::{TABLES, Table},
};

/// Writes that may wait; one more is refused at once with [`StoreError::QueueFull`].
pub const QUEUE_MAX: usize = 4_096;
/// Writes that share one commit at the most.
pub const BATCH_MAX: usize = 1_024;
/// Memory that redb may use for pages. Its own default is 1 GiB.
const CACHE_BYTES: usize = 64 << 20;

type RedbTable<'txn> = redb::Table<'txn, &'static [u8], &'static [u8]>;
type Definition = TableDefinition<'static, &'static [u8], &'static [u8]>;

const fn definition(table: Table) -> Definition {
    TableDefinition::new(table.name())
}

/// A key and its value.
pub type Row = (Vec<u8>, Vec<u8>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    OldestFirst,
    NewestFirst,
}

/// Which keys a scan visits, in which order.
#[derive(Clone, Debug)]
pub struct Keys {
    start: Bound<Vec<u8>>,
    end: Bound<Vec<u8>>,
    order: Order,
}

impl Keys {
    /// All of them, oldest first.
    pub const ALL: Self = Self {
        start: Bound::Unbounded,
        end: Bound::Unbounded,
        order: Order::OldestFirst,
    };

    /// Those that begin with `prefix`, oldest first.
    pub fn with_prefix(prefix: &[u8]) -> Self {
        // The first key after all keys with the prefix: the prefix with its last byte that can
        // grow grown by one. A prefix of nothing but 0xff has no end.
        let end = prefix
            .iter()
            .rposition(|byte| *byte != 0xff)
            .map_or(Bound::Unbounded, |last| {
                let mut end = prefix[..=last].to_vec();
                end[last] += 1;
                Bound::Excluded(end)
            });
        Self {
            start: Bound::Included(prefix.to_vec()),
            end,
            order: Order::OldestFirst,
        }
    }

    /// Those before `end`, oldest first.
    pub fn before(end: &[u8]) -> Self {
        Self {
            end: Bound::Excluded(end.to_vec()),
            ..Self::ALL
        }
    }

    /// The same keys from the other end.
    #[must_use]
    pub fn newest_first(self) -> Self {
        Self {
            order: Order::NewestFirst,
            ..self
        }
    }

    fn bounds(&self) -> (Bound<&[u8]>, Bound<&[u8]>) {
        (as_slice(&self.start), as_slice(&self.end))
    }
}

fn as_slice(bound: &Bound<Vec<u8>>) -> Bound<&[u8]> {
    match bound {
        Bound::Included(key) => Bound::Included(key),
        Bound::Excluded(key) => Bound::Excluded(key),
        Bound::Unbounded => Bound::Unbounded,
    }
}

/// What every table function may do in any transaction.
pub trait Read {
    /// The value at `key`.
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// The first `limit` rows of `keys`.
    fn scan(&self, table: Table, keys: &Keys, limit: usize) -> Result<Vec<Row>, StoreError>;

    /// How many rows a table has; for a closure that writes, before its own changes.
    fn len(&self, table: Table) -> Result<u64, StoreError>;
}

/// A snapshot: everything whose write was answered before it began, and nothing later.
pub struct ReadTx {
    transaction: ReadTransaction,
}

impl Read for ReadTx {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let table = self.transaction.open_table(definition(table))?;
        Ok(table.get(key)?.map(|value| value.value().to_vec()))
    }

    fn scan(&self, table: Table, keys: &Keys, limit: usize) -> Result<Vec<Row>, StoreError> {
        let table = self.transaction.open_table(definition(table))?;
        collect(table.range::<&[u8]>(keys.bounds())?, keys.order, limit)
    }

    fn len(&self, table: Table) -> Result<u64, StoreError> {
        Ok(self.transaction.open_table(definition(table))?.len()?)
    }
}

fn collect(
    range: redb::Range<'_, &'static [u8], &'static [u8]>,
    order: Order,
    limit: usize,
) -> Result<Vec<Row>, StoreError> {
    type Bytes<'a> = redb::AccessGuard<'a, &'static [u8]>;
    let to_row = |entry: Result<(Bytes, Bytes), _>| {
        entry.map(|(key, value)| (key.value().to_vec(), value.value().to_vec()))
    };
    let rows: Result<Vec<_>, redb::StorageError> = if order == Order::NewestFirst {
        range.rev().take(limit).map(to_row).collect()
    } else {
        range.take(limit).map(to_row).collect()
    };
    Ok(rows?)
}

/// The tables of the redb transaction that a batch shares, each opened when it is first needed.
struct Batch<'txn> {
    transaction: &'txn WriteTransaction,
    tables: [Mutex<Option<RedbTable<'txn>>>; TABLES.len()],
}

impl<'txn> Batch<'txn> {
    fn new(transaction: &'txn WriteTransaction) -> Self {
        Self {
            transaction,
            tables: std::array::from_fn(|_| Mutex::new(None)),
        }
    }

    fn with<T>(
        &self,
        table: Table,
        work: impl FnOnce(&mut RedbTable<'txn>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        // Only the writer thread comes here; a panic inside redb itself ends the whole batch.
        let mut slot = self.tables[table as usize]
            .lock()
            .map_err(|_| StoreError::Panicked)?;
        if let Some(open) = slot.as_mut() {
            return work(open);
        }
        work(slot.insert(self.transaction.open_table(definition(table))?))
    }

    fn apply(&self, changes: Changes) -> Result<(), StoreError> {
        for ((table, key), value) in changes {
            self.with(table, |open| {
                match value {
                    Some(value) => open.insert(key.as_slice(), value.as_slice())?,
                    None => open.remove(key.as_slice())?,
                };
                Ok(())
            })?;
        }
        Ok(())
    }
}

impl Read for Batch<'_> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.with(table, |open| {
            Ok(open.get(key)?.map(|value| value.value().to_vec()))
        })
    }

    fn scan(&self, table: Table, keys: &Keys, limit: usize) -> Result<Vec<Row>, StoreError> {
        self.with(table, |open| {
            collect(open.range::<&[u8]>(keys.bounds())?, keys.order, limit)
        })
    }

    fn len(&self, table: Table) -> Result<u64, StoreError> {
        self.with(table, |open| Ok(open.len()?))
    }
}

type Changes = BTreeMap<(Table, Vec<u8>), Option<Vec<u8>>>;

/// One closure's view of its batch: what was there, and its own changes on top.
///
/// The changes reach the file only when the closure succeeds, so one that fails leaves nothing
/// behind and its neighbours in the batch undisturbed.
pub struct WriteTx<'batch> {
    below: &'batch dyn Read,
    changes: Changes,
}

impl WriteTx<'_> {
    /// Puts `value` at `key`, whatever was there.
    pub fn put(&mut self, table: Table, key: &[u8], value: Vec<u8>) {
        self.changes.insert((table, key.to_vec()), Some(value));
    }

    /// Removes what is at `key`, if anything.
    pub fn remove(&mut self, table: Table, key: &[u8]) {
        self.changes.insert((table, key.to_vec()), None);
    }

    fn changes_within(&self, table: Table, keys: &Keys) -> BTreeMap<&[u8], Option<&[u8]>> {
        let (start, end) = keys.bounds();
        let after = |key: &[u8]| match start {
            Bound::Included(start) => key >= start,
            Bound::Excluded(start) => key > start,
            Bound::Unbounded => true,
        };
        let until = |key: &[u8]| match end {
            Bound::Included(end) => key <= end,
            Bound::Excluded(end) => key < end,
            Bound::Unbounded => true,
        };
        self.changes
            .iter()
            .filter(|((changed, key), _)| *changed == table && after(key) && until(key))
            .map(|((_, key), value)| (key.as_slice(), value.as_deref()))
            .collect()
    }
}

impl Read for WriteTx<'_> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        if !self.changes.is_empty()
            && let Some(changed) = self.changes.get(&(table, key.to_vec()))
        {
            return Ok(changed.clone());
        }
        self.below.get(table, key)
    }

    fn scan(&self, table: Table, keys: &Keys, limit: usize) -> Result<Vec<Row>, StoreError> {
        let changed = self.changes_within(table, keys);
        if changed.is_empty() {
            return self.below.scan(table, keys, limit);
        }
        // Each change hides one row below at the most, so this many rows are always enough.
        let below = self
            .below
            .scan(table, keys, limit.saturating_add(changed.len()))?;
        let mut rows: Vec<Row> = below
            .into_iter()
            .filter(|(key, _)| !changed.contains_key(key.as_slice()))
            .collect();
        rows.extend(
            changed
                .iter()
                .filter_map(|(key, value)| Some((key.to_vec(), value.as_ref()?.to_vec()))),
        );
        rows.sort_unstable();
        if keys.order == Order::NewestFirst {
            rows.reverse();
        }
        rows.truncate(limit);
        Ok(rows)
    }

    fn len(&self, table: Table) -> Result<u64, StoreError> {
        self.below.len(table)
    }
}

/// The answer to a write: a future, or something to block on where there is no runtime.
#[must_use = "a write that nobody waits for is a write whose refusal nobody sees"]
pub struct Answer<T, E>(oneshot::Receiver<Result<T, E>>);

impl<T, E: From<StoreError>> Answer<T, E> {
    /// Blocks until the commit is durable. Not for the threads of an async runtime.
    pub fn wait(self) -> Result<T, E> {
        self.0
            .blocking_recv()
            .unwrap_or_else(|_| Err(StoreError::Closed.into()))
    }
}

impl<T, E: From<StoreError>> Future for Answer<T, E> {
    type Output = Result<T, E>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0)
            .poll(context)
            .map(|answer| answer.unwrap_or_else(|_| Err(StoreError::Closed.into())))
    }
}

/// What the writer thread sees of a waiting write.
trait Job: Send {
    /// Runs the closure. `true` when its changes are to be kept.
    fn run(&mut self, tx: &mut WriteTx<'_>) -> bool;
    /// Answers, after the commit or instead of it.
    fn answer(self: Box<Self>, fault: Option<StoreError>);
}

struct Write<F, T, E> {
    work: Option<F>,
    result: Option<Result<T, E>>,
    reply: oneshot::Sender<Result<T, E>>,
}

impl<F, T, E> Job for Write<F, T, E>
where
    F: FnOnce(&mut WriteTx<'_>) -> Result<T, E> + Send,
    T: Send,
    E: From<StoreError> + Send,
{
    fn run(&mut self, tx: &mut WriteTx<'_>) -> bool {
        let Some(work) = self.work.take() else {
            return false;
        };
        let result = catch_unwind(AssertUnwindSafe(|| work(tx)))
            .unwrap_or_else(|_| Err(StoreError::Panicked.into()));
        self.result.insert(result).is_ok()
    }

    fn answer(self: Box<Self>, fault: Option<StoreError>) {
        let result = match (fault, self.result) {
            // A refusal stands whatever became of the batch: it changed nothing.
            (_, Some(Err(refusal))) => Err(refusal),
            (None, Some(Ok(value))) => Ok(value),
            (fault, _) => Err(fault.unwrap_or(StoreError::Closed).into()),
        };
        // A caller that hung up wants no answer; its write is durable all the same.
        drop(self.reply.send(result));
    }
}

/// The open data file.
pub struct Store {
    database: Arc<Database>,
    queue: Option<SyncSender<Box<dyn Job>>>,
    writer: Option<JoinHandle<()>>,
}

impl Store {
    /// Opens the file at `path`, or makes it. Nothing about its content is checked here.
    pub(super) fn open_file(path: &Path) -> Result<Self, StoreError> {
        let database = redb::Builder::new()
            .set_cache_size(CACHE_BYTES)
            .create(path)
            .map_err(|error| open_error(path, error))?;
        Self::start(database)
    }

    /// A store that ends with the process.
    pub(super) fn open_memory() -> Result<Self, StoreError> {
        let database = redb::Builder::new()
            .set_cache_size(CACHE_BYTES)
            .create_with_backend(InMemoryBackend::new())
            .map_err(|error| open_error(Path::new("(memory)"), error))?;
        Self::start(database)
    }

    fn start(database: Database) -> Result<Self, StoreError> {
        let database = Arc::new(database);
        let (queue, jobs) = sync_channel(QUEUE_MAX);
        let for_writer = Arc::clone(&database);
        let writer = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || write_batches(&for_writer, &jobs))
            .map_err(|error| StoreError::Engine(Arc::new(redb::Error::Io(error))))?;
        Ok(Self {
            database,
            queue: Some(queue),
            writer: Some(writer),
        })
    }

    /// Runs `work` on a snapshot, in the calling thread. Never waits for the writer.
    pub fn read<T, E: From<StoreError>>(
        &self,
        work: impl FnOnce(&ReadTx) -> Result<T, E>,
    ) -> Result<T, E> {
        let transaction = self.database.begin_read().map_err(StoreError::from)?;
        work(&ReadTx { transaction })
    }

    /// Runs `work` in the writer thread and answers once its changes are durable.
    ///
    /// An `Err` of `work` leaves nothing behind. A closure that must both change something and
    /// refuse its caller returns the refusal inside `Ok`.
    pub fn write<T, E, F>(&self, work: F) -> Answer<T, E>
    where
        F: FnOnce(&mut WriteTx<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job = Box::new(Write {
            work: Some(work),
            result: None,
            reply,
        });
        match &self.queue {
            None => job.answer(Some(StoreError::Closed)),
            Some(queue) => match queue.try_send(job) {
                Ok(()) => {}
                Err(TrySendError::Full(job)) => {
                    job.answer(Some(StoreError::QueueFull { max: QUEUE_MAX }));
                }
                Err(TrySendError::Disconnected(job)) => job.answer(Some(StoreError::Closed)),
            },
        }
        Answer(answer)
    }
}

impl Drop for Store {
    /// Finishes what waits, then closes the file.
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(writer) = self.writer.take()
            && writer.join().is_err()
        {
            tracing::error!("the store's writer thread had panicked");
        }
    }
}

fn write_batches(database: &Database, jobs: &Receiver<Box<dyn Job>>) {
    while let Ok(first) = jobs.recv() {
        let mut batch = vec![first];
        batch.extend(jobs.try_iter().take(BATCH_MAX - 1));
        let fault = write_batch(database, &mut batch).err();
        if let Some(fault) = &fault {
            tracing::error!(%fault, writes = batch.len(), "a commit failed; all its writes are refused");
        }
        for job in batch {
            job.answer(fault.clone());
        }
    }
}

fn write_batch(database: &Database, batch: &mut [Box<dyn Job>]) -> Result<(), StoreError> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(Durability::Immediate)?;
    // redb's design document asks for two phases where strangers choose what is stored: the page
    // checksum that one phase relies on is not a cryptographic one.
    transaction.set_two_phase_commit(true);
    let tables = Batch::new(&transaction);
    for job in batch {
        let mut tx = WriteTx {
            below: &tables,
            changes: Changes::new(),
        };
        if job.run(&mut tx) {
            let changes = tx.changes;
            tables.apply(changes)?;
        }
    }
    drop(tables);
    transaction.commit()?;
    Ok(())
}

fn open_error(path: &Path, error: redb::DatabaseError) -> StoreError {
    let path = path.display().to_string();
    match error {
        redb::DatabaseError::DatabaseAlreadyOpen => StoreError::InUse { path },
        redb::DatabaseError::Storage(redb::StorageError::Io(error))
            if error.kind() != std::io::ErrorKind::InvalidData =>
        {
            StoreError::Unreadable {
                path,
                cause: error.to_string(),
            }
        }
        other => StoreError::Foreign {
            path,
            found: other.to_string(),
        },
    }
}

/// The schema number that `read` finds in the file at `path`, without changing a byte of it.
///
/// `None` where there is no file yet, or where the file has to be repaired before it can be read.
pub(super) fn peek<T>(
    path: &Path,
    read: impl FnOnce(&dyn Read) -> Result<T, StoreError>,
) -> Result<Option<T>, StoreError> {
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.len() == 0 => return Ok(None),
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(open_error(path, redb::StorageError::Io(error).into())),
    }
    match redb::ReadOnlyDatabase::open(path) {
        Ok(database) => {
            let transaction = database.begin_read()?;
            Ok(Some(read(&ReadTx { transaction })?))
        }
        Err(redb::DatabaseError::RepairAborted) => Ok(None),
        Err(error) => Err(open_error(path, error)),
    }
}
