//! The engine: one file, one writer, snapshot reads.
//!
//! A write is a closure. The writer thread runs all closures that wait in one redb transaction,
//! commits once, durably, and then answers each of them. A batch forms by itself while the disk
//! takes the one before it; there is no artificial wait.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    task::{Context, Poll},
    thread::JoinHandle,
};

use redb::{Database, Durability, ReadableDatabase as _, WriteTransaction};
use tokio::sync::oneshot;

use crate::store::{
    error::StoreError,
    snapshot::Snapshot,
    transaction::{Batch, ReadTx, WriteTx},
};

/// Writes that may wait; one more is refused at once with [`StoreError::QueueFull`].
pub const QUEUE_MAX: usize = 4_096;
/// Writes that share one commit at the most.
pub const BATCH_MAX: usize = 1_024;

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
    database: Option<Arc<Database>>,
    snapshot: Arc<Snapshot>,
    queue: Option<SyncSender<Box<dyn Job>>>,
    writer: Option<JoinHandle<()>>,
}

impl Store {
    /// Starts the writer of `database`.
    pub(super) fn start(database: Database) -> Result<Self, StoreError> {
        let database = Arc::new(database);
        let (queue, jobs) = sync_channel(QUEUE_MAX);
        let snapshot = Arc::new(Snapshot::default());
        let for_writer = (Arc::clone(&database), Arc::clone(&snapshot));
        let writer = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || write_batches(&for_writer.0, &for_writer.1, &jobs))
            .map_err(|error| StoreError::Engine(Arc::new(redb::Error::Io(error))))?;
        Ok(Self {
            database: Some(database),
            snapshot,
            queue: Some(queue),
            writer: Some(writer),
        })
    }

    /// Runs `work` on a snapshot, in the calling thread. Never waits for the writer.
    pub fn read<T, E: From<StoreError>>(
        &self,
        work: impl FnOnce(&ReadTx) -> Result<T, E>,
    ) -> Result<T, E> {
        let database = self.database.as_ref().ok_or(StoreError::Closed)?;
        let begin = || Ok(ReadTx::new(database.begin_read()?));
        work(&*self.snapshot.current(begin)?)
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
        self.snapshot.outdate();
        // The writer has given its share back, so this is the last one.
        if let Some(database) = self.database.take().and_then(Arc::into_inner)
            && let Err(error) = database.close()
        {
            tracing::warn!(%error, "the data file was not closed; the next start repairs it");
        }
    }
}

fn write_batches(database: &Database, snapshot: &Snapshot, jobs: &Receiver<Box<dyn Job>>) {
    while let Ok(first) = jobs.recv() {
        let mut batch = vec![first];
        batch.extend(jobs.try_iter().take(BATCH_MAX - 1));
        // Closures are caught one by one. What arrives here is a panic of redb itself, and it must
        // not end the writer; redb keeps nothing of a transaction that a panic unwound.
        let fault = catch_unwind(AssertUnwindSafe(|| write_batch(database, &mut batch)))
            .unwrap_or(Err(StoreError::Panicked))
            .err();
        if let Some(fault) = &fault {
            tracing::error!(%fault, writes = batch.len(), "a commit failed; all its writes are refused");
        }
        snapshot.outdate();
        for job in batch {
            job.answer(fault.clone());
        }
    }
}

fn write_batch(database: &Database, batch: &mut [Box<dyn Job>]) -> Result<(), StoreError> {
    let transaction = begin_write(database)?;
    let tables = Batch::new(&transaction);
    for job in batch {
        let mut tx = WriteTx::new(&tables);
        if job.run(&mut tx) {
            let changes = tx.into_changes();
            tables.apply(changes)?;
        }
    }
    drop(tables);
    transaction.commit()?;
    Ok(())
}

/// Does `work` in the calling thread, in a database that has no writer yet.
pub(super) fn write_alone(
    database: &Database,
    work: impl FnOnce(&mut WriteTx<'_>) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let transaction = begin_write(database)?;
    let tables = Batch::new(&transaction);
    let mut tx = WriteTx::new(&tables);
    work(&mut tx)?;
    let changes = tx.into_changes();
    tables.apply(changes)?;
    drop(tables);
    transaction.commit()?;
    Ok(())
}

fn begin_write(database: &Database) -> Result<WriteTransaction, StoreError> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(Durability::Immediate)?;
    // redb's design document asks for two phases where strangers choose what is stored: the page
    // checksum that one phase relies on is not a cryptographic one.
    transaction.set_two_phase_commit(true);
    Ok(transaction)
}
