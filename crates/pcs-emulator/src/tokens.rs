//! Page tokens and client tokens.
//!
//! A page token is opaque and bound: an HMAC under a key of this emulator over the list it continues, the
//! place in it and the time it was made. A client token remembers the call that first succeeded with it.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::action::Action;
use crate::clock::{Nanos, nanos};
use crate::context::{Context, text};
use crate::error::{Error, Subject};
use crate::options::{ListOrder, TokenReuse};
use crate::state::{Kind, Region, Replay, Resource};

/// "Each pagination token expires after 24 hours" (API Reference).
const PAGE_TOKEN_LIFE: Nanos = 24 * 3600 * 1_000_000_000;
/// How many client tokens a Region remembers; SDKs send one with every change, and retry within seconds.
const CLIENT_TOKENS_MAX: usize = 256;
/// "The default is 10 results" (API Reference).
const PAGE_DEFAULT: usize = 10;
const MAC_BYTES: usize = 32;

/// What a page token says.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Page {
    /// The list: account, Region, kind and cluster.
    list: String,
    /// The last resource shown.
    after: u64,
    made_at: Nanos,
}

/// One page of a list, as the three List actions answer it.
pub(crate) fn list(
    cx: &Context<'_>,
    region: &Region,
    kind: Kind,
    cluster_id: Option<&str>,
    input: &Map<String, Value>,
    key: &str,
) -> Result<Value, Error> {
    let list = format!(
        "{}/{}/{}/{}",
        cx.account,
        cx.region,
        kind.arn_word(),
        cluster_id.unwrap_or_default()
    );
    let after = match input.get("nextToken").and_then(Value::as_str) {
        Some(token) => Some(read_page(token, &list, key, cx.now)?),
        None => None,
    };
    let asked = input
        .get("maxResults")
        .and_then(Value::as_u64)
        .and_then(|n| usize::try_from(n).ok());
    let size = asked.unwrap_or(PAGE_DEFAULT);
    let all: Vec<&Resource> = region.of(kind, cluster_id).collect();
    let rest: Vec<&Resource> = match cx.options.list_order {
        ListOrder::OldestFirst => all
            .into_iter()
            .filter(|r| after.is_none_or(|after| r.seq > after))
            .collect(),
        ListOrder::NewestFirst => all
            .into_iter()
            .rev()
            .filter(|r| after.is_none_or(|after| r.seq < after))
            .collect(),
    };
    let page: Vec<&Resource> = rest.iter().take(size).copied().collect();
    let shown: Vec<Value> = page.iter().map(|r| Value::Object(r.summary())).collect();
    let mut answer = Map::new();
    answer.insert(kind.list_member().to_owned(), Value::Array(shown));
    if let Some(last) = page.last().filter(|_| rest.len() > page.len()) {
        let token = write_page(
            &Page {
                list,
                after: last.seq,
                made_at: cx.now,
            },
            key,
        )?;
        answer.insert("nextToken".to_owned(), json!(token));
    }
    Ok(Value::Object(answer))
}

fn write_page(page: &Page, key: &str) -> Result<String, Error> {
    let mut bytes = serde_json::to_vec(page).map_err(|e| Error::Internal(e.to_string()))?;
    let mac = mac(&bytes, key)?.finalize().into_bytes();
    bytes.extend_from_slice(&mac);
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// The place a token continues from, if it is ours, for this list, and not expired.
fn read_page(token: &str, list: &str, key: &str, now: Nanos) -> Result<u64, Error> {
    let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| Error::InvalidToken)?;
    let cut = bytes.len().checked_sub(MAC_BYTES).ok_or(Error::InvalidToken)?;
    let (page, tag) = bytes.split_at_checked(cut).ok_or(Error::InvalidToken)?;
    mac(page, key)?
        .verify_slice(tag)
        .map_err(|_| Error::InvalidToken)?;
    let page: Page = serde_json::from_slice(page).map_err(|_| Error::InvalidToken)?;
    if page.list != list || now.saturating_sub(page.made_at) > PAGE_TOKEN_LIFE {
        return Err(Error::InvalidToken);
    }
    Ok(page.after)
}

fn mac(bytes: &[u8], key: &str) -> Result<Hmac<Sha256>, Error> {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(key.as_bytes()).map_err(|e| Error::Internal(e.to_string()))?;
    mac.update(bytes);
    Ok(mac)
}

pub(crate) fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// The answer of the original call, when this one repeats it.
pub(crate) fn replay(
    cx: &Context<'_>,
    region: &Region,
    action: Action,
    input: &Map<String, Value>,
) -> Result<Option<Value>, Error> {
    let Some(original) = region.client_tokens.get(&client_key(action, input)) else {
        return Ok(None);
    };
    if cx.now.saturating_sub(original.at) > nanos(cx.options.token_life) {
        return Ok(None);
    }
    if original.parameters == parameters(input) {
        let answer = serde_json::from_str(&original.answer).map_err(|e| Error::Internal(e.to_string()))?;
        return Ok(Some(answer));
    }
    let token = text(input, "clientToken");
    let message = format!(
        "The client token {token} was already used for {} with other parameters",
        action.name()
    );
    match cx.options.token_reuse {
        TokenReuse::Validation => Err(Error::Invalid(message)),
        TokenReuse::Conflict => Err(Error::Conflict {
            message,
            subject: subject_of(original, input),
        }),
    }
}

/// Remembers a call that succeeded; forgets those whose token has expired.
pub(crate) fn remember(
    cx: &Context<'_>,
    region: &mut Region,
    action: Action,
    input: &Map<String, Value>,
    answer: &Value,
) {
    region
        .client_tokens
        .retain(|_, call| cx.now.saturating_sub(call.at) <= nanos(cx.options.token_life));
    if input.contains_key("clientToken") {
        let original = Replay {
            parameters: parameters(input),
            answer: answer.to_string(),
            at: cx.now,
        };
        region.client_tokens.insert(client_key(action, input), original);
    }
    while region.client_tokens.len() > CLIENT_TOKENS_MAX {
        let oldest = region.client_tokens.iter().min_by_key(|(_, call)| call.at);
        let Some(key) = oldest.map(|(key, _)| key.clone()) else {
            break;
        };
        region.client_tokens.remove(&key);
    }
}

fn client_key(action: Action, input: &Map<String, Value>) -> String {
    format!("{}/{}", action.name(), text(input, "clientToken"))
}

/// The resource the original call made or changed. A Delete answered with none: the one now named.
fn subject_of(original: &Replay, input: &Map<String, Value>) -> Subject {
    let answer: Value = serde_json::from_str(&original.answer).unwrap_or_default();
    let kinds = [Kind::ComputeNodeGroup, Kind::Queue, Kind::Cluster];
    let made = kinds.into_iter().find_map(|kind| {
        let id = answer.get(kind.member())?.get("id")?.as_str()?;
        Some(Subject {
            kind,
            id: id.to_owned(),
        })
    });
    made.unwrap_or_else(|| Subject::named_in(input))
}

/// A digest of everything but the token. Validation has cut the input to known members and sorted them, so
/// equal parameters have equal digests.
fn parameters(input: &Map<String, Value>) -> String {
    let mut parameters = input.clone();
    parameters.remove("clientToken");
    let digest = Sha256::digest(Value::Object(parameters).to_string());
    digest.iter().fold(String::with_capacity(64), |hex, byte| {
        hex + &format!("{byte:02x}")
    })
}

#[cfg(test)]
mod tests {
    use super::{PAGE_TOKEN_LIFE, Page, read_page, write_page};

    #[test]
    fn a_page_token_is_bound_to_key_list_and_time() {
        let page = Page {
            list: "list".into(),
            after: 7,
            made_at: 0,
        };
        let token = write_page(&page, "key").unwrap();
        assert_eq!(read_page(&token, "list", "key", PAGE_TOKEN_LIFE).unwrap(), 7);
        assert!(read_page(&token, "list", "key", PAGE_TOKEN_LIFE + 1).is_err());
        assert!(read_page(&token, "other", "key", 0).is_err());
        assert!(read_page(&token, "list", "other", 0).is_err());
        assert!(read_page(&token.replacen('e', "f", 1), "list", "key", 0).is_err());
        assert!(read_page("", "list", "key", 0).is_err());
    }
}
