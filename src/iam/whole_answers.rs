//! An answer of IAM counts only as a whole.
//!
//! The SDK reads an XML document that ends too early, or that lacks a list, as one with less in it: a role without
//! policies. For a guardrail that would be "no objection", so such an answer is a failure here.

use aws_smithy_runtime_api::{
    box_error::BoxError,
    client::{
        interceptors::{Intercept, context::AfterDeserializationInterceptorContextRef},
        runtime_components::RuntimeComponents,
    },
};
use aws_smithy_types::config_bag::ConfigBag;

/// What IAM always sends in the answers that decisions rest on, and the SDK does not insist on.
const ALWAYS: [(&str, &[&str]); 6] = [
    ("GetInstanceProfile", &["<Arn>", "<InstanceProfileId>", "<Roles"]),
    (
        "GetRole",
        &["<Arn>", "<RoleId>", "<RoleName>", "<AssumeRolePolicyDocument>"],
    ),
    ("GetRolePolicy", &["<PolicyDocument>"]),
    ("GetPolicy", &["<DefaultVersionId>"]),
    (
        "ListAttachedRolePolicies",
        &["<AttachedPolicies", "<IsTruncated>"],
    ),
    ("ListRolePolicies", &["<PolicyNames", "<IsTruncated>"]),
];

/// Fails a successful answer that is not whole.
#[derive(Debug)]
pub struct WholeAnswers;

impl Intercept for WholeAnswers {
    fn name(&self) -> &'static str {
        "WholeAnswers"
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let body = context.response().body().bytes().unwrap_or_default();
        if context.output_or_error().is_err() || is_whole(&String::from_utf8_lossy(body)) {
            Ok(())
        } else {
            Err("IAM's answer is not whole".into())
        }
    }
}

/// Whether the document is closed and has what its action's answers always have.
fn is_whole(body: &str) -> bool {
    let closed = body.trim_end().strip_suffix("Response>");
    let Some((_, action)) = closed.and_then(|body| body.rsplit_once("</")) else {
        return false;
    };
    ALWAYS
        .iter()
        .filter(|(known, _)| *known == action)
        .all(|(_, elements)| elements.iter().all(|element| body.contains(element)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_that_ends_too_early_is_not_whole() {
        let whole = "<ListAttachedRolePoliciesResponse><ListAttachedRolePoliciesResult><AttachedPolicies/>\
                     <IsTruncated>false</IsTruncated></ListAttachedRolePoliciesResult>\
                     </ListAttachedRolePoliciesResponse>\n";
        assert!(is_whole(whole));
        for end in 0..whole.trim_end().len() {
            let cut = whole.get(..end).unwrap();
            assert!(!is_whole(cut), "{cut}");
        }
        assert!(!is_whole(&whole.replace("<AttachedPolicies/>", "")));
        assert!(is_whole("<TagRoleResponse><ResponseMetadata/></TagRoleResponse>"));
        assert!(!is_whole("") && !is_whole("<TagRoleResponse>"));
    }
}
