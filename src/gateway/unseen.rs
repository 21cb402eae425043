//! Whether a refusal of PCS can mean that a new instance profile, or the role in it, is not seen everywhere yet.
//!
//! PCS asks EC2 and Auto Scaling, who have many sentences for that and document none in whole. So it is asked what a
//! refusal is about, not how it is worded: one that speaks of the profile, or of nothing that is known, can mean it.
//! To wait once too often costs the caller two minutes; to undo too early makes the next try begin with a younger
//! profile, and so for ever.

use serde_json::{Map, Value};

use crate::{
    contract::{self, Recorded},
    error::{Error, FieldError, Service},
    operations::{Action, Operation},
};

/// Violations that a profile leads to while IAM does not show it, or the role in it.
const UNSEEN_RULES: [&str; 2] = ["profile-exists", "one-role"];
/// Words for the profile and its role, with all but letters and digits as one space.
const OF_THE_PROFILE: [&str; 7] = [
    "instance profile",
    "instanceprofile",
    "passrole",
    "pass role",
    " iam ",
    " role ",
    " awspcs ",
];
/// Beginnings of words for what else a compute node group is made of.
const OF_SOMETHING_ELSE: [&str; 22] = [
    " subnet",
    " securitygroup",
    " security group",
    " sg ",
    " ami ",
    " amis ",
    " amiid",
    " image",
    " launchtemplate",
    " launch template",
    " customlaunchtemplate",
    " lt ",
    " keypair",
    " key pair",
    " sshkey",
    " instancetype",
    " instance type",
    " purchaseoption",
    " spot",
    " scaling",
    " slurm",
    " capacity",
];

/// Words of a denial: of who creates a launch template or an Auto Scaling group, EC2 says so too when the role in the
/// profile cannot be passed.
const OF_A_DENIAL: [&str; 4] = [
    " not authorized",
    " access denied",
    " accessdenied",
    " unauthorized",
];

/// What a caller can name as he likes: words in it say nothing about the refusal that repeats it.
pub(super) fn names(input: &Map<String, Value>) -> Vec<String> {
    let members = ["clusterIdentifier", "computeNodeGroupName"];
    let members = members.iter().filter_map(|name| input.get(*name)?.as_str());
    let tags = input.get("tags").and_then(Value::as_object).into_iter().flatten();
    let tags = tags.flat_map(|(key, value)| [Some(key.as_str()), value.as_str()]);
    let mut names: Vec<String> = members
        .chain(tags.flatten())
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect();
    // A name can be part of another.
    names.sort_by_key(|name| std::cmp::Reverse(name.len()));
    names
}

/// Whether PCS, or a guardrail, would answer so while the profile of this name is not seen. Not to be asked about
/// IAM's refusals of the steps that make it.
pub(super) fn may_be_unseen(error: &Error, profile: &str, names: &[String]) -> bool {
    if let Error::Guardrail(denial) = error {
        let mut rules = denial.violations.iter().map(|violation| violation.rule);
        return rules.all(|rule| UNSEEN_RULES.contains(&rule));
    }
    if let Error::UpstreamAccessDenied(lack) = error {
        // Of a profile that is not seen, its role may not be passed.
        return lack.as_ref().is_none_or(|lack| lack.is_of("iam"));
    }
    let Some(quote) = error.quote() else {
        return false;
    };
    if quote.service != Service::Pcs {
        return false;
    }
    let told = Told::of(&quote.text, profile, names);
    if let Error::Refused { fields, .. } = error {
        let of_another = |field: &FieldError| {
            let told = Told::of(&field.message, profile, names);
            !is_the_profile(field) && is_another_member(&field.path) && !told.can_mean_it()
        };
        return !fields.iter().any(of_another)
            && (fields.iter().any(is_the_profile)
                || told.can_mean_it()
                || !told.has_any(&OF_SOMETHING_ELSE));
    }
    // Of PCS's own resources PCS says so too: only the profile's name tells them apart.
    matches!(error, Error::Unknown(_)) || (!matches!(error, Error::Quota(_)) && told.has_any(&OF_THE_PROFILE))
}

/// A sentence in lower case, with one space for whatever is between words, and without what the caller named.
struct Told {
    text: String,
}

impl Told {
    fn of(text: &str, profile: &str, names: &[String]) -> Told {
        Told {
            text: plain(&without_names(text, profile, names)),
        }
    }

    fn can_mean_it(&self) -> bool {
        self.has_any(&OF_THE_PROFILE) || self.has_any(&OF_A_DENIAL)
    }

    fn has_any(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.text.contains(word))
    }
}

/// The sentence without the caller's names and without what is in quotation marks, but for ids of EC2 and the profile
/// that was made.
fn without_names(text: &str, profile: &str, names: &[String]) -> String {
    let mut text = names
        .iter()
        .fold(text.to_owned(), |text, name| without_word(&text, name));
    let mut from = 0;
    while let Some((start, end)) = quoted(&text, from) {
        let inside = text.get(start..end).unwrap_or_default();
        from = if is_id(inside) || inside.contains(profile) {
            end
        } else {
            text.replace_range(start..end, "");
            start
        };
    }
    text
}

fn without_word(text: &str, word: &str) -> String {
    let is_inside = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let mut rest = String::new();
    let mut from = 0;
    for (at, _) in text.match_indices(word) {
        let (before, after) = (text.get(..at), text.get(at + word.len()..));
        let is_whole = before.is_some_and(|text| !text.ends_with(is_inside))
            && after.is_some_and(|text| !text.starts_with(is_inside));
        if is_whole {
            rest.push_str(text.get(from..at).unwrap_or_default());
            from = at + word.len();
        }
    }
    rest.push_str(text.get(from..).unwrap_or_default());
    rest
}

/// Where the next quotation begins and ends; an apostrophe inside a word is none.
fn quoted(text: &str, from: usize) -> Option<(usize, usize)> {
    let marks = ['\'', '"', '`'];
    let rest = text.get(from..)?;
    rest.match_indices(marks).find_map(|(at, mark)| {
        let (before, inside) = (rest.get(..at)?, rest.get(at + mark.len()..)?);
        let opens = !before.ends_with(|c: char| c.is_alphanumeric());
        let end = inside.match_indices(mark).find_map(|(end, _)| {
            let after = inside.get(end + mark.len()..)?;
            (!after.starts_with(|c: char| c.is_alphanumeric())).then_some(end)
        })?;
        let start = from + at + mark.len();
        (opens && end > 0).then_some((start, start + end))
    })
}

/// Whether this is an id of EC2, as `subnet-0123456789abcdef0`, which says what it is of; PCS may put it in brackets.
fn is_id(text: &str) -> bool {
    let id = text.trim_matches(['[', ']']);
    id.rsplit_once('-').is_some_and(|(kind, digits)| {
        ["subnet", "sg", "ami", "lt"].contains(&kind) && digits.chars().all(|c| c.is_ascii_hexdigit())
    })
}

fn is_the_profile(field: &FieldError) -> bool {
    plain(&field.path).contains("instanceprofile")
}

/// Whether the path names a member of the request that is not the profile.
fn is_another_member(path: &str) -> bool {
    let create = Operation::Pcs(Action::CreateComputeNodeGroup);
    let Recorded::Members(members) = contract::route(create).recorded_input else {
        return false;
    };
    path.split(|c: char| !c.is_ascii_alphanumeric()).any(|segment| {
        members
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case(segment) && *name != "iamInstanceProfileArn")
    })
}

/// Lower case, and one space for whatever is between words.
fn plain(text: &str) -> String {
    let mut plain = " ".to_owned();
    for c in text.chars().chain([' ']) {
        if c.is_ascii_alphanumeric() {
            plain.push(c.to_ascii_lowercase());
        } else if !plain.ends_with(' ') {
            plain.push(' ');
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        denied::Lack,
        error::{Quote, Sentence},
    };

    fn may_be_unseen(error: &Error) -> bool {
        super::may_be_unseen(error, "AWSPCS-0a1b", &[])
    }

    fn refused(text: &str, fields: &[(&str, &str)]) -> Error {
        Error::Refused {
            quote: Quote {
                service: Service::Pcs,
                text: text.to_owned(),
            },
            fields: fields
                .iter()
                .map(|(path, message)| FieldError::new(path, *message))
                .collect(),
        }
    }

    /// EC2's and Auto Scaling's sentences as their users report them, and some that nobody has seen.
    #[test]
    fn a_sentence_about_the_profile_or_about_nothing_known_can_mean_it() {
        for text in [
            "Invalid IAM Instance Profile name",
            "Invalid IAM Instance Profile ARN",
            "Value (AWSPCS-0a1b) for parameter iamInstanceProfile.name is invalid. Invalid IAM Instance Profile name",
            "Value (arn:aws:iam::123456789012:instance-profile/aws-pcs/pcs-api/AWSPCS-0a1b) for parameter \
             iamInstanceProfile.arn is invalid. Invalid IAM Instance Profile ARN",
            "Invalid IamInstanceProfile: AWSPCS-0a1b",
            "The instance profile does not exist",
            "IAM Instance Profile \"[role]\" has no associated IAM Roles",
            "Launch template lt-0a1b: Invalid IAM Instance Profile name",
            "The role ARN is invalid",
            "You are not authorized to perform iam:PassRole",
            "Authentication Failure: the provided credentials could not be validated",
            "AWSPCS-0a1b cannot be found",
            "INVALID INSTANCE-PROFILE",
            "something is wrong",
            "the request was refused without saying why",
        ] {
            assert!(may_be_unseen(&refused(text, &[])), "{text}");
        }
        let path = |path| refused("1 validation error detected", &[(path, "is invalid")]);
        for profile in [
            "iamInstanceProfileArn",
            "IamInstanceProfile.Name",
            "/iamInstanceProfileArn",
        ] {
            assert!(may_be_unseen(&path(profile)), "{profile}");
        }
    }

    #[test]
    fn a_refusal_of_another_member_does_not_mean_it() {
        for (text, path) in [
            ("1 validation error detected", "subnetIds"),
            (
                "1 validation error detected",
                "scalingConfiguration.maxInstanceCount",
            ),
            ("Invalid IAM Instance Profile name", "customLaunchTemplate.id"),
            (
                "1 validation error detected",
                "input.instanceConfigs[0].instanceType",
            ),
        ] {
            let error = refused(text, &[(path, "is invalid")]);
            assert!(!may_be_unseen(&error), "{path}");
            let also = refused(
                text,
                &[("iamInstanceProfileArn", "is invalid"), (path, "is invalid")],
            );
            assert!(!may_be_unseen(&also), "{path} beside the profile");
        }
        for text in [
            "The subnet ID 'subnet-0123456789abcdef0' does not exist",
            "The image id '[ami-0123456789abcdef0]' does not exist",
            "The key pair 'ops' does not exist",
            "Unsupported instance type: c9.huge",
        ] {
            assert!(!may_be_unseen(&refused(text, &[])), "{text}");
        }
    }

    #[test]
    fn other_refusals_mean_it_only_by_name() {
        let quote = |service, text: &str| {
            Sentence::Quoted(Quote {
                service,
                text: text.to_owned(),
            })
        };
        let unseen = "The instance profile AWSPCS-0a1b was not found";
        assert!(may_be_unseen(&Error::NotFound(quote(Service::Pcs, unseen))));
        assert!(!may_be_unseen(&Error::NotFound(quote(
            Service::Pcs,
            "The cluster demo was not found"
        ))));
        assert!(!may_be_unseen(&Error::Conflict(quote(Service::Pcs, "as it is"))));
        let of_iam = Error::Refused {
            quote: Quote {
                service: Service::Iam,
                text: unseen.to_owned(),
            },
            fields: Vec::new(),
        };
        assert!(!may_be_unseen(&of_iam));
        let denied = |permission| {
            let sentence = format!("User: x is not authorized to perform: {permission} on resource: *");
            Error::UpstreamAccessDenied(Lack::told_by(&sentence))
        };
        assert!(may_be_unseen(&Error::UpstreamAccessDenied(None)));
        assert!(may_be_unseen(&denied("iam:PassRole")));
        assert!(!may_be_unseen(&denied("ec2:CreateLaunchTemplate")));
    }

    /// Everything that the caller names, alone and in quotation marks, and what EC2 says of who may not pass a role.
    #[test]
    fn what_the_caller_named_says_nothing_of_a_refusal() {
        let input = serde_json::json!({
            "clusterIdentifier": "role-lab",
            "computeNodeGroupName": "spot-nodes",
            "tags": {"iam": "instance profile", "subnet": "ami"},
            "subnetIds": ["subnet-0123456789abcdef0"],
        });
        let names = names(input.as_object().unwrap());
        let may_be = |error| super::may_be_unseen(&error, "AWSPCS-0a1b", &names);
        for text in [
            "Compute node group 'spot-nodes' cannot be created",
            "Compute node group spot-nodes cannot be created",
            "The tag subnet=ami is wrong",
            "You are not authorized to use launch template: lt-0123456789abcdef0",
            "Failed to create the Auto Scaling group: access denied",
            "Value 'AWSPCS-0a1b' for 'spot' cannot be found",
        ] {
            assert!(may_be(refused(text, &[])), "{text}");
        }
        for text in [
            "The cluster role-lab was not found",
            "The cluster 'role-lab' was not found",
            "The tag `iam` is there twice: \"instance profile\"",
            "The queue 'role' was not found",
            "The cluster doesn't have 'iam' or 'role'",
        ] {
            let quote = Quote {
                service: Service::Pcs,
                text: text.to_owned(),
            };
            assert!(!may_be(Error::NotFound(Sentence::Quoted(quote))), "{text}");
        }
        for text in [
            "The subnet 'subnet-0123456789abcdef0' of role-lab does not exist",
            "'subnet-0123456789abcdef0' does not exist",
            "Not enough spot capacity for spot-nodes",
            "The scaling of 'instance profile' is wrong",
        ] {
            assert!(!may_be(refused(text, &[])), "{text}");
        }
    }

    #[test]
    fn a_path_to_the_profile_is_about_the_profile_wherever_it_stands() {
        for path in [
            "customLaunchTemplate.iamInstanceProfile.name",
            "launchTemplate/iamInstanceProfile/arn",
            "scalingConfiguration.IamInstanceProfileArn",
        ] {
            let error = refused("1 validation error", &[(path, "is invalid")]);
            assert!(may_be_unseen(&error), "{path}");
        }
        let denied = [("customLaunchTemplate.id", "You are not authorized to use it")];
        assert!(may_be_unseen(&refused("1 validation error", &denied)));
    }

    /// No text makes it fail or take long.
    #[test]
    fn any_text_is_read_to_its_end() {
        for text in [
            "'",
            "\"'\"'",
            "é'é'é",
            "'é",
            "a'b'c",
            "`",
            "'\u{1F600}'",
            &"'".repeat(1000),
            &"'a ".repeat(333),
        ] {
            let names = ["'".to_owned(), "é".to_owned(), "a".to_owned()];
            for names in [&names[..], &[]] {
                super::may_be_unseen(&refused(text, &[("tags", text)]), "AWSPCS-0a1b", names);
            }
        }
    }
}
