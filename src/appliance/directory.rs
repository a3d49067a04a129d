//! The data directory: nobody else's to look into.

use std::{
    fs::{self, DirBuilder, Metadata, Permissions},
    io,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// What the group and everybody else may do: nothing.
const OTHERS: u32 = 0o077;
/// Only its owner may read, write and enter it.
const PRIVATE_DIRECTORY: u32 = 0o700;

/// Why a directory cannot hold the data.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// Something else has that name.
    #[error("expected a directory at {}, found a file: name another with --data", .0.display())]
    NotADirectory(PathBuf),
    /// It holds other things and others may look into it; closing it might break them.
    #[error(
        "expected an empty directory, or one that Keystead made, found {} with other files in it \
         and open to others: name another with --data, or close it with chmod 700",
        .0.display()
    )]
    Foreign(PathBuf),
    /// The system refuses.
    #[error("cannot use the data directory {}: {cause}", path.display())]
    System {
        /// The directory.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
}

/// Makes the data directory at `path`, or closes to others the one that is there.
///
/// One that is open to others is closed only when it is empty or holds `data_file`, so that
/// `--data /etc` by mistake does not lock everybody out of it.
pub fn prepare(path: &Path, data_file: &str) -> Result<(), DirectoryError> {
    let system = |cause| DirectoryError::System {
        path: path.to_owned(),
        cause,
    };
    match fs::metadata(path) {
        Ok(found) if !found.is_dir() => Err(DirectoryError::NotADirectory(path.to_owned())),
        Ok(found) if is_private(&found) => Ok(()),
        Ok(_) if is_ours(path, data_file).map_err(system)? => {
            fs::set_permissions(path, Permissions::from_mode(PRIVATE_DIRECTORY)).map_err(system)
        }
        Ok(_) => Err(DirectoryError::Foreign(path.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let mut builder = DirBuilder::new();
            let builder = builder.recursive(true).mode(PRIVATE_DIRECTORY);
            builder.create(path).map_err(system)
        }
        Err(error) => Err(system(error)),
    }
}

fn is_private(found: &Metadata) -> bool {
    found.permissions().mode() & OTHERS == 0
}

fn is_ours(path: &Path, data_file: &str) -> io::Result<bool> {
    let is_empty = fs::read_dir(path)?.next().is_none();
    Ok(is_empty || path.join(data_file).try_exists()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATA_FILE: &str = "data";

    /// A directory with that mode, and that file in it.
    fn directory(mode: u32, file: Option<&str>) -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a directory");
        if let Some(file) = file {
            fs::write(dir.path().join(file), "").expect("a file");
        }
        fs::set_permissions(dir.path(), Permissions::from_mode(mode)).expect("a mode");
        dir
    }

    fn mode(path: &Path) -> u32 {
        let found = fs::metadata(path).expect("a directory");
        found.permissions().mode() & 0o777
    }

    #[test]
    fn what_is_made_is_private() {
        let dir = directory(0o755, None);
        let inner = dir.path().join("a/b");
        prepare(&inner, DATA_FILE).expect("a directory");
        assert_eq!(mode(&inner), 0o700);
        assert_eq!(mode(dir.path()), 0o755);
    }

    #[test]
    fn what_is_ours_is_closed_and_what_is_not_is_refused() {
        for (before, file, after) in [
            (0o755, None, Some(0o700)),
            (0o755, Some(DATA_FILE), Some(0o700)),
            (0o700, Some("other"), Some(0o700)),
            (0o500, None, Some(0o500)),
            (0o755, Some("other"), None),
        ] {
            let dir = directory(before, file);
            let prepared = prepare(dir.path(), DATA_FILE);
            if let Some(after) = after {
                prepared.expect("a data directory");
                assert_eq!(mode(dir.path()), after);
            } else {
                assert!(matches!(prepared, Err(DirectoryError::Foreign(_))));
                assert_eq!(mode(dir.path()), before);
            }
        }
    }

    #[test]
    fn a_file_is_no_directory() {
        let dir = directory(0o700, Some("file"));
        let refused = prepare(&dir.path().join("file"), DATA_FILE);
        assert!(matches!(refused, Err(DirectoryError::NotADirectory(_))));
    }
}
