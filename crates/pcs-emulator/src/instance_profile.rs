//! The check of a group's instance profile, and what is said of one that does not pass. AWS documents
//! `AccessDeniedException` alone; PCS asks EC2 and Auto Scaling, whose sentences users report.

use serde_json::{Map, Value};

use crate::context::Context;
use crate::error::{Error, FieldError, Subject};
use crate::options::UnseenProfiles;
use crate::state::{ErrorInfo, Kind, text_at};

const MEMBER: &str = "iamInstanceProfileArn";

/// PCS passes the profile's role to EC2; who may not pass it is refused before anything is looked up
/// (AWS's smoke test `InstanceArnSuccess` names a cluster that does not exist). Returns how the transition of a
/// call that is taken fails.
pub(crate) fn check(cx: &Context<'_>, input: &Map<String, Value>) -> Result<Option<ErrorInfo>, Error> {
    let Some(arn) = text_at(input, &[MEMBER]) else {
        return Ok(None);
    };
    if cx.options.instance_profiles.passes(arn, cx.account) {
        return Ok(None);
    }
    let is_own = arn.split(':').nth(4) == Some(cx.account);
    let name = arn.rsplit('/').next().unwrap_or_default();
    let unseen = if is_own {
        cx.options.unseen_profiles
    } else {
        UnseenProfiles::Denied
    };
    Err(match unseen {
        UnseenProfiles::Denied => Error::AccessDenied(format!(
            "The instance profile {arn} doesn't pass iam:PassRole verification"
        )),
        UnseenProfiles::Name => Error::Invalid("Invalid IAM Instance Profile name".to_owned()),
        UnseenProfiles::NameValue => Error::Invalid(format!(
            "Value ({name}) for parameter iamInstanceProfile.name is invalid. Invalid IAM Instance Profile name"
        )),
        UnseenProfiles::ArnValue => Error::Invalid(format!(
            "Value ({arn}) for parameter iamInstanceProfile.arn is invalid. Invalid IAM Instance Profile ARN"
        )),
        UnseenProfiles::AutoScaling => Error::Invalid(format!("Invalid IamInstanceProfile: {name}")),
        UnseenProfiles::Role => Error::Invalid("The role ARN is invalid".to_owned()),
        UnseenProfiles::Field => Error::Validation(vec![FieldError {
            name: MEMBER.to_owned(),
            message: "is invalid".to_owned(),
        }]),
        UnseenProfiles::NotFound => Error::NotFound {
            message: format!("The instance profile {name} was not found"),
            subject: Subject {
                kind: Kind::ComputeNodeGroup,
                id: name.to_owned(),
            },
        },
        UnseenProfiles::FailsLater => {
            return Ok(Some(ErrorInfo {
                code: "InvalidParameterValue".to_owned(),
                message: format!(
                    "Value ({name}) for parameter iamInstanceProfile.name is invalid. Invalid IAM Instance Profile name"
                ),
            }));
        }
    })
}
