//! The sentences of field errors. They follow the path of a member: "`tags` must have at least 1 entry, has 0".

use super::nearest::nearest;
use crate::contract::Schema;

/// One of what is counted, and several.
#[derive(Clone, Copy)]
pub struct Unit(&'static str, &'static str);

pub const CHARACTERS: Unit = Unit("character", "characters");
pub const ITEMS: Unit = Unit("item", "items");
pub const ENTRIES: Unit = Unit("entry", "entries");

pub fn count_fault(count: usize, min: u32, max: u32, unit: Unit) -> Option<String> {
    let has = u32::try_from(count).unwrap_or(u32::MAX);
    if (min..=max).contains(&has) {
        return None;
    }
    let several = |number: u32| if number == 1 { unit.0 } else { unit.1 };
    let wanted = match (min, max) {
        (min, max) if min == max => format!("exactly {min} {}", several(min)),
        (min, u32::MAX) => format!("at least {min} {}", several(min)),
        (0, max) => format!("at most {max} {}", several(max)),
        (min, max) => format!("{min} to {max} {}", unit.1),
    };
    Some(format!("must have {wanted}, has {count}"))
}

pub fn range_fault(minimum: i64, maximum: i64) -> String {
    if minimum == maximum {
        format!("must be {minimum}")
    } else {
        format!("must be between {minimum} and {maximum}")
    }
}

/// `60.0` and `6e1` are numbers, and no integers to every reader.
pub const NO_INTEGER: &str = "must be an integer, written without a fraction or an exponent";

/// No choices are no limit.
pub fn choices_fault(text: &str, choices: &[&str]) -> Option<String> {
    if choices.is_empty() || choices.contains(&text) {
        return None;
    }
    Some(match choices {
        [only] => format!("must be {only}"),
        _ => format!("must be one of {}{}", choices.join(", "), meant(text, choices)),
    })
}

/// `what` is wrong with a name that is none of `known`, and what is known.
pub fn unknown(what: &str, name: &str, known: &[&str]) -> String {
    match known {
        [] => what.to_owned(),
        [only] => format!("{what}; known is {only}"),
        _ => format!("{what}{}; known are {}", meant(name, known), known.join(", ")),
    }
}

/// The one that was probably meant, as an addition to a sentence; empty if there is none.
pub fn meant(text: &str, known: &[&str]) -> String {
    nearest(text, known).map_or_else(String::new, |near| format!(" (did you mean {near}?)"))
}

pub fn wanted(schema: &Schema) -> &'static str {
    match schema {
        Schema::String { .. } => "a string",
        Schema::Integer { .. } => "an integer",
        Schema::Boolean => "true or false",
        Schema::Array { .. } => "a list",
        Schema::Map { .. } | Schema::Object { .. } => "an object",
    }
}
