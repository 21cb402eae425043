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

/// Twelve digits.
pub(crate) fn is_account_id(id: &str) -> bool {
    id.len() == 12 && id.bytes().all(|byte| byte.is_ascii_digit())
}

/// `aws`, alone or with words of small letters behind hyphens.
pub(crate) fn is_partition(name: &str) -> bool {
    let mut words = name.split('-');
    words.next() == Some("aws")
        && words.all(|word| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase()))
}

/// The ARN of a managed policy, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PolicyArn<'a> {
    pub(crate) partition: &'a str,
    /// An account id, or `aws` when AWS manages the policy.
    pub(crate) account: &'a str,
    pub(crate) path: &'a str,
    pub(crate) name: &'a str,
}

/// `arn:PARTITION:iam::ACCOUNT:policy/PATH/NAME`, or nothing when it is anything else.
pub(crate) fn policy_arn_parts(arn: &str) -> Option<PolicyArn<'_>> {
    let mut parts = arn.splitn(6, ':');
    let (prefix, partition, service) = (parts.next()?, parts.next()?, parts.next()?);
    let (region, account, resource) = (parts.next()?, parts.next()?, parts.next()?);
    let path_and_name = resource.strip_prefix("policy")?;
    let (path, name) = path_and_name.split_at_checked(path_and_name.rfind('/')? + 1)?;
    let valid = prefix == "arn"
        && !partition.is_empty()
        && service == "iam"
        && region.is_empty()
        && (account == "aws" || is_account_id(account))
        && is_path(path)
        && is_name(name, 128);
    valid.then_some(PolicyArn {
        partition,
        account,
        path,
        name,
    })
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

pub(crate) fn role_name(query: &Query) -> Result<&str, IamError> {
    name(query, "RoleName", 64)
}

pub(crate) fn instance_profile_name(query: &Query) -> Result<&str, IamError> {
    name(query, "InstanceProfileName", 128)
}

pub(crate) fn policy_name(query: &Query) -> Result<&str, IamError> {
    name(query, "PolicyName", 128)
}

/// The path a new entity is to have; `/` when none is given.
pub(crate) fn path(query: &Query) -> Result<&str, IamError> {
    let path = query.get("Path").unwrap_or("/");
    if path.len() > 512 {
        let rule = "Member must have length less than or equal to 512";
        return Err(violation(path, "Path", rule));
    }
    if is_path(path) {
        return Ok(path);
    }
    Err(IamError::validation(
        "The specified value for path is invalid. It must begin and end with / and contain only alphanumeric \
         characters and/or / characters.",
    ))
}

/// What the paths of the entities to be listed start with; `/`, which all do, when nothing is given.
pub(crate) fn path_prefix(query: &Query) -> Result<&str, IamError> {
    let prefix = query.get("PathPrefix").unwrap_or("/");
    let allowed = |c| ('\u{21}'..='\u{7f}').contains(&c);
    if prefix.len() <= 512 && prefix.starts_with('/') && prefix.chars().all(allowed) {
        return Ok(prefix);
    }
    Err(IamError::validation(
        "The specified value for pathPrefix is invalid. It must begin with / and contain only alphanumeric \
         characters and/or / characters.",
    ))
}

/// The value of a parameter that the call cannot do without and that is the ARN of a managed policy.
pub(crate) fn policy_arn<'q>(
    query: &'q Query,
    parameter: &str,
    partition: &str,
) -> Result<&'q str, IamError> {
    let arn = required(query, parameter)?;
    if !(20..=2048).contains(&arn.len()) {
        let rule = "Member must have length greater than or equal to 20 and less than or equal to 2048";
        return Err(violation(arn, parameter, rule));
    }
    let parts =
        policy_arn_parts(arn).ok_or_else(|| IamError::invalid_input(format!("ARN {arn} is not valid.")))?;
    if parts.partition != partition {
        return Err(IamError::validation("Invalid ARN partition"));
    }
    Ok(arn)
}

/// The value of a parameter that is a policy document, as far as its characters go.
pub(crate) fn document<'q>(query: &'q Query, parameter: &str) -> Result<&'q str, IamError> {
    let text = required(query, parameter)?;
    if text.chars().count() > 131_072 {
        let rule = "Member must have length less than or equal to 131072";
        return Err(violation("..", parameter, rule));
    }
    let allowed = |c| matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{ff}');
    if text.chars().all(allowed) {
        return Ok(text);
    }
    Err(IamError::validation(format!(
        "The specified value for {} is invalid. It must contain only printable ASCII characters.",
        member(parameter)
    )))
}

/// Text of up to 1000 characters that describes an entity.
pub(crate) fn description(query: &Query) -> Result<Option<&str>, IamError> {
    let Some(text) = query.get("Description") else {
        return Ok(None);
    };
    if text.chars().count() > 1000 {
        let rule = "Member must have length less than or equal to 1000";
        return Err(violation(text, "Description", rule));
    }
    let allowed = |c| matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{7e}' | '\u{a1}'..='\u{ff}');
    if text.chars().all(allowed) {
        return Ok(Some(text));
    }
    let rule = "Member must satisfy regular expression pattern: \
                [\\u0009\\u000A\\u000D\\u0020-\\u007E\\u00A1-\\u00FF]*";
    Err(violation(text, "Description", rule))
}

/// Seconds, 3600 to 43200; one hour when not given.
pub(crate) fn max_session_duration(query: &Query) -> Result<u32, IamError> {
    let Some(value) = query.get("MaxSessionDuration") else {
        return Ok(3600);
    };
    match value.parse() {
        Ok(seconds @ 3600..=43200) => Ok(seconds),
        Ok(_) | Err(_) => Err(violation(
            value,
            "MaxSessionDuration",
            "Member must have value between 3600 and 43200",
        )),
    }
}

pub(crate) fn required<'q>(query: &'q Query, parameter: &str) -> Result<&'q str, IamError> {
    query.get(parameter).ok_or_else(|| absent(parameter))
}

/// The parameter is not there.
pub(crate) fn absent(parameter: &str) -> IamError {
    IamError::validation(format!(
        "1 validation error detected: Value null at '{}' failed to satisfy constraint: Member must not be null",
        member(parameter)
    ))
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
        let parts = |arn| policy_arn_parts(arn).map(|parts| (parts.account, parts.path, parts.name));
        assert_eq!(
            parts("arn:aws:iam::aws:policy/AWSPCSComputeNodePolicy"),
            Some(("aws", "/", "AWSPCSComputeNodePolicy"))
        );
        assert_eq!(
            parts("arn:aws:iam::123456789012:policy/service-role/X"),
            Some(("123456789012", "/service-role/", "X"))
        );
        for other in [
            "arn:aws:iam::123456789012:role/X",
            "arn:aws:iam::123456789012:policy/",
            "arn:aws:iam:us-east-1:123456789012:policy/X",
            "arn:aws:iam::1234:policy/X",
            "arn:aws:s3::123456789012:policy/X",
            "policy/X",
        ] {
            assert_eq!(parts(other), None, "{other}");
        }
    }
}
