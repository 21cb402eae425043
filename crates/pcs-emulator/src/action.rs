//! The closed set of PCS actions. A twentieth action in the model breaks the build where a choice is due.

/// One action of the PCS API, version 2023-02-10.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    CreateCluster,
    GetCluster,
    ListClusters,
    UpdateCluster,
    DeleteCluster,
    CreateComputeNodeGroup,
    GetComputeNodeGroup,
    ListComputeNodeGroups,
    UpdateComputeNodeGroup,
    DeleteComputeNodeGroup,
    CreateQueue,
    GetQueue,
    ListQueues,
    UpdateQueue,
    DeleteQueue,
    ListTagsForResource,
    TagResource,
    UntagResource,
    RegisterComputeNodeGroupInstance,
}

impl Action {
    pub(crate) const ALL: [Action; 19] = [
        Action::CreateCluster,
        Action::GetCluster,
        Action::ListClusters,
        Action::UpdateCluster,
        Action::DeleteCluster,
        Action::CreateComputeNodeGroup,
        Action::GetComputeNodeGroup,
        Action::ListComputeNodeGroups,
        Action::UpdateComputeNodeGroup,
        Action::DeleteComputeNodeGroup,
        Action::CreateQueue,
        Action::GetQueue,
        Action::ListQueues,
        Action::UpdateQueue,
        Action::DeleteQueue,
        Action::ListTagsForResource,
        Action::TagResource,
        Action::UntagResource,
        Action::RegisterComputeNodeGroupInstance,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Action::CreateCluster => "CreateCluster",
            Action::GetCluster => "GetCluster",
            Action::ListClusters => "ListClusters",
            Action::UpdateCluster => "UpdateCluster",
            Action::DeleteCluster => "DeleteCluster",
            Action::CreateComputeNodeGroup => "CreateComputeNodeGroup",
            Action::GetComputeNodeGroup => "GetComputeNodeGroup",
            Action::ListComputeNodeGroups => "ListComputeNodeGroups",
            Action::UpdateComputeNodeGroup => "UpdateComputeNodeGroup",
            Action::DeleteComputeNodeGroup => "DeleteComputeNodeGroup",
            Action::CreateQueue => "CreateQueue",
            Action::GetQueue => "GetQueue",
            Action::ListQueues => "ListQueues",
            Action::UpdateQueue => "UpdateQueue",
            Action::DeleteQueue => "DeleteQueue",
            Action::ListTagsForResource => "ListTagsForResource",
            Action::TagResource => "TagResource",
            Action::UntagResource => "UntagResource",
            Action::RegisterComputeNodeGroupInstance => "RegisterComputeNodeGroupInstance",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Action> {
        Self::ALL.into_iter().find(|action| action.name() == name)
    }

    /// Whether a successful call changes what is stored, so that it must be on disk before the answer.
    pub(crate) fn changes_state(self) -> bool {
        match self {
            Action::GetCluster
            | Action::ListClusters
            | Action::GetComputeNodeGroup
            | Action::ListComputeNodeGroups
            | Action::GetQueue
            | Action::ListQueues
            | Action::ListTagsForResource => false,
            Action::CreateCluster
            | Action::UpdateCluster
            | Action::DeleteCluster
            | Action::CreateComputeNodeGroup
            | Action::UpdateComputeNodeGroup
            | Action::DeleteComputeNodeGroup
            | Action::CreateQueue
            | Action::UpdateQueue
            | Action::DeleteQueue
            | Action::TagResource
            | Action::UntagResource
            | Action::RegisterComputeNodeGroupInstance => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::Action;
    use crate::model::Model;

    #[test]
    fn the_actions_are_those_of_the_model() {
        let model = Model::embedded().unwrap();
        let ours: BTreeSet<&str> = Action::ALL.into_iter().map(Action::name).collect();
        let theirs: BTreeSet<&str> = model.operation_names().collect();
        assert_eq!(ours, theirs);
    }
}
