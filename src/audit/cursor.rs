//! Tokens of pages: opaque, and good only for the caller and the filter that they were given to.
//!
//! A token holds a position and a time range, sealed with HMAC-SHA-256 under a key that all execution environments
//! share: it is a row of the audit table, made by the first environment that needs it. Nothing secret is in a token;
//! the seal keeps one from being altered or carried over to another question.

use std::sync::OnceLock;

use aws_sdk_dynamodb::{primitives::Blob, types::AttributeValue};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::{Audit, dynamodb, record::row};
use crate::{aws::Clients, error::Error};

/// Partition of the key's row.
pub const PARTITION: &str = "CURSOR_KEY";
const SEAL_BYTES: usize = 32;
/// A whole block of SHA-256, so that the key is used as it is.
const KEY_BYTES: usize = 64;

/// Where a list goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cursor {
    /// The range of the first page, whose ends may have been defaults.
    pub from: Timestamp,
    pub to: Timestamp,
    /// A page's `next`.
    pub before: String,
}

/// The key of this deployment's tokens.
#[derive(Clone)]
pub struct CursorKey([u8; KEY_BYTES]);

impl std::fmt::Debug for CursorKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CursorKey")
    }
}

impl CursorKey {
    /// `context`: who asks what; a token is good for nothing else.
    pub fn seal(&self, cursor: &Cursor, context: &str) -> String {
        // A struct of texts cannot fail to serialize.
        let position = serde_json::to_vec(cursor).unwrap_or_default();
        let mut token = self.mac(context, &position).finalize().into_bytes().to_vec();
        token.extend(position);
        BASE64_URL_SAFE_NO_PAD.encode(token)
    }

    /// The position in a token; `None` if it was not made by `seal` with the same context.
    pub fn open(&self, token: &str, context: &str) -> Option<Cursor> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(token).ok()?;
        let (seal, position) = bytes.split_at_checked(SEAL_BYTES)?;
        self.mac(context, position).verify_slice(seal).ok()?;
        serde_json::from_slice(position).ok()
    }

    fn mac(&self, context: &str, position: &[u8]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new(&self.0.into());
        mac.update(&context.len().to_be_bytes());
        mac.update(context.as_bytes());
        mac.update(position);
        mac
    }
}

impl Audit {
    /// The key that all environments share; read once, and made if there is none.
    pub async fn cursor_key(&self, clients: &Clients) -> Result<&CursorKey, Error> {
        if let Some(key) = self.cursor_key.get() {
            return Ok(key);
        }
        let key = match self.stored_key(clients).await? {
            Some(key) => key,
            None => self.make_key(clients).await?,
        };
        Ok(self.cursor_key.get_or_init(|| key))
    }

    async fn stored_key(&self, clients: &Clients) -> Result<Option<CursorKey>, Error> {
        let pk = AttributeValue::S(PARTITION.to_owned());
        let rows = dynamodb::partition(clients.dynamodb(), &self.config.audit.table, pk)
            .await
            .map_err(|_| Error::AuditUnreadable)?;
        Ok(rows.first().and_then(|row| {
            let secret = row.get("secret")?.as_b().ok()?.as_ref();
            secret.try_into().ok().map(CursorKey)
        }))
    }

    async fn make_key(&self, clients: &Clients) -> Result<CursorKey, Error> {
        let mut secret = [0; KEY_BYTES];
        getrandom::fill(&mut secret).map_err(|_| Error::Internal)?;
        let mut row = row::keys(PARTITION, "0", Timestamp::now(), self.config.audit.retention_days);
        // Tokens outlive no key.
        row.remove("expires");
        row.insert("secret".to_owned(), AttributeValue::B(Blob::new(secret)));
        // Another environment may have been first; what is in the table counts, whatever became of this write.
        let written = self.write(clients, row).await;
        let stored = self.stored_key(clients).await?;
        stored.ok_or_else(|| {
            tracing::error!(reason = written.err(), "AUDIT_UNAVAILABLE");
            Error::AuditUnreadable
        })
    }
}

/// The key, once known.
pub type KnownKey = OnceLock<CursorKey>;

#[cfg(test)]
mod tests {
    use super::*;

    fn cursor() -> Cursor {
        Cursor {
            from: "2026-11-20T00:00:00Z".parse().unwrap(),
            to: "2026-11-21T00:00:00Z".parse().unwrap(),
            before: "2026-11-20T09:00:02.417Z#01M7XY1Y221RVD2NKVD6WEQ328".to_owned(),
        }
    }

    #[test]
    fn a_token_is_good_for_its_key_and_context_only() {
        let key = CursorKey([7; KEY_BYTES]);
        let token = key.seal(&cursor(), "one");
        assert_eq!(key.open(&token, "one"), Some(cursor()));
        assert_eq!(key.open(&token, "other"), None);
        assert_eq!(CursorKey([8; KEY_BYTES]).open(&token, "one"), None);
    }

    #[test]
    fn no_altered_token_is_opened() {
        let key = CursorKey([7; KEY_BYTES]);
        let token = key.seal(&cursor(), "");
        for position in 0..token.len() {
            let mut altered = token.clone().into_bytes();
            altered[position] = if altered[position] == b'A' { b'B' } else { b'A' };
            let altered = String::from_utf8(altered).unwrap();
            // The last character may hold bits that count for nothing; base64 refuses them too.
            assert_eq!(key.open(&altered, ""), None, "{position}");
        }
        for cut in 0..token.len() {
            assert_eq!(key.open(token.get(..cut).unwrap(), ""), None, "{cut}");
        }
        assert_eq!(key.open("", ""), None);
    }
}
