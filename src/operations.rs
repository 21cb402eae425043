//! The closed set of what this API does. An operation is data: its PCS action and its place in the
//! contract. There is no handler per PCS action; what the gateway answers itself is told apart.

use crate::contract;

/// Something a caller can ask for. Its name is the contract's `operationId` and the audit's `eventName`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Carried out by PCS.
    Pcs(Action),
    /// Answered by the gateway: the guardrails in force.
    GetGuardrails,
    /// Answered by the gateway: recorded calls, a page of them.
    ListAuditEvents,
    /// Answered by the gateway: all that was recorded of one call.
    GetAuditEvent,
}

/// A PCS action offered by this API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
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

impl Operation {
    pub fn all() -> impl Iterator<Item = Operation> {
        Action::ALL.into_iter().map(Operation::Pcs).chain([
            Operation::GetGuardrails,
            Operation::ListAuditEvents,
            Operation::GetAuditEvent,
        ])
    }

    pub fn name(self) -> &'static str {
        match self {
            Operation::Pcs(action) => action.name(),
            Operation::GetGuardrails => "GetGuardrails",
            Operation::ListAuditEvents => "ListAuditEvents",
            Operation::GetAuditEvent => "GetAuditEvent",
        }
    }

    /// Whether the operation changes anything: it is then recorded before it happens.
    pub fn is_mutation(self) -> bool {
        contract::route(self).mutation
    }
}

impl Action {
    pub const ALL: [Action; 19] = [
        Action::ListClusters,
        Action::CreateCluster,
        Action::GetCluster,
        Action::UpdateCluster,
        Action::DeleteCluster,
        Action::ListComputeNodeGroups,
        Action::CreateComputeNodeGroup,
        Action::GetComputeNodeGroup,
        Action::UpdateComputeNodeGroup,
        Action::DeleteComputeNodeGroup,
        Action::ListQueues,
        Action::CreateQueue,
        Action::GetQueue,
        Action::UpdateQueue,
        Action::DeleteQueue,
        Action::ListTagsForResource,
        Action::TagResource,
        Action::UntagResource,
        Action::RegisterComputeNodeGroupInstance,
    ];

    /// PCS's name of it.
    pub fn name(self) -> &'static str {
        match self {
            Action::ListClusters => "ListClusters",
            Action::CreateCluster => "CreateCluster",
            Action::GetCluster => "GetCluster",
            Action::UpdateCluster => "UpdateCluster",
            Action::DeleteCluster => "DeleteCluster",
            Action::ListComputeNodeGroups => "ListComputeNodeGroups",
            Action::CreateComputeNodeGroup => "CreateComputeNodeGroup",
            Action::GetComputeNodeGroup => "GetComputeNodeGroup",
            Action::UpdateComputeNodeGroup => "UpdateComputeNodeGroup",
            Action::DeleteComputeNodeGroup => "DeleteComputeNodeGroup",
            Action::ListQueues => "ListQueues",
            Action::CreateQueue => "CreateQueue",
            Action::GetQueue => "GetQueue",
            Action::UpdateQueue => "UpdateQueue",
            Action::DeleteQueue => "DeleteQueue",
            Action::ListTagsForResource => "ListTagsForResource",
            Action::TagResource => "TagResource",
            Action::UntagResource => "UntagResource",
            Action::RegisterComputeNodeGroupInstance => "RegisterComputeNodeGroupInstance",
        }
    }
}
