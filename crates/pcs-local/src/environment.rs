//! Which of the person's variables count here: those that README.md lists. What Lambda would set (credentials, the
//! function's Region) is this program's own, so that a person's account has no part in it.

use std::{
    collections::BTreeMap,
    env,
    ffi::{OsStr, OsString},
    fs,
};

use pcs_api::config::variables;

/// Where the scripts beside the program keep what they build; it has a name as if it were the API's.
const OF_THE_SCRIPTS: &str = "PCS_API_CACHE";

/// What was found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Environment {
    /// Name and value; bytes that are no text are U+FFFD, which the configuration refuses by name.
    pub variables: BTreeMap<String, String>,
    /// A sentence for each variable that was probably meant to be another.
    pub mistaken: Vec<String>,
}

/// Picks from all variables of a process. The error says which file of certificates cannot be read: the first call to
/// an `https` endpoint would be too late.
pub fn pick(all: impl IntoIterator<Item = (OsString, OsString)>) -> Result<Environment, String> {
    let mut environment = Environment::default();
    for (name, value) in all {
        let name = name.to_string_lossy();
        if variables::CERTIFICATES.contains(&name.as_ref()) {
            check_certificates(&name, &value)?;
        }
        if is_ours(&name) {
            let value = value.to_string_lossy().into_owned();
            environment.variables.insert(name.into_owned(), value);
        } else if name != OF_THE_SCRIPTS {
            environment.mistaken.extend(variables::mistaken(&name));
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

fn check_certificates(name: &str, value: &OsStr) -> Result<(), String> {
    let fault = |path: &OsStr, error: &dyn std::fmt::Display| {
        Err(format!(
            "{name}: `{}` cannot be read: {error}; name what is there, or leave the variable out",
            path.display()
        ))
    };
    if value.is_empty() {
        return Ok(());
    }
    if name == "SSL_CERT_FILE" {
        return match fs::read(value) {
            Ok(text) if text.windows(11).any(|window| window == b"-----BEGIN ") => Ok(()),
            Ok(_) => fault(value, &"no certificate in PEM form is in it"),
            Err(error) => fault(value, &error),
        };
    }
    for path in env::split_paths(value) {
        if let Err(error) = fs::read_dir(&path) {
            return fault(path.as_os_str(), &error);
        }
    }
    Ok(())
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
        let pem = env::temp_dir().join(format!("pcs-local-ca-{}.pem", std::process::id()));
        fs::write(&pem, "-----BEGIN CERTIFICATE-----\n").unwrap();
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
            let value = match *name {
                "SSL_CERT_FILE" => pem.to_str().unwrap(),
                "SSL_CERT_DIR" => "/",
                _ => "x",
            };
            let environment = picked(&[(name, value)]).unwrap();
            assert_eq!(environment.variables.get(*name).map(String::as_str), Some(value));
            assert!(environment.mistaken.is_empty());
        }
        fs::remove_file(pem).unwrap();
    }

    /// The person's account has no part in this.
    #[test]
    fn what_lambda_sets_is_not_taken_from_the_person() {
        let environment = picked(&variables::LAMBDA.map(|name| (name, "x"))).unwrap();
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
    fn certificates_that_are_not_there_are_told_by_name() {
        for (name, value) in [
            ("SSL_CERT_FILE", "/dev/null"),
            ("SSL_CERT_FILE", "/"),
            ("SSL_CERT_FILE", "/dev/null/none/ca.pem"),
            ("SSL_CERT_DIR", "/dev/null/none"),
            ("SSL_CERT_DIR", "/dev/null"),
        ] {
            let told = picked(&[(name, value)]).unwrap_err();
            assert!(told.starts_with(name) && told.contains(value), "{told}");
        }
        assert!(picked(&[("SSL_CERT_FILE", ""), ("SSL_CERT_DIR", "")]).is_ok());
    }
}
