//! Whether a refusal of PCS can mean that a new instance profile, or the role in it, is not seen everywhere yet.
//!
//! PCS asks EC2 and Auto Scaling, who have many sentences for that and document none in whole. So it is asked what a
//! refusal is about, not how it is worded: one that speaks of the profile, or of nothing that is known, can mean it.
//! To wait once too often costs the caller two minutes; to undo too early makes the next try begin with a younger
//! profile, and so for ever.

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

/// Whether PCS, or a guardrail, would answer so while the profile is not seen. Not to be asked about IAM's refusals of
/// the steps that make it.
pub(super) fn may_be_unseen(error: &Error) -> bool {
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
    if let Error::Refused { fields, .. } = error {
        return !speaks_of_another_member(fields)
            && (fields.iter().any(is_the_profile)
                || speaks_of_the_profile(&quote.text)
                || !speaks_of_something_else(&quote.text));
    }
    // Of PCS's own resources PCS says so too: only the profile's name tells them apart.
    !matches!(error, Error::Quota(_)) && speaks_of_the_profile(&quote.text)
}

fn is_the_profile(field: &FieldError) -> bool {
    plain(&field.path).contains("instanceprofile")
}

fn speaks_of_another_member(fields: &[FieldError]) -> bool {
    fields
        .iter()
        .any(|field| is_another_member(&field.path) && !speaks_of_the_profile(&field.message))
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

fn speaks_of_the_profile(text: &str) -> bool {
    let text = plain(text);
    OF_THE_PROFILE.iter().any(|word| text.contains(word))
}

fn speaks_of_something_else(text: &str) -> bool {
    let text = plain(text);
    OF_SOMETHING_ELSE.iter().any(|word| text.contains(word))
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
}
