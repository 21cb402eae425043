//! The folder of `--data-dir`: locked as a whole, with a folder in it for each part.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use dynoxide::Database;
use local_program::{Damage, Folder};
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use crate::start_error::StartError;

/// A file that is there from the first whole table on. Without it, a first start that was cut off could not be told from a
/// trail that was lost.
const BEGUN: &str = "audit-trail-begun";
const BEGUN_TEXT: &[u8] = b"The audit trail of this folder is in dynamodb/tables.sqlite.\n";

/// How long another program may take to write into the tables before it is told. The database itself would wait for half
/// a minute.
const WRITE_MAX: Duration = Duration::from_secs(1);

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
    if folder.join(BEGUN).exists() && is_gone(&file) {
        return Err(fault(
            "is empty or not there, and with it the audit trail of this folder; put a good copy in its place, or name \
             another --data-dir"
                .to_owned(),
        ));
    }
    if let Some(parent) = file.parent() {
        fs::create_dir_all(parent).map_err(|error| fault(format!("cannot be made: {error}")))?;
    }
    let name = file
        .to_str()
        .ok_or_else(|| fault("has a name that is no text; name another folder".to_owned()))?;
    if is_locked(&file) {
        return Err(fault(LOCKED.to_owned()));
    }
    Database::new(name).map_err(|error| fault(unusable(&error)))
}

/// Puts down that the folder has a trail, so that a later start without one is refused.
pub(crate) fn mark_begun(folder: &Folder) -> Result<(), StartError> {
    if folder.path().join(BEGUN).exists() {
        return Ok(());
    }
    folder
        .replace(BEGUN, BEGUN_TEXT)
        .map_err(|error| StartError::Emulator(not_written(&error)))
}

fn is_gone(file: &Path) -> bool {
    match fs::metadata(file) {
        Ok(metadata) => metadata.len() == 0,
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

/// Whether another program keeps this one from writing; what else is wrong says whoever opens it next.
fn is_locked(file: &Path) -> bool {
    let begun = || {
        let mut tables = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        tables.busy_timeout(WRITE_MAX)?;
        let write = tables.transaction_with_behavior(TransactionBehavior::Immediate)?;
        write.rollback()
    };
    let code = begun().err().and_then(|error| error.sqlite_error_code());
    code.is_some_and(|code| [ErrorCode::DatabaseBusy, ErrorCode::DatabaseLocked].contains(&code))
}

const LOCKED: &str =
    "is locked by another program that has it open; end that one, or name another --data-dir";

/// What is said of a file of tables that does not work.
pub(crate) fn unusable(error: &dyn fmt::Display) -> String {
    let said = error.to_string();
    if said.contains("is locked") {
        return LOCKED.to_owned();
    }
    format!(
        "cannot be used as a database: {said}; put a good copy in its place, make room, or name another --data-dir"
    )
}

/// What is said when the first state cannot be written.
pub(crate) fn not_written(error: &dyn fmt::Display) -> String {
    format!("{error}; make room, or name another --data-dir")
}
