//! What the person who starts the emulator may choose. Each default is what AWS documents; where AWS
//! documents nothing, the README says so.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Start settings of an [`Emulator`](crate::Emulator).
#[derive(Clone, Debug)]
pub struct Options {
    /// How long CREATING, UPDATING, DELETING and the like last.
    pub transition: Duration,
    /// Folder that keeps the state over a restart; `None` keeps it in memory only.
    pub data_dir: Option<PathBuf>,
    /// The account of every access key that `accounts` does not name; twelve digits.
    pub account_id: String,
    /// Access key id -> account id. An access key of exactly twelve digits is its own account.
    pub accounts: BTreeMap<String, String>,
    /// The Region of requests without a signature (possible only with `require_signature: false`).
    pub default_region: String,
    /// Which of AWS's two tables of error statuses to answer with.
    pub http_statuses: HttpStatuses,
    /// Refuse requests without a well-formed `Authorization` header for service `pcs`.
    /// The signature itself is verified only with `credentials`.
    pub require_signature: bool,
    /// Verify each signature with these keys; `None` takes any well-formed one. A request without a signature
    /// is still taken with `require_signature: false`.
    #[cfg(feature = "signatures")]
    pub credentials: Option<Credentials>,
    /// Which instance profiles pass PCS's `iam:PassRole` check.
    pub instance_profiles: InstanceProfiles,
    /// What is said of a profile of the caller's account that does not pass.
    pub unseen_profiles: UnseenProfiles,
    /// The answer to an id that was never issued.
    pub unknown_ids: UnknownIds,
    /// The answer to the id of a resource that existed and is gone.
    pub deleted_ids: DeletedIds,
    /// The answer to a name nobody has.
    pub unknown_names: UnknownNames,
    /// The answer to a client token that comes again with other parameters.
    pub token_reuse: TokenReuse,
    /// How long a client token is remembered.
    pub token_life: Duration,
    /// The words in `resourceType` of errors.
    pub resource_types: ResourceTypes,
    /// What `UpdateQueue` does with its list of compute node groups.
    pub queue_update: QueueUpdate,
    /// What `UpdateCluster` does with its list of job submit plugins.
    pub plugin_update: PluginUpdate,
    /// What the name of a job submit plugin may hold.
    pub plugin_names: PluginNames,
    /// Whether `CreateCluster` takes an empty `slurmCustomSettings`.
    pub empty_settings: EmptySettings,
    /// Whether a queue's compute node groups may be given by name.
    pub group_names: GroupNames,
    /// Whether answers show documented defaults of members that were never set.
    pub unset_defaults: UnsetDefaults,
    /// The order of lists.
    pub list_order: ListOrder,
    /// Scheduler versions that `CreateCluster` accepts; `None` takes the list in the API model's text.
    pub creatable_versions: Option<Vec<String>>,
    /// Overrides the documented quota of clusters in a Region.
    pub clusters_per_region: Option<usize>,
    /// Overrides the documented quota of compute node groups in a cluster.
    pub node_groups_per_cluster: Option<usize>,
    /// Overrides the documented quota of queues in a cluster.
    pub queues_per_cluster: Option<usize>,
    /// Regions that are not the account's to use. [`Emulator::close_region`](crate::Emulator::close_region) changes them
    /// later.
    pub closed_regions: BTreeMap<String, ClosedRegion>,
    /// Append every answered call to this file, as one line of JSON each.
    pub record: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            transition: Duration::from_secs(2),
            data_dir: None,
            account_id: String::from("123456789012"),
            accounts: BTreeMap::new(),
            default_region: String::from("us-east-1"),
            http_statuses: HttpStatuses::Documented400,
            require_signature: true,
            #[cfg(feature = "signatures")]
            credentials: None,
            instance_profiles: InstanceProfiles::Any,
            unseen_profiles: UnseenProfiles::Denied,
            unknown_ids: UnknownIds::ClusterDenied,
            deleted_ids: DeletedIds::NotFound,
            unknown_names: UnknownNames::NotFound,
            token_reuse: TokenReuse::Conflict,
            token_life: Duration::from_hours(24),
            resource_types: ResourceTypes::Arn,
            queue_update: QueueUpdate::Replace,
            plugin_update: PluginUpdate::Replace,
            plugin_names: PluginNames::Pattern,
            empty_settings: EmptySettings::Refused,
            group_names: GroupNames::Refused,
            unset_defaults: UnsetDefaults::Omitted,
            list_order: ListOrder::OldestFirst,
            creatable_versions: None,
            clusters_per_region: None,
            node_groups_per_cluster: None,
            queues_per_cluster: None,
            closed_regions: BTreeMap::new(),
            record: None,
        }
    }
}

/// Why nothing can be done in a Region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClosedRegion {
    /// The account has not enabled it: `UnrecognizedClientException`, as for credentials that nobody knows.
    NotEnabled,
    /// `AccessDeniedException` with this message, for every action.
    Denied(String),
    /// `ThrottlingException`, for every action.
    Throttled,
}

impl Options {
    /// The account a request signed with this access key belongs to.
    pub(crate) fn account_of(&self, access_key_id: &str) -> String {
        if let Some(account) = self.accounts.get(access_key_id) {
            return account.clone();
        }
        if access_key_id.len() == 12 && access_key_id.bytes().all(|b| b.is_ascii_digit()) {
            return access_key_id.to_owned();
        }
        self.account_id.clone()
    }
}

/// Access key id -> secret access key. The secrets are not printed.
#[cfg(feature = "signatures")]
#[derive(Clone, Default)]
pub struct Credentials(BTreeMap<String, String>);

#[cfg(feature = "signatures")]
impl Credentials {
    pub(crate) fn secret_of(&self, access_key_id: &str) -> Option<&str> {
        self.0.get(access_key_id).map(String::as_str)
    }
}

#[cfg(feature = "signatures")]
impl<K: Into<String>, S: Into<String>> FromIterator<(K, S)> for Credentials {
    fn from_iter<I: IntoIterator<Item = (K, S)>>(pairs: I) -> Credentials {
        let pairs = pairs.into_iter();
        Credentials(pairs.map(|(key, secret)| (key.into(), secret.into())).collect())
    }
}

#[cfg(feature = "signatures")]
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// AWS's two sources disagree on the HTTP status of client errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum HttpStatuses {
    /// The API Reference: 400 for every client error.
    #[default]
    Documented400,
    /// The Smithy model: 402, 403, 404, 409 and 429.
    Smithy,
}

/// The answer to an id that was never issued to this account and Region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum UnknownIds {
    /// `AccessDeniedException` for a cluster (AWS's smoke tests), `ResourceNotFoundException` for a
    /// compute node group or queue of a cluster that exists (API Reference).
    #[default]
    ClusterDenied,
    /// `AccessDeniedException` for all three.
    Denied,
    /// `ResourceNotFoundException` for all three.
    NotFound,
}

/// The answer to the id of a resource that existed and is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum DeletedIds {
    #[default]
    NotFound,
    /// As for an id that was never issued.
    AsUnknown,
}

/// The answer to a client token that comes again with other parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum TokenReuse {
    #[default]
    Conflict,
    Validation,
}

/// The answer to a name that nobody has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum UnknownNames {
    /// `ResourceNotFoundException` (API Reference).
    #[default]
    NotFound,
    /// `AccessDeniedException`, as AWS's smoke test `InstanceArnSuccess` can be read.
    Denied,
}

/// The words in `resourceType`, which AWS documents nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ResourceTypes {
    /// As in ARNs: `computenodegroup`.
    #[default]
    Arn,
    /// As in the names of the model's structures: `ComputeNodeGroup`.
    Model,
}

/// What `UpdateQueue` does with its list of compute node groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum QueueUpdate {
    /// The list is the queue's new one.
    #[default]
    Replace,
    /// The list is added to the queue's.
    Merge,
}

/// What `UpdateCluster` does with its list of job submit plugins, which AWS does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum PluginUpdate {
    /// The list is the cluster's new one, as with its other lists; an empty one removes the plugin.
    #[default]
    Replace,
    /// A plugin of the same name is replaced, one of another name added. An empty list changes nothing.
    Merge,
}

/// What the name of a job submit plugin may hold. The API model's pattern and its text contradict each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum PluginNames {
    /// The pattern: letters, digits, underscores and hyphens.
    #[default]
    Pattern,
    /// The text: spaces as well.
    Spaces,
}

/// Whether `CreateCluster` takes an empty `slurmCustomSettings`, which the API model allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum EmptySettings {
    /// As AWS's reference architecture met it, through `CloudFormation`.
    #[default]
    Refused,
    Accepted,
}

/// Whether `computeNodeGroupId` takes a name as well, as the identifiers of resources do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum GroupNames {
    #[default]
    Refused,
    Accepted,
}

/// Whether answers show documented defaults of members that were never set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum UnsetDefaults {
    /// As in the User Guide's sample.
    #[default]
    Omitted,
    Shown,
}

/// The order of lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ListOrder {
    #[default]
    OldestFirst,
    NewestFirst,
}

/// What is said of an instance profile of the caller's account that PCS does not see, or may not pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum UnseenProfiles {
    /// `AccessDeniedException`, the one that AWS documents.
    #[default]
    Denied,
    /// `ValidationException` with EC2's sentence about the name alone.
    Name,
    /// With EC2's sentence about the value of `iamInstanceProfile.name`.
    NameValue,
    /// With EC2's sentence about the value of `iamInstanceProfile.arn`.
    ArnValue,
    /// With Auto Scaling's sentence.
    AutoScaling,
    /// With a sentence about the role.
    Role,
    /// With the member in `fieldList`.
    Field,
    /// `ResourceNotFoundException`.
    NotFound,
    /// The call is taken, and its transition ends in `CREATE_FAILED` or `UPDATE_FAILED`.
    FailsLater,
}

/// Which instance profiles PCS may pass to EC2. A profile of another account never passes.
#[derive(Clone, Default)]
pub enum InstanceProfiles {
    /// Every profile of the caller's account.
    #[default]
    Any,
    /// The profiles for whose ARN the function says yes.
    Known(Arc<dyn Fn(&str) -> bool + Send + Sync>),
}

impl InstanceProfiles {
    /// Whether `arn` passes for a caller of `account`.
    pub(crate) fn passes(&self, arn: &str, account: &str) -> bool {
        arn.split(':').nth(4) == Some(account)
            && match self {
                InstanceProfiles::Any => true,
                InstanceProfiles::Known(known) => known(arn),
            }
    }
}

impl fmt::Debug for InstanceProfiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            InstanceProfiles::Any => "Any",
            InstanceProfiles::Known(_) => "Known(..)",
        })
    }
}
