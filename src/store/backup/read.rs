//! From bytes to rows, believing none of them: a checksum for each frame says where one was
//! changed, a digest at the end that none was.

use std::io::{self, Read as _};

use crate::{
    crypto::digest::RunningDigest,
    model::timestamp::Timestamp,
    store::{
        Row, SCHEMA, TABLES, Table,
        backup::{BackupError, FORMAT, FRAME_BYTES_MAX, Header, KEY_BYTES_MAX, MAGIC, Tag},
        check::TableSize,
        codec::RECORD_BYTES_MAX,
    },
};

/// What is in a backup that is whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// What it says of itself.
    pub header: Header,
    /// Its tables, in their order.
    pub tables: Vec<TableSize>,
    /// Its length in bytes.
    pub len: u64,
}

impl Summary {
    /// Rows of all tables.
    pub fn rows(&self) -> u64 {
        self.tables.iter().map(|size| size.rows).sum()
    }

    /// Rows of one table.
    pub fn rows_of(&self, table: Table) -> u64 {
        let of_table = self.tables.iter().filter(|size| size.table == table);
        of_table.map(|size| size.rows).sum()
    }
}

/// Reads a backup to its end, and hands its rows to `take` as they come.
///
/// What `take` is given stands in a frame whose checksum is right. That nothing is missing and
/// nothing was exchanged is known only when this returns `Ok`.
///
/// # Errors
/// Why it is none, or not whole; and what `take` says.
pub fn read(
    input: &mut dyn io::Read,
    take: &mut dyn FnMut(Table, Vec<Row>) -> Result<(), BackupError>,
) -> Result<Summary, BackupError> {
    let mut input = Input {
        inner: input,
        at: 0,
        digest: RunningDigest::default(),
    };
    let header = read_header(&mut input)?;
    let mut tables = Tables::of(&header);
    loop {
        let frame = input.frame()?;
        match frame.tag {
            Tag::Table => tables.begin(&frame)?,
            Tag::Rows => {
                let (table, rows) = tables.take_rows(&frame)?;
                take(table, rows)?;
            }
            Tag::End => {
                tables.end(&frame)?;
                input.expect_end()?;
                return Ok(Summary {
                    header,
                    tables: tables.sizes,
                    len: input.at,
                });
            }
            Tag::Header => return Err(frame.wrong("expected a table, found another header")),
        }
    }
}

fn read_header(input: &mut Input<'_>) -> Result<Header, BackupError> {
    let mut magic = [0; MAGIC.len()];
    match input.fill(&mut magic) {
        Err(BackupError::CutOff { .. }) => return Err(BackupError::Foreign),
        filled => filled?,
    }
    if &magic != MAGIC {
        return Err(BackupError::Foreign);
    }
    let mut format = [0; 4];
    input.fill(&mut format)?;
    let found = u32::from_be_bytes(format);
    if found != FORMAT {
        return Err(BackupError::NewerFormat { found });
    }
    let frame = input.frame()?;
    if frame.tag != Tag::Header {
        return Err(frame.wrong("expected its header"));
    }
    let mut content = frame.content();
    let schema = u32::from_be_bytes(content.array()?);
    let made_at = Timestamp::from_millis(u64::from_be_bytes(content.array()?));
    let version = String::from_utf8(content.rest().to_vec())
        .map_err(|_| frame.wrong("expected a version as text"))?;
    if schema == 0 {
        return Err(frame.wrong("expected a schema from 1 on, found 0"));
    }
    if schema > SCHEMA {
        return Err(BackupError::NewerSchema {
            expected: SCHEMA,
            found: schema,
            version,
        });
    }
    Ok(Header {
        schema,
        made_at,
        version,
    })
}

/// The tables that came, and what is still to come of the one that is open.
struct Tables {
    /// An older schema may lack tables that came later.
    may_lack_some: bool,
    sizes: Vec<TableSize>,
    to_come: u64,
    last_key: Option<Vec<u8>>,
}

impl Tables {
    fn of(header: &Header) -> Self {
        Self {
            may_lack_some: header.schema < SCHEMA,
            sizes: Vec::new(),
            to_come: 0,
            last_key: None,
        }
    }

    fn begin(&mut self, frame: &Frame) -> Result<(), BackupError> {
        self.close(frame)?;
        let mut content = frame.content();
        self.to_come = u64::from_be_bytes(content.array()?);
        let name = content.rest();
        let next = self.sizes.last().map_or(0, |size| size.table as usize + 1);
        let place = TABLES
            .iter()
            .skip(next)
            .position(|definition| definition.name.as_bytes() == name);
        let table = match place {
            Some(skipped) if skipped == 0 || self.may_lack_some => TABLES[next + skipped].table,
            _ => {
                let name = String::from_utf8_lossy(name);
                return Err(frame.wrong(&format!("expected the next table, found {name:?}")));
            }
        };
        self.last_key = None;
        self.sizes.push(TableSize {
            table,
            rows: 0,
            bytes: 0,
        });
        Ok(())
    }

    fn take_rows(&mut self, frame: &Frame) -> Result<(Table, Vec<Row>), BackupError> {
        let mut rows = Vec::new();
        let mut content = frame.content();
        while !content.is_empty() {
            let key = content.part(KEY_BYTES_MAX)?;
            let value = content.part(RECORD_BYTES_MAX)?;
            if self.last_key.as_deref().is_some_and(|last| last >= key) {
                return Err(frame.wrong("expected a row behind the one before it"));
            }
            self.last_key = Some(key.to_vec());
            rows.push((key.to_vec(), value.to_vec()));
        }
        let found = rows.len() as u64;
        let Some(size) = self.sizes.last_mut().filter(|_| found <= self.to_come) else {
            return Err(frame.wrong("expected another table, found more rows"));
        };
        self.to_come -= found;
        size.rows += found;
        let bytes: usize = rows
            .iter()
            .map(|(key, value)| key.len() + value.len())
            .sum();
        size.bytes += bytes as u64;
        Ok((size.table, rows))
    }

    fn end(&mut self, frame: &Frame) -> Result<(), BackupError> {
        self.close(frame)?;
        let last = self.sizes.last().map(|size| size.table as usize + 1);
        if last != Some(TABLES.len()) && !self.may_lack_some {
            return Err(frame.wrong("expected another table, found the end"));
        }
        let mut content = frame.content();
        let expected = u64::from_be_bytes(content.array()?);
        let found: u64 = self.sizes.iter().map(|size| size.rows).sum();
        if found != expected {
            return Err(frame.wrong(&format!("expected {expected} rows in all, found {found}")));
        }
        let digest: [u8; 32] = content.array()?;
        if digest != frame.digest || !content.is_empty() {
            return Err(frame.wrong("its digest is not that of what stands before"));
        }
        Ok(())
    }

    /// The table that is open has all its rows.
    fn close(&self, frame: &Frame) -> Result<(), BackupError> {
        if self.to_come == 0 {
            return Ok(());
        }
        Err(frame.wrong(&format!("expected {} rows more before it", self.to_come)))
    }
}

struct Input<'a> {
    inner: &'a mut dyn io::Read,
    at: u64,
    /// Of everything that was read.
    digest: RunningDigest,
}

impl Input<'_> {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), BackupError> {
        let mut filled = 0;
        while filled < bytes.len() {
            match self.inner.read(&mut bytes[filled..]) {
                Ok(0) => {
                    let at = self.at + filled as u64;
                    return Err(BackupError::CutOff { at });
                }
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(BackupError::Input(error)),
            }
        }
        self.digest.update(bytes);
        self.at += bytes.len() as u64;
        Ok(())
    }

    fn frame(&mut self) -> Result<Frame, BackupError> {
        let at = self.at;
        let digest = self.digest.clone().finish();
        let damaged = |what: String| BackupError::Damaged { at, what };
        let mut head = [0; 5];
        self.fill(&mut head)?;
        let [tag, len @ ..] = head;
        let tag = Tag::find(tag).ok_or_else(|| damaged(format!("a part of kind {tag}")))?;
        let len = usize::try_from(u32::from_be_bytes(len)).unwrap_or(usize::MAX);
        if len > FRAME_BYTES_MAX {
            return Err(damaged(format!(
                "expected a part of {FRAME_BYTES_MAX} bytes at the most, found {len}"
            )));
        }
        let mut content = vec![0; len];
        self.fill(&mut content)?;
        let mut checksum = [0; 4];
        self.fill(&mut checksum)?;
        let mut found = crc32fast::Hasher::new();
        found.update(&head);
        found.update(&content);
        if found.finalize() != u32::from_be_bytes(checksum) {
            return Err(damaged("its checksum is another one".to_owned()));
        }
        Ok(Frame {
            tag,
            at,
            content,
            digest: *digest.as_bytes(),
        })
    }

    fn expect_end(&mut self) -> Result<(), BackupError> {
        match self.inner.take(1).read_to_end(&mut Vec::new()) {
            Ok(0) => Ok(()),
            Ok(_) => Err(BackupError::Damaged {
                at: self.at,
                what: "expected its end, found more".to_owned(),
            }),
            Err(error) => Err(BackupError::Input(error)),
        }
    }
}

/// A part of a backup whose checksum is right.
struct Frame {
    tag: Tag,
    at: u64,
    content: Vec<u8>,
    /// Of everything before it.
    digest: [u8; 32],
}

impl Frame {
    fn wrong(&self, what: &str) -> BackupError {
        BackupError::Damaged {
            at: self.at,
            what: what.to_owned(),
        }
    }

    fn content(&self) -> Content<'_> {
        Content {
            frame: self,
            rest: &self.content,
        }
    }
}

/// What has not been read of a frame.
struct Content<'a> {
    frame: &'a Frame,
    rest: &'a [u8],
}

impl<'a> Content<'a> {
    fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], BackupError> {
        let (array, rest) = self
            .rest
            .split_first_chunk()
            .ok_or_else(|| self.frame.wrong("it ends too early"))?;
        self.rest = rest;
        Ok(*array)
    }

    /// A part that has its length before it.
    fn part(&mut self, bytes_max: usize) -> Result<&'a [u8], BackupError> {
        let len = usize::try_from(u32::from_be_bytes(self.array()?)).unwrap_or(usize::MAX);
        let (part, rest) = self
            .rest
            .split_at_checked(len)
            .filter(|_| len <= bytes_max)
            .ok_or_else(|| self.frame.wrong("a row ends too early or is too long"))?;
        self.rest = rest;
        Ok(part)
    }
}
