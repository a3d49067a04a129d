//! The socket's file: made so that nobody else can ever connect, removed at the end.

use std::{
    fs::{self, DirBuilder, Permissions},
    io,
    os::unix::{
        ffi::OsStrExt,
        fs::{DirBuilderExt, MetadataExt, PermissionsExt},
        net::UnixListener as StdUnixListener,
    },
    path::{Path, PathBuf},
};

use tokio::net::{UnixListener, UnixStream};

use crate::appliance::socket::{PATH_BYTES_MAX, path_in};

/// Only its owner may connect.
const PRIVATE_SOCKET: u32 = 0o600;
/// Only its owner may enter.
const PRIVATE_DIRECTORY: u32 = 0o700;

/// The bound socket. Its file is removed when it is dropped, which must be before the data file is
/// let go: the next process may have bound its own by then.
#[derive(Debug)]
pub struct Listener {
    inner: UnixListener,
    path: PathBuf,
    owner: u32,
}

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The system cannot hold the name.
    #[error(
        "expected a data directory whose socket's path has at most {PATH_BYTES_MAX} bytes, found \
         {} of {}: name a shorter one with --data",
        .0.as_os_str().len(),
        .0.display()
    )]
    PathTooLong(PathBuf),
    /// The system refuses.
    #[error("cannot make the administration socket {}: {cause}", path.display())]
    System {
        /// The socket.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
}

impl Listener {
    /// Binds the socket of `data_dir`, in place of one that a dead process left there.
    ///
    /// Only the process that holds the data file may call this, from within the runtime.
    pub fn bind(data_dir: &Path) -> Result<Self, BindError> {
        let path = path_in(data_dir);
        if path.as_os_str().as_bytes().len() > PATH_BYTES_MAX {
            return Err(BindError::PathTooLong(path));
        }
        match bind_privately(data_dir, &path) {
            Ok((inner, owner)) => Ok(Self { inner, path, owner }),
            Err(cause) => Err(BindError::System { path, cause }),
        }
    }

    /// The next connection.
    pub(super) async fn accept(&self) -> io::Result<UnixStream> {
        let (stream, _) = self.inner.accept().await?;
        Ok(stream)
    }

    /// The user that the socket belongs to: the one that this process runs as.
    pub(super) fn owner(&self) -> u32 {
        self.owner
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.path) {
            let path = self.path.display();
            tracing::warn!(%path, %error, "the administration socket was not removed");
        }
    }
}

/// A socket has the mode that the umask leaves until it gets its own. It is therefore made in a
/// directory that nobody else can enter, and moved to its place when its mode is right; moving also
/// replaces one that is stale.
fn bind_privately(data_dir: &Path, path: &Path) -> io::Result<(UnixListener, u32)> {
    // No longer than the socket's own name, so that its path fits when the other does.
    let room = data_dir.join("socket.new");
    let unplaced = room.join("s");
    remove_if_there(fs::remove_file(&unplaced))?;
    remove_if_there(fs::remove_dir(&room))?;
    DirBuilder::new().mode(PRIVATE_DIRECTORY).create(&room)?;
    let inner = StdUnixListener::bind(&unplaced)?;
    fs::set_permissions(&unplaced, Permissions::from_mode(PRIVATE_SOCKET))?;
    let owner = fs::metadata(&unplaced)?.uid();
    fs::rename(&unplaced, path)?;
    fs::remove_dir(&room)?;
    inner.set_nonblocking(true)?;
    Ok((UnixListener::from_std(inner)?, owner))
}

fn remove_if_there(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
