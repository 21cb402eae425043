//! Sentences of PCS, EC2 and Auto Scaling, and whether they can mean a profile that is not seen.

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
        "Invalid launch template: profile not found",
        "Invalid roleArn in launch template lt-0123456789abcdef0",
        "No roles are attached in launch template lt-0123456789abcdef0",
        "You must use a valid fully-formed launch template.",
        "Launch template validation failed: InvalidParameterValue",
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
        "The launch template 'lt-0123456789abcdef0' does not exist",
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
    for text in [
        "The requested profile does not exist",
        "NoSuchEntity",
        "Not found",
        "as it is",
    ] {
        assert!(
            may_be_unseen(&Error::NotFound(quote(Service::Pcs, text))),
            "{text}"
        );
        assert!(
            may_be_unseen(&Error::Conflict(quote(Service::Pcs, text))),
            "{text}"
        );
    }
    for text in [
        "The cluster is not ACTIVE",
        "A compute node group of that name exists",
        "the subnet is not there",
    ] {
        assert!(
            !may_be_unseen(&Error::Conflict(quote(Service::Pcs, text))),
            "{text}"
        );
    }
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
    for other in ["ec2:CreateLaunchTemplate", "iam:CreateServiceLinkedRole"] {
        assert!(!may_be_unseen(&denied(other)), "{other}");
    }
    assert!(!may_be_unseen(&denied(
        "iam:PassRole with an explicit deny in a policy on"
    )));
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

/// What a caller calls `role` takes no word out of PCS's own sentence.
#[test]
fn a_name_that_is_a_word_for_the_profile_hides_nothing() {
    let input = serde_json::json!({
        "clusterIdentifier": "role", "computeNodeGroupName": "iam", "tags": {"role": "launch", "iam": "profile"},
    });
    let names = names(input.as_object().unwrap());
    for text in [
        "You must use a valid fully-formed launch template. The provided credentials do not have permission to \
         pass the role",
        "Launch template lt-0123456789abcdef0: the role ARN is invalid",
    ] {
        assert!(
            super::may_be_unseen(&refused(text, &[]), "AWSPCS-0a1b", &names),
            "{text}"
        );
    }
    let quote = Sentence::Quoted(Quote {
        service: Service::Pcs,
        text: "The role of the instance was not found".to_owned(),
    });
    assert!(super::may_be_unseen(
        &Error::NotFound(quote),
        "AWSPCS-0a1b",
        &names
    ));
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
