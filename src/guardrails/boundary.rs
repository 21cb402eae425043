//! The permissions boundary that every compute node's role must carry, when one is configured.

use super::allowlist::is_policy_arn;

/// The configured boundary. IAM's own condition on it is `StringEquals`, so this is equality too, never a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Boundary {
    NotConfigured,
    /// ARN of the policy.
    Required(String),
}

impl Boundary {
    /// Empty means none; anything else must be a policy's ARN.
    pub fn parse(text: &str) -> Option<Boundary> {
        match text {
            "" => Some(Boundary::NotConfigured),
            arn if is_policy_arn(arn) => Some(Boundary::Required(arn.to_owned())),
            _ => None,
        }
    }

    /// The ARN that a role must carry and does not.
    pub fn missing_from(&self, role_boundary: Option<&str>) -> Option<&str> {
        match self {
            Boundary::NotConfigured => None,
            Boundary::Required(arn) if role_boundary == Some(arn) => None,
            Boundary::Required(arn) => Some(arn),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_arn_will_do() {
        let boundary = Boundary::parse("arn:aws:iam::123456789012:policy/Guard").unwrap();
        assert_eq!(
            boundary.missing_from(Some("arn:aws:iam::123456789012:policy/Guard")),
            None
        );
        for other in [
            None,
            Some("arn:aws:iam::123456789012:policy/guard"),
            Some(""),
            Some("*"),
        ] {
            assert_eq!(
                boundary.missing_from(other),
                Some("arn:aws:iam::123456789012:policy/Guard"),
                "{other:?}"
            );
        }
        assert_eq!(Boundary::parse("").unwrap().missing_from(None), None);
        assert_eq!(Boundary::parse("Guard"), None);
    }
}
