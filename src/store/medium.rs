//! Where the data is: in a file, or in memory.

use std::{
    io,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use redb::{StorageBackend, backends::InMemoryBackend};

use crate::store::error::StoreError;

/// Memory that redb may use for the pages of a small file. Its own default is 1 GiB.
///
/// All of it is in use after enough writes, and the whole process should stay below 40 MiB then.
/// What is not here is most often in the page cache of the system, one read away.
pub(super) const CACHE_BYTES: usize = 16 << 20;
/// The same for the largest file.
pub(super) const CACHE_BYTES_MAX: usize = 256 << 20;
/// Bytes of a file for each byte of memory. The pages above the leaves, through which every look-up
/// goes, are about a fiftieth of a file; leaves that are drawn at random are not worth keeping.
const FILE_BYTES_PER_CACHE_BYTE: u64 = 16;

/// Memory that redb may use for the pages of a file of `file_bytes`.
pub(super) fn cache_bytes(file_bytes: u64) -> usize {
    let share = file_bytes / FILE_BYTES_PER_CACHE_BYTE;
    usize::try_from(share)
        .unwrap_or(CACHE_BYTES_MAX)
        .clamp(CACHE_BYTES, CACHE_BYTES_MAX)
}

/// Where the data is, so that it can be opened and, after a fault, opened again.
pub(super) trait Medium: Send + Sync {
    /// What errors call it.
    fn path(&self) -> &Path;

    /// What is there, as it is. Whoever had it open before has given it back.
    fn open(&self) -> Result<Box<dyn StorageBackend>, StoreError>;

    /// An empty place beside it, whatever a copy that was cut off has left there.
    fn create_beside(&self) -> io::Result<Box<dyn StorageBackend>>;

    /// Puts what is beside it, whole and durable, in its place. After an error it is not there.
    fn replace(&self) -> io::Result<()>;

    /// Makes it durable that it was replaced.
    fn settle(&self) -> io::Result<()>;

    /// Removes what is beside it, if anything.
    fn discard(&self) -> io::Result<()>;

    /// Memory that redb may use for pages of it.
    fn cache_bytes(&self) -> usize {
        CACHE_BYTES
    }
}

/// Memory, which ends with the process.
#[derive(Debug, Default)]
pub(super) struct Memory {
    current: Mutex<Arc<InMemoryBackend>>,
    beside: Mutex<Arc<InMemoryBackend>>,
}

// No panic can come between two changes of what the locks guard.
fn lock(place: &Mutex<Arc<InMemoryBackend>>) -> MutexGuard<'_, Arc<InMemoryBackend>> {
    place.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Medium for Memory {
    fn path(&self) -> &Path {
        Path::new("(memory)")
    }

    fn open(&self) -> Result<Box<dyn StorageBackend>, StoreError> {
        Ok(Box::new(Shared(Arc::clone(&lock(&self.current)))))
    }

    fn create_beside(&self) -> io::Result<Box<dyn StorageBackend>> {
        self.discard()?;
        Ok(Box::new(Shared(Arc::clone(&lock(&self.beside)))))
    }

    fn replace(&self) -> io::Result<()> {
        *lock(&self.current) = Arc::clone(&lock(&self.beside));
        Ok(())
    }

    fn settle(&self) -> io::Result<()> {
        Ok(())
    }

    fn discard(&self) -> io::Result<()> {
        *lock(&self.beside) = Arc::default();
        Ok(())
    }
}

#[derive(Debug)]
struct Shared(Arc<InMemoryBackend>);

impl StorageBackend for Shared {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        StorageBackend::read(&*self.0, offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        StorageBackend::write(&*self.0, offset, data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_larger_file_gets_more_memory_within_bounds() {
        for (file, memory) in [
            (0, CACHE_BYTES),
            (256 << 20, CACHE_BYTES),
            (1 << 30, 64 << 20),
            (4 << 30, CACHE_BYTES_MAX),
            (u64::MAX, CACHE_BYTES_MAX),
        ] {
            assert_eq!(cache_bytes(file), memory, "{file} bytes");
        }
    }
}
