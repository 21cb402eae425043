//! The `AdditionalIamPolicies` allowlist: which managed policies a compute node's role may carry.

use super::{
    arn_like::ArnPattern,
    wide_policies::{UNBOUNDED, WIDE},
};

/// Account token of AWS-managed policies in ARNs.
const AWS_MANAGED: &str = "aws";
/// Of a policy's name (IAM API reference).
const LONGEST_NAME: usize = 128;

/// AWS's own policies in the source documents' list, and the one that PCS's own console attaches to compute nodes.
const DOCUMENTED: [&str; 11] = [
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

/// The patterns of the source documents, for `partition` and `account_id`, and in addition the policy that PCS's
/// own console attaches to compute nodes. Two of them (`AWSBatchServiceRole`, `AmazonEC2SpotFleetTaggingRole`)
/// carry `iam:PassRole` on `*`: the documented list is offered for parity, not as advice.
pub fn documented(partition: &str, account_id: &str) -> Vec<String> {
    let own = ["parallelcluster*", "parallelcluster/*"];
    let own = own
        .iter()
        .map(|name| format!("arn:{partition}:iam::{account_id}:policy/{name}"));
    let managed = DOCUMENTED.iter().map(|name| managed(partition, name));
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
                Ok(pattern) if !can_be_a_policy(pattern.as_str()) => faults.push(format!(
                    "`{}` can match no policy: an ARN of one is arn:PARTITION:iam::ACCOUNT:policy/NAME, and commas \
                     stand between two",
                    pattern.as_str()
                )),
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

    /// What makes the list no list: patterns with `*` or `?` that let a policy pass with which a node can do anything, or
    /// take any role of the account. One sentence each. Such a policy is let pass only by its own ARN in full, which
    /// nobody writes by accident.
    pub fn faults(&self, partition: &str) -> Vec<String> {
        // Asked when the function starts: of a pattern for an account's own policies nothing has to be compared.
        let wild = self
            .patterns
            .iter()
            .filter(|pattern| pattern.is_wild() && !is_of_an_account(pattern.as_str()));
        let reached = wild.filter_map(|pattern| {
            let (name, what) = wide().find(|(name, _)| pattern.matches(&managed(partition, name)))?;
            Some(format!(
                "`{}` lets `{}` pass, with which a compute node can {what}; make the pattern narrower, or list that \
                 policy by its full ARN if it is meant",
                pattern.as_str(),
                managed(partition, name)
            ))
        });
        reached.collect()
    }

    /// What should be known of the list: such policies that are listed in full beside the documented list, and patterns that
    /// no policy of this account is like. Which of an account's own policies pass is the account's choice, however wide the pattern is: nothing is known of
    /// their text here, and no pattern for them is warned of.
    pub fn warnings(&self, partition: &str, account_id: &str) -> Vec<String> {
        let own = format!("arn:{partition}:iam::{account_id}:");
        let aws = format!("arn:{partition}:iam::{AWS_MANAGED}:");
        let warning = |pattern: &ArnPattern| {
            let arn = pattern.as_str();
            if arn.starts_with(&own) {
                return None;
            }
            if !arn.starts_with(&aws)
                && let Some(warning) = reaches_nothing(arn, partition, account_id)
            {
                return Some(warning);
            }
            let name = arn.strip_prefix("arn:")?.strip_prefix(partition)?;
            let name = name.strip_prefix(":iam::aws:policy/")?;
            let (_, what) = wide().find(|(wide, _)| *wide == name)?;
            let is_documented = DOCUMENTED.contains(&name);
            (!is_documented)
                .then(|| format!("`{arn}` lets a policy pass with which a compute node can {what}"))
        };
        self.patterns.iter().filter_map(warning).collect()
    }

    pub fn patterns(&self) -> impl Iterator<Item = &str> {
        self.patterns.iter().map(ArnPattern::as_str)
    }
}

/// The names of AWS's widest policies, and what a node can do with each.
fn wide() -> impl Iterator<Item = (&'static str, &'static str)> {
    let unbounded = UNBOUNDED.iter().map(|name| (*name, "do anything in the account"));
    let wide = WIDE.iter().map(|name| (*name, "take other roles of the account"));
    unbounded.chain(wide)
}

/// ARN of a policy of AWS's.
fn managed(partition: &str, name: &str) -> String {
    format!("arn:{partition}:iam::{AWS_MANAGED}:policy/{name}")
}

/// Whether the pattern is for the policies of one account and can match none of AWS's.
fn is_of_an_account(pattern: &str) -> bool {
    let account = pattern.split(':').nth(4).unwrap_or_default();
    account != AWS_MANAGED && !account.contains(['*', '?'])
}

/// Whether what is no wildcard stands where a policy's ARN has it; with a wildcard the components are not judged.
fn can_be_a_policy(pattern: &str) -> bool {
    // Nearly all are written so, and the start of the function waits for this.
    if let Some((account, name)) = pattern
        .strip_prefix("arn:aws:iam::")
        .and_then(|rest| rest.split_once(":policy/"))
        && is_account(account)
    {
        return !name.is_empty() && !name.starts_with('/') && can_be_a_path(name);
    }
    let is_wild = |part: &str| part.contains(['*', '?']);
    let mut parts = pattern.splitn(6, ':');
    let mut next = || parts.next().unwrap_or_default();
    let (prefix, partition, service, region, account, resource) =
        (next(), next(), next(), next(), next(), next());
    (is_wild(prefix) || prefix == "arn")
        && (is_wild(partition) || is_partition(partition))
        && (is_wild(service) || service == "iam")
        && (region.is_empty() || region.bytes().all(|byte| byte == b'*'))
        && (is_wild(account) || is_account(account))
        && pattern.bytes().all(|byte| byte.is_ascii_graphic())
        && can_begin_with("policy/", resource)
        && can_be_a_path(resource)
}

/// Whether a path with a name at its end can be like the pattern: no part of one is empty, and the name is not too long.
fn can_be_a_path(pattern: &str) -> bool {
    // One pass over the bytes, and a table for what each is: the start of the function waits for this.
    let mut end = 0;
    let mut before = 0;
    for byte in pattern.bytes() {
        if is_name_byte(byte) {
            end += 1;
        } else if !matches!(byte, b'/' | b'*' | b'?') || (byte == b'/' && before == b'/') {
            return false;
        } else {
            end = 0;
        }
        before = byte;
    }
    before != b'/' && end <= LONGEST_NAME
}

/// Whether a text that begins so can match the pattern; what is behind the beginning is not looked at.
fn can_begin_with(begin: &str, pattern: &str) -> bool {
    let mut pattern = pattern.chars();
    for expected in begin.chars() {
        match pattern.next() {
            Some('*') => return true,
            Some(character) if character == '?' || character == expected => {}
            Some(_) | None => return false,
        }
    }
    pattern.next().is_some()
}

/// A managed policy's ARN without any character that a pattern, a log or a URL could read differently:
/// `arn:PARTITION:iam::ACCOUNT:policy/[path/]name`, name of 1 to 128 characters (IAM API reference).
pub fn is_policy_arn(arn: &str) -> bool {
    const LONGEST_ARN: usize = 2048;
    let mut parts = arn.splitn(6, ':');
    let mut next = || parts.next().unwrap_or_default();
    let (prefix, partition, service, region, account, resource) =
        (next(), next(), next(), next(), next(), next());
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
        && is_partition(partition)
        && service == "iam"
        && region.is_empty()
        && is_account(account)
        && name_is_good
}

/// `aws`, or `aws` and words: `aws-us-gov`.
pub fn is_partition(text: &str) -> bool {
    let mut words = text.split('-');
    words.next() == Some("aws")
        && words.all(|word| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase()))
}

/// What stands in a policy's ARN for the account.
fn is_account(text: &str) -> bool {
    text == AWS_MANAGED || (text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Why no role of the account can have a policy of this ARN or pattern, as far as it names another partition or account. Told
/// and not refused: it lets nothing pass, and a deployment's parameters cannot be checked for it before.
pub fn reaches_nothing(arn: &str, partition: &str, account_id: &str) -> Option<String> {
    let mut parts = arn.split(':').skip(1);
    let (named, account) = (parts.next()?, parts.nth(2)?);
    let is_wild = |part: &str| part.contains(['*', '?']);
    let other = if !is_wild(named) && named != partition {
        format!("the partition {named}, and this deployment is in {partition}")
    } else if !is_wild(account) && account != AWS_MANAGED && account != account_id {
        format!("the account {account}, and this deployment is in {account_id}")
    } else {
        return None;
    };
    Some(format!(
        "`{arn}` is of {other}: no role here can have such a policy"
    ))
}

/// `[\w+=,.@-]`, ASCII.
fn is_name_byte(byte: u8) -> bool {
    NAME_BYTES.get(usize::from(byte)).is_some_and(|is_one| *is_one)
}

const NAME_BYTES: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = u8::MAX;
    while byte > 0 {
        let is_one =
            byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'+' | b'=' | b',' | b'.' | b'@' | b'-');
        #[expect(
            clippy::indexing_slicing,
            reason = "a byte is below 256, and the compiler runs this"
        )]
        {
            table[byte as usize] = is_one;
        }
        byte -= 1;
    }
    table
};

#[cfg(test)]
mod tests;
