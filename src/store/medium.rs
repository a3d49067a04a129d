//! Where the data is: in a file, or in memory.

use std::{io, path::Path, sync::Arc};

use redb::{StorageBackend, backends::InMemoryBackend};

use crate::store::error::StoreError;

/// Memory that redb may use for pages. Its own default is 1 GiB.
pub(super) const CACHE_BYTES: usize = 64 << 20;

/// Where the data is, so that it can be opened and, after a fault, opened again.
pub(super) trait Medium: Send {
    /// What errors call it.
    fn path(&self) -> &Path;

    /// What is there, as it is. Whoever had it open before has given it back.
    fn open(&self) -> Result<Box<dyn StorageBackend>, StoreError>;

    /// Memory that redb may use for pages of it.
    fn cache_bytes(&self) -> usize {
        CACHE_BYTES
    }
}

/// Memory, which ends with the process.
#[derive(Debug, Default)]
pub(super) struct Memory(Arc<InMemoryBackend>);

impl Medium for Memory {
    fn path(&self) -> &Path {
        Path::new("(memory)")
    }

    fn open(&self) -> Result<Box<dyn StorageBackend>, StoreError> {
        Ok(Box::new(Shared(Arc::clone(&self.0))))
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
