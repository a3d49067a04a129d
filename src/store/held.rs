//! A file whose changes wait in memory until it is known whose it is.
//!
//! redb writes to a file by opening it, and repairs one that was not closed. A file that turns out
//! to be somebody else's, or newer than this binary, must not be changed by that.

use std::{
    fmt, io,
    ops::Bound,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use redb::{BackendError, StorageBackend, backends::FileBackend};

/// Bytes that may wait. Opening a file writes its header, repairing it a few pages more.
const HELD_BYTES_MAX: usize = 64 << 20;

/// What redb asked for while the file was held. Their order is kept: what stands before a sync must
/// be on the disk before what stands after it.
enum Operation {
    Write { offset: u64, data: Vec<u8> },
    SetLen(u64),
    Sync,
}

impl Operation {
    /// Does to `out`, which was read at `start`, what this does to the file.
    fn apply_to(&self, start: u64, out: &mut [u8]) {
        match self {
            Self::Write { offset, data } => {
                let end = start.saturating_add(out.len() as u64);
                let from = start.max(*offset);
                let to = end.min(offset.saturating_add(data.len() as u64));
                if from < to {
                    let source = &data[distance(*offset, from)..distance(*offset, to)];
                    out[distance(start, from)..distance(start, to)].copy_from_slice(source);
                }
            }
            Self::SetLen(len) => {
                let kept = distance(start, *len).min(out.len());
                out[kept..].fill(0);
            }
            Self::Sync => {}
        }
    }
}

/// From one place in a file to another behind it, as a place in a buffer.
fn distance(from: u64, to: u64) -> usize {
    usize::try_from(to.saturating_sub(from)).unwrap_or(usize::MAX)
}

/// The way to release a [`HeldFile`] that redb owns.
#[derive(Clone)]
pub(super) struct Hold(Arc<Shared>);

struct Shared {
    file: FileBackend,
    waiting: Mutex<Vec<Operation>>,
    is_released: AtomicBool,
}

impl Hold {
    /// Holds `file`.
    pub(super) fn new(file: FileBackend) -> Self {
        Self(Arc::new(Shared {
            file,
            waiting: Mutex::new(Vec::new()),
            is_released: AtomicBool::new(false),
        }))
    }

    /// The file as redb sees it.
    pub(super) fn file(&self) -> HeldFile {
        HeldFile(Arc::clone(&self.0))
    }

    /// Does all that waits; nothing waits from here on. A file that is never released stays as it
    /// was.
    pub(super) fn release(&self) -> io::Result<()> {
        let mut waiting = self.0.waiting();
        for operation in waiting.drain(..) {
            match operation {
                Operation::Write { offset, data } => self.0.file.write(offset, &data)?,
                Operation::SetLen(len) => self.0.file.set_len(len)?,
                Operation::Sync => self.0.file.sync_data()?,
            }
        }
        self.0.is_released.store(true, Ordering::Release);
        Ok(())
    }
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, Vec<Operation>> {
        // No panic can come between two changes of what the lock guards.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_released(&self) -> bool {
        self.is_released.load(Ordering::Acquire)
    }

    fn wait(&self, operation: Operation) -> io::Result<()> {
        let mut waiting = self.waiting();
        waiting.push(operation);
        let writes = waiting.iter().map(|operation| match operation {
            Operation::Write { data, .. } => data.len(),
            Operation::SetLen(_) | Operation::Sync => 0,
        });
        let found: usize = writes.sum();
        if found > HELD_BYTES_MAX {
            return Err(io::Error::other(format!(
                "its repair changes too much: expected {HELD_BYTES_MAX} bytes at most, found {found}"
            )));
        }
        Ok(())
    }
}

/// The file as redb sees it: as if everything that waits had been done.
pub(super) struct HeldFile(Arc<Shared>);

impl fmt::Debug for HeldFile {
    // What waits is content of the file, and no log is to show that.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeldFile").finish_non_exhaustive()
    }
}

impl StorageBackend for HeldFile {
    fn len(&self) -> io::Result<u64> {
        let mut len = self.0.file.len()?;
        for operation in self.0.waiting().iter() {
            match operation {
                Operation::SetLen(set) => len = *set,
                Operation::Write { offset, data } => len = len.max(offset + data.len() as u64),
                Operation::Sync => {}
            }
        }
        Ok(len)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        if self.0.is_released() {
            return self.0.file.read(offset, out);
        }
        if offset.saturating_add(out.len() as u64) > self.len()? {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let on_disk = distance(offset, self.0.file.len()?).min(out.len());
        self.0.file.read(offset, &mut out[..on_disk])?;
        out[on_disk..].fill(0);
        for operation in self.0.waiting().iter() {
            operation.apply_to(offset, out);
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        if self.0.is_released() {
            return self.0.file.set_len(len);
        }
        self.0.wait(Operation::SetLen(len))
    }

    fn sync_data(&self) -> io::Result<()> {
        if self.0.is_released() {
            return self.0.file.sync_data();
        }
        self.0.wait(Operation::Sync)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        if self.0.is_released() {
            return self.0.file.write(offset, data);
        }
        let data = data.to_vec();
        self.0.wait(Operation::Write { offset, data })
    }

    fn close(&self) -> io::Result<()> {
        self.0.file.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.file.try_lock_range(start, end)
    }

    fn try_lock_shared_range(
        &self,
        start: Bound<u64>,
        end: Bound<u64>,
    ) -> Result<bool, BackendError> {
        self.0.file.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.file.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.file.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.file.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.file.query_lock_range(start, end)
    }
}
