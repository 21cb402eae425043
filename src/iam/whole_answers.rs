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

/// The lists in them, whose every child the SDK takes for an item if it is called `member`, and else passes over.
const LISTS: [(&str, &str); 3] = [
    ("GetInstanceProfile", "Roles"),
    ("ListAttachedRolePolicies", "AttachedPolicies"),
    ("ListRolePolicies", "PolicyNames"),
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
    let has_all = ALWAYS
        .iter()
        .filter(|(known, _)| *known == action)
        .all(|(_, elements)| elements.iter().all(|element| body.contains(element)));
    let mut lists = LISTS.iter().filter(|(known, _)| *known == action);
    has_all && lists.all(|(_, list)| has_only_members(body, list))
}

/// Whether the list has nothing in it but elements that are called `member`.
fn has_only_members(body: &str, list: &str) -> bool {
    let Some((_, mut rest)) = body.split_once(&format!("<{list}>")) else {
        return body.contains(&format!("<{list}/>")) || body.contains(&format!("<{list} />"));
    };
    let end = format!("/{list}");
    let mut depth = 0_u32;
    while let Some((before, (tag, behind))) = rest
        .split_once('<')
        .and_then(|(before, tag)| Some((before, tag.split_once('>')?)))
    {
        let is_child = depth == 0;
        if is_child && (!before.trim().is_empty() || (tag != "member" && tag != end)) {
            return false;
        }
        if is_child && tag == end {
            return true;
        }
        // Comments and the like, which IAM does not send.
        if tag.starts_with(['!', '?']) {
            return false;
        }
        if tag.starts_with('/') {
            depth -= 1;
        } else if !tag.ends_with('/') {
            depth += 1;
        }
        rest = behind;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An item of another name would be passed over, and with it what it allows.
    #[test]
    fn a_list_with_something_else_than_members_is_not_whole() {
        let answer = |list: &str| {
            let list = format!("<AttachedPolicies>{list}</AttachedPolicies><IsTruncated>false</IsTruncated>");
            let result = format!("<ListAttachedRolePoliciesResult>{list}</ListAttachedRolePoliciesResult>");
            format!("<ListAttachedRolePoliciesResponse>{result}</ListAttachedRolePoliciesResponse>")
        };
        let item = "<PolicyName>x</PolicyName><PolicyArn>y</PolicyArn><Tags><member><Key/></member></Tags>";
        let member = format!("<member>{item}</member>\n ");
        for list in [String::new(), member.clone(), format!("\n{member}{member}")] {
            assert!(is_whole(&answer(&list)), "{list}");
        }
        for odd in [
            format!("<entry>{item}</entry>"),
            format!("<Member>{item}</Member>"),
            format!("<!-- --><member>{item}</member>"),
            "x".to_owned(),
            item.to_owned(),
        ] {
            for list in [odd.clone(), format!("{member}{odd}"), format!("{odd}{member}")] {
                assert!(!is_whole(&answer(&list)), "{list}");
            }
        }
    }

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
