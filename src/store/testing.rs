//! A disk for tests: it knows what a power cut would leave of it, and fails when it is told to.

use std::{
    collections::BTreeSet,
    fmt, io, mem,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rand::{RngExt as _, SeedableRng as _, rngs::ChaCha20Rng};
use redb::StorageBackend;

use crate::{
    crypto::entropy::Entropy,
    store::{Store, StoreError, medium::Medium, migrations::SCHEMAS, recovery::Pauses},
};

/// What a disk writes whole or not at all, in bytes.
const SECTOR: usize = 512;

/// What was asked of a disk, in the order in which it was asked.
#[derive(Clone, Debug)]
pub(crate) enum Operation {
    Write { offset: usize, data: Arc<[u8]> },
    SetLen(usize),
    Sync,
}

impl Operation {
    fn apply_to(&self, image: &mut Vec<u8>) {
        match self {
            Self::Write { offset, data } => write(image, *offset, data),
            Self::SetLen(len) => image.resize(*len, 0),
            Self::Sync => {}
        }
    }

    /// Does a part of it, as a disk may whose power is cut.
    fn tear_into(&self, image: &mut Vec<u8>, random: &mut ChaCha20Rng) {
        let Self::Write { offset, data } = self else {
            return self.apply_to(image);
        };
        for (number, sector) in data.chunks(SECTOR).enumerate() {
            if random.random() {
                write(image, offset + number * SECTOR, sector);
            }
        }
    }
}

/// A write behind the end makes the file longer, as that of an operating system does.
fn write(image: &mut Vec<u8>, offset: usize, data: &[u8]) {
    let end = offset + data.len();
    if image.len() < end {
        image.resize(end, 0);
    }
    image[offset..end].copy_from_slice(data);
}

/// How an operation fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing of it is done.
    Refused,
    /// There is room for the first half of a write.
    Full,
    /// A sync fails as it does on Linux: what it should have brought to the disk counts as clean
    /// from then on, is read as it was written, and is never written by a later sync.
    Unsynced,
}

impl Fault {
    fn error(self) -> io::Error {
        match self {
            Self::Full => io::ErrorKind::StorageFull.into(),
            Self::Refused | Self::Unsynced => io::Error::other("on purpose, by a test"),
        }
    }
}

/// From which operation on a disk fails, and until when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// The number of the first operation that fails.
    pub(crate) from: usize,
    /// How many fail.
    pub(crate) count: usize,
    /// How.
    pub(crate) fault: Fault,
}

#[derive(Default)]
struct Inner {
    /// What a program reads.
    live: Vec<u8>,
    /// What is left after a power cut, whatever happens.
    durable: Vec<u8>,
    /// What was done since the last sync.
    unsynced: Vec<Operation>,
    /// Everything that was asked for, if it is recorded.
    record: Option<Vec<Operation>>,
    /// How many operations were asked for.
    asked: usize,
    plan: Option<Plan>,
    reads_fail: bool,
    is_open: bool,
}

impl Inner {
    /// Whether the operation that is asked for now fails, and how.
    fn next(&mut self) -> Option<Fault> {
        let number = self.asked;
        self.asked += 1;
        let plan = self.plan?;
        (plan.from..plan.from.saturating_add(plan.count))
            .contains(&number)
            .then_some(plan.fault)
    }

    fn change(&mut self, operation: Operation) -> io::Result<()> {
        match (self.next(), &operation) {
            (None, _) => {
                self.done(operation);
                return Ok(());
            }
            (Some(Fault::Full), Operation::Write { offset, data }) => {
                let data = data[..data.len() / 2].into();
                let offset = *offset;
                self.done(Operation::Write { offset, data });
            }
            (Some(Fault::Unsynced), Operation::Sync) => {
                self.unsynced
                    .retain(|operation| matches!(operation, Operation::SetLen(_)));
            }
            (Some(_), _) => {}
        }
        Err(self.plan.map_or(Fault::Refused, |plan| plan.fault).error())
    }

    fn done(&mut self, operation: Operation) {
        operation.apply_to(&mut self.live);
        if let Some(record) = &mut self.record {
            record.push(operation.clone());
        }
        if matches!(operation, Operation::Sync) {
            for operation in self.unsynced.drain(..) {
                operation.apply_to(&mut self.durable);
            }
        } else {
            self.unsynced.push(operation);
        }
    }
}

/// A disk with one file, and room for another beside it. A clone is the same disk.
#[derive(Clone, Default)]
pub(crate) struct Disk(Arc<Mutex<Places>>);

#[derive(Default)]
struct Places {
    file: Image,
    beside: Image,
    /// Operations on the file beside, until it took the place of the other.
    copied_in: usize,
    settling_fails: bool,
}

/// A file, whatever its name is now.
#[derive(Clone, Default)]
struct Image(Arc<Mutex<Inner>>);

impl Image {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self) -> Box<dyn StorageBackend> {
        let mut inner = self.lock();
        assert!(!inner.is_open, "nobody opens what somebody else has");
        inner.is_open = true;
        Box::new(Opened(self.clone()))
    }
}

impl Disk {
    /// With a file of this content, all of which is durable.
    pub(crate) fn holding(image: Vec<u8>) -> Self {
        let disk = Self::default();
        {
            let file = disk.file();
            let mut inner = file.lock();
            inner.live.clone_from(&image);
            inner.durable = image;
        }
        disk
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn file(&self) -> Image {
        self.places().file.clone()
    }

    /// Fails as `plan` says in the file that is made beside this one next.
    pub(crate) fn fail_beside(&self, plan: Plan) {
        let beside = Image::default();
        beside.lock().plan = Some(plan);
        self.places().beside = beside;
    }

    /// The file that is made beside this one next.
    fn beside(&self) -> Image {
        self.places().beside.clone()
    }

    /// How many operations were asked of the file beside before it took the place of this one.
    pub(crate) fn copied_in(&self) -> usize {
        self.places().copied_in
    }

    /// From now on it cannot be made durable that the file was replaced.
    pub(crate) fn fail_settling(&self) {
        self.places().settling_fails = true;
    }

    /// Keeps everything from here on for [`Self::recorded`].
    pub(crate) fn record(&self) -> Vec<u8> {
        let file = self.file();
        let mut inner = file.lock();
        inner.record = Some(Vec::new());
        inner.live.clone()
    }

    /// How many operations were recorded by now.
    pub(crate) fn position(&self) -> usize {
        self.file().lock().record.as_ref().map_or(0, Vec::len)
    }

    /// What was recorded.
    pub(crate) fn recorded(&self) -> Vec<Operation> {
        self.file().lock().record.take().unwrap_or_default()
    }

    /// How many operations were asked for by now.
    pub(crate) fn asked(&self) -> usize {
        self.file().lock().asked
    }

    /// Fails from now on as `plan` says.
    pub(crate) fn fail(&self, plan: Plan) {
        self.file().lock().plan = Some(plan);
    }

    /// Fails every operation that changes something, from now on.
    pub(crate) fn fail_all(&self, fault: Fault) {
        let file = self.file();
        let mut inner = file.lock();
        inner.plan = Some(Plan {
            from: inner.asked,
            count: usize::MAX,
            fault,
        });
    }

    /// Fails every read, from now on.
    pub(crate) fn fail_reads(&self) {
        self.file().lock().reads_fail = true;
    }

    /// Fails no more.
    pub(crate) fn mend(&self) {
        self.places().settling_fails = false;
        let file = self.file();
        let mut inner = file.lock();
        inner.plan = None;
        inner.reads_fail = false;
    }

    /// Puts another file in the place of this one, as if somebody had copied it there.
    pub(crate) fn replace(&self, image: Vec<u8>) {
        let file = self.file();
        let mut inner = file.lock();
        inner.live.clone_from(&image);
        inner.durable = image;
        inner.unsynced.clear();
    }

    /// What a power cut would leave at least.
    pub(crate) fn durable(&self) -> Vec<u8> {
        self.file().lock().durable.clone()
    }

    /// A store on this disk that hardly pauses after a fault.
    pub(crate) fn store(&self, entropy: &dyn Entropy) -> Result<Store, StoreError> {
        let medium = Box::new(self.clone());
        if self.file().lock().live.is_empty() {
            Store::create_on(medium, entropy, SHORT)
        } else {
            Store::open_on(medium, entropy, &SCHEMAS, SHORT)
        }
    }
}

/// A test has no time to wait for a disk.
const SHORT: Pauses = Pauses {
    first: Duration::from_millis(1),
    longest: Duration::from_millis(1),
};

impl Medium for Disk {
    fn path(&self) -> &Path {
        Path::new("(a disk of a test)")
    }

    fn open(&self) -> Result<Box<dyn StorageBackend>, StoreError> {
        Ok(self.file().open())
    }

    fn create_beside(&self) -> io::Result<Box<dyn StorageBackend>> {
        Ok(self.beside().open())
    }

    fn replace(&self) -> io::Result<()> {
        let mut places = self.places();
        places.file = mem::take(&mut places.beside);
        let copied_in = places.file.lock().asked;
        places.copied_in = copied_in;
        Ok(())
    }

    fn settle(&self) -> io::Result<()> {
        if self.places().settling_fails {
            return Err(Fault::Refused.error());
        }
        Ok(())
    }

    fn discard(&self) -> io::Result<()> {
        let mut places = self.places();
        if places.beside.lock().asked > 0 {
            places.beside = Image::default();
        }
        Ok(())
    }

    /// So little that reading asks the disk.
    fn cache_bytes(&self) -> usize {
        64 << 10
    }
}

struct Opened(Image);

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened").finish_non_exhaustive()
    }
}

fn place(number: u64) -> usize {
    usize::try_from(number).expect("a disk that fits into memory")
}

impl StorageBackend for Opened {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().live.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let inner = self.0.lock();
        if inner.reads_fail {
            return Err(Fault::Refused.error());
        }
        let start = place(offset);
        let found = inner.live.get(start..start + out.len());
        out.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.lock().change(Operation::SetLen(place(len)))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.lock().change(Operation::Sync)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let (offset, data) = (place(offset), data.into());
        self.0.lock().change(Operation::Write { offset, data })
    }

    fn close(&self) -> io::Result<()> {
        self.0.lock().is_open = false;
        Ok(())
    }
}

/// What power cuts leave of a recorded disk.
pub(crate) struct Cuts {
    operations: Vec<Operation>,
    /// What is durable before the operation at `place`.
    durable: Vec<u8>,
    /// Everything before is durable.
    place: usize,
}

impl Cuts {
    /// Of a disk that was `image` before `operations`.
    pub(crate) fn of(image: Vec<u8>, operations: Vec<Operation>) -> Self {
        Self {
            operations,
            durable: image,
            place: 0,
        }
    }

    /// The places right behind each sync.
    pub(crate) fn syncs(&self) -> BTreeSet<usize> {
        let operations = self.operations.iter().enumerate();
        operations
            .filter(|(_, operation)| matches!(operation, Operation::Sync))
            .map(|(place, _)| place + 1)
            .collect()
    }

    /// How many operations there are.
    pub(crate) fn len(&self) -> usize {
        self.operations.len()
    }

    /// What a cut right before the operation number `cut` may leave: all that was synced, and of
    /// what came after it any part. The cuts are to be asked for in their order.
    pub(crate) fn image(&mut self, cut: usize, random: &mut ChaCha20Rng) -> Vec<u8> {
        assert!(self.place <= cut, "cuts are asked for in their order");
        let sync = self.operations[..cut]
            .iter()
            .rposition(|operation| matches!(operation, Operation::Sync))
            .map_or(0, |sync| sync + 1)
            .max(self.place);
        for operation in &self.operations[self.place..sync] {
            operation.apply_to(&mut self.durable);
        }
        self.place = sync;
        let mut image = self.durable.clone();
        for operation in &self.operations[sync..cut] {
            match random.random_range(0..3) {
                0 => {}
                1 => operation.apply_to(&mut image),
                _ => operation.tear_into(&mut image, random),
            }
        }
        image
    }
}

/// The same choices for the same seed.
pub(crate) fn seeded(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}
