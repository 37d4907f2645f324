//! The data folder: made when missing, readable by its owner only, and locked for one process.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use crate::StoreError;

/// A folder that nobody else works in until this is dropped.
#[derive(Debug)]
pub(crate) struct Folder {
    pub(crate) path: PathBuf,
    _lock: File,
}

impl Folder {
    pub(crate) fn lock(path: &Path) -> Result<Self, StoreError> {
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|error| refusal(path, &error))?;
        let lock_path = path.join("watchbell.lock");
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&lock_path)
            .map_err(|error| refusal(path, &error))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(in_use(path, &mut lock)),
            Err(errno) => return Err(refusal(path, &errno.into())),
        }
        lock.set_len(0)
            .and_then(|()| writeln!(lock, "{}", std::process::id()))
            .map_err(|error| refusal(path, &error))?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }
}

fn in_use(path: &Path, lock: &mut File) -> StoreError {
    let mut pid = String::new();
    // What it holds is only for the sentence; the lock itself has spoken.
    let _ = lock.take(20).read_to_string(&mut pid);
    let pid = match pid.trim() {
        "" => "pid unknown".to_owned(),
        pid => format!("pid {pid}"),
    };
    StoreError::InUse(format!(
        "`{}` is in use by another watchbell ({pid}); stop it or choose another --data",
        path.display()
    ))
}

/// Why the folder at `path` cannot be used, and what to do.
pub(crate) fn refusal(path: &Path, error: &io::Error) -> StoreError {
    let place = path.display();
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            StoreError::Full(format!("there is no room left on the disk of `{place}`; free some space"))
        }
        io::ErrorKind::ReadOnlyFilesystem => StoreError::ReadOnly(format!(
            "`{place}` lies on a file system that is mounted read-only; mount it writable or choose another --data"
        )),
        io::ErrorKind::PermissionDenied => StoreError::Folder(format!(
            "`{place}` may not be written by this user; change its owner or choose another --data"
        )),
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
            StoreError::Folder(format!("`{place}` is not a folder; choose another --data"))
        }
        _ => StoreError::Folder(format!("`{place}` cannot be used as the data folder: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_process_is_told_who_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let first = Folder::lock(folder.path()).unwrap();
        let error = Folder::lock(folder.path()).unwrap_err();
        let expected = format!(
            "`{}` is in use by another watchbell (pid {}); stop it or choose another --data",
            folder.path().display(),
            std::process::id()
        );
        assert_eq!(error, StoreError::InUse(expected));
        drop(first);
        Folder::lock(folder.path()).unwrap();
    }

    #[test]
    fn every_trouble_with_a_folder_is_a_sentence_with_its_name() {
        let folder = Path::new("/srv/data");
        for (kind, words) in [
            (io::ErrorKind::StorageFull, "no room left"),
            (io::ErrorKind::ReadOnlyFilesystem, "mounted read-only"),
            (io::ErrorKind::PermissionDenied, "change its owner"),
            (io::ErrorKind::NotADirectory, "is not a folder"),
            (io::ErrorKind::Other, "cannot be used as the data folder"),
        ] {
            let sentence = refusal(folder, &kind.into()).to_string();
            assert!(sentence.contains("`/srv/data`") && sentence.contains(words), "{sentence}");
        }
    }
}
