//! Entities as XML. How much of one an action tells differs: only `GetRole` tells a role's boundary.

use jiff::{Timestamp, tz::TimeZone};

use crate::aws_managed;
use crate::seed::{InstanceProfile, Policy, PolicyVersion, Role, Tag};
use crate::state::{Account, Stored};
use crate::validate;
use crate::xml::Xml;

/// The role as it stands inside an instance profile: without boundary, tags, session length and last use.
pub(super) fn role(xml: &mut Xml, account: &Account, role: &Stored<Role>) {
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

/// The role as it is listed: without boundary, last use and tags (`ListRoles` in the API reference).
pub(super) fn listed_role(xml: &mut Xml, account: &Account, stored: &Stored<Role>) {
    role(xml, account, stored);
    xml.text(
        "MaxSessionDuration",
        &stored.entity.max_session_duration.to_string(),
    );
}

/// The role with its boundary and tags.
pub(super) fn whole_role(xml: &mut Xml, account: &Account, stored: &Stored<Role>) {
    listed_role(xml, account, stored);
    if let Some(arn) = &stored.entity.permissions_boundary {
        xml.element("PermissionsBoundary", |xml| {
            xml.text("PermissionsBoundaryType", "Policy");
            xml.text("PermissionsBoundaryArn", arn);
        });
    }
    if !stored.entity.tags.is_empty() {
        tags(xml, &stored.entity.tags);
    }
}

/// The profile as it is listed: without tags.
pub(super) fn listed_instance_profile(xml: &mut Xml, account: &Account, profile: &Stored<InstanceProfile>) {
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
    xml.list("Roles", &roles, |xml, stored| role(xml, account, stored));
}

pub(super) fn instance_profile(xml: &mut Xml, account: &Account, profile: &Stored<InstanceProfile>) {
    listed_instance_profile(xml, account, profile);
    tags(xml, &profile.entity.tags);
}

pub(super) fn policy(xml: &mut Xml, account: &Account, policy: &Stored<Policy>) {
    let arn = &policy.entity.arn;
    let (path, name) = validate::policy_arn_parts(arn)
        .map(|parts| (parts.path, parts.name))
        .unwrap_or_default();
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
    xml.flag("IsAttachable", !aws_managed::is_for_service_linked_roles(arn));
    if let Some(description) = &policy.entity.description {
        xml.text("Description", description);
    }
    xml.text("CreateDate", &date(policy.created));
    xml.text("UpdateDate", &date(policy.created));
}

pub(super) fn policy_version(xml: &mut Xml, policy: &Stored<Policy>, version: &PolicyVersion) {
    xml.text("Document", &version.document.percent_encoded());
    xml.text("VersionId", &version.id);
    xml.flag("IsDefaultVersion", version.id == policy.entity.default_version_id);
    xml.text("CreateDate", &date(policy.created));
}

pub(super) fn tags(xml: &mut Xml, tags: &[Tag]) {
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
