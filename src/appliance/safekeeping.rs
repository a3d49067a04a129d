//! Backing up, restoring and checking: on the files themselves, and on the snapshot of a running
//! server, which hands both over as a stream.

use std::{
    fs::{self, File},
    io::{self, BufReader, BufWriter, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio::{
    sync::{Semaphore, mpsc},
    task::spawn_blocking,
};

use crate::{
    appliance::{
        DATA_FILE,
        administration::{CheckRow, Command, PageState, Refused, Reply, RestoredRow, TableRow},
        data_file,
        directory::{self, DirectoryError},
        socket::{self, CallError, Response},
    },
    audit,
    config::Config,
    model::{
        audit::{Action, Actor, Change, Object, Origin},
        timestamp::Timestamp,
    },
    runtime::{
        clock::{Clock, SystemClock},
        entropy::OsEntropy,
    },
    store::{
        Inspected, Read, Store, StoreError, Table,
        backup::{self, BackupError, Header, Summary, Written},
        check,
        restore::{Draft, Epoch},
    },
};

/// Backups and checks of a running server at once. Each holds a snapshot, whose pages stay in the
/// file until it ends.
const READERS_MAX: usize = 1;
/// Pieces of a stream that wait for their peer.
const PIECES_WAITING: usize = 4;
/// What may be in a data directory before a restore: the built-in authority, which no backup has,
/// and what a restore that was cut off has left.
const MAY_BE_THERE: [&str; 3] = ["ca.crt", "ca.key", "keystead.redb.new"];

/// Why a backup, a restore or a check was not done.
#[derive(Debug, thiserror::Error)]
pub enum SafekeepingError {
    /// The running server did not do it.
    #[error(transparent)]
    Call(#[from] CallError),
    /// It would not.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// A backup could not be made.
    #[error("no backup was made: {0}")]
    NotMade(BackupError),
    /// A backup could not be used.
    #[error("{} was not restored, and nothing was made: {cause}", path.display())]
    NotRestored {
        /// The backup.
        path: PathBuf,
        /// What is wrong with it, or with where it should go.
        cause: BackupError,
    },
    /// A backup has every byte that was written, and they contradict each other.
    #[error(
        "{} was not restored, and nothing was made: faults in it: {count}, the first: \
         {first}. Look at all with keystead check",
        path.display()
    )]
    NotWhole {
        /// The backup.
        path: PathBuf,
        /// How many faults.
        count: u64,
        /// One of them.
        first: String,
    },
    /// Something is in the data directory.
    #[error(
        "expected an empty data directory, found {found} in {}: move it away, or name another \
         directory with --data",
        path.display()
    )]
    NotEmpty {
        /// The directory.
        path: PathBuf,
        /// What is in it.
        found: String,
    },
    /// The data directory cannot be used.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// A file cannot be read.
    #[error("cannot read {}: {cause}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// A server has the data file that was named.
    #[error(
        "{} is in use by another process, which may be the server: leave FILE out, and the server \
         of --data checks it; or stop that process",
        .0.display()
    )]
    CheckInUse(PathBuf),
    /// The data file cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Writes a backup of the data directory to `out`: of the running server's snapshot, or of the file
/// while no server has it. What is in `out` counts only when this returns `Ok`.
pub fn back_up(config: &Config, out: &mut dyn Write) -> Result<Written, SafekeepingError> {
    match socket::open_stream(&config.data_dir, &Command::Backup) {
        Err(CallError::NoServer(_)) => {
            let inspected = Inspected::open(&data_file(&config.data_dir))?;
            let mut out = BufWriter::new(out);
            let made = inspected.read(|tx| backup::write(tx, SystemClock.now(), &mut out));
            made.map_err(SafekeepingError::NotMade)
        }
        answered => {
            let stream = answered??;
            let mut copy = Copy {
                from: stream,
                to: out,
                failed: None,
            };
            let read = backup::read(&mut copy, &mut |_, _| Ok(()));
            let failed = copy.failed.map(BackupError::Output);
            read.map(|summary| Written {
                rows: summary.rows(),
                len: summary.len,
            })
            .map_err(|error| SafekeepingError::NotMade(failed.unwrap_or(error)))
        }
    }
}

/// Reads from one and writes the same to the other.
struct Copy<'a, R> {
    from: R,
    to: &'a mut dyn Write,
    failed: Option<io::Error>,
}

impl<R: io::Read> io::Read for Copy<'_, R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(bytes)?;
        let written = self.to.write_all(&bytes[..read]);
        written
            .and_then(|()| if read == 0 { self.to.flush() } else { Ok(()) })
            .map_err(|error| {
                let kind = error.kind();
                self.failed = Some(error);
                kind
            })?;
        Ok(read)
    }
}

/// Looks through the data file of the data directory while no server has it.
pub fn check_offline(config: &Config) -> Result<CheckRow, SafekeepingError> {
    check_data_file(&data_file(&config.data_dir))
}

/// Looks through a backup, or through a data file that no server has.
pub fn check_file(path: &Path) -> Result<CheckRow, SafekeepingError> {
    let unreadable = |cause| SafekeepingError::Unreadable {
        path: path.to_owned(),
        cause,
    };
    let mut file = File::open(path).map_err(unreadable)?;
    if !backup::is_one(&mut file).map_err(unreadable)? {
        return check_data_file(path).map_err(|error| match error {
            SafekeepingError::Store(StoreError::InUse { .. }) => {
                SafekeepingError::CheckInUse(path.to_owned())
            }
            other => other,
        });
    }
    let mut input = BufReader::new(File::open(path).map_err(unreadable)?);
    let draft = Draft::in_memory(&mut input, &OsEntropy);
    let (draft, summary) = match draft {
        Ok(draft) => draft,
        Err(BackupError::Store(fault)) => return Err(fault.into()),
        Err(error) => return Ok(CheckRow::damaged("backup", &error)),
    };
    let row = draft.read(|tx| check_rows(tx, PageState::Whole, &|| true))?;
    let row = row.ok_or(StoreError::Closed)?;
    Ok(CheckRow {
        backup_made_at: Some(summary.header.made_at.to_string()),
        ..row
    })
}

fn check_data_file(path: &Path) -> Result<CheckRow, SafekeepingError> {
    let mut inspected = Inspected::open(path)?;
    if let Err(fault) = inspected.check_pages() {
        return Ok(CheckRow::damaged("pages", &fault));
    }
    let row = inspected.read(|tx| Ok::<_, StoreError>(check_rows(tx, PageState::Whole, &|| true)));
    Ok(row?.ok_or(StoreError::Closed)?)
}

/// Checks rows, indexes and the audit chain. `None` when `go_on` said no.
fn check_rows(tx: &dyn Read, pages: PageState, go_on: &dyn Fn() -> bool) -> Option<CheckRow> {
    let checked = check::check(tx, go_on)?;
    let mut row = CheckRow {
        pages,
        backup_made_at: None,
        tables: checked.tables.iter().map(table_row).collect(),
        faults: checked.faults.iter().map(ToString::to_string).collect(),
        fault_count: checked.fault_count,
    };
    if let Err(broken) = audit::verify(tx) {
        row.fault_count += 1;
        row.faults
            .push(format!("{}: {broken}", Table::Audit.name()));
    }
    Some(row)
}

fn table_row(size: &check::TableSize) -> TableRow {
    TableRow {
        name: size.table.name().to_owned(),
        rows: size.rows,
        bytes: size.bytes,
    }
}

/// Makes a data file of the backup at `path`, in a data directory that has none.
///
/// The backup is read to its end first; only if it is whole anything is made.
pub fn restore(
    config: &Config,
    path: &Path,
    epoch: Epoch,
) -> Result<RestoredRow, SafekeepingError> {
    expect_empty(&config.data_dir)?;
    let open = || {
        File::open(path)
            .map(BufReader::new)
            .map_err(|cause| SafekeepingError::Unreadable {
                path: path.to_owned(),
                cause,
            })
    };
    let not_restored = |cause| SafekeepingError::NotRestored {
        path: path.to_owned(),
        cause,
    };
    backup::read(&mut open()?, &mut |_, _| Ok(())).map_err(not_restored)?;
    let is_new = !config.data_dir.exists();
    directory::prepare(&config.data_dir, DATA_FILE)?;
    let data = data_file(&config.data_dir);
    let restored = Draft::load(&data, &mut open()?, &OsEntropy)
        .map_err(not_restored)
        .and_then(|(draft, summary)| publish(draft, &summary, path, epoch));
    if restored.is_err() && is_new {
        // Only an empty one is removed.
        drop(fs::remove_dir(&config.data_dir));
    }
    restored
}

fn expect_empty(data_dir: &Path) -> Result<(), SafekeepingError> {
    let unreadable = |cause| SafekeepingError::Unreadable {
        path: data_dir.to_owned(),
        cause,
    };
    let entries = match fs::read_dir(data_dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(unreadable)?,
    };
    for entry in entries {
        let name = entry.map_err(unreadable)?.file_name();
        if !MAY_BE_THERE.iter().any(|known| name == *known) {
            return Err(SafekeepingError::NotEmpty {
                path: data_dir.to_owned(),
                found: name.to_string_lossy().into_owned(),
            });
        }
    }
    Ok(())
}

fn publish(
    draft: Draft,
    summary: &Summary,
    path: &Path,
    epoch: Epoch,
) -> Result<RestoredRow, SafekeepingError> {
    let checked = draft.read(|tx| check_rows(tx, PageState::Whole, &|| true))?;
    let checked = checked.ok_or(StoreError::Closed)?;
    if let Some(first) = checked.faults.into_iter().next() {
        return Err(SafekeepingError::NotWhole {
            path: path.to_owned(),
            count: checked.fault_count,
            first,
        });
    }
    let by = Origin::local(SystemClock.now(), Actor::Administrator);
    let header = summary.header.clone();
    draft.publish(epoch, &OsEntropy, move |tx| {
        let changes = changes(&header, epoch);
        audit::record(tx, &by, Action::BoxRestored, Object::Box, changes)
    })?;
    Ok(restored_row(summary, epoch))
}

fn changes(header: &Header, epoch: Epoch) -> [Change; 3] {
    let tokens = match epoch {
        Epoch::New => "ended",
        Epoch::Kept => "kept",
    };
    [
        Change::to("backup_made_at", &header.made_at),
        Change::to("backup_version", &header.version),
        Change::to("tokens", tokens),
    ]
}

fn restored_row(summary: &Summary, epoch: Epoch) -> RestoredRow {
    let of = |table| summary.rows_of(table);
    RestoredRow {
        made_at: summary.header.made_at.to_string(),
        version: summary.header.version.clone(),
        rows: summary.rows(),
        epoch,
        sessions: of(Table::Sessions),
        grants: of(Table::Grants),
        families: of(Table::TokenFamilies),
        access_tokens: of(Table::AccessTokens),
        users: of(Table::Users),
        clients: of(Table::Clients),
        secrets: of(Table::ClientSecrets),
        resource_servers: of(Table::ResourceServers),
        upstreams: of(Table::Upstreams),
    }
}

/// Whoever reads the whole of a running server's store, one at a time.
#[derive(Clone)]
pub(super) struct Readers(Arc<Semaphore>);

impl Readers {
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(READERS_MAX)))
    }

    /// Begins with a backup, as a stream that ends early if it fails.
    pub(super) fn back_up(&self, store: &Arc<Store>, now: Timestamp) -> Response {
        self.stream(store, move |store, pieces| {
            pieces.send_reply(&Ok(Reply::Backup))?;
            let mut out = BufWriter::with_capacity(PIECE_BYTES, pieces);
            store.read(|tx| backup::write(tx, now, &mut out)).map(drop)
        })
    }

    /// Begins with a check.
    pub(super) fn check(&self, store: &Arc<Store>) -> Response {
        self.stream(store, |store, pieces| {
            let go_on = || !pieces.0.is_closed();
            let checked = store
                .read(|tx| Ok::<_, StoreError>(check_rows(tx, PageState::NotChecked, &go_on)))?;
            match checked {
                Some(row) => pieces.send_reply(&Ok(Reply::Checked(row))),
                None => Ok(()),
            }
        })
    }

    fn stream(
        &self,
        store: &Arc<Store>,
        work: impl FnOnce(&Store, &mut Pieces) -> Result<(), BackupError> + Send + 'static,
    ) -> Response {
        let Ok(permit) = Arc::clone(&self.0).try_acquire_owned() else {
            let message = "a backup or a check is under way; try again when it has ended";
            return Err(Refused::because(message)).into();
        };
        let (sender, receiver) = mpsc::channel(PIECES_WAITING);
        let store = Arc::clone(store);
        spawn_blocking(move || {
            let mut pieces = Pieces(sender);
            if let Err(error) = work(&store, &mut pieces) {
                tracing::warn!(%error, "a backup or a check was not brought to its end");
            }
            // Before the peer sees the end: it may come with the next command at once.
            drop(permit);
            drop(pieces);
        });
        Response::Stream(receiver)
    }
}

/// Bytes of a piece.
const PIECE_BYTES: usize = 128 * 1024;

/// What is written goes to the peer, as fast as it takes it.
struct Pieces(mpsc::Sender<Vec<u8>>);

impl Pieces {
    fn send_reply(&mut self, answer: &Result<Reply, Refused>) -> Result<(), BackupError> {
        let line = serde_json::to_vec(answer).map_err(|error| BackupError::Output(error.into()))?;
        self.write_all(&[&line[..], b"\n"].concat())
            .map_err(BackupError::Output)
    }
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0
            .blocking_send(bytes.to_vec())
            .map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
