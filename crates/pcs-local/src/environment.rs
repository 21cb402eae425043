//! Which of the person's variables count here: those that README.md lists. What Lambda would set (credentials, the
//! function's Region) is this program's own, so that a person's account has no part in it.

use std::{collections::BTreeMap, ffi::OsString};

use pcs_api::config::variables;

/// Where the scripts beside the program keep what they build; it has a name as if it were the API's.
const OF_THE_SCRIPTS: &str = "PCS_API_CACHE";

/// The account, the Region and the access keys of this machine's parts are in one.
const PARTITION: &str = "PCS_API_PARTITION";

/// Of every SDK; neither the function nor this program has such endpoints.
const DUALSTACK: &str = "AWS_USE_DUALSTACK_ENDPOINT";

/// What was found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Environment {
    /// Name and value; bytes that are no text are U+FFFD, which the configuration refuses by name.
    pub variables: BTreeMap<String, String>,
    /// A sentence for each variable that is not read and was probably meant to be.
    pub mistaken: Vec<String>,
}

/// Picks from all variables of a process. The error says which one the function refuses though it has no effect here.
pub fn pick(all: impl IntoIterator<Item = (OsString, OsString)>) -> Result<Environment, String> {
    let mut environment = Environment::default();
    for (name, value) in all {
        let name = name.to_string_lossy();
        let value = value.to_string_lossy();
        if name == variables::FIPS {
            variables::fips(Some(&value))?;
        }
        if name == PARTITION && value != "aws" {
            return Err(format!(
                "{PARTITION} must be `aws` here, the partition of what is in this program; leave it out"
            ));
        }
        if is_ours(&name) {
            environment
                .variables
                .insert(name.into_owned(), value.into_owned());
        } else if name != OF_THE_SCRIPTS {
            let sentence = unread(&name, &value).or_else(|| variables::mistaken(&name));
            environment.mistaken.extend(sentence);
        }
    }
    Ok(environment)
}

fn is_ours(name: &str) -> bool {
    let groups = [
        &variables::OWN[..],
        &variables::ENDPOINTS,
        &variables::CERTIFICATES,
    ];
    groups.iter().any(|group| group.contains(&name))
}

/// What AWS's own programs read and this one does not, with what it reads in its place.
fn unread(name: &str, value: &str) -> Option<String> {
    let is_set = !value.is_empty() && value != "false";
    match name {
        variables::FIPS if is_set => Some(format!(
            "{name} has no effect here: this program calls what is in it, and what AWS_ENDPOINT_URL_* name"
        )),
        DUALSTACK if is_set => Some(format!("{name} is no variable of this program and is not read")),
        name if name.starts_with("AWS_ENDPOINT_URL") && is_set => Some(format!(
            "{} is no variable of this program and is not read; it reads {}",
            name.escape_debug(),
            variables::ENDPOINTS.join(", ")
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picked(pairs: &[(&str, &str)]) -> Result<Environment, String> {
        pick(pairs.iter().map(|(name, value)| (name.into(), value.into())))
    }

    #[test]
    fn every_variable_of_the_readme_is_taken() {
        let readme = include_str!("../../../README.md");
        let names = variables::OWN
            .iter()
            .chain(&variables::ENDPOINTS)
            .chain(&variables::CERTIFICATES);
        for name in names {
            let short = name.replace("AWS_ENDPOINT_URL", "");
            assert!(
                readme.contains(&format!("`{name}`")) || readme.contains(&format!("`{short}`")),
                "{name}"
            );
            let value = if *name == PARTITION { "aws" } else { "x" };
            let environment = picked(&[(name, value)]).unwrap();
            assert_eq!(environment.variables.get(*name).map(String::as_str), Some(value));
            assert!(environment.mistaken.is_empty());
        }
    }

    /// The person's account has no part in this.
    #[test]
    fn what_lambda_sets_is_not_taken_from_the_person() {
        let value = |name| if name == variables::FIPS { "false" } else { "x" };
        let environment = picked(&variables::LAMBDA.map(|name| (name, value(name)))).unwrap();
        assert_eq!(environment, Environment::default());
    }

    #[test]
    fn a_misspelt_variable_is_told_with_the_one_that_is_meant() {
        for (name, meant) in [
            ("PCS_API_STAGEE", "PCS_API_STAGE"),
            ("PCS_API_LOGLEVEL", "PCS_API_LOG_LEVEL"),
            ("PSC_API_LOG_LEVEL", "PCS_API_LOG_LEVEL"),
            ("pcs_api_stage", "PCS_API_STAGE"),
        ] {
            let environment = picked(&[(name, "x")]).unwrap();
            assert!(environment.variables.is_empty());
            let told = environment.mistaken.concat();
            assert!(
                told.starts_with(name) && told.contains(&format!("did you mean {meant}?")),
                "{told}"
            );
        }
        let told = picked(&[("PCS_API_COLOUR", "x")]).unwrap().mistaken.concat();
        assert!(
            told.starts_with("PCS_API_COLOUR") && !told.contains("did you mean"),
            "{told}"
        );
        assert!(
            picked(&[("PCS_API_CACHE", "x"), ("HOME", "/")])
                .unwrap()
                .mistaken
                .is_empty()
        );
    }

    #[cfg(unix)]
    #[test]
    fn bytes_that_are_no_text_panic_nowhere_and_are_not_dropped() {
        use std::ffi::OsStr;
        use std::os::unix::ffi::OsStrExt;

        let bytes = |bytes: &[u8]| OsStr::from_bytes(bytes).to_owned();
        let environment = pick([
            (bytes(b"PCS_API_STAGE"), bytes(b"pr\xffd")),
            (bytes(b"PCS_API_\xff"), bytes(b"x")),
            (bytes(b"OTHER\xff"), bytes(b"\xff")),
        ])
        .unwrap();
        assert_eq!(environment.variables["PCS_API_STAGE"], "pr\u{fffd}d");
        assert_eq!(environment.mistaken.len(), 1);
    }

    #[test]
    fn what_the_function_refuses_or_has_no_effect_here_is_told() {
        for value in ["maybe", "TRUE", "1", " "] {
            let told = picked(&[("AWS_USE_FIPS_ENDPOINT", value)]).unwrap_err();
            assert_eq!(told, "AWS_USE_FIPS_ENDPOINT must be `true` or `false`");
        }
        let told = picked(&[("PCS_API_PARTITION", "aws-cn")]).unwrap_err();
        assert!(told.starts_with("PCS_API_PARTITION must be `aws` here"), "{told}");
        for (name, value, part) in [
            ("AWS_USE_FIPS_ENDPOINT", "true", "has no effect here"),
            ("AWS_USE_DUALSTACK_ENDPOINT", "true", "is not read"),
            ("AWS_USE_DUALSTACK_ENDPOINT", "maybe", "is not read"),
            (
                "AWS_ENDPOINT_URL",
                "http://127.0.0.1:1",
                "it reads AWS_ENDPOINT_URL_PCS, ",
            ),
            (
                "AWS_ENDPOINT_URL_DYNAMO",
                "http://127.0.0.1:1",
                "AWS_ENDPOINT_URL_DYNAMODB",
            ),
        ] {
            let environment = picked(&[(name, value)]).unwrap();
            assert!(environment.variables.is_empty());
            let told = environment.mistaken.concat();
            assert!(told.starts_with(name) && told.contains(part), "{told}");
            for value in ["", "false"] {
                assert_eq!(
                    picked(&[(name, value)]).unwrap(),
                    Environment::default(),
                    "{name}"
                );
            }
        }
    }
}
