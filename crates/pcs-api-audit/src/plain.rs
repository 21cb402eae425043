//! Single attributes of rows.

use pcs_api::audit::chain::Item;

/// A text attribute.
pub fn text<'a>(row: &'a Item, name: &str) -> Option<&'a str> {
    row.get(name)?.as_s().ok().map(String::as_str)
}

/// A text attribute of a map.
pub fn inner<'a>(row: &'a Item, map: &str, name: &str) -> Option<&'a str> {
    text(row.get(map)?.as_m().ok()?, name)
}
