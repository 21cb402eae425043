//! What a denial by AWS tells: the permission that is missing, and which kind of policy is the reason.
//!
//! Nothing else is taken from AWS's sentence: it names roles and resources, and can repeat what a caller sent. What is
//! taken has a form that neither can have, so it may be answered, logged and recorded.

/// A permission that the function's role, or what acts for it, does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lack {
    /// `service:Action`.
    permission: String,
    reason: Option<Reason>,
    /// A policy denies it by name, so that nothing that comes later changes it.
    is_explicit: bool,
}

/// Why the permission is missing, as far as AWS says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reason {
    Denies(&'static str),
    DoesNotAllow(&'static str),
}

/// The kinds of policies that AWS's sentences name (IAM User Guide, "Troubleshoot access denied error messages").
const POLICIES: [&str; 9] = [
    "service control policy",
    "resource control policy",
    "permissions boundary",
    "session policy",
    "VPC endpoint policy",
    "resource-based policy",
    "identity-based policy",
    "role trust policy",
    "trust policy",
];
/// The services that PCS, and what acts for it, calls for the function's role. A word of another form of permission
/// could be anything that a caller sent.
const SERVICES: [&str; 24] = [
    "application-autoscaling",
    "autoscaling",
    "cloudwatch",
    "ec2",
    "ec2-instance-connect",
    "elasticfilesystem",
    "elasticloadbalancing",
    "events",
    "execute-api",
    "fsx",
    "iam",
    "kms",
    "license-manager",
    "logs",
    "pcs",
    "ram",
    "resource-groups",
    "s3",
    "secretsmanager",
    "servicequotas",
    "sqs",
    "ssm",
    "sts",
    "tag",
];
const ACTION_CHARS_MAX: usize = 64;
/// EC2's other sentence for a missing permission, and the permission that it means.
const SERVICE_LINKED_ROLE: (&str, &str) = (
    "permission to create the service-linked role",
    "iam:CreateServiceLinkedRole",
);

impl Lack {
    /// What the sentence says; `None` if it names no permission.
    pub fn told_by(sentence: &str) -> Option<Lack> {
        const BEFORE: &str = "not authorized to perform";
        let lower = sentence.to_ascii_lowercase();
        let mut behind = lower
            .match_indices(BEFORE)
            .filter_map(|(at, _)| sentence.get(at + BEFORE.len()..));
        let other = lower.contains(SERVICE_LINKED_ROLE.0);
        let permission = behind.find_map(permission_at);
        let permission = permission.or(other.then_some(SERVICE_LINKED_ROLE.1))?;
        Some(Lack {
            permission: permission.to_owned(),
            reason: reason(&lower),
            is_explicit: lower.contains("explicit deny"),
        })
    }

    /// Of a call that needs this permission and no other.
    pub fn of_only(permission: &str) -> Lack {
        Lack {
            permission: permission.to_owned(),
            reason: None,
            is_explicit: false,
        }
    }

    pub fn of_service_linked_role() -> Lack {
        Lack::of_only(SERVICE_LINKED_ROLE.1)
    }

    /// Of a denied IAM action: one action can need more permissions than the one of its name.
    pub fn of_iam(action: &str, sentence: &str) -> Lack {
        let told = Lack::told_by(sentence);
        let permission = told.as_ref().map(|lack| lack.permission.as_str());
        let is_iams = |permission: &&str| {
            let name = permission.strip_prefix("iam:");
            name.is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_alphabetic()))
        };
        let permission = permission.filter(is_iams).map(str::to_owned);
        Lack {
            permission: permission.unwrap_or_else(|| format!("iam:{action}")),
            is_explicit: told.as_ref().is_some_and(|lack| lack.is_explicit),
            reason: told.and_then(|lack| lack.reason),
        }
    }

    pub fn permission(&self) -> &str {
        &self.permission
    }

    fn is_of(&self, service: &str) -> bool {
        self.permission.split(':').next() == Some(service)
    }

    /// Whether AWS also says so while it does not see a new role or instance profile: of neither it then knows the path,
    /// which the permission depends on.
    pub fn may_be_of_the_unseen(&self) -> bool {
        !self.is_explicit
            && matches!(
                self.permission.as_str(),
                "iam:PassRole" | "iam:GetInstanceProfile"
            )
    }

    fn is_read(&self) -> bool {
        let action = self.permission.split(':').nth(1).unwrap_or_default();
        action.starts_with("Get") || action.starts_with("List")
    }

    fn words(&self) -> String {
        match self.reason {
            None => self.permission.clone(),
            Some(Reason::Denies(policy)) => {
                let article = if policy.starts_with('i') { "an" } else { "a" };
                format!("{} ({article} {policy} denies it)", self.permission)
            }
            Some(Reason::DoesNotAllow(policy)) => format!("{} (no {policy} allows it)", self.permission),
        }
    }
}

/// The word that begins here, if it is a permission and nothing else.
fn permission_at(text: &str) -> Option<&str> {
    let text = text.strip_prefix(':').unwrap_or(text).trim_start();
    let word = text.split_ascii_whitespace().next()?;
    let word = word
        .trim_end_matches(['.', ',', ';'])
        .trim_matches(['`', '\'', '"']);
    let (service, action) = word.split_once(':')?;
    let is_action = action.len() <= ACTION_CHARS_MAX
        && action.starts_with(|c: char| c.is_ascii_uppercase())
        && action.bytes().all(|byte| byte.is_ascii_alphanumeric());
    (SERVICES.contains(&service) && is_action).then_some(word)
}

fn reason(lower: &str) -> Option<Reason> {
    let named = |before: &str| {
        let behind = lower.split_once(before)?.1;
        let articles = ["a ", "an ", "the "];
        let behind = articles
            .iter()
            .find_map(|article| behind.strip_prefix(article))
            .unwrap_or(behind);
        POLICIES
            .into_iter()
            .find(|policy| behind.starts_with(&policy.to_ascii_lowercase()))
    };
    let denies = named("explicit deny in ").map(Reason::Denies);
    denies.or_else(|| named("because no ").map(Reason::DoesNotAllow))
}

/// Whether the code says that the function's own credentials, clock or account are not good: nothing that a caller could change, or
/// wait for.
pub fn is_of_credentials(code: &str) -> bool {
    matches!(
        code,
        "ExpiredToken"
            | "ExpiredTokenException"
            | "IncompleteSignature"
            | "IncompleteSignatureException"
            | "InvalidAccessKeyId"
            | "InvalidClientTokenId"
            | "InvalidSignatureException"
            | "MissingAuthenticationToken"
            | "MissingAuthenticationTokenException"
            | "OptInRequired"
            | "AuthFailure"
            | "PendingVerification"
            | "RequestExpired"
            | "SignatureDoesNotMatch"
            | "SubscriptionRequiredException"
            | "UnrecognizedClientException"
    )
}

/// What a caller is told of a denial by PCS. Of an id that it does not know PCS says that access to it is denied.
pub fn by_pcs(lack: Option<&Lack>) -> String {
    match lack {
        None => "PCS denies access: the resource does not exist in this account and Region, or the API's role may not \
                 act on it or pass the instance profile's role"
            .to_owned(),
        Some(lack) => {
            // These two name nothing that could be missing.
            let names_nothing = ["pcs:ListClusters", "pcs:CreateCluster"].contains(&lack.permission());
            let or_not_there = if lack.is_of("pcs") && !names_nothing {
                "the resource does not exist in this account and Region, or "
            } else {
                ""
            };
            format!(
                "PCS denies access: {or_not_there}the function's role, or what acts for it, lacks {}; have the API's \
                 administrator look at the role's policies and boundary, and at service control policies",
                lack.words()
            )
        }
    }
}

/// What a caller is told of a denial that a new instance profile can be the reason of.
pub fn while_it_is_new(lack: &Lack) -> String {
    format!(
        "; PCS says that {} is missing: if that stays so for longer, have the API's administrator look at it",
        lack.words()
    )
}

/// What a caller is told of a denial by IAM. A write can also be denied because the role's policies were made for other
/// guardrails.
pub fn by_iam(lacks: &[Lack]) -> String {
    let (what, also) = if lacks.iter().all(Lack::is_read) {
        ("what it has to read before it decides", "")
    } else {
        (
            "a step of making or changing the role",
            ", and at whether EnableIamAdminAccess and the allowed policies are the guardrails in force",
        )
    };
    let lacks: Vec<String> = lacks.iter().map(Lack::words).collect();
    format!(
        "IAM denies this API {what}: its function's role lacks {}; have its administrator look at the role's policies \
         and boundary, and at service control policies{also}",
        lacks.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHO: &str = "User: arn:aws:sts::123456789012:assumed-role/pcs-api-function/x is";

    #[track_caller]
    fn check(sentence: &str, expected: Option<&str>) {
        let words = Lack::told_by(sentence).map(|lack| lack.words());
        assert_eq!(words.as_deref(), expected, "{sentence}");
    }

    /// The sentences of the IAM User Guide, "Troubleshoot access denied error messages".
    #[test]
    fn each_documented_sentence_tells_the_permission_and_the_kind_of_policy() {
        for (ending, words) in [
            (
                "because no service control policy allows the iam:TagRole action",
                " (no service control policy allows it)",
            ),
            (
                "with an explicit deny in a service control policy",
                " (a service control policy denies it)",
            ),
            (
                "with an explicit deny in a service control policy: arn:aws:organizations::1:policy/o-a/p-b",
                " (a service control policy denies it)",
            ),
            (
                "with an explicit deny in a resource control policy",
                " (a resource control policy denies it)",
            ),
            (
                "because no VPC endpoint policy allows the iam:TagRole action",
                " (no VPC endpoint policy allows it)",
            ),
            (
                "with an explicit deny in a VPC endpoint policy",
                " (a VPC endpoint policy denies it)",
            ),
            (
                "because no permissions boundary allows the iam:TagRole action",
                " (no permissions boundary allows it)",
            ),
            (
                "with an explicit deny in a permissions boundary",
                " (a permissions boundary denies it)",
            ),
            (
                "because no session policy allows the iam:TagRole action",
                " (no session policy allows it)",
            ),
            (
                "with an explicit deny in a session policy",
                " (a session policy denies it)",
            ),
            (
                "because no resource-based policy allows the iam:TagRole action",
                " (no resource-based policy allows it)",
            ),
            (
                "with an explicit deny in the role trust policy",
                " (a role trust policy denies it)",
            ),
            (
                "because no identity-based policy allows the iam:TagRole action",
                " (no identity-based policy allows it)",
            ),
            (
                "with an explicit deny in an identity-based policy",
                " (an identity-based policy denies it)",
            ),
            ("", ""),
            ("with an explicit deny", ""),
        ] {
            for resource in ["", "on resource: arn:aws:iam::123456789012:role/x "] {
                let expected = format!("iam:TagRole{words}");
                let sentence = format!("{WHO} not authorized to perform: iam:TagRole {resource}{ending}");
                check(&sentence, Some(&expected));
            }
        }
    }

    #[test]
    fn only_a_permission_is_taken() {
        for (behind, expected) in [
            (
                ": ec2:CreateLaunchTemplate on resource: *",
                Some("ec2:CreateLaunchTemplate"),
            ),
            (" iam:PassRole", Some("iam:PassRole")),
            (" `iam:PassRole`.", Some("iam:PassRole")),
            (": execute-api:Invoke.", Some("execute-api:Invoke")),
            (
                " this operation. Encoded authorization failure message: a:B",
                None,
            ),
            (": arn:aws:iam::123456789012:role/pcs-api-function", None),
            (": secret value", None),
            (": iam:*", None),
            (": IAM:TagRole", None),
            (": password:hunter2Secret", None),
            (": password:Hunter2Secret", None),
            (": ec2:hunter2Secret", None),
            (": iam:TagRole/x", None),
            (": :TagRole", None),
            (": iam:", None),
            (":", None),
            ("", None),
        ] {
            check(&format!("{WHO} not authorized to perform{behind}"), expected);
        }
        check("Access denied", None);
        check("iam:PassRole", None);
        let long = format!("{WHO} not authorized to perform: iam:{}", "A".repeat(65));
        check(&long, None);
    }

    /// EC2 has another sentence for one of them.
    #[test]
    fn a_service_linked_role_that_may_not_be_made_is_told_as_its_permission() {
        let sentence = "The provided credentials do not have permission to create the service-linked role for EC2 Spot \
                        Instances.";
        check(sentence, Some("iam:CreateServiceLinkedRole"));
    }

    #[test]
    fn only_what_depends_on_the_new_role_can_be_of_the_unseen() {
        let of = |permission: &str, ending: &str| {
            let sentence = format!("{WHO} not authorized to perform: {permission} on resource: x {ending}");
            Lack::told_by(&sentence).unwrap().may_be_of_the_unseen()
        };
        for permission in ["iam:PassRole", "iam:GetInstanceProfile"] {
            assert!(of(permission, "because no identity-based policy allows it"));
            assert!(!of(
                permission,
                "with an explicit deny in a service control policy"
            ));
            assert!(!of(permission, "with an explicit deny"));
        }
        assert!(!of("iam:CreateServiceLinkedRole", "") && !of("ec2:RunInstances", ""));
    }

    #[test]
    fn a_call_that_names_no_resource_does_not_say_that_one_is_missing() {
        for permission in ["pcs:ListClusters", "pcs:CreateCluster"] {
            let told = by_pcs(Some(&Lack::of_only(permission)));
            assert!(
                !told.contains("does not exist") && told.contains(permission),
                "{told}"
            );
        }
        assert!(by_pcs(Some(&Lack::of_only("pcs:GetCluster"))).contains("does not exist"));
    }

    #[test]
    fn iam_is_believed_about_its_own_permissions_only() {
        let of = |word: &str| {
            let sentence = format!("{WHO} not authorized to perform: {word} on resource: x");
            Lack::of_iam("CreateRole", &sentence).permission
        };
        assert_eq!(of("iam:TagRole"), "iam:TagRole");
        for other in ["ec2:CreateTags", "iam:Tag1", "x", "iam:Tag-Role"] {
            assert_eq!(of(other), "iam:CreateRole", "{other}");
        }
        assert_eq!(Lack::of_iam("CreateRole", "").permission, "iam:CreateRole");
    }

    #[test]
    fn a_denied_read_is_not_explained_by_what_writes_need() {
        let read = by_iam(&[Lack::of_iam("GetRole", "")]);
        assert!(
            read.contains("has to read") && !read.contains("EnableIamAdminAccess"),
            "{read}"
        );
        let write = by_iam(&[Lack::of_iam("AttachRolePolicy", "")]);
        assert!(
            write.contains("making or changing") && write.contains("EnableIamAdminAccess"),
            "{write}"
        );
    }
}
