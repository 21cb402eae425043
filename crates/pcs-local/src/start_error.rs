//! Why a start failed, in one sentence that names the flag, variable or path.

use std::{error::Error, fmt, io, net::SocketAddr, path::PathBuf};

use local_program::Damage;
use pcs_api::config::ConfigError;

/// Why the stack did not start.
#[derive(Debug)]
pub enum StartError {
    Config(ConfigError),
    Port {
        flag: &'static str,
        address: SocketAddr,
        error: io::Error,
    },
    /// Two flags with the same port.
    Ports([&'static str; 2], u16),
    DataDir(Damage),
    Credentials {
        path: PathBuf,
        error: String,
    },
    Emulator(String),
    Table(String),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Config(error) => write!(f, "{error}"),
            StartError::Port { flag, address, error } => {
                let host = address.ip().to_string();
                f.write_str(&local_program::listen_fault(flag, &host, address.port(), error))
            }
            StartError::Ports([one, other], port) => {
                write!(
                    f,
                    "{one} and {other} are both {port}; give each a port of its own"
                )
            }
            StartError::DataDir(damage) => write!(f, "--data-dir: {damage}"),
            StartError::Credentials { path, error } => {
                write!(f, "--credentials `{}`: {error}", path.display())
            }
            StartError::Emulator(error) | StartError::Table(error) => f.write_str(error),
        }
    }
}

impl Error for StartError {}
