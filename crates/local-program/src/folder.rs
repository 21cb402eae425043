//! A folder with a program's state in files that are replaced whole: a kill at any moment leaves the old or the new
//! file and never a torn one. One program uses a folder at a time, for two would overwrite what the other has answered.

use std::{
    fmt,
    fs::{self, File, TryLockError},
    io::{self, Write},
    path::{Path, PathBuf},
};

use serde::de::DeserializeOwned;

/// What is wrong with a folder or a file in it, in a sentence that names it and says what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    pub path: PathBuf,
    pub message: String,
}

impl Damage {
    fn new(path: &Path, message: impl Into<String>) -> Damage {
        Damage {
            path: path.to_owned(),
            message: message.into(),
        }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` {}", self.path.display(), self.message)
    }
}

impl std::error::Error for Damage {}

/// An open folder.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// Held as long as this lives, and let go by the system when the process is killed.
    _lock: File,
}

impl Folder {
    /// Opens a folder, making it if it is not there, for this process alone. The lock is a file in it.
    pub fn open(path: &Path, lock: &str) -> Result<Folder, Damage> {
        if path.as_os_str().is_empty() {
            return Err(Damage::new(path, "is no folder: the name is empty"));
        }
        if path.exists() && !path.is_dir() {
            return Err(Damage::new(path, "is a file; name a folder"));
        }
        fs::create_dir_all(path)
            .map_err(|error| Damage::new(path, format!("cannot be made: {error}; name another folder")))?;
        let file = path.join(lock);
        // Not truncated, so that a disk without room can still be locked.
        let opened = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&file);
        let lock = opened.map_err(|error| {
            Damage::new(
                path,
                format!("cannot be written to: {error}; make it writable or name another folder"),
            )
        })?;
        match lock.try_lock() {
            Ok(()) => Ok(Folder {
                path: path.to_owned(),
                _lock: lock,
            }),
            Err(TryLockError::WouldBlock) => Err(Damage::new(
                path,
                "is in use by another program that is running; end that one or name another folder",
            )),
            Err(TryLockError::Error(error)) => Err(Damage::new(&file, format!("cannot be locked: {error}"))),
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What a file holds, or `None` when it was never written.
    pub fn read<T: DeserializeOwned>(&self, file: &str) -> Result<Option<T>, Damage> {
        let path = self.path.join(file);
        match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text)
                .map(Some)
                .map_err(|error| Damage::new(&path, unreadable(&error))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Damage::new(&path, format!("cannot be read: {error}"))),
        }
    }

    /// That a file can be read and does not hold what it should.
    pub fn unfit(&self, file: &str, reason: &str) -> Damage {
        let message = format!("is not a state of this program ({reason}); {WAY_OUT}");
        Damage::new(&self.path.join(file), message)
    }

    /// Replaces a file. When this returns the new one survives a kill and a power cut.
    pub fn replace(&self, file: &str, text: &[u8]) -> io::Result<()> {
        let temporary = self.path.join(format!("{file}.new"));
        write(&temporary, text)
            .and_then(|()| fs::rename(&temporary, self.path.join(file)))
            // The rename itself is on disk only when the folder is.
            .and_then(|()| File::open(&self.path)?.sync_all())
            .map_err(|error| {
                let path = self.path.join(file);
                io::Error::new(error.kind(), format!("`{}`: {error}", path.display()))
            })
    }
}

fn write(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(text)?;
    file.sync_all()
}

const WAY_OUT: &str = "put a good copy in its place, or move it away to begin anew";

/// A file that stops too soon was cut off by whoever copied it or by a disk that was full; any other was changed.
fn unreadable(error: &serde_json::Error) -> String {
    if error.is_eof() {
        return format!("is cut off: it ends in the middle ({error}); {WAY_OUT}");
    }
    format!("is damaged ({error}); {WAY_OUT}")
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    fn place() -> PathBuf {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "local-program-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        std::env::temp_dir().join(name)
    }

    #[test]
    fn what_was_written_is_there_and_a_write_that_was_cut_off_is_not() {
        let path = place();
        let folder = Folder::open(&path, "lock").unwrap();
        assert_eq!(folder.read::<Vec<u32>>("a.json"), Ok(None));
        folder.replace("a.json", b"[1]").unwrap();
        // As a kill in the middle of the next write leaves it.
        fs::write(path.join("a.json.new"), "[1,").unwrap();
        drop(folder);
        let folder = Folder::open(&path, "lock").unwrap();
        assert_eq!(folder.read("a.json"), Ok(Some(vec![1_u32])));
        folder.replace("a.json", b"[2]").unwrap();
        assert_eq!(folder.read("a.json"), Ok(Some(vec![2_u32])));
        fs::remove_dir_all(path).unwrap();
    }

    #[test]
    fn a_torn_file_is_told_from_a_damaged_one() {
        let path = place();
        let folder = Folder::open(&path, "lock").unwrap();
        for (text, expected) in [
            ("", "is cut off"),
            ("[1,", "is cut off"),
            ("[1,}", "is damaged"),
            ("{}", "is damaged"),
        ] {
            fs::write(path.join("a.json"), text).unwrap();
            let damage = folder.read::<Vec<u32>>("a.json").unwrap_err();
            assert_eq!(damage.path, path.join("a.json"));
            assert!(damage.message.starts_with(expected), "{text}: {damage}");
            assert!(damage.message.ends_with(WAY_OUT), "{damage}");
        }
        fs::remove_dir_all(path).unwrap();
    }

    #[test]
    fn one_program_at_a_time() {
        let path = place();
        let first = Folder::open(&path, "lock").unwrap();
        let second = Folder::open(&path, "lock").unwrap_err();
        assert!(second.message.starts_with("is in use"), "{second}");
        drop(first);
        assert!(Folder::open(&path, "lock").is_ok());
        fs::remove_dir_all(path).unwrap();
    }

    #[test]
    fn what_is_no_folder_is_told_in_a_sentence() {
        let path = place();
        fs::write(&path, "").unwrap();
        for (name, expected) in [
            (path.clone(), "is a file; name a folder"),
            (path.join("below"), "cannot be made: "),
            (PathBuf::new(), "is no folder: the name is empty"),
            (PathBuf::from("/proc/none"), "cannot be made: "),
        ] {
            let damage = Folder::open(&name, "lock").unwrap_err();
            assert!(damage.message.starts_with(expected), "{damage}");
        }
        fs::remove_file(path).unwrap();
    }
}
