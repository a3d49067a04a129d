//! The engine: one file, one writer, snapshot reads.
//!
//! A write is a closure. The writer thread runs all closures that wait in one redb transaction,
//! commits once, durably, and then answers each of them. A batch forms by itself while the disk
//! takes the one before it; there is no artificial wait.
//!
//! The writer is also the one that opens the file anew after a fault ([`recovery`]).
//!
//! [`recovery`]: crate::store::recovery

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel},
    },
    task::{Context, Poll},
    thread::JoinHandle,
};

use tokio::{sync::oneshot, time::Instant};

use crate::store::{
    compact::{Changed, Copied, Followed},
    error::StoreError,
    figures::{Actions, Fate, Figures},
    handle::{Current, Handle},
    listen::{Heard, Listeners},
    medium::Medium,
    recovery::{Pauses, Recovery},
    tables::Table,
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

/// The answers of one commit, given when it is called.
pub type Answers = Box<dyn FnOnce() + Send>;

type Give = Box<dyn Fn(Answers) + Send + Sync>;

/// What the writer thread sees of a waiting write.
pub(super) trait Job: Send {
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
    medium: Arc<dyn Medium>,
    current: Arc<Current>,
    compaction: Mutex<()>,
    queue: Option<SyncSender<Task>>,
    give: Arc<OnceLock<Give>>,
    listeners: Arc<Listeners>,
    figures: Arc<Figures>,
    writer: Option<JoinHandle<()>>,
}

/// What the writer is asked for.
pub(super) enum Task {
    Write(Box<dyn Job>),
    /// To look after the file, of which somebody who read says that it fails.
    Look,
    /// To note from now on what changes, and say what did until now.
    Follow(Reply<Followed>),
    /// To note nothing any more.
    Forget(Reply<()>),
    /// To put this copy in the place of the file, with the changes that it lacks.
    Replace(Copied, Reply<()>),
}

/// Where the writer answers somebody who blocks.
pub(super) type Reply<T> = SyncSender<Result<T, StoreError>>;

impl Store {
    /// Starts the writer of `handle`, which is what `medium` opened.
    pub(super) fn start(
        handle: Handle,
        medium: Box<dyn Medium>,
        pauses: Pauses,
    ) -> Result<Self, StoreError> {
        let medium: Arc<dyn Medium> = medium.into();
        let current = Arc::new(Current::new(handle));
        let figures = Arc::new(Figures::new());
        let (opened, counted) = (Arc::clone(&current), Arc::clone(&figures));
        let recovery = Recovery::new(Arc::clone(&medium), opened, pauses, counted)?;
        let (queue, tasks) = sync_channel(QUEUE_MAX);
        let give = Arc::new(OnceLock::new());
        let listeners = Arc::new(Listeners::default());
        let writer = Writer {
            recovery,
            tasks,
            give: Arc::clone(&give),
            listeners: Arc::clone(&listeners),
            figures: Arc::clone(&figures),
            following: None,
        };
        let writer = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || writer.run())
            .map_err(|error| StoreError::Engine(Arc::new(redb::Error::Io(error))))?;
        Ok(Self {
            medium,
            current,
            compaction: Mutex::new(()),
            queue: Some(queue),
            give,
            listeners,
            figures,
            writer: Some(writer),
        })
    }

    /// From now on the answers of one commit are given by `give`, which calls what it is given.
    ///
    /// The writer would have to wake a runtime once for each caller, which are as many system
    /// calls and, where there is one core, as many changes from one thread to the other and back.
    /// Within the runtime the callers only have to be queued.
    pub fn answer_by(&self, give: impl Fn(Answers) + Send + Sync + 'static) {
        // A second call changes nothing: there is one runtime.
        drop(self.give.set(Box::new(give)));
    }

    /// From now on `listener` is told which keys of `table` a commit changed, as soon as readers
    /// find what it changed; and those of one that failed, which they may find or not. It is called
    /// by the writer, which waits for it.
    pub(super) fn listen(
        &self,
        table: Table,
        listener: impl Fn(&[Vec<u8>]) + Send + Sync + 'static,
    ) {
        self.listeners.add(table, Box::new(listener));
    }

    /// Runs `work` on a snapshot, in the calling thread. Never waits for the writer.
    pub fn read<T, E: From<StoreError>>(
        &self,
        work: impl FnOnce(&ReadTx) -> Result<T, E>,
    ) -> Result<T, E> {
        // The opening that is in use when a read begins is its own until it ends, whatever the
        // writer puts in its place meanwhile.
        let handle = self.current.get();
        let result = work(&*handle.snapshot()?);
        if handle.is_to_be_reported() {
            self.look();
        }
        result
    }

    /// What is counted of it.
    pub fn figures(&self) -> &Figures {
        &self.figures
    }

    /// How large the file is.
    pub fn file_bytes(&self) -> Result<u64, StoreError> {
        self.handle().len()
    }

    pub(super) fn handle(&self) -> Arc<Handle> {
        self.current.get()
    }

    pub(super) fn medium(&self) -> &Arc<dyn Medium> {
        &self.medium
    }

    /// One compaction at a time.
    pub(super) fn lock_for_compaction(&self) -> MutexGuard<'_, ()> {
        // It guards nothing that a panic could leave half done.
        self.compaction
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the writer and blocks until it answers.
    pub(super) fn ask<T>(&self, task: impl FnOnce(Reply<T>) -> Task) -> Result<T, StoreError> {
        let (reply, answer) = sync_channel(1);
        let queue = self.queue.as_ref().ok_or(StoreError::Closed)?;
        queue.send(task(reply)).map_err(|_| StoreError::Closed)?;
        answer.recv().unwrap_or(Err(StoreError::Closed))
    }

    /// Tells the writer that the file fails. Where its queue is full it will notice by itself.
    fn look(&self) {
        if let Some(queue) = &self.queue {
            drop(queue.try_send(Task::Look));
        }
    }

    /// Runs `work` in the writer thread and answers once its changes are durable.
    ///
    /// An `Err` of `work` leaves nothing behind. A closure that must both change something and
    /// refuse its caller returns the refusal inside `Ok`.
    ///
    /// [`StoreError::Unwritable`] says that the change is not known to be durable. Where the disk
    /// failed in the middle of a commit it may turn out that it is.
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
        self.figures.queued.add_one();
        let refused = match &self.queue {
            None => Some((Task::Write(job), StoreError::Closed)),
            Some(queue) => match queue.try_send(Task::Write(job)) {
                Ok(()) => None,
                Err(TrySendError::Full(task)) => {
                    Some((task, StoreError::QueueFull { max: QUEUE_MAX }))
                }
                Err(TrySendError::Disconnected(task)) => Some((task, StoreError::Closed)),
            },
        };
        if let Some((Task::Write(job), fault)) = refused {
            self.figures.queued.take_one();
            self.figures.wrote(Fate::QueueFull, 1);
            job.answer(Some(fault));
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
        // The writer has given its share back, so this is the last one.
        if let Some(Err(error)) = Arc::get_mut(&mut self.current).map(Current::close) {
            tracing::warn!(%error, "the data file was not closed; the next start repairs it");
        }
    }
}

struct Writer {
    recovery: Recovery,
    tasks: Receiver<Task>,
    give: Arc<OnceLock<Give>>,
    listeners: Arc<Listeners>,
    figures: Arc<Figures>,
    /// What changed since a copy of the file was begun, while one is made.
    following: Option<Changed>,
}

impl Writer {
    fn run(mut self) {
        while let Some(first) = self.next() {
            let (mut batch, mut others): (Vec<Box<dyn Job>>, Vec<Task>) = (Vec::new(), Vec::new());
            let tasks = std::iter::once(first).chain(self.tasks.try_iter());
            for task in tasks.take(BATCH_MAX) {
                match task {
                    Task::Write(job) => {
                        self.figures.queued.take_one();
                        batch.push(job);
                    }
                    other => others.push(other),
                }
            }
            let fault = self.write(&mut batch).err();
            if fault.is_some() {
                self.figures.wrote(Fate::Failed, batch.len());
            }
            self.answer(batch, fault);
            for task in others {
                self.serve(task);
            }
        }
    }

    /// Answers a batch: in one task of the runtime where there is one, so that the callers are woken
    /// by the thread that they run on, and not one by one from this one.
    fn answer(&self, batch: Vec<Box<dyn Job>>, fault: Option<StoreError>) {
        let is_one = batch.len() == 1;
        let answer = move || {
            for job in batch {
                job.answer(fault.clone());
            }
        };
        match self.give.get() {
            Some(give) if !is_one => give(Box::new(answer)),
            _ => answer(),
        }
    }

    /// Does what is no write. Who asked for it and hung up wants no answer.
    fn serve(&mut self, task: Task) {
        match task {
            // That has been done before the batch.
            Task::Write(_) | Task::Look => {}
            Task::Follow(reply) => drop(reply.send(self.follow())),
            Task::Forget(reply) => {
                self.following = None;
                drop(reply.send(Ok(())));
            }
            Task::Replace(copied, reply) => drop(reply.send(self.replace(copied))),
        }
    }

    fn follow(&mut self) -> Result<Followed, StoreError> {
        let handle = self.recovery.ready()?;
        Ok(Followed {
            snapshot: ReadTx::new(handle.begin_read()?),
            _handle: handle,
            changed: self
                .following
                .replace(Changed::default())
                .unwrap_or_default(),
        })
    }

    fn replace(&mut self, copied: Copied) -> Result<(), StoreError> {
        let handle = self.recovery.ready()?;
        let changed = self.following.take().ok_or(StoreError::Overtaken)?;
        catch_unwind(AssertUnwindSafe(|| {
            copied.bring(&ReadTx::new(handle.begin_read()?), &changed)?;
            copied.publish()
        }))
        .unwrap_or(Err(StoreError::Panicked))?;
        self.recovery.go_over()
    }

    /// Waits for something to do. While the file fails, it is tried again when that is due.
    fn next(&mut self) -> Option<Task> {
        while let Some(wait) = self.recovery.due_in() {
            match self.tasks.recv_timeout(wait) {
                Ok(task) => return Some(task),
                Err(RecvTimeoutError::Disconnected) => return None,
                // What came of it is in the log, and in the answers from here on.
                Err(RecvTimeoutError::Timeout) => drop(self.recovery.ready()),
            }
        }
        self.tasks.recv().ok()
    }

    fn write(&mut self, batch: &mut [Box<dyn Job>]) -> Result<(), StoreError> {
        let handle = self.recovery.ready()?;
        if batch.is_empty() {
            return Ok(());
        }
        // Closures are caught one by one. What arrives here is a panic of redb itself, and it must
        // not end the writer; redb keeps nothing of a transaction that a panic unwound.
        let (following, figures) = (&mut self.following, &self.figures);
        let mut heard = self.listeners.listen();
        figures.batches.record(batch.len() as u64);
        let write = || write_batch(&handle, batch, following, &mut heard, figures);
        let written = catch_unwind(AssertUnwindSafe(write)).unwrap_or(Err(StoreError::Panicked));
        handle.outdate();
        let written = written.map_err(|error| {
            tracing::error!(%error, writes = batch.len(), "a commit failed; all its writes are refused");
            drop(handle);
            self.recovery.fail(&error)
        });
        if written.is_ok() {
            self.recovery.committed();
        }
        // A commit that failed may turn out to be durable, and who listens looks at what is so.
        self.listeners.tell(&heard);
        written
    }
}

fn write_batch(
    handle: &Handle,
    batch: &mut [Box<dyn Job>],
    following: &mut Option<Changed>,
    heard: &mut Heard,
    figures: &Figures,
) -> Result<(), StoreError> {
    let (mut kept, mut actions): (usize, Actions) = (0, [0; _]);
    let transaction = handle.begin_write()?;
    let tables = Batch::new(&transaction);
    for job in &mut *batch {
        let mut tx = WriteTx::new(&tables);
        if job.run(&mut tx) {
            kept += 1;
            tx.add_actions(&mut actions);
            let changes = tx.into_changes();
            if let Some(changed) = following {
                changed.note(&changes);
            }
            heard.note(&changes);
            tables.apply(changes)?;
        }
    }
    drop(tables);
    let began = Instant::now();
    transaction.commit()?;
    figures.commits.record_duration(began.elapsed());
    figures.wrote(Fate::Committed, kept);
    figures.wrote(Fate::Refused, batch.len() - kept);
    figures.noted(&actions);
    Ok(())
}
