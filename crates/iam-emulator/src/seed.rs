//! What an account holds, as plain data: written by tests, read from a JSON file, kept by `state`.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::document::Document;

/// Entities to put into the account. An entity of the same name is replaced and gets a new id, as after
/// delete and create; one that is already there, exactly so, keeps its id and date.
///
/// A seed may hold what no call could make: more policies than the quota, the ARN of a policy that does not
/// exist, a document that is not one. What is seeded counts as long there: no propagation delay applies.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Seed {
    pub policies: Vec<Policy>,
    pub roles: Vec<Role>,
    pub instance_profiles: Vec<InstanceProfile>,
}

impl Seed {
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads a file's JSON. The derived reader would take an array for the members in their order, and an empty one for
    /// a seed of nothing.
    pub fn read(json: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(json)?;
        serde_json::from_slice(json)
    }

    #[must_use]
    pub fn role(mut self, role: Role) -> Self {
        self.roles.push(role);
        self
    }

    #[must_use]
    pub fn instance_profile(mut self, profile: InstanceProfile) -> Self {
        self.instance_profiles.push(profile);
        self
    }

    #[must_use]
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policies.push(policy);
        self
    }
}

/// A role with everything that hangs on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Role {
    pub name: String,
    #[serde(default = "root_path")]
    pub path: String,
    /// `AROA...`, 21 characters; made up when absent. Set it to change a role without replacing it.
    #[serde(default)]
    pub id: Option<String>,
    #[serde(default = "Document::trusting_ec2")]
    pub trust: Document,
    #[serde(default)]
    pub description: Option<String>,
    /// Seconds, 3600 to 43200.
    #[serde(default = "one_hour")]
    pub max_session_duration: u32,
    #[serde(default)]
    pub permissions_boundary: Option<String>,
    /// ARNs, in the order in which they are listed.
    #[serde(default)]
    pub attached_policies: Vec<String>,
    #[serde(default)]
    pub inline_policies: Vec<InlinePolicy>,
    #[serde(default)]
    pub tags: Vec<Tag>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct InlinePolicy {
    pub name: String,
    pub document: Document,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tag {
    pub key: String,
    pub value: String,
}

impl Role {
    /// A role on path `/` that EC2 can assume and that may do nothing.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            path: root_path(),
            id: None,
            trust: Document::trusting_ec2(),
            description: None,
            max_session_duration: one_hour(),
            permissions_boundary: None,
            attached_policies: Vec::new(),
            inline_policies: Vec::new(),
            tags: Vec::new(),
        }
    }

    #[must_use]
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = path.into();
        self
    }

    #[must_use]
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    #[must_use]
    pub fn trust(mut self, document: impl Into<Document>) -> Self {
        self.trust = document.into();
        self
    }

    #[must_use]
    pub fn boundary(mut self, policy_arn: Option<&str>) -> Self {
        self.permissions_boundary = policy_arn.map(str::to_owned);
        self
    }

    #[must_use]
    pub fn attach(mut self, policy_arn: impl Into<String>) -> Self {
        self.attached_policies.push(policy_arn.into());
        self
    }

    #[must_use]
    pub fn inline(mut self, name: impl Into<String>, document: impl Into<Document>) -> Self {
        self.inline_policies.push(InlinePolicy {
            name: name.into(),
            document: document.into(),
        });
        self
    }

    #[must_use]
    pub fn tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.tags.push(Tag {
            key: key.into(),
            value: value.into(),
        });
        self
    }
}

/// An instance profile. IAM allows one role in it; more can be seeded, to see that a caller refuses it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct InstanceProfile {
    pub name: String,
    #[serde(default = "root_path")]
    pub path: String,
    /// `AIPA...`, 21 characters; made up when absent.
    #[serde(default)]
    pub id: Option<String>,
    /// Names of roles.
    #[serde(default)]
    pub roles: Vec<String>,
    #[serde(default)]
    pub tags: Vec<Tag>,
}

impl InstanceProfile {
    /// A profile on path `/` with no role in it.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            path: root_path(),
            id: None,
            roles: Vec::new(),
            tags: Vec::new(),
        }
    }

    #[must_use]
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = path.into();
        self
    }

    #[must_use]
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Whether the role `name`, in whatever case, is in it.
    pub(crate) fn holds(&self, name: &str) -> bool {
        self.roles.iter().any(|role| role.eq_ignore_ascii_case(name))
    }

    #[must_use]
    pub fn role(mut self, role_name: impl Into<String>) -> Self {
        self.roles.push(role_name.into());
        self
    }

    #[must_use]
    pub fn tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.tags.push(Tag {
            key: key.into(),
            value: value.into(),
        });
        self
    }
}

/// A managed policy, the account's own or AWS's, with its versions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Policy {
    pub arn: String,
    #[serde(default)]
    pub description: Option<String>,
    /// Oldest first.
    pub versions: Vec<PolicyVersion>,
    /// The id of the version in force, such as `v1`.
    pub default_version_id: String,
    #[serde(default)]
    pub tags: Vec<Tag>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PolicyVersion {
    pub id: String,
    pub document: Document,
}

impl Policy {
    /// A policy whose only version is `v1`.
    pub fn new(arn: impl Into<String>, document: impl Into<Document>) -> Self {
        Self {
            arn: arn.into(),
            description: None,
            versions: vec![PolicyVersion {
                id: "v1".to_owned(),
                document: document.into(),
            }],
            default_version_id: "v1".to_owned(),
            tags: Vec::new(),
        }
    }

    /// Adds a version and puts it in force, as `CreatePolicyVersion` with `SetAsDefault` does.
    #[must_use]
    pub fn version(mut self, id: impl Into<String>, document: impl Into<Document>) -> Self {
        let id = id.into();
        self.versions.push(PolicyVersion {
            id: id.clone(),
            document: document.into(),
        });
        self.default_version_id = id;
        self
    }
}

fn root_path() -> String {
    "/".to_owned()
}

fn one_hour() -> u32 {
    3600
}

/// A seed that IAM could not hold.
#[derive(Debug)]
pub enum SeedError {
    /// `name` cannot be the name, path, ARN or id of `entity`.
    Invalid { entity: &'static str, name: String },
    /// The instance profile `profile` names a role that is neither seeded nor there.
    UnknownRole { profile: String, role: String },
    /// The policy `arn` has no version of its default version's id.
    UnknownDefaultVersion { arn: String },
    /// The state file could not be written; the account holds what it held before.
    NotSaved(std::io::Error),
}

impl fmt::Display for SeedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid { entity, name } => write!(f, "`{name}` is not a valid {entity}"),
            Self::UnknownRole { profile, role } => {
                write!(
                    f,
                    "instance profile `{profile}` names the role `{role}`, which does not exist"
                )
            }
            Self::UnknownDefaultVersion { arn } => {
                write!(
                    f,
                    "policy `{arn}` has no version of the id that it names as its default"
                )
            }
            Self::NotSaved(cause) => write!(f, "the state could not be saved: {cause}"),
        }
    }
}

impl std::error::Error for SeedError {}
