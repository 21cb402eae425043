//! Tags in requests, and what they become on an entity.

use crate::error::IamError;
use crate::query::Query;
use crate::seed::Tag;
use crate::validate;

/// Whether two keys that differ in case only are the same key: so on users and roles, not on the other
/// entities ("Tags for IAM resources", IAM User Guide).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keys {
    IgnoreCase,
    Exact,
}

impl Keys {
    fn same(self, left: &str, right: &str) -> bool {
        match self {
            Self::IgnoreCase => left.to_lowercase() == right.to_lowercase(),
            Self::Exact => left == right,
        }
    }
}

/// The tags of the request, checked: 50 at most, keys of 1 to 128 and values of up to 256 characters.
pub(crate) fn requested(query: &Query, keys: Keys) -> Result<Vec<Tag>, IamError> {
    let mut tags: Vec<Tag> = Vec::new();
    for n in 1.. {
        let (key, value) = (format!("Tags.member.{n}.Key"), format!("Tags.member.{n}.Value"));
        let tag = match (query.raw(&key), query.raw(&value)) {
            (None, None) => break,
            (Some(key), Some(value)) => Tag {
                key: key.to_owned(),
                value: value.to_owned(),
            },
            (None, Some(_)) => return Err(validate::absent(&format!("tags.{n}.member.key"))),
            (Some(_), None) => return Err(validate::absent(&format!("tags.{n}.member.value"))),
        };
        check(&tag, n)?;
        if tags.iter().any(|other| keys.same(&other.key, &tag.key)) {
            let message = "Duplicate tag keys found. Please note that Tag keys are case insensitive.";
            return Err(IamError::invalid_input(message));
        }
        tags.push(tag);
        if tags.len() > 50 {
            let rule = "Member must have length less than or equal to 50";
            return Err(validate::violation("[..]", "Tags", rule));
        }
    }
    Ok(tags)
}

/// Puts `new` tags among the tags an entity has; a key that is there already gets the new value.
pub(crate) fn merge(tags: &mut Vec<Tag>, new: Vec<Tag>, keys: Keys, most: usize) -> Result<(), IamError> {
    let mut merged = tags.clone();
    for tag in new {
        match merged.iter_mut().find(|old| keys.same(&old.key, &tag.key)) {
            Some(old) => *old = tag,
            None => merged.push(tag),
        }
    }
    if merged.len() > most {
        return Err(IamError::limit_exceeded("TagsPerResource", most));
    }
    *tags = merged;
    Ok(())
}

fn check(tag: &Tag, n: usize) -> Result<(), IamError> {
    let (key, value) = (tag.key.as_str(), tag.value.as_str());
    let violated = |value, member: &str, rule: &str| {
        Err(validate::violation(
            value,
            &format!("tags.{n}.member.{member}"),
            rule,
        ))
    };
    if !(1..=128).contains(&key.chars().count()) {
        let rule = "Member must have length less than or equal to 128 and greater than or equal to 1";
        return violated(key, "key", rule);
    }
    if value.chars().count() > 256 {
        return violated(
            value,
            "value",
            "Member must have length less than or equal to 256",
        );
    }
    let rule = "Member must satisfy regular expression pattern: [\\p{L}\\p{Z}\\p{N}_.:/=+\\-@]+";
    if !key.chars().all(is_allowed) {
        return violated(key, "key", rule);
    }
    if !value.chars().all(is_allowed) {
        return violated(value, "value", rule);
    }
    if key.to_lowercase().starts_with("aws:") {
        return Err(IamError::invalid_input(
            "Tag keys that start with aws: are reserved.",
        ));
    }
    Ok(())
}

/// `[\p{L}\p{Z}\p{N}_.:/=+\-@]`
fn is_allowed(c: char) -> bool {
    let separator = matches!(
        c,
        ' ' | '\u{a0}' | '\u{1680}' | '\u{2000}'
            ..='\u{200a}' | '\u{2028}' | '\u{2029}' | '\u{202f}' | '\u{205f}' | '\u{3000}'
    );
    c.is_alphanumeric() || separator || "_.:/=+-@".contains(c)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::Request;

    use super::*;

    fn request(pairs: &[(&str, &str)]) -> Query {
        let mut form = form_urlencoded::Serializer::new(String::new());
        for (n, (key, value)) in pairs.iter().enumerate() {
            form.append_pair(&format!("Tags.member.{}.Key", n + 1), key);
            form.append_pair(&format!("Tags.member.{}.Value", n + 1), value);
        }
        Query::parse(&Request::new(Bytes::from(form.finish())))
    }

    fn tag(key: &str, value: &str) -> Tag {
        Tag {
            key: key.to_owned(),
            value: value.to_owned(),
        }
    }

    #[test]
    fn reads_what_iam_takes() {
        let read = |pairs: &[_]| requested(&request(pairs), Keys::IgnoreCase);
        assert_eq!(read(&[]).unwrap(), []);
        let pairs = [("pcs-api:operation", "01J"), ("équipe", ""), ("a b", "x@y.z")];
        let expected: Vec<_> = pairs.iter().map(|(key, value)| tag(key, value)).collect();
        assert_eq!(read(&pairs).unwrap(), expected);
        let (long_key, long_value) = ("k".repeat(129), "v".repeat(257));
        let code = |pairs: &[_]| read(pairs).unwrap_err().code;
        assert_eq!(code(&[("", "x")]), "ValidationError");
        assert_eq!(code(&[(&long_key, "")]), "ValidationError");
        assert_eq!(code(&[("k", &long_value)]), "ValidationError");
        assert_eq!(code(&[("k", "a*b")]), "ValidationError");
        assert_eq!(code(&[("k", "a\tb")]), "ValidationError");
        assert_eq!(code(&[("k", ""), ("K", "")]), "InvalidInput");
        assert_eq!(code(&[("AWS:k", "")]), "InvalidInput");
        let names: Vec<String> = (0..51).map(|n| format!("k{n}")).collect();
        let many: Vec<_> = names.iter().map(|name| (name.as_str(), "")).collect();
        assert_eq!(read(&many[..50]).unwrap().len(), 50);
        assert_eq!(code(&many), "ValidationError");
        let exact = requested(&request(&[("k", ""), ("K", "")]), Keys::Exact);
        assert_eq!(exact.unwrap().len(), 2);
    }

    #[test]
    fn a_known_key_gets_the_new_value() {
        let mut tags = vec![tag("Team", "a"), tag("cost", "1")];
        merge(
            &mut tags,
            vec![tag("team", "b"), tag("new", "")],
            Keys::IgnoreCase,
            3,
        )
        .unwrap();
        assert_eq!(tags, [tag("team", "b"), tag("cost", "1"), tag("new", "")]);
        let before = tags.clone();
        let full = merge(
            &mut tags,
            vec![tag("cost", "2"), tag("more", "")],
            Keys::IgnoreCase,
            3,
        );
        assert_eq!(full.unwrap_err().code, "LimitExceeded");
        assert_eq!(tags, before);
        merge(&mut tags, vec![tag("Team", "c")], Keys::Exact, 4).unwrap();
        assert_eq!(tags.len(), 4);
    }
}
