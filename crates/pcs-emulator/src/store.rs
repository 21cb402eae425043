//! The state on disk: one JSON file, replaced whole, in a folder that one emulator uses at a time.

use std::io;
use std::path::Path;

use local_program::{Damage, Folder};
use serde_json::Value;

use crate::error::StartError;
use crate::state::World;

const FILE: &str = "pcs-state.json";

/// Where the state is kept.
#[derive(Debug)]
pub(crate) struct Store(Folder);

impl Store {
    pub(crate) fn open(folder: &Path) -> Result<Store, StartError> {
        Folder::open(folder, "pcs-state.lock").map(Store).map_err(refused)
    }

    /// The stored state, or `None` when nothing was stored yet.
    pub(crate) fn load(&self) -> Result<Option<World>, StartError> {
        let stored: Option<Value> = self.0.read(FILE).map_err(refused)?;
        let world = stored.map(World::read).transpose();
        world.map_err(|reason| refused(self.0.unfit(FILE, &reason)))
    }

    /// Stores the state; when this returns it survives a kill and a power cut.
    pub(crate) fn save(&self, world: &World) -> io::Result<()> {
        self.0.replace(FILE, &serde_json::to_vec(world)?)
    }
}

fn refused(damage: Damage) -> StartError {
    StartError::State {
        path: damage.path,
        message: damage.message,
    }
}
