//! The file of `--verify-signatures`. Keys come from a file and not from the command line, which everybody on the machine
//! can read.

use std::{fmt, path::Path};

use pcs_emulator::Credentials;
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};

/// Reads it; the error names the file and every entry that cannot work.
pub fn read(path: &Path) -> Result<Credentials, String> {
    let fault = |error: &dyn fmt::Display| format!("`{}`: {error}", path.display());
    let text = local_program::read(path).map_err(|error| fault(&error))?;
    let Pairs(pairs) = serde_json::from_slice(&text).map_err(|error| fault(&error))?;
    let faults = faults(&pairs);
    if faults.is_empty() {
        Ok(pairs.into_iter().collect())
    } else {
        Err(fault(&faults.join("; ")))
    }
}

fn faults(pairs: &[(String, String)]) -> Vec<String> {
    let is_text = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    let mut faults = Vec::new();
    for (index, (id, secret)) in pairs.iter().enumerate() {
        if !is_text(id) || id.contains('/') {
            faults.push(format!(
                "the access key id `{id}` must be printable characters without blanks and slashes"
            ));
        }
        if !is_text(secret) {
            faults.push(format!(
                "the secret of `{id}` must be printable characters without blanks"
            ));
        }
        if pairs.iter().take(index).any(|(other, _)| other == id) {
            faults.push(format!("`{id}` stands twice; keep one"));
        }
    }
    faults
}

/// The members of an object in their order. A map would keep the last of two keys that are the same.
struct Pairs(Vec<(String, String)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Pairs, D::Error> {
        deserializer.deserialize_map(Members)
    }
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Pairs;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of access key ids and their secrets")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut members: M) -> Result<Pairs, M::Error> {
        let mut pairs = Vec::new();
        while let Some(pair) = members.next_entry()? {
            pairs.push(pair);
        }
        Ok(Pairs(pairs))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_that_cannot_work_is_told() {
        let Pairs(pairs) =
            serde_json::from_str(r#"{"": "x", "A": "", "B": "x", "B": "y", "C/D": "x", "E": "good"}"#)
                .unwrap();
        let told = faults(&pairs);
        assert_eq!(told.len(), 4, "{told:?}");
        for (told, part) in told
            .iter()
            .zip(["id ``", "secret of `A`", "`B` stands twice", "`C/D`"])
        {
            assert!(told.contains(part), "{told}");
        }
    }
}
