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
    /// The signature itself is never verified.
    pub require_signature: bool,
    /// Which instance profiles pass PCS's `iam:PassRole` check.
    pub instance_profiles: InstanceProfiles,
    /// The answer to an id that was never issued.
    pub unknown_ids: UnknownIds,
    /// The answer to the id of a resource that existed and is gone.
    pub deleted_ids: DeletedIds,
    /// The answer to a client token that comes again with other parameters.
    pub token_reuse: TokenReuse,
    /// Scheduler versions that `CreateCluster` accepts; `None` takes the list in the API model's text.
    pub creatable_versions: Option<Vec<String>>,
    /// Overrides the documented quota of clusters in a Region.
    pub clusters_per_region: Option<usize>,
    /// Overrides the documented quota of compute node groups in a cluster.
    pub node_groups_per_cluster: Option<usize>,
    /// Overrides the documented quota of queues in a cluster.
    pub queues_per_cluster: Option<usize>,
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
            instance_profiles: InstanceProfiles::Any,
            unknown_ids: UnknownIds::ClusterDenied,
            deleted_ids: DeletedIds::NotFound,
            token_reuse: TokenReuse::Conflict,
            creatable_versions: None,
            clusters_per_region: None,
            node_groups_per_cluster: None,
            queues_per_cluster: None,
        }
    }
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
