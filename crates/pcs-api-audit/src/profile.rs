//! The profiles of `~/.aws/config` and `~/.aws/credentials`. The SDK passes over one that is not there, and over files that
//! it cannot read, and then asks with whatever it finds next: perhaps another account.

use aws_config::profile::{self, ProfileSet};
use aws_runtime::env_config::file::EnvConfigFiles;
use aws_types::os_shim_internal::{Env, Fs};

use crate::failure::{Failure, innermost};

/// The SDK's own, which nobody has to make.
const DEFAULT: &str = "default";

/// Checks that the profile is there which `--profile`, or else `AWS_PROFILE`, names.
pub async fn check(argument: Option<&str>) -> Result<(), Failure> {
    let read = profile::load(&Fs::real(), &Env::real(), &EnvConfigFiles::default(), None).await;
    let profiles = read.map_err(|error| {
        let told = innermost(&error);
        let told = told.split_whitespace().collect::<Vec<_>>().join(" ");
        Failure::Input(format!(
            "AWS's configuration could not be read: {told}; mend the file, or name another (AWS_CONFIG_FILE, \
             AWS_SHARED_CREDENTIALS_FILE)"
        ))
    })?;
    let (named_by, name) = match argument {
        Some(name) => ("--profile", name),
        None => ("AWS_PROFILE", profiles.selected_profile()),
    };
    if ["", DEFAULT].contains(&name) || profiles.get_profile(name).is_some() {
        return Ok(());
    }
    Err(Failure::Input(format!(
        "{named_by}: there is no profile `{}` in ~/.aws/config and ~/.aws/credentials (AWS_CONFIG_FILE, \
         AWS_SHARED_CREDENTIALS_FILE); {}",
        name.escape_debug(),
        others(&profiles)
    )))
}

fn others(profiles: &ProfileSet) -> String {
    let mut names: Vec<&str> = profiles.profiles().collect();
    if names.is_empty() {
        return "there are none; make it with `aws configure`, or leave it out".to_owned();
    }
    names.sort_unstable();
    format!("there are {}", names.join(", "))
}
