//! Which names IAM accepts: the patterns and lengths in its service model.

use crate::error::IamError;
use crate::query::Query;

/// `[\w+=,.@-]+`, up to `longest` characters: role names 64, everything else 128.
pub(crate) fn is_name(name: &str, longest: usize) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '+' | '=' | ',' | '.' | '@' | '-');
    !name.is_empty() && name.len() <= longest && name.chars().all(allowed)
}

/// `/`, or printable ASCII between two slashes, up to 512 characters.
pub(crate) fn is_path(path: &str) -> bool {
    path.len() <= 512
        && path.starts_with('/')
        && path.ends_with('/')
        && path.chars().all(|c| ('\u{21}'..='\u{7e}').contains(&c))
}

/// A unique id: 4 letters that say what it is, then 17 more characters.
pub(crate) fn is_unique_id(id: &str, prefix: &str) -> bool {
    id.len() == 21
        && id.starts_with(prefix)
        && id.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
}

/// The path and the name that the ARN of a managed policy ends in.
pub(crate) fn policy_path_and_name(arn: &str) -> Option<(&str, &str)> {
    let mut parts = arn.splitn(6, ':');
    let (prefix, _partition, service) = (parts.next()?, parts.next()?, parts.next()?);
    let (_region, _account, resource) = (parts.next()?, parts.next()?, parts.next()?);
    let path_and_name = resource.strip_prefix("policy")?;
    let (path, name) = path_and_name.split_at_checked(path_and_name.rfind('/')? + 1)?;
    let valid = prefix == "arn" && service == "iam" && is_path(path) && is_name(name, 128);
    valid.then_some((path, name))
}

/// The value of a parameter that the call cannot do without and that is a name of up to `longest` characters.
pub(crate) fn name<'q>(query: &'q Query, parameter: &str, longest: usize) -> Result<&'q str, IamError> {
    let value = required(query, parameter)?;
    if value.len() > longest {
        let rule = format!("Member must have length less than or equal to {longest}");
        return Err(violation(value, parameter, &rule));
    }
    if is_name(value, longest) {
        return Ok(value);
    }
    Err(IamError::validation(format!(
        "The specified value for {} is invalid. It must contain only alphanumeric characters and/or the \
         following: +=,.@_-",
        member(parameter)
    )))
}

pub(crate) fn policy_arn(query: &Query) -> Result<&str, IamError> {
    let arn = required(query, "PolicyArn")?;
    if !(20..=2048).contains(&arn.len()) {
        let rule = "Member must have length greater than or equal to 20 and less than or equal to 2048";
        return Err(violation(arn, "PolicyArn", rule));
    }
    match policy_path_and_name(arn) {
        Some(_) => Ok(arn),
        None => Err(IamError::validation(format!("ARN {arn} is not valid."))),
    }
}

pub(crate) fn required<'q>(query: &'q Query, parameter: &str) -> Result<&'q str, IamError> {
    query.get(parameter).ok_or_else(|| {
        IamError::validation(format!(
            "1 validation error detected: Value null at '{}' failed to satisfy constraint: Member must not be \
             null",
            member(parameter)
        ))
    })
}

pub(crate) fn violation(value: &str, parameter: &str, rule: &str) -> IamError {
    IamError::validation(format!(
        "1 validation error detected: Value '{value}' at '{}' failed to satisfy constraint: {rule}",
        member(parameter)
    ))
}

/// IAM's messages name a parameter by its member: `RoleName` is `roleName`.
fn member(parameter: &str) -> String {
    let mut characters = parameter.chars();
    characters
        .next()
        .map(|first| first.to_ascii_lowercase())
        .into_iter()
        .chain(characters)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_paths() {
        assert!(is_name("AWSPCS-node+=,.@_1", 64));
        assert!(!is_name("", 64) && !is_name("a/b", 64) && !is_name("a b", 64) && !is_name("é", 64));
        assert!(is_name(&"a".repeat(64), 64) && !is_name(&"a".repeat(65), 64));
        assert!(
            is_path("/") && is_path("/aws-pcs/") && !is_path("/aws-pcs") && !is_path("a/") && !is_path("")
        );
    }

    #[test]
    fn policy_arns() {
        let parts = |arn| policy_path_and_name(arn);
        assert_eq!(
            parts("arn:aws:iam::aws:policy/AWSPCSComputeNodePolicy"),
            Some(("/", "AWSPCSComputeNodePolicy"))
        );
        assert_eq!(
            parts("arn:aws:iam::aws:policy/service-role/X"),
            Some(("/service-role/", "X"))
        );
        assert_eq!(parts("arn:aws:iam::123456789012:role/X"), None);
        assert_eq!(parts("arn:aws:iam::123456789012:policy/"), None);
        assert_eq!(parts("policy/X"), None);
    }
}
