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
#[cfg_attr(test, derive(Clone, Debug))]
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

#[cfg(test)]
mod tests {
    use std::{fs, fs::File, path::Path};

    use proptest::prelude::*;

    use super::*;

    fn hold(path: &Path) -> Hold {
        let file = File::options().read(true).write(true).open(path);
        Hold::new(FileBackend::new(file.expect("a file")).expect("a backend"))
    }

    fn whole(file: &HeldFile) -> Vec<u8> {
        let len = usize::try_from(file.len().expect("a length")).expect("small");
        let mut bytes = vec![0xee; len];
        file.read(0, &mut bytes).expect("all of it");
        bytes
    }

    fn perform(file: &HeldFile, model: &mut Vec<u8>, operation: &Operation) {
        match operation {
            Operation::Write { offset, data } => {
                let start = usize::try_from(*offset).expect("small");
                let end = start + data.len();
                model.resize(model.len().max(end), 0);
                model[start..end].copy_from_slice(data);
                file.write(*offset, data).expect("a write");
            }
            Operation::SetLen(len) => {
                model.resize(usize::try_from(*len).expect("small"), 0);
                file.set_len(*len).expect("a length");
            }
            Operation::Sync => file.sync_data().expect("a sync"),
        }
    }

    fn any_operation() -> impl Strategy<Value = Operation> {
        let data = proptest::collection::vec(1_u8.., 1..24);
        prop_oneof![
            4 => (0_u64..64, data).prop_map(|(offset, data)| Operation::Write { offset, data }),
            1 => (0_u64..96).prop_map(Operation::SetLen),
            1 => Just(Operation::Sync),
        ]
    }

    proptest! {
        #[test]
        fn it_reads_as_if_nothing_waited_and_writes_only_when_it_is_released(
            before in proptest::collection::vec(any::<u8>(), 0..64),
            waiting in proptest::collection::vec(any_operation(), 0..12),
            later in proptest::collection::vec(any_operation(), 0..4),
            start in 0_usize..96,
        ) {
            let directory = tempfile::tempdir()?;
            let path = directory.path().join("file");
            fs::write(&path, &before)?;
            let hold = hold(&path);
            let file = hold.file();
            let mut model = before.clone();
            for operation in &waiting {
                perform(&file, &mut model, operation);
                prop_assert_eq!(&whole(&file), &model);
                let start = start.min(model.len());
                let mut part = vec![0xee; model.len() - start];
                file.read(start as u64, &mut part)?;
                prop_assert_eq!(&part, &model[start..]);
            }
            prop_assert_eq!(&fs::read(&path)?, &before);
            hold.release()?;
            prop_assert_eq!(&fs::read(&path)?, &model);
            for operation in &later {
                perform(&file, &mut model, operation);
                prop_assert_eq!(&fs::read(&path)?, &model);
            }
        }
    }

    #[test]
    fn nothing_is_read_behind_the_end() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("file");
        fs::write(&path, b"1234").expect("a file");
        let hold = hold(&path);
        let file = hold.file();
        assert!(file.read(2, &mut [0; 3]).is_err());
        file.set_len(5).expect("a length");
        let mut bytes = [0xee; 3];
        file.read(2, &mut bytes).expect("all of it");
        assert_eq!(&bytes, b"34\0");
    }

    #[test]
    fn more_than_the_bound_does_not_wait() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("file");
        fs::write(&path, b"").expect("a file");
        let hold = hold(&path);
        let file = hold.file();
        let half = vec![1; HELD_BYTES_MAX / 2];
        assert!(file.write(0, &half).is_ok());
        assert!(file.write(0, &half).is_ok());
        assert!(file.write(0, &[1]).is_err());
        assert_eq!(fs::metadata(&path).expect("the file").len(), 0);
    }

    #[test]
    fn nothing_of_the_file_is_in_debug() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("file");
        fs::write(&path, b"").expect("a file");
        let file = hold(&path).file();
        file.write(0, b"secret").expect("a write");
        assert_eq!(format!("{file:?}"), "HeldFile { .. }");
    }
}
