//! Compiles `openapi/pcs-api.yaml` into the tables that `src/contract.rs` includes.
//!
//! The contract is the only place where routes, parameters and constraints are written down. Reading YAML and
//! compiling patterns costs milliseconds, which every cold start would pay; here it costs nothing at run time,
//! and a contract this product cannot honour stops the build instead of the service.

mod contract;
mod pattern;
mod recorded;

use std::{env, error::Error, fs, path::PathBuf};

const CONTRACT: &str = "openapi/pcs-api.yaml";

#[expect(
    clippy::print_stdout,
    reason = "standard output is how a build script speaks to cargo"
)]
fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={CONTRACT}");
    println!("cargo::rerun-if-changed=build");
    let text = fs::read_to_string(CONTRACT)?;
    let document: serde_json::Value = serde_saphyr::from_str(&text)?;
    let tables = contract::compile(&document).map_err(|message| format!("{CONTRACT}: {message}"))?;
    fs::write(
        PathBuf::from(env::var("OUT_DIR")?).join("contract_tables.rs"),
        tables,
    )?;
    Ok(())
}
