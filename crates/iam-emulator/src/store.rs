//! The account on disk: one JSON file in a folder that nobody else uses.

use std::io;
use std::path::Path;

use local_program::{Damage, Folder};

use crate::state::Account;

const FILE: &str = "iam.json";

#[derive(Debug)]
pub(crate) struct Store(Folder);

impl Store {
    pub(crate) fn open(folder: &Path) -> Result<Self, Damage> {
        Folder::open(folder, "iam.lock").map(Self)
    }

    /// The account last saved, which has to be the one that is meant.
    pub(crate) fn load(&self, id: &str, partition: &str) -> Result<Option<Account>, Damage> {
        let saved: Option<Account> = self.0.read(FILE)?;
        match saved {
            Some(saved) if saved.id != id || saved.partition != partition => {
                let reason = format!("it is the account {} of `{}`", saved.id, saved.partition);
                Err(self.0.unfit(FILE, &reason))
            }
            Some(_) | None => Ok(saved),
        }
    }

    /// When this returns the account survives a kill and a power cut.
    pub(crate) fn save(&self, account: &Account) -> io::Result<()> {
        self.0.replace(FILE, &serde_json::to_vec_pretty(account)?)
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::seed::{Role, Seed};

    #[test]
    fn survives_a_restart() {
        let dir = std::env::temp_dir().join(format!("iam-emulator-{}", uuid::Uuid::new_v4()));
        let store = Store::open(&dir).unwrap();
        let load = |id| store.load(id, "aws");
        assert!(load("123456789012").unwrap().is_none());
        let mut account = Account::new("123456789012", "aws", Timestamp::UNIX_EPOCH);
        let seed = Seed::new().role(Role::new("AWSPCS-a").tag("team", "hpc"));
        account.plant(seed, Timestamp::UNIX_EPOCH).unwrap();
        store.save(&account).unwrap();
        let loaded = load("123456789012").unwrap().unwrap();
        let (loaded, role) = (
            loaded.role("AWSPCS-a").unwrap(),
            account.role("AWSPCS-a").unwrap(),
        );
        assert_eq!((&loaded.entity, &loaded.id), (&role.entity, &role.id));
        let other = load("210987654321").unwrap_err().to_string();
        assert!(
            other.contains("iam.json") && other.contains("123456789012"),
            "{other}"
        );
        // An empty account in place of one that cannot be read would lose it with the next write.
        for (text, expected) in [
            ("{", "is cut off"),
            ("", "is cut off"),
            ("{}", "is damaged"),
            ("null?", "is damaged"),
        ] {
            std::fs::write(dir.join(FILE), text).unwrap();
            let damage = load("123456789012").unwrap_err().to_string();
            assert!(
                damage.contains(expected) && damage.contains("iam.json"),
                "{text}: {damage}"
            );
        }
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
