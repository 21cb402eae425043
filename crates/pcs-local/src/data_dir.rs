//! The folder of `--data-dir`: locked as a whole, with a folder in it for each part.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

use dynoxide::Database;
use local_program::{Damage, Folder};

use crate::start_error::StartError;

/// Opens it for this process alone.
pub(crate) fn open(path: &Path) -> Result<Folder, StartError> {
    Folder::open(path, "pcs-local.lock").map_err(StartError::DataDir)
}

/// The file of DynamoDB's tables.
pub(crate) fn tables(folder: &Path) -> PathBuf {
    folder.join("dynamodb").join("tables.sqlite")
}

/// The tables that are kept in it.
pub(crate) fn database(folder: &Path) -> Result<Database, StartError> {
    let file = tables(folder);
    let fault = |message: String| {
        StartError::DataDir(Damage {
            path: file.clone(),
            message,
        })
    };
    if let Some(parent) = file.parent() {
        fs::create_dir_all(parent).map_err(|error| fault(format!("cannot be made: {error}")))?;
    }
    let name = file
        .to_str()
        .ok_or_else(|| fault("has a name that is no text; name another folder".to_owned()))?;
    Database::new(name).map_err(|error| fault(unusable(&error)))
}

/// What is said of a file of tables that does not work.
pub(crate) fn unusable(error: &dyn fmt::Display) -> String {
    format!(
        "cannot be used as a database: {error}; put a good copy in its place, make room, or move it away to begin anew"
    )
}

/// What is said when the first state cannot be written.
pub(crate) fn not_written(error: &dyn fmt::Display) -> String {
    format!("{error}; make room, or name another --data-dir")
}
