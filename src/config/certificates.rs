//! The certificates that `SSL_CERT_FILE` and `SSL_CERT_DIR` name. The connector reads them when the first call is made and
//! passes over what it cannot use; with none left, every call fails with words about the other side. So the start looks
//! first, with the code that will read them, where they are named and nowhere else.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use rustls::RootCertStore;
use rustls_native_certs::{CertificateResult, ErrorKind, load_certs_from_paths};

use super::{ConfigError, Trust, variables::CERTIFICATES};

/// A hundred times what a distribution trusts.
const BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Refuses by name what would leave no certificate to trust.
pub fn check(trust: Trust, variable: impl Fn(&str) -> Option<String>) -> Result<(), ConfigError> {
    if trust == Trust::Amazon {
        return Ok(());
    }
    let [in_file, in_folders] = CERTIFICATES;
    let folders = variable(in_folders).filter(|folders| !folders.is_empty());
    let file = match variable(in_file).as_deref() {
        Some("") if folders.is_none() => Some("names nothing, and then nothing is trusted".to_owned()),
        None | Some("") => None,
        Some(path) => of_file(Path::new(path)).map(|fault| format!("names `{path}`, which {fault}")),
    };
    let faults = [
        file.map(|fault| format!("{in_file} {fault}; name a file of certificates in PEM form")),
        folders
            .and_then(|folders| of_folders(&folders))
            .map(|fault| format!("{in_folders} names {fault}; name a folder of certificates in PEM form")),
    ];
    let faults = faults.into_iter().flatten();
    // A name may be broken over lines; the sentence about it is not.
    let faults: Vec<String> = faults
        .map(|fault| {
            format!(
                "{}, or leave the variable out",
                fault.replace(char::is_control, " ")
            )
        })
        .collect();
    if faults.is_empty() {
        Ok(())
    } else {
        Err(ConfigError(faults))
    }
}

/// It is read again later: a pipe would be empty then, and a device may have no end.
fn of_file(path: &Path) -> Option<String> {
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) => return Some(format!("cannot be read: {error}")),
    };
    if !metadata.is_file() {
        return Some("is not a regular file".to_owned());
    }
    // What the system makes up as it is read says that it is empty, too.
    if metadata.len() == 0 {
        return Some("is empty".to_owned());
    }
    if metadata.len() > BYTES_MAX {
        return Some("is larger than 16 MiB".to_owned());
    }
    of_read(load_certs_from_paths(Some(path), None))
}

/// Each has to be there, and one of them to hold a certificate.
fn of_folders(folders: &str) -> Option<String> {
    let folders = env::split_paths(folders).filter(|folder| !folder.as_os_str().is_empty());
    let mut unusable = None;
    let mut is_usable = false;
    for folder in folders {
        let told = |fault: String| format!("`{}`, which {fault}", folder.display());
        if let Some(fault) = unreadable(&folder) {
            return Some(told(fault));
        }
        match of_read(load_certs_from_paths(None, Some(&folder))) {
            Some(fault) => unusable = unusable.or(Some(told(fault))),
            None => is_usable = true,
        }
    }
    let none = || Some("no folder".to_owned());
    if is_usable { None } else { unusable.or_else(none) }
}

fn unreadable(folder: &PathBuf) -> Option<String> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => return Some(format!("cannot be read: {error}")),
    };
    let files = entries
        .flatten()
        .filter_map(|entry| fs::metadata(entry.path()).ok());
    let bytes = files
        .filter(fs::Metadata::is_file)
        .fold(0_u64, |bytes, file| bytes.saturating_add(file.len()));
    (bytes > BYTES_MAX).then(|| "holds more than 16 MiB".to_owned())
}

fn of_read(read: CertificateResult) -> Option<String> {
    let (usable, _) = RootCertStore::empty().add_parsable_certificates(read.certs);
    if usable > 0 {
        return None;
    }
    let unread = read.errors.into_iter().find_map(|error| {
        if let ErrorKind::Io { inner, .. } = error.kind {
            Some(format!("cannot be read: {inner}"))
        } else {
            None
        }
    });
    Some(unread.unwrap_or_else(|| "holds no certificate that can be trusted".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = include_str!("../aws/AmazonRootCA1.pem");

    fn told(pairs: &[(&str, &str)]) -> Vec<String> {
        let variable = |name: &str| {
            let found = pairs.iter().find(|(of, _)| *of == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        match check(Trust::System, variable) {
            Ok(()) => Vec::new(),
            Err(ConfigError(faults)) => faults,
        }
    }

    fn place(name: &str) -> PathBuf {
        let path = env::temp_dir().join(format!("pcs-api-certificates-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        path
    }

    #[test]
    fn a_file_holds_a_certificate_or_is_refused_by_name() {
        let folder = place("file");
        let file = folder.join("ca.pem");
        let path = file.to_str().unwrap();
        let begin = "-----BEGIN CERTIFICATE-----";
        let end = "-----END CERTIFICATE-----";
        let key = GOOD.replace("CERTIFICATE", "PRIVATE KEY");
        for (text, expected) in [
            (GOOD.to_owned(), None),
            (format!("{key}\n{GOOD}"), None),
            (String::new(), Some("is empty")),
            (key, Some("holds no certificate")),
            (format!("{begin}\n"), Some("holds no certificate")),
            (format!("{begin}\n!!!!\n{end}\n"), Some("holds no certificate")),
            (format!("{begin}\nAAAA\n{end}\n"), Some("holds no certificate")),
            ("certificate".to_owned(), Some("holds no certificate")),
        ] {
            fs::write(&file, &text).unwrap();
            let told = told(&[("SSL_CERT_FILE", path)]);
            match expected {
                None => assert!(told.is_empty(), "{told:?}"),
                Some(part) => assert!(
                    matches!(told.as_slice(), [one] if one.starts_with("SSL_CERT_FILE ") && one.contains(path)
                        && one.contains(part)),
                    "{text}: {told:?}"
                ),
            }
        }
        let large = fs::File::create(&file).unwrap();
        large.set_len(BYTES_MAX + 1).unwrap();
        assert!(
            told(&[("SSL_CERT_FILE", path)])
                .concat()
                .contains("larger than 16 MiB")
        );
        let told = told(&[("SSL_CERT_DIR", folder.to_str().unwrap())]).concat();
        assert!(told.contains("holds more than 16 MiB"), "{told}");
        fs::remove_dir_all(folder).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn what_has_no_end_and_what_is_not_there_is_not_read() {
        for (name, value, part) in [
            ("SSL_CERT_FILE", "/dev/zero", "is not a regular file"),
            ("SSL_CERT_FILE", "/dev/null", "is not a regular file"),
            ("SSL_CERT_FILE", "/", "is not a regular file"),
            ("SSL_CERT_FILE", "/dev/null/none/ca.pem", "cannot be read"),
            ("SSL_CERT_DIR", "/dev/null/none", "cannot be read"),
            ("SSL_CERT_DIR", "/dev/null", "cannot be read"),
        ] {
            let told = told(&[(name, value)]).concat();
            assert!(
                told.starts_with(name) && told.contains(&format!("`{value}`, which {part}")),
                "{told}"
            );
        }
    }

    #[test]
    fn one_of_the_folders_holds_a_certificate() {
        let (empty, full) = (place("empty"), place("full"));
        fs::write(full.join("1.pem"), GOOD).unwrap();
        fs::write(full.join("notes.txt"), "no certificate").unwrap();
        let (empty, full) = (empty.to_str().unwrap(), full.to_str().unwrap());
        let both = env::join_paths([empty, full]).unwrap();
        assert!(told(&[("SSL_CERT_DIR", both.to_str().unwrap())]).is_empty());
        assert!(told(&[("SSL_CERT_DIR", full), ("SSL_CERT_FILE", "")]).is_empty());
        let lacking = told(&[("SSL_CERT_DIR", empty)]).concat();
        assert!(
            lacking.contains(empty) && lacking.contains("holds no certificate"),
            "{lacking}"
        );
        let both = told(&[("SSL_CERT_DIR", empty), ("SSL_CERT_FILE", "/")]);
        assert_eq!(both.len(), 2, "{both:?}");
        for folder in [empty, full] {
            fs::remove_dir_all(folder).unwrap();
        }
    }

    /// In a partition whose authorities are the system's, a name of nothing would be all that is read.
    #[test]
    fn what_is_not_named_is_not_looked_at() {
        assert!(told(&[]).is_empty());
        assert!(told(&[("SSL_CERT_DIR", "")]).is_empty());
        assert!(
            told(&[("SSL_CERT_FILE", "")])
                .concat()
                .contains("SSL_CERT_FILE names nothing")
        );
        assert!(check(Trust::Amazon, |name| panic!("{name} is asked for")).is_ok());
    }
}
