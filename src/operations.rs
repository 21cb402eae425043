//! The closed set of what this API does. An operation is data: its PCS action, its place in the contract, the
//! kind of resource it names. There is no handler per operation.

use crate::contract;

/// A PCS action offered by this API. The variant's name is PCS's action name and the contract's `operationId`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    ListClusters,
    CreateCluster,
    GetCluster,
    UpdateCluster,
    DeleteCluster,
    ListComputeNodeGroups,
    CreateComputeNodeGroup,
    GetComputeNodeGroup,
    UpdateComputeNodeGroup,
    DeleteComputeNodeGroup,
    ListQueues,
    CreateQueue,
    GetQueue,
    UpdateQueue,
    DeleteQueue,
    ListTagsForResource,
    TagResource,
    UntagResource,
    RegisterComputeNodeGroupInstance,
}

/// The kind of resource an operation names, as the audit writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResourceType {
    /// No single resource: a list over the account and Region.
    Account,
    Cluster,
    ComputeNodeGroup,
    Queue,
    /// Whatever `resourceArn` names.
    Tagged,
}

impl Operation {
    pub const ALL: [Operation; 19] = [
        Operation::ListClusters,
        Operation::CreateCluster,
        Operation::GetCluster,
        Operation::UpdateCluster,
        Operation::DeleteCluster,
        Operation::ListComputeNodeGroups,
        Operation::CreateComputeNodeGroup,
        Operation::GetComputeNodeGroup,
        Operation::UpdateComputeNodeGroup,
        Operation::DeleteComputeNodeGroup,
        Operation::ListQueues,
        Operation::CreateQueue,
        Operation::GetQueue,
        Operation::UpdateQueue,
        Operation::DeleteQueue,
        Operation::ListTagsForResource,
        Operation::TagResource,
        Operation::UntagResource,
        Operation::RegisterComputeNodeGroupInstance,
    ];

    /// PCS's action name, which is also the contract's `operationId` and the audit's `eventName`.
    pub fn name(self) -> &'static str {
        match self {
            Operation::ListClusters => "ListClusters",
            Operation::CreateCluster => "CreateCluster",
            Operation::GetCluster => "GetCluster",
            Operation::UpdateCluster => "UpdateCluster",
            Operation::DeleteCluster => "DeleteCluster",
            Operation::ListComputeNodeGroups => "ListComputeNodeGroups",
            Operation::CreateComputeNodeGroup => "CreateComputeNodeGroup",
            Operation::GetComputeNodeGroup => "GetComputeNodeGroup",
            Operation::UpdateComputeNodeGroup => "UpdateComputeNodeGroup",
            Operation::DeleteComputeNodeGroup => "DeleteComputeNodeGroup",
            Operation::ListQueues => "ListQueues",
            Operation::CreateQueue => "CreateQueue",
            Operation::GetQueue => "GetQueue",
            Operation::UpdateQueue => "UpdateQueue",
            Operation::DeleteQueue => "DeleteQueue",
            Operation::ListTagsForResource => "ListTagsForResource",
            Operation::TagResource => "TagResource",
            Operation::UntagResource => "UntagResource",
            Operation::RegisterComputeNodeGroupInstance => "RegisterComputeNodeGroupInstance",
        }
    }

    /// Whether the operation changes anything: it is then recorded before it happens.
    pub fn is_mutation(self) -> bool {
        contract::route(self).mutation
    }

    /// What the operation is about.
    pub fn resource_type(self) -> ResourceType {
        match self {
            Operation::ListClusters => ResourceType::Account,
            Operation::CreateCluster
            | Operation::GetCluster
            | Operation::UpdateCluster
            | Operation::DeleteCluster
            | Operation::ListComputeNodeGroups
            | Operation::ListQueues
            | Operation::RegisterComputeNodeGroupInstance => ResourceType::Cluster,
            Operation::CreateComputeNodeGroup
            | Operation::GetComputeNodeGroup
            | Operation::UpdateComputeNodeGroup
            | Operation::DeleteComputeNodeGroup => ResourceType::ComputeNodeGroup,
            Operation::CreateQueue
            | Operation::GetQueue
            | Operation::UpdateQueue
            | Operation::DeleteQueue => ResourceType::Queue,
            Operation::ListTagsForResource | Operation::TagResource | Operation::UntagResource => {
                ResourceType::Tagged
            }
        }
    }
}

impl ResourceType {
    /// The word in resource ARNs and audit keys.
    pub fn name(self) -> &'static str {
        match self {
            ResourceType::Account => "account",
            ResourceType::Cluster => "cluster",
            ResourceType::ComputeNodeGroup => "computenodegroup",
            ResourceType::Queue => "queue",
            ResourceType::Tagged => "arn",
        }
    }
}
