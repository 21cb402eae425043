//! The actions: each a function from the account and a call to the content of its result element.
//!
//! Another action is another arm in [`answer`] and a function below; one that changes the account will take
//! it mutably.

use std::ops::Range;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{Timestamp, tz::TimeZone};

use crate::error::IamError;
use crate::query::{API_VERSION, Query};
use crate::seed::{InstanceProfile, Policy, PolicyVersion, Role, Tag};
use crate::state::{Account, Stored};
use crate::validate;
use crate::xml::Xml;

/// What the calls work on.
pub(crate) struct Context<'a> {
    pub(crate) account: &'a Account,
    /// No page is longer than this, whatever `MaxItems` says: IAM too may return fewer items than asked for.
    pub(crate) page_size: usize,
}

/// Answers one call, or says why not.
pub(crate) fn answer(context: &Context<'_>, query: &Query) -> Result<Xml, IamError> {
    match query.action()? {
        "GetInstanceProfile" => get_instance_profile(context, query),
        "GetRole" => get_role(context, query),
        "ListAttachedRolePolicies" => list_attached_role_policies(context, query),
        "ListRolePolicies" => list_role_policies(context, query),
        "GetRolePolicy" => get_role_policy(context, query),
        "GetPolicy" => get_policy(context, query),
        "GetPolicyVersion" => get_policy_version(context, query),
        other => Err(IamError::invalid_action(other, API_VERSION)),
    }
}

fn get_instance_profile(context: &Context<'_>, query: &Query) -> Result<Xml, IamError> {
    let name = validate::name(query, "InstanceProfileName", 128)?;
    let profile = context
        .account
        .profile(name)
        .ok_or_else(|| IamError::no_such_entity(format!("Instance Profile {name} cannot be found.")))?;
    let mut xml = Xml::default();
    xml.element("InstanceProfile", |xml| {
        write_instance_profile(xml, context.account, profile);
    });
    Ok(xml)
}

fn get_role(context: &Context<'_>, query: &Query) -> Result<Xml, IamError> {
    let role = find_role(context, query)?;
    let mut xml = Xml::default();
    xml.element("Role", |xml| {
        write_role(xml, context.account, role);
        xml.text("MaxSessionDuration", "3600");
        if let Some(arn) = &role.entity.permissions_boundary {
            xml.element("PermissionsBoundary", |xml| {
                xml.text("PermissionsBoundaryType", "Policy");
                xml.text("PermissionsBoundaryArn", arn);
            });
        }
        write_tags(xml, &role.entity.tags);
        xml.element("RoleLastUsed", |_| ());
    });
    Ok(xml)
}

fn list_attached_role_policies(context: &Context<'_>, query: &Query) -> Result<Xml, IamError> {
    let role = find_role(context, query)?;
    let prefix = query.get("PathPrefix").unwrap_or("/");
    let attached: Vec<(&str, &str)> = role
        .entity
        .attached_policies
        .iter()
        .filter_map(|arn| {
            let (path, name) = validate::policy_path_and_name(arn)?;
            path.starts_with(prefix).then_some((name, arn.as_str()))
        })
        .collect();
    let page = Page::of(context, query, attached.len(), &role.id)?;
    let mut xml = Xml::default();
    xml.list(
        "AttachedPolicies",
        attached.get(page.range.clone()).unwrap_or_default(),
        |xml, (name, arn)| {
            xml.text("PolicyName", name);
            xml.text("PolicyArn", arn);
        },
    );
    page.write(&mut xml);
    Ok(xml)
}

fn list_role_policies(context: &Context<'_>, query: &Query) -> Result<Xml, IamError> {
    let role = find_role(context, query)?;
    let policies = &role.entity.inline_policies;
    let page = Page::of(context, query, policies.len(), &role.id)?;
    let mut xml = Xml::default();
    xml.list(
        "PolicyNames",
        policies.get(page.range.clone()).unwrap_or_default(),
        |xml, policy| {
            xml.escaped(&policy.name);
        },
    );
    page.write(&mut xml);
    Ok(xml)
}

fn get_role_policy(context: &Context<'_>, query: &Query) -> Result<Xml, IamError> {
    let role = find_role(context, query)?;
    let name = validate::name(query, "PolicyName", 128)?;
    let policy = role
        .entity
        .inline_policies
        .iter()
        .find(|policy| policy.name.eq_ignore_ascii_case(name))
        .ok_or_else(|| {
            IamError::no_such_entity(format!("The role policy with name {name} cannot be found."))
        })?;
    let mut xml = Xml::default();
    xml.text("RoleName", &role.entity.name);
    xml.text("PolicyName", &policy.name);
    xml.text("PolicyDocument", &policy.document.percent_encoded());
    Ok(xml)
}

fn get_policy(context: &Context<'_>, query: &Query) -> Result<Xml, IamError> {
    let policy = find_policy(context, query)?;
    let mut xml = Xml::default();
    xml.element("Policy", |xml| write_policy(xml, context.account, policy));
    Ok(xml)
}

fn get_policy_version(context: &Context<'_>, query: &Query) -> Result<Xml, IamError> {
    let policy = find_policy(context, query)?;
    let id = validate::required(query, "VersionId")?;
    let version = policy
        .entity
        .versions
        .iter()
        .find(|version| version.id == id)
        .ok_or_else(|| {
            let arn = &policy.entity.arn;
            IamError::no_such_entity(format!(
                "Policy {arn} version {id} does not exist or is not attachable."
            ))
        })?;
    let mut xml = Xml::default();
    xml.element("PolicyVersion", |xml| write_policy_version(xml, policy, version));
    Ok(xml)
}

fn find_role<'a>(context: &Context<'a>, query: &Query) -> Result<&'a Stored<Role>, IamError> {
    let name = validate::name(query, "RoleName", 64)?;
    context
        .account
        .role(name)
        .ok_or_else(|| IamError::no_such_entity(format!("The role with name {name} cannot be found.")))
}

fn find_policy<'a>(context: &Context<'a>, query: &Query) -> Result<&'a Stored<Policy>, IamError> {
    let arn = validate::policy_arn(query)?;
    context
        .account
        .policy(arn)
        .ok_or_else(|| IamError::no_such_entity(format!("Policy {arn} was not found.")))
}

fn write_instance_profile(xml: &mut Xml, account: &Account, profile: &Stored<InstanceProfile>) {
    let roles: Vec<&Stored<Role>> = profile
        .entity
        .roles
        .iter()
        .filter_map(|name| account.role(name))
        .collect();
    xml.text("Path", &profile.entity.path);
    xml.text("InstanceProfileName", &profile.entity.name);
    xml.text("InstanceProfileId", &profile.id);
    xml.text("Arn", &account.profile_arn(&profile.entity));
    xml.text("CreateDate", &date(profile.created));
    // A nested role carries no permissions boundary, no tags and no last use: only GetRole tells those.
    xml.list("Roles", &roles, |xml, role| write_role(xml, account, role));
    write_tags(xml, &profile.entity.tags);
}

fn write_role(xml: &mut Xml, account: &Account, role: &Stored<Role>) {
    xml.text("Path", &role.entity.path);
    xml.text("RoleName", &role.entity.name);
    xml.text("RoleId", &role.id);
    xml.text("Arn", &account.role_arn(&role.entity));
    xml.text("CreateDate", &date(role.created));
    xml.text("AssumeRolePolicyDocument", &role.entity.trust.percent_encoded());
    if let Some(description) = &role.entity.description {
        xml.text("Description", description);
    }
}

fn write_policy(xml: &mut Xml, account: &Account, policy: &Stored<Policy>) {
    let arn = &policy.entity.arn;
    let (path, name) = validate::policy_path_and_name(arn).unwrap_or_default();
    let attached = account
        .roles
        .iter()
        .filter(|role| role.entity.attached_policies.contains(arn))
        .count();
    let bounds = account
        .roles
        .iter()
        .filter(|role| role.entity.permissions_boundary.as_ref() == Some(arn))
        .count();
    xml.text("PolicyName", name);
    xml.text("PolicyId", &policy.id);
    xml.text("Arn", arn);
    xml.text("Path", path);
    xml.text("DefaultVersionId", &policy.entity.default_version_id);
    xml.text("AttachmentCount", &attached.to_string());
    xml.text("PermissionsBoundaryUsageCount", &bounds.to_string());
    xml.text("IsAttachable", "true");
    if let Some(description) = &policy.entity.description {
        xml.text("Description", description);
    }
    xml.text("CreateDate", &date(policy.created));
    xml.text("UpdateDate", &date(policy.created));
    xml.element("Tags", |_| ());
}

fn write_policy_version(xml: &mut Xml, policy: &Stored<Policy>, version: &PolicyVersion) {
    let is_default = version.id == policy.entity.default_version_id;
    xml.text("Document", &version.document.percent_encoded());
    xml.text("VersionId", &version.id);
    xml.text("IsDefaultVersion", if is_default { "true" } else { "false" });
    xml.text("CreateDate", &date(policy.created));
}

fn write_tags(xml: &mut Xml, tags: &[Tag]) {
    xml.list("Tags", tags, |xml, tag| {
        xml.text("Key", &tag.key);
        xml.text("Value", &tag.value);
    });
}

/// IAM's dates are whole seconds.
fn date(timestamp: Timestamp) -> String {
    timestamp
        .to_zoned(TimeZone::UTC)
        .strftime("%Y-%m-%dT%H:%M:%SZ")
        .to_string()
}

/// One page of a list, and the marker of the next.
struct Page {
    range: Range<usize>,
    marker: Option<String>,
}

impl Page {
    /// `listed` is the id of what the list belongs to: a marker is good for the same list only.
    fn of(context: &Context<'_>, query: &Query, total: usize, listed: &str) -> Result<Self, IamError> {
        let list = format!("{}/{listed}/", query.action()?);
        let start = match query.get("Marker") {
            None => 0,
            Some(marker) => position(marker, &list)
                .filter(|start| *start <= total)
                .ok_or_else(|| IamError::validation(format!("Invalid Marker: {marker}")))?,
        };
        let size = max_items(query)?.min(context.page_size).max(1);
        let end = total.min(start.saturating_add(size));
        let marker = (end < total).then(|| URL_SAFE_NO_PAD.encode(format!("{list}{end}")));
        Ok(Self {
            range: start..end,
            marker,
        })
    }

    fn write(&self, xml: &mut Xml) {
        xml.text(
            "IsTruncated",
            if self.marker.is_some() { "true" } else { "false" },
        );
        if let Some(marker) = &self.marker {
            xml.text("Marker", marker);
        }
    }
}

fn position(marker: &str, list: &str) -> Option<usize> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(marker).ok()?).ok()?;
    text.strip_prefix(list)?.parse().ok()
}

/// 1 to 1000, 100 when not given.
fn max_items(query: &Query) -> Result<usize, IamError> {
    let Some(value) = query.get("MaxItems") else {
        return Ok(100);
    };
    let rule = "Member must have value between 1 and 1000";
    match value.parse() {
        Ok(items @ 1..=1000) => Ok(items),
        Ok(_) | Err(_) => Err(validate::violation(value, "MaxItems", rule)),
    }
}
