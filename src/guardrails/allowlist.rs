//! The `AdditionalIamPolicies` allowlist: which managed policies a compute node's role may carry.

use super::arn_like::ArnPattern;

/// Account token of AWS-managed policies in ARNs.
const AWS_MANAGED: &str = "aws";

/// The patterns of the source documents, for `partition` and `account_id`, and in addition the policy that PCS's
/// own console attaches to compute nodes. Two of them (`AWSBatchServiceRole`, `AmazonEC2SpotFleetTaggingRole`)
/// carry `iam:PassRole` on `*`: the documented list is offered for parity, not as advice.
pub fn documented(partition: &str, account_id: &str) -> Vec<String> {
    let own = ["parallelcluster*", "parallelcluster/*"];
    let managed = [
        "CloudWatchAgentServerPolicy",
        "AmazonSSMManagedInstanceCore",
        "AWSBatchFullAccess",
        "AmazonS3ReadOnlyAccess",
        "service-role/AWSBatchServiceRole",
        "service-role/AmazonEC2ContainerServiceforEC2Role",
        "service-role/AmazonECSTaskExecutionRolePolicy",
        "service-role/AmazonEC2SpotFleetTaggingRole",
        "EC2InstanceProfileForImageBuilder",
        "service-role/AWSLambdaBasicExecutionRole",
        "AWSPCSComputeNodePolicy",
    ];
    let own = own
        .iter()
        .map(|name| format!("arn:{partition}:iam::{account_id}:policy/{name}"));
    let managed = managed
        .iter()
        .map(|name| format!("arn:{partition}:iam::{AWS_MANAGED}:policy/{name}"));
    own.chain(managed).collect()
}

/// The patterns in force. Empty: no managed policy passes.
#[derive(Debug, Clone, Default)]
pub struct Allowlist {
    patterns: Vec<ArnPattern>,
}

impl Allowlist {
    /// Reads a comma-separated list; blanks around a pattern do not count. Every mistake is reported.
    pub fn parse(text: &str) -> Result<Allowlist, Vec<String>> {
        let mut allowlist = Allowlist::default();
        let mut faults = Vec::new();
        for pattern in text
            .split(',')
            .map(str::trim)
            .filter(|pattern| !pattern.is_empty())
        {
            match ArnPattern::parse(pattern) {
                Ok(pattern) => allowlist.patterns.push(pattern),
                Err(error) => faults.push(error.to_string()),
            }
        }
        if faults.is_empty() {
            Ok(allowlist)
        } else {
            Err(faults)
        }
    }

    /// Whether the policy may be attached. What is not the plain ARN of an IAM policy passes no pattern.
    pub fn allows(&self, policy_arn: &str) -> bool {
        is_policy_arn(policy_arn) && self.patterns.iter().any(|pattern| pattern.matches(policy_arn))
    }

    pub fn patterns(&self) -> impl Iterator<Item = &str> {
        self.patterns.iter().map(ArnPattern::as_str)
    }
}

/// A managed policy's ARN without any character that a pattern, a log or a URL could read differently:
/// `arn:PARTITION:iam::ACCOUNT:policy/[path/]name`, name of 1 to 128 characters (IAM API reference).
pub fn is_policy_arn(arn: &str) -> bool {
    const LONGEST_ARN: usize = 2048;
    const LONGEST_NAME: usize = 128;
    let mut parts = arn.splitn(6, ':');
    let mut next = || parts.next().unwrap_or_default();
    let (prefix, partition, service, region, account, resource) =
        (next(), next(), next(), next(), next(), next());
    let account_is_good =
        account == AWS_MANAGED || (account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit()));
    // `aws`, or `aws` and words: `aws-us-gov`.
    let mut words = partition.split('-');
    let partition_is_good = words.next() == Some("aws")
        && words.all(|word| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase()));
    let name_is_good = resource.strip_prefix("policy/").is_some_and(|path| {
        path.split('/')
            .all(|segment| !segment.is_empty() && segment.bytes().all(is_name_byte))
            && path
                .rsplit('/')
                .next()
                .is_some_and(|name| name.len() <= LONGEST_NAME)
    });
    arn.len() <= LONGEST_ARN
        && prefix == "arn"
        && partition_is_good
        && service == "iam"
        && region.is_empty()
        && account_is_good
        && name_is_good
}

/// `[\w+=,.@-]`, ASCII.
fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn documented_list() -> Allowlist {
        Allowlist::parse(&documented("aws", "123456789012").join(", ")).unwrap()
    }

    #[test]
    fn every_documented_policy_passes() {
        let allowlist = documented_list();
        for arn in [
            "arn:aws:iam::123456789012:policy/parallelcluster-x",
            "arn:aws:iam::123456789012:policy/parallelcluster/x",
            "arn:aws:iam::aws:policy/CloudWatchAgentServerPolicy",
            "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore",
            "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole",
            "arn:aws:iam::aws:policy/AWSPCSComputeNodePolicy",
        ] {
            assert!(allowlist.allows(arn), "{arn}");
        }
    }

    #[test]
    fn nothing_else_passes() {
        let allowlist = documented_list();
        for arn in [
            "arn:aws:iam::aws:policy/AdministratorAccess",
            "arn:aws:iam::aws:policy/AmazonS3FullAccess",
            "arn:aws:iam::aws:policy/cloudwatchagentserverpolicy",
            "arn:aws-cn:iam::aws:policy/CloudWatchAgentServerPolicy",
            "arn:aws:iam::123456789012:policy/CloudWatchAgentServerPolicy",
            "arn:aws:iam::999999999999:policy/parallelcluster-x",
            "arn:aws:iam::123456789012:policy/parallelcluster//x",
            "arn:aws:iam::123456789012:policy/parallelcluster*",
            "arn:aws:iam::123456789012:policy/parallelcluster?",
            "arn:aws:iam::123456789012:policy/parallelcluster x",
            "arn:aws:iam::123456789012:policy/parallelcluster\u{e9}",
            "arn:aws:iam::123456789012:policy/parallelcluster%2f..",
            "arn:aws:iam::123456789012:role/parallelcluster-x",
            "arn:aws:iam:us-east-1:123456789012:policy/parallelcluster-x",
            "ARN:aws:iam::123456789012:policy/parallelcluster-x",
            "",
        ] {
            assert!(!allowlist.allows(arn), "{arn}");
        }
    }

    #[test]
    fn an_empty_list_lets_nothing_pass_and_a_short_pattern_is_refused() {
        assert!(
            !Allowlist::parse("")
                .unwrap()
                .allows("arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess")
        );
        assert_eq!(
            Allowlist::parse("arn:aws:iam::aws:policy/x, *, arn:aws:*")
                .unwrap_err()
                .len(),
            2
        );
    }
}
