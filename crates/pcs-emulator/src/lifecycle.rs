//! Statuses over time. Nothing ticks: a transition is stored with its end, and is applied when the Region
//! is next looked at after that moment.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::clock::{Nanos, nanos};
use crate::state::{ErrorInfo, Gone, Kind, Outcome, Region, Resource, Status, Transition};

/// How many resources that are gone a Region remembers; an older id is one that was never issued.
const GONE_MAX: usize = 1000;

/// What starts happening to a resource.
#[derive(Debug)]
pub(crate) enum Change {
    Create,
    /// With the members to put back when the update fails.
    Update(Map<String, Value>),
    Delete,
    Suspend,
    /// With the members to put back when it fails, if it came with an update.
    Resume(Option<Map<String, Value>>),
}

/// Puts a resource into the moving status of `change`.
pub(crate) fn begin(resource: &mut Resource, change: Change, now: Nanos, lasts: Duration) {
    let (status, then, failed, previous) = match change {
        Change::Create => (
            Status::Creating,
            Outcome::Becomes(Status::Active),
            Status::CreateFailed,
            None,
        ),
        Change::Update(previous) => (
            Status::Updating,
            Outcome::Becomes(Status::Active),
            Status::UpdateFailed,
            Some(previous),
        ),
        Change::Delete => (Status::Deleting, Outcome::Gone, Status::DeleteFailed, None),
        Change::Suspend => (
            Status::Suspending,
            Outcome::Becomes(Status::Suspended),
            Status::UpdateFailed,
            None,
        ),
        Change::Resume(previous) => (
            Status::Resuming,
            Outcome::Becomes(Status::Active),
            Status::UpdateFailed,
            previous,
        ),
    };
    let ordered = resource
        .next_failure
        .take()
        .or_else(|| interrupted_failure(resource));
    let then = match ordered {
        Some(error) => Outcome::Fails(failed, error),
        None => then,
    };
    resource.status = status;
    resource.error_info = None;
    resource.transition = Some(Transition {
        ends_at: now.saturating_add(nanos(lasts)),
        then,
        previous,
    });
}

/// The failure ordered for a transition that another one cuts short, as a suspension does an update.
fn interrupted_failure(resource: &Resource) -> Option<ErrorInfo> {
    match &resource.transition.as_ref()?.then {
        Outcome::Fails(_, error) => Some(error.clone()),
        Outcome::Becomes(_) | Outcome::Gone => None,
    }
}

/// Makes the transition under way fail at once, or else the next one.
pub(crate) fn fail(resource: &mut Resource, error: ErrorInfo, now: Nanos) {
    let failed = match resource.status {
        Status::Creating => Status::CreateFailed,
        Status::Deleting => Status::DeleteFailed,
        Status::Updating | Status::Suspending | Status::Resuming => Status::UpdateFailed,
        Status::Active
        | Status::CreateFailed
        | Status::UpdateFailed
        | Status::DeleteFailed
        | Status::Suspended => {
            resource.next_failure = Some(error);
            return;
        }
    };
    if let Some(transition) = &mut resource.transition {
        transition.ends_at = now;
        transition.then = Outcome::Fails(failed, error);
    }
}

/// Applies every transition that has ended by `now`.
pub(crate) fn settle(region: &mut Region, now: Nanos) {
    let mut gone = Vec::new();
    for resource in &mut region.resources {
        let Some(transition) = resource.transition.take_if(|t| t.ends_at <= now) else {
            continue;
        };
        match transition.then {
            Outcome::Becomes(status) => arrive(resource, status),
            Outcome::Gone => gone.push((resource.id.clone(), resource.kind)),
            Outcome::Fails(status, error) => {
                resource.status = status;
                resource.error_info = Some(error);
                // "Any partial changes will be rolled back" (User Guide, slurm-custom-settings).
                if let Some(previous) = transition.previous {
                    resource.members = previous;
                }
            }
        }
    }
    for (id, kind) in gone {
        forget(region, id, kind);
    }
}

fn arrive(resource: &mut Resource, status: Status) {
    resource.status = status;
    if let Some(controller) = &mut resource.controller {
        controller.ready = true;
    }
}

fn forget(region: &mut Region, id: String, kind: Kind) {
    region.resources.retain(|r| r.id != id);
    region
        .instances
        .retain(|_, instance| instance.node_group_id != id);
    if region.deleted.len() >= GONE_MAX {
        region.deleted.pop_front();
    }
    region.deleted.push_back(Gone { id, kind });
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use serde_json::{Map, json};

    use super::{Change, begin, fail, settle};
    use crate::state::{ErrorInfo, Gone, Kind, Region, Resource, Status};

    const SECOND: i64 = 1_000_000_000;

    fn region_with(status: Status) -> Region {
        let resource = Resource {
            kind: Kind::Queue,
            id: "pcs_q".into(),
            name: "queue".into(),
            arn: "arn".into(),
            cluster_id: Some("pcs_c".into()),
            seq: 0,
            created_at: 0,
            modified_at: 0,
            status,
            transition: None,
            error_info: None,
            next_failure: None,
            tags: BTreeMap::new(),
            members: Map::new(),
            controller: None,
        };
        Region {
            resources: vec![resource],
            ..Region::default()
        }
    }

    fn error() -> ErrorInfo {
        ErrorInfo {
            code: "InvalidInput".into(),
            message: "no capacity".into(),
        }
    }

    #[test]
    fn a_transition_ends_at_its_time_and_not_before() {
        let mut region = region_with(Status::Active);
        begin(
            &mut region.resources[0],
            Change::Create,
            0,
            Duration::from_secs(2),
        );
        settle(&mut region, 2 * SECOND - 1);
        assert_eq!(region.resources[0].status, Status::Creating);
        settle(&mut region, 2 * SECOND);
        assert_eq!(region.resources[0].status, Status::Active);
    }

    #[test]
    fn a_deleted_resource_leaves_only_its_id() {
        let mut region = region_with(Status::Active);
        begin(&mut region.resources[0], Change::Delete, 0, Duration::ZERO);
        settle(&mut region, 0);
        assert!(region.resources.is_empty());
        let gone = Gone {
            id: "pcs_q".into(),
            kind: Kind::Queue,
        };
        assert_eq!(region.deleted, [gone]);
    }

    #[test]
    fn a_failed_update_is_rolled_back_and_says_why() {
        let mut region = region_with(Status::Active);
        let before = region.resources[0].members.clone();
        region.resources[0].members.insert("size".into(), json!("LARGE"));
        begin(
            &mut region.resources[0],
            Change::Update(before),
            0,
            Duration::from_secs(9),
        );
        fail(&mut region.resources[0], error(), SECOND);
        settle(&mut region, SECOND);
        assert_eq!(region.resources[0].status, Status::UpdateFailed);
        assert_eq!(region.resources[0].error_info, Some(error()));
        assert!(region.resources[0].members.is_empty());
    }

    #[test]
    fn an_ordered_failure_waits_for_the_next_transition() {
        let mut region = region_with(Status::Active);
        fail(&mut region.resources[0], error(), 0);
        settle(&mut region, SECOND);
        assert_eq!(region.resources[0].status, Status::Active);
        begin(&mut region.resources[0], Change::Delete, SECOND, Duration::ZERO);
        settle(&mut region, SECOND);
        assert_eq!(region.resources[0].status, Status::DeleteFailed);
    }
}
