//! The state on disk: one JSON file, replaced whole, so that a kill at any moment leaves the old or the
//! new state and never a torn one.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::error::StartError;
use crate::state::World;

/// Where the state is kept.
#[derive(Debug)]
pub(crate) struct Store {
    folder: PathBuf,
    /// Held as long as this lives, and let go by the system when the process is killed.
    _lock: File,
}

impl Store {
    /// Opens a folder, making it if it is not there. One emulator uses a folder at a time: two would
    /// overwrite each other's answered changes.
    pub(crate) fn open(folder: &Path) -> Result<Store, StartError> {
        fs::create_dir_all(folder).map_err(|e| refused(folder, &e.to_string()))?;
        let path = folder.join("pcs-state.lock");
        let lock = File::create(&path).map_err(|e| refused(&path, &e.to_string()))?;
        match lock.try_lock() {
            Ok(()) => Ok(Store {
                folder: folder.to_owned(),
                _lock: lock,
            }),
            Err(TryLockError::WouldBlock) => Err(refused(
                folder,
                "another emulator is using this folder; stop it or choose another folder",
            )),
            Err(TryLockError::Error(e)) => Err(refused(&path, &e.to_string())),
        }
    }

    /// The stored state, or `None` when nothing was stored yet.
    pub(crate) fn load(&self) -> Result<Option<World>, StartError> {
        let path = self.file();
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(refused(&path, &e.to_string())),
        };
        let world = serde_json::from_slice(&text)
            .map_err(|e| e.to_string())
            .and_then(World::read);
        let world = world.map_err(|e| {
            refused(
                &path,
                &format!("not a state file of this emulator ({e}); move it away"),
            )
        })?;
        Ok(Some(world))
    }

    /// Stores the state; when this returns it survives a kill and a power cut.
    pub(crate) fn save(&self, world: &World) -> io::Result<()> {
        let temporary = self.folder.join("pcs-state.json.new");
        let mut file = File::create(&temporary)?;
        file.write_all(&serde_json::to_vec(world)?)?;
        file.sync_all()?;
        fs::rename(&temporary, self.file())?;
        // The rename itself is on disk only when the folder is.
        File::open(&self.folder)?.sync_all()
    }

    fn file(&self) -> PathBuf {
        self.folder.join("pcs-state.json")
    }
}

fn refused(path: &Path, message: &str) -> StartError {
    StartError::State {
        path: path.to_owned(),
        message: message.to_owned(),
    }
}
