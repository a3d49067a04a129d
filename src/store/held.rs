//! A file whose changes wait in memory until it is known whose it is, and which can be taken out of
//! redb's hands.
//!
//! redb writes to a file by opening it, and repairs one that was not closed. A file that turns out
//! to be somebody else's, or newer than this binary, must not be changed by that. Nor may a file
//! that failed be in the hands of two: it is taken from the database that met the fault before
//! another one opens it.

use std::{
    fmt, io, mem,
    ops::Bound,
    sync::{Arc, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use redb::{BackendError, StorageBackend};

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

/// The way to release and to retire a [`HeldFile`] that redb owns. Dropping it retires the file.
pub(super) struct Hold(Arc<Shared>);

struct Shared {
    // Whatever redb asks for shares the lock, so that who takes it alone knows that nothing is
    // under way.
    state: RwLock<State>,
    failure: OnceLock<Failure>,
}

enum State {
    Held {
        file: Box<dyn StorageBackend>,
        waiting: Vec<Operation>,
    },
    Released(Box<dyn StorageBackend>),
    Retired,
}

/// What a file said when it first failed.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub(super) kind: io::ErrorKind,
    pub(super) said: String,
}

impl Failure {
    pub(super) fn of(error: &io::Error) -> Self {
        Self {
            kind: error.kind(),
            said: error.to_string(),
        }
    }
}

impl Hold {
    /// Holds `file`.
    pub(super) fn new(file: Box<dyn StorageBackend>) -> Self {
        let waiting = Vec::new();
        Self::of(State::Held { file, waiting })
    }

    /// Passes everything on to `file`, which is known to be ours.
    pub(super) fn released(file: Box<dyn StorageBackend>) -> Self {
        Self::of(State::Released(file))
    }

    fn of(state: State) -> Self {
        Self(Arc::new(Shared {
            state: RwLock::new(state),
            failure: OnceLock::new(),
        }))
    }

    /// The file as redb sees it.
    pub(super) fn file(&self) -> HeldFile {
        HeldFile(Arc::clone(&self.0))
    }

    /// Does all that waits; nothing waits from here on. A file that is never released stays as it
    /// was.
    ///
    /// After an error all of it waits still, and can be tried again: what was done is done once
    /// more, and who reads meanwhile finds what they would have found before.
    pub(super) fn release(&self) -> io::Result<()> {
        // Who reads need not wait for the disk, and only who releases changes anything.
        let done = match &*self.0.state() {
            State::Held { file, waiting } => {
                perform(&**file, waiting)?;
                waiting.len()
            }
            State::Released(_) => return Ok(()),
            State::Retired => return Err(retired()),
        };
        let mut state = self.0.state_alone();
        *state = match mem::replace(&mut *state, State::Retired) {
            State::Held { file, waiting } if waiting.len() == done => State::Released(file),
            other => {
                *state = other;
                return Err(io::Error::other("it was written to while it was released"));
            }
        };
        Ok(())
    }

    /// Takes the file from redb and closes it. Once this has returned, nothing is read or written
    /// through this hold, and nothing is under way.
    pub(super) fn retire(&self) {
        if let Err(error) = self.0.close() {
            tracing::warn!(%error, "the data file was not closed in order");
        }
    }

    pub(super) fn is_retired(&self) -> bool {
        matches!(*self.0.state(), State::Retired)
    }

    /// Why redb asks the file for nothing more, if so: it does not after the first error.
    pub(super) fn failure(&self) -> Option<&Failure> {
        self.0.failure.get()
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.retire();
    }
}

fn perform(file: &dyn StorageBackend, operations: &[Operation]) -> io::Result<()> {
    for operation in operations {
        match operation {
            Operation::Write { offset, data } => file.write(*offset, data)?,
            Operation::SetLen(len) => file.set_len(*len)?,
            Operation::Sync => file.sync_data()?,
        }
    }
    Ok(())
}

fn retired() -> io::Error {
    io::Error::other("the data file is being opened anew")
}

impl Shared {
    // No panic can come between two changes of what the lock guards.
    fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn state_alone(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes the first error that the file answers with.
    fn noting<T>(&self, answer: io::Result<T>) -> io::Result<T> {
        answer.inspect_err(|error| {
            self.failure.get_or_init(|| Failure::of(error));
        })
    }

    /// Changes the file at once, unless changes wait: then `operation` waits behind them.
    fn change(
        &self,
        at_once: impl FnOnce(&dyn StorageBackend) -> io::Result<()>,
        operation: impl FnOnce() -> Operation,
    ) -> io::Result<()> {
        match &*self.state() {
            State::Released(file) => return self.noting(at_once(&**file)),
            State::Held { .. } => {}
            State::Retired => return Err(retired()),
        }
        match &mut *self.state_alone() {
            State::Held { waiting, .. } => wait(waiting, operation()),
            State::Released(file) => self.noting(at_once(&**file)),
            State::Retired => Err(retired()),
        }
    }

    fn close(&self) -> io::Result<()> {
        match mem::replace(&mut *self.state_alone(), State::Retired) {
            State::Held { file, .. } | State::Released(file) => file.close(),
            State::Retired => Ok(()),
        }
    }

    fn lock<T>(
        &self,
        lock: impl FnOnce(&dyn StorageBackend) -> Result<T, BackendError>,
    ) -> Result<T, BackendError> {
        match &*self.state() {
            State::Held { file, .. } | State::Released(file) => lock(&**file),
            State::Retired => Err(BackendError::Io(retired())),
        }
    }
}

fn wait(waiting: &mut Vec<Operation>, operation: Operation) -> io::Result<()> {
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

/// How long `file` is once all that waits is done.
fn len_with(file: &dyn StorageBackend, waiting: &[Operation]) -> io::Result<u64> {
    let len = file.len()?;
    Ok(waiting.iter().fold(len, |len, operation| match operation {
        Operation::SetLen(set) => *set,
        Operation::Write { offset, data } => len.max(offset + data.len() as u64),
        Operation::Sync => len,
    }))
}

/// Reads `file` as if all that waits had been done.
fn read_with(
    file: &dyn StorageBackend,
    waiting: &[Operation],
    offset: u64,
    out: &mut [u8],
) -> io::Result<()> {
    if offset.saturating_add(out.len() as u64) > len_with(file, waiting)? {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let on_disk = distance(offset, file.len()?).min(out.len());
    file.read(offset, &mut out[..on_disk])?;
    out[on_disk..].fill(0);
    for operation in waiting {
        operation.apply_to(offset, out);
    }
    Ok(())
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
        match &*self.0.state() {
            State::Held { file, waiting } => self.0.noting(len_with(&**file, waiting)),
            State::Released(file) => self.0.noting(file.len()),
            State::Retired => Err(retired()),
        }
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        match &*self.0.state() {
            State::Held { file, waiting } => {
                self.0.noting(read_with(&**file, waiting, offset, out))
            }
            State::Released(file) => self.0.noting(file.read(offset, out)),
            State::Retired => Err(retired()),
        }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0
            .change(|file| file.set_len(len), || Operation::SetLen(len))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.change(StorageBackend::sync_data, || Operation::Sync)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let later = || Operation::Write {
            offset,
            data: data.to_vec(),
        };
        self.0.change(|file| file.write(offset, data), later)
    }

    fn close(&self) -> io::Result<()> {
        self.0.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.lock(|file| file.try_lock_range(start, end))
    }

    fn try_lock_shared_range(
        &self,
        start: Bound<u64>,
        end: Bound<u64>,
    ) -> Result<bool, BackendError> {
        self.0.lock(|file| file.try_lock_shared_range(start, end))
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.lock(|file| file.lock_range(start, end))
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.lock(|file| file.lock_shared_range(start, end))
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.lock(|file| file.unlock_range(start, end))
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.lock(|file| file.query_lock_range(start, end))
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, fs::File, path::Path};

    use proptest::prelude::*;
    use redb::backends::FileBackend;

    use super::*;

    fn hold(path: &Path) -> Hold {
        let file = File::options().read(true).write(true).open(path);
        Hold::new(Box::new(
            FileBackend::new(file.expect("a file")).expect("a backend"),
        ))
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
        let hold = hold(&path);
        let file = hold.file();
        file.write(0, b"secret").expect("a write");
        assert_eq!(format!("{file:?}"), "HeldFile { .. }");
    }

    #[test]
    fn a_retired_file_is_touched_no_more_and_free_for_another() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("file");
        fs::write(&path, b"whole").expect("a file");
        let hold = hold(&path);
        hold.release().expect("nothing waits");
        let file = hold.file();
        let locked = file.try_lock_range(Bound::Unbounded, Bound::Unbounded);
        assert!(locked.expect("a lock"));
        hold.retire();
        let other = File::open(&path).expect("the file");
        other.try_lock().expect("nobody else has it");
        assert!(file.read(0, &mut [0; 5]).is_err());
        assert!(file.write(0, b"other").is_err());
        assert!(file.set_len(0).is_err());
        assert!(file.sync_data().is_err());
        assert!(file.close().is_ok());
        assert_eq!(fs::read(&path).expect("the file"), b"whole");
        assert!(hold.failure().is_none(), "it did not fail");
    }
}
