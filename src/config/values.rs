//! What a variable may hold. Everything is checked before the first call: what is taken here and fails later, as a
//! stage that no event carries or an address that is none does, reads as a fault of AWS or of the caller.

use std::net::Ipv6Addr;

use crate::guardrails::allowlist;

/// Lambda's quota for all variables together; a list that is longer was put together wrongly.
const LIST_BYTES_MAX: usize = 4096;

pub(super) fn is_account_id(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

pub(super) fn is_partition(text: &str) -> bool {
    text.len() <= 32 && allowlist::is_partition(text)
}

pub(super) fn is_rest_api_id(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// As API Gateway takes it. The console's test call carries a stage of its own; it was authorized by nobody.
pub(super) fn is_stage(text: &str) -> bool {
    let is_taken = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    (1..=128).contains(&text.len()) && text.bytes().all(is_taken) && text != "test-invoke-stage"
}

/// As DynamoDB takes it.
pub(super) fn is_table_name(text: &str) -> bool {
    let is_taken = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    (3..=255).contains(&text.len()) && text.bytes().all(is_taken)
}

/// A number without a sign.
pub(super) fn days(text: &str) -> Option<u16> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let days = text.parse().ok().filter(|days| (1..=3653).contains(days));
    days.filter(|_| plain)
}

/// The full ARN of a KMS key; an alias can be turned to another key.
pub(super) fn is_key_arn(text: &str) -> bool {
    let parts: Vec<&str> = text.split(':').collect();
    let ["arn", partition, "kms", region, account, resource] = parts.as_slice() else {
        return false;
    };
    let is_taken = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let is_region = !region.is_empty() && region.bytes().all(is_taken);
    let is_key = |id: &str| (1..=128).contains(&id.len()) && id.bytes().all(is_taken);
    is_partition(partition)
        && is_region
        && is_account_id(account)
        && resource.strip_prefix("key/").is_some_and(is_key)
}

/// What can be sent in a header without being changed: access keys, their secrets and tokens.
pub(super) fn is_key(text: &str) -> bool {
    // A session token has a thousand bytes and more: eight are looked at in one step.
    let (words, rest) = text.as_bytes().as_chunks::<8>();
    !text.is_empty()
        && words.iter().all(|word| are_graphic(u64::from_le_bytes(*word)))
        && rest.iter().all(u8::is_ascii_graphic)
}

/// Whether each of eight bytes is from `!` to `~`: then neither it nor it less `!` nor it plus one has the highest bit. A
/// borrow or a carry begins at a byte that has it.
fn are_graphic(word: u64) -> bool {
    const EACH: u64 = 0x0101_0101_0101_0101;
    let least = word.wrapping_sub(EACH * u64::from(b'!'));
    let most = word.wrapping_add(EACH);
    (word | least | most) & (EACH * 0x80) == 0
}

/// What is wrong with a comma-separated list before its items are looked at.
pub(super) fn list_fault(text: &str) -> Option<String> {
    // Without a way out of the loop, so that many bytes are looked at in one step.
    let controls = text.bytes().fold(0_u8, |found, byte| {
        found | u8::from(matches!(byte, 0..=8 | 11 | 12 | 14..=31 | 127))
    });
    if controls != 0 || !text.is_ascii() {
        return Some("must be of printable ASCII characters alone".to_owned());
    }
    length_fault(text)
}

/// The same of a list whose items are known to be good.
pub(super) fn length_fault(text: &str) -> Option<String> {
    if text.len() > LIST_BYTES_MAX {
        return Some(format!(
            "must have at most {LIST_BYTES_MAX} characters, which is all that Lambda takes"
        ));
    }
    let is_blank = !text.is_empty() && text.trim_matches([',', ' ', '\t', '\r', '\n']).is_empty();
    is_blank.then(|| "must be empty or a comma-separated list, not blanks and commas alone".to_owned())
}

/// `http://HOST`, `https://HOST:PORT`, with or without a slash at the end. A path, a query or a name and password
/// would go into every request or be lost, depending on who reads them.
pub(super) fn is_endpoint(text: &str) -> bool {
    let rest = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"));
    let Some(authority) = rest.map(|rest| rest.strip_suffix('/').unwrap_or(rest)) else {
        return false;
    };
    if let Some(bracketed) = authority.strip_prefix('[') {
        return bracketed.split_once(']').is_some_and(|(address, port)| {
            address.parse::<Ipv6Addr>().is_ok()
                && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port))
        });
    }
    let (host, port) = match authority.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    };
    is_host(host) && port.is_none_or(is_port)
}

fn is_port(text: &str) -> bool {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    plain && text.parse::<u16>().is_ok_and(|port| port > 0)
}

/// A name of labels, or the address of an IPv4 host: what looks like one has to be one.
fn is_host(text: &str) -> bool {
    let mut length = 0;
    let mut is_number = true;
    let mut before = b'.';
    for byte in text.bytes() {
        if byte == b'.' {
            if !is_label_length(length) || before == b'-' {
                return false;
            }
            (length, is_number) = (0, true);
        } else if byte.is_ascii_alphanumeric() || byte == b'_' || (byte == b'-' && length > 0) {
            length += 1;
            is_number &= byte.is_ascii_digit();
        } else {
            return false;
        }
        before = byte;
    }
    is_label_length(length)
        && before != b'-'
        && text.len() <= 253
        && (!is_number || text.parse::<std::net::Ipv4Addr>().is_ok())
}

fn is_label_length(length: usize) -> bool {
    (1..=63).contains(&length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_byte_of_a_key_is_looked_at() {
        for byte in 0..=127_u8 {
            for place in [0, 3, 7, 8, 11] {
                let mut key = [b'a'; 12];
                key[place] = byte;
                let key = std::str::from_utf8(&key).unwrap();
                assert_eq!(is_key(key), byte.is_ascii_graphic(), "{byte} at {place}");
            }
        }
        assert!(!is_key("aaaaaaaä") && !is_key("äaaaaaaaa") && !is_key(""));
    }
}
