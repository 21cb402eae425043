//! One page of a list, and the marker that goes on after it.

use std::ops::Range;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use super::Call;
use crate::error::IamError;
use crate::query::Query;
use crate::validate;
use crate::xml::Xml;

/// Where a page begins and ends, and the marker of the next.
pub(super) struct Page {
    range: Range<usize>,
    marker: Option<String>,
}

impl Page {
    /// `listed` is the id of what the list belongs to: a marker is good for the same list only. `key` tells
    /// the items apart; a marker names the item to go on with, so that one who deletes what he has read skips
    /// nothing.
    pub(super) fn of<T>(
        call: &Call<'_>,
        listed: &str,
        items: &[T],
        key: impl Fn(&T) -> &str,
    ) -> Result<Self, IamError> {
        let list = format!("{}/{listed}/", call.query.action()?.name());
        let start = match call.query.get("Marker") {
            None => 0,
            Some(marker) => {
                let (position, item) = decode(marker, &list)
                    .ok_or_else(|| IamError::validation(format!("Invalid Marker: {marker}")))?;
                let found = items.iter().position(|candidate| digest(key(candidate)) == item);
                found.unwrap_or(position).min(items.len())
            }
        };
        let size = max_items(call.query)?.min(call.options.page_size).max(1);
        let end = items.len().min(start.saturating_add(size));
        let next = items.get(end).map(key);
        let marker = next.map(|key| URL_SAFE_NO_PAD.encode(format!("{list}{end}/{}", digest(key))));
        Ok(Self {
            range: start..end,
            marker,
        })
    }

    /// The items that are on this page.
    pub(super) fn cut<'a, T>(&self, items: &'a [T]) -> &'a [T] {
        items.get(self.range.clone()).unwrap_or_default()
    }

    /// Writes whether there is more, and where.
    pub(super) fn write(&self, xml: &mut Xml) {
        xml.flag("IsTruncated", self.marker.is_some());
        if let Some(marker) = &self.marker {
            xml.text("Marker", marker);
        }
    }
}

/// Position and digest of the item to go on with. The position counts when the item is gone.
fn decode(marker: &str, list: &str) -> Option<(usize, String)> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(marker).ok()?).ok()?;
    let (position, item) = text.strip_prefix(list)?.split_once('/')?;
    Some((position.parse().ok()?, item.to_owned()))
}

/// Short, because a marker is 320 characters at most and an ARN may be longer.
fn digest(key: &str) -> String {
    let digest = Sha256::digest(key);
    URL_SAFE_NO_PAD.encode(digest.get(..12).unwrap_or_default())
}

/// 1 to 1000, 100 when not given.
fn max_items(query: &Query) -> Result<usize, IamError> {
    let Some(value) = query.get("MaxItems") else {
        return Ok(100);
    };
    let rule = "Member must have value between 1 and 1000";
    match value.parse() {
        Ok(items @ 1..=1000) => Ok(items),
        Ok(_) | Err(_) => Err(validate::violation(value, "MaxItems", rule)),
    }
}
