//! The five actions on queues, but for what their lists share (`tokens.rs`).

use serde_json::{Map, Value, json};

use crate::clusters::merge_configuration;
use crate::context::{
    Context, Draft, conflict, kept_members, require_settled, require_status, tags_of, text,
};
use crate::error::{Error, FieldErrors, Subject};
use crate::options::{GroupNames, QueueUpdate};
use crate::settings::{self, Surroundings};
use crate::state::{Kind, Region, Resource, Status};

const GROUPS: &str = "computeNodeGroupConfigurations";

/// What the input shapes of Create- and `UpdateQueue` cannot say and no state is needed for.
pub(crate) fn check_request(input: &Map<String, Value>, errors: &mut FieldErrors) {
    let mut seen = Vec::new();
    for (i, configuration) in input
        .get(GROUPS)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .enumerate()
    {
        let at = format!("{GROUPS}[{i}].computeNodeGroupId");
        match configuration.get("computeNodeGroupId").and_then(Value::as_str) {
            None | Some("") => errors.push(at, "must name a compute node group"),
            Some(id) if seen.contains(&id) => errors.push(at, format!("{id} is named twice")),
            Some(id) => seen.push(id),
        }
    }
}

/// The groups a queue names must be in its cluster and usable.
fn check_in_cluster(
    cx: &Context<'_>,
    region: &Region,
    cluster: &Resource,
    after: &Map<String, Value>,
) -> Result<(), Error> {
    let mut errors = FieldErrors::default();
    if let Some(configuration) = after.get("slurmConfiguration").and_then(Value::as_object) {
        let version = cluster.text_at(&["scheduler", "version"]).unwrap_or_default();
        let accounting = cluster.text_at(&["slurmConfiguration", "accounting", "mode"]) == Some("STANDARD");
        let around = Surroundings { version, accounting };
        settings::check(
            cx.model,
            "queue",
            "slurmCustomSettings",
            configuration,
            around,
            &mut errors,
        );
    }
    errors.into_result()?;
    for configuration in after.get(GROUPS).and_then(Value::as_array).into_iter().flatten() {
        let id = configuration
            .get("computeNodeGroupId")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let Some(group) = region
            .of(Kind::ComputeNodeGroup, Some(&cluster.id))
            .find(|g| g.id == id)
        else {
            return Err(crate::context::not_found(Kind::ComputeNodeGroup, id));
        };
        let usable = [Status::Active, Status::Updating, Status::UpdateFailed];
        require_status(group, &usable, "associate it with a queue")?;
    }
    Ok(())
}

pub(crate) fn create(
    cx: &Context<'_>,
    region: &mut Region,
    input: &Map<String, Value>,
) -> Result<Value, Error> {
    let cluster = cx.cluster(region, input)?.clone();
    let mut members = kept_members(input, &["queueName"]);
    members.insert(
        GROUPS.to_owned(),
        groups_given(cx, region, &cluster, input).into(),
    );
    check_in_cluster(cx, region, &cluster, &members)?;
    require_status(&cluster, &[Status::Active], "create a queue in it")?;
    let name = text(input, "queueName");
    if let Some(same) = region.of(Kind::Queue, Some(&cluster.id)).find(|q| q.name == name) {
        return Err(conflict(
            same,
            format!("A queue with the name {name} already exists ({})", same.id),
        ));
    }
    let most = cx
        .options
        .queues_per_cluster
        .unwrap_or(cx.model.rules.quotas.queues_per_cluster);
    if region.of(Kind::Queue, Some(&cluster.id)).count() >= most {
        let message = format!("The maximum number of queues in a cluster ({most}) has been reached");
        return Err(Error::QuotaExceeded {
            message,
            subject: Some(Subject::from(&cluster)),
        });
    }
    let draft = Draft {
        kind: Kind::Queue,
        id: Context::new_id(),
        name: name.to_owned(),
        cluster_id: Some(cluster.id),
        members,
        tags: tags_of(input),
        controller: None,
    };
    Ok(json!({"queue": cx.create(region, draft).detail()}))
}

pub(crate) fn get(cx: &Context<'_>, region: &Region, input: &Map<String, Value>) -> Result<Value, Error> {
    let cluster = cx.cluster(region, input)?;
    let queue = cx.child(region, cluster, Kind::Queue, text(input, "queueIdentifier"))?;
    Ok(json!({"queue": queue.detail()}))
}

/// The list of groups a request gives, each by its id, which is what a queue keeps.
fn groups_given(
    cx: &Context<'_>,
    region: &Region,
    cluster: &Resource,
    input: &Map<String, Value>,
) -> Vec<Value> {
    let given = input.get(GROUPS).and_then(Value::as_array).cloned();
    let mut given = given.unwrap_or_default();
    match cx.options.group_names {
        GroupNames::Refused => {}
        GroupNames::Accepted => {
            for id in given.iter_mut().filter_map(|g| g.get_mut("computeNodeGroupId")) {
                let mut groups = region.of(Kind::ComputeNodeGroup, Some(&cluster.id));
                if let Some(group) = groups.find(|group| Some(group.name.as_str()) == id.as_str()) {
                    *id = json!(group.id);
                }
            }
        }
    }
    given
}

/// The queue's list of groups after an update with `given`.
fn groups_after(cx: &Context<'_>, queue: &Resource, given: Vec<Value>) -> Vec<Value> {
    match cx.options.queue_update {
        QueueUpdate::Replace => given,
        QueueUpdate::Merge => {
            let before = queue.members.get(GROUPS).and_then(Value::as_array).cloned();
            let mut all = before.unwrap_or_default();
            let new: Vec<Value> = given.into_iter().filter(|group| !all.contains(group)).collect();
            all.extend(new);
            all
        }
    }
}

/// Replaces the list of groups (or adds to it, if so chosen); `slurmConfiguration` merges.
pub(crate) fn update(
    cx: &Context<'_>,
    region: &mut Region,
    input: &Map<String, Value>,
) -> Result<Value, Error> {
    let cluster = cx.cluster(region, input)?.clone();
    let queue = cx
        .child(region, &cluster, Kind::Queue, text(input, "queueIdentifier"))?
        .clone();
    let mut members = queue.members.clone();
    if input.contains_key(GROUPS) {
        let given = groups_given(cx, region, &cluster, input);
        members.insert(GROUPS.to_owned(), groups_after(cx, &queue, given).into());
    }
    merge_configuration(&mut members, input);
    check_in_cluster(cx, region, &cluster, &members)?;
    require_status(&cluster, &[Status::Active], "update a queue in it")?;
    require_status(&queue, &[Status::Active, Status::UpdateFailed], "update it")?;
    Ok(json!({"queue": cx.update(region, &queue.id, members)?.detail()}))
}

pub(crate) fn delete(
    cx: &Context<'_>,
    region: &mut Region,
    input: &Map<String, Value>,
) -> Result<Value, Error> {
    let cluster = cx.cluster(region, input)?.clone();
    let queue = cx
        .child(region, &cluster, Kind::Queue, text(input, "queueIdentifier"))?
        .clone();
    require_settled(&cluster)?;
    require_settled(&queue)?;
    cx.delete(region, &queue.id)?;
    Ok(json!({}))
}
