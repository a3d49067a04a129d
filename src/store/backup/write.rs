//! From a snapshot to bytes.

use std::io::Write;

use crate::{
    crypto::digest::RunningDigest,
    model::timestamp::Timestamp,
    store::{
        Read, Row, SCHEMA, StoreError, TABLES,
        backup::{BackupError, CHUNK_BYTES, FORMAT, MAGIC, Tag},
        rows,
    },
};

/// How much was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Rows of all tables.
    pub rows: u64,
    /// Bytes of the backup.
    pub len: u64,
}

/// Writes everything that `tx` sees to `out`, in pieces of a chunk at the most.
///
/// # Errors
/// [`BackupError::Output`], [`BackupError::Store`]. What was written before has no end, and nobody
/// takes it for a backup.
pub fn write(
    tx: &dyn Read,
    made_at: Timestamp,
    out: &mut dyn Write,
) -> Result<Written, BackupError> {
    let mut output = Output {
        out,
        digest: RunningDigest::default(),
        len: 0,
    };
    output.put(MAGIC)?;
    output.put(&FORMAT.to_be_bytes())?;
    let version = env!("CARGO_PKG_VERSION").as_bytes();
    let header = [
        &SCHEMA.to_be_bytes()[..],
        &made_at.millis().to_be_bytes(),
        version,
    ];
    output.frame(Tag::Header, &header.concat())?;
    let mut all = 0_u64;
    for definition in TABLES {
        let len = tx.len(definition.table)?;
        all += len;
        let table = [&len.to_be_bytes()[..], definition.name.as_bytes()];
        output.frame(Tag::Table, &table.concat())?;
        let mut chunk = Vec::with_capacity(CHUNK_BYTES);
        rows::each_page(tx, definition.table, |page| {
            for row in &page {
                put_row(&mut chunk, row)?;
                if chunk.len() >= CHUNK_BYTES {
                    output.frame(Tag::Rows, &chunk)?;
                    chunk.clear();
                }
            }
            Ok::<_, BackupError>(())
        })?;
        if !chunk.is_empty() {
            output.frame(Tag::Rows, &chunk)?;
        }
    }
    let digest = output.digest.clone().finish();
    output.frame(
        Tag::End,
        &[&all.to_be_bytes()[..], digest.as_bytes()].concat(),
    )?;
    output.out.flush().map_err(BackupError::Output)?;
    Ok(Written {
        rows: all,
        len: output.len,
    })
}

fn put_row(chunk: &mut Vec<u8>, (key, value): &Row) -> Result<(), StoreError> {
    for part in [key, value] {
        chunk.extend_from_slice(&len(part)?);
        chunk.extend_from_slice(part);
    }
    Ok(())
}

/// The length of `bytes`, as four of them.
fn len(bytes: &[u8]) -> Result<[u8; 4], StoreError> {
    let len = u32::try_from(bytes.len()).map_err(|_| StoreError::TooLarge {
        found: bytes.len(),
        max: u32::MAX as usize,
    })?;
    Ok(len.to_be_bytes())
}

struct Output<'a> {
    out: &'a mut dyn Write,
    /// Of everything that was written.
    digest: RunningDigest,
    /// How long that is.
    len: u64,
}

impl Output<'_> {
    fn put(&mut self, bytes: &[u8]) -> Result<(), BackupError> {
        self.digest.update(bytes);
        self.len += bytes.len() as u64;
        self.out.write_all(bytes).map_err(BackupError::Output)
    }

    /// A frame: its tag, the length of its content, the content, a checksum of these three.
    fn frame(&mut self, tag: Tag, content: &[u8]) -> Result<(), BackupError> {
        let mut bytes = Vec::with_capacity(content.len() + 9);
        bytes.push(tag as u8);
        bytes.extend_from_slice(&len(content)?);
        bytes.extend_from_slice(content);
        bytes.extend_from_slice(&crc32fast::hash(&bytes).to_be_bytes());
        self.put(&bytes)
    }
}
