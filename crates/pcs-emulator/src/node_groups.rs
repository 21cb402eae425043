//! The five actions on compute node groups, but for what their lists share (`tokens.rs`).

use serde_json::{Map, Value, json};

use crate::clusters::merge_configuration;
use crate::context::{
    Context, Draft, conflict, kept_members, require_settled, require_status, tags_of, text,
};
use crate::defaults;
use crate::error::{Error, FieldErrors, Subject};
use crate::gres;
use crate::health_checks;
use crate::instance_profile;
use crate::settings::{self, Surroundings, is_at_least, needs_version};
use crate::state::{Kind, Region, Resource, Status, text_at, value_at};

/// What the input shapes of Create- and `UpdateComputeNodeGroup` cannot say and no state is needed for.
pub(crate) fn check_request(input: &Map<String, Value>, errors: &mut FieldErrors) {
    check_subnets(input, errors);
    check_scripts(input, errors);
    health_checks::check_request(input, errors);
    let scaling = |name| value_at(input, &["scalingConfiguration", name]).and_then(Value::as_i64);
    if let (Some(min), Some(max)) = (scaling("minInstanceCount"), scaling("maxInstanceCount"))
        && min > max
    {
        let message = format!("minInstanceCount {min} is greater than maxInstanceCount {max}");
        errors.push("scalingConfiguration.minInstanceCount", message);
    }
}

/// What only `CreateComputeNodeGroup` must satisfy.
pub(crate) fn check_create(input: &Map<String, Value>, errors: &mut FieldErrors) {
    check_request(input, errors);
    check_launch_template(input, input, errors);
    check_spot(input, input, errors);
    if let Some(configs) = input.get("instanceConfigs").and_then(Value::as_array) {
        if configs.is_empty() {
            errors.push("instanceConfigs", "must name at least 1 instance type");
        }
        for (i, config) in configs.iter().enumerate() {
            if config
                .get("instanceType")
                .and_then(Value::as_str)
                .is_none_or(str::is_empty)
            {
                errors.push(
                    format!("instanceConfigs[{i}].instanceType"),
                    "must name an instance type",
                );
            }
        }
    }
}

/// Subnets are unpatterned on input and patterned on output, so a bad one can only be refused.
fn check_subnets(input: &Map<String, Value>, errors: &mut FieldErrors) {
    let Some(subnets) = input.get("subnetIds").and_then(Value::as_array) else {
        return;
    };
    if subnets.is_empty() {
        errors.push("subnetIds", "must hold at least 1 subnet");
    }
    for (i, subnet) in subnets.iter().enumerate() {
        let rest = subnet
            .as_str()
            .and_then(|s| s.strip_prefix("subnet-"))
            .unwrap_or_default();
        let word = rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !word || !(8..=17).contains(&rest.len()) {
            errors.push(format!("subnetIds[{i}]"), "is not a subnet ID");
        }
    }
}

/// "A unique name for the script"; a version only "when scriptLocation is an Amazon S3 URI".
fn check_scripts(input: &Map<String, Value>, errors: &mut FieldErrors) {
    for stage in ["nodeBootstrapped", "nodeReady"] {
        let path = ["nodeLifecycleActions", "stages", stage];
        let scripts = value_at(input, &path).and_then(Value::as_array);
        let mut seen = Vec::new();
        for (i, script) in scripts.into_iter().flatten().enumerate() {
            let at = format!("{}[{i}]", path.join("."));
            let name = script.get("name").and_then(Value::as_str).unwrap_or_default();
            if seen.contains(&name) {
                errors.push(
                    format!("{at}.name"),
                    format!("the name {name} is already used in this stage"),
                );
            }
            seen.push(name);
            let source = script.get("scriptSource").and_then(Value::as_object);
            let in_s3 = source
                .and_then(|s| text_at(s, &["scriptLocation"]))
                .unwrap_or_default();
            if source.is_some_and(|s| s.contains_key("s3VersionId")) && !in_s3.starts_with("s3://") {
                errors.push(
                    format!("{at}.scriptSource.s3VersionId"),
                    "is only valid when scriptLocation is an Amazon S3 URI",
                );
            }
        }
    }
}

/// CUSTOM (the default) needs a launch template; MANAGED needs an AMI and security groups and forbids it.
/// `after` is what the group would be, `input` what was asked for.
fn check_launch_template(after: &Map<String, Value>, input: &Map<String, Value>, errors: &mut FieldErrors) {
    if text_at(after, &["launchTemplateMode"]) == Some("MANAGED") {
        if input.contains_key("customLaunchTemplate") {
            errors.push(
                "customLaunchTemplate",
                "must be left out when launchTemplateMode is MANAGED",
            );
        }
        if text_at(after, &["amiId"]).is_none_or(str::is_empty) {
            errors.push("amiId", "is needed when launchTemplateMode is MANAGED");
        }
        let groups = after.get("securityGroupIds").and_then(Value::as_array);
        if groups.is_none_or(Vec::is_empty) {
            errors.push("securityGroupIds", "is needed when launchTemplateMode is MANAGED");
        }
    } else if !after.contains_key("customLaunchTemplate") {
        errors.push(
            "customLaunchTemplate",
            "is needed when launchTemplateMode is CUSTOM, the default",
        );
    }
}

fn check_spot(after: &Map<String, Value>, input: &Map<String, Value>, errors: &mut FieldErrors) {
    if input.contains_key("spotOptions") && text_at(after, &["purchaseOption"]) != Some("SPOT") {
        errors.push("spotOptions", "is only valid when purchaseOption is SPOT");
    }
}

/// The Slurm part of a group in its cluster, as it would be after the call.
fn check_in_cluster(cluster: &Resource, after: &Map<String, Value>, cx: &Context<'_>) -> Result<(), Error> {
    let mut errors = FieldErrors::default();
    let version = cluster.text_at(&["scheduler", "version"]).unwrap_or_default();
    let features = &cx.model.rules.features;
    let scaling = |name| value_at(after, &["scalingConfiguration", name]).and_then(Value::as_i64);
    if let (Some(min), Some(max)) = (scaling("minInstanceCount"), scaling("maxInstanceCount"))
        && 0 < min
        && min < max
        && !is_at_least(version, &features.mixed_capacity)
    {
        let message = needs_version(
            "a group of static and dynamic nodes",
            &features.mixed_capacity,
            version,
        );
        errors.push("scalingConfiguration.minInstanceCount", message);
    }
    if let Some(configuration) = after.get("slurmConfiguration").and_then(Value::as_object) {
        let override_since = &features.node_group_scale_down;
        if configuration.contains_key("scaleDownIdleTimeInSeconds") && !is_at_least(version, override_since) {
            errors.push(
                "slurmConfiguration.scaleDownIdleTimeInSeconds",
                needs_version("the scale-down override", override_since, version),
            );
        }
        let accounting = cluster.text_at(&["slurmConfiguration", "accounting", "mode"]) == Some("STANDARD");
        let around = Surroundings { version, accounting };
        let list = "slurmCustomSettings";
        settings::check(
            cx.model,
            "computeNodeGroup",
            list,
            configuration,
            around,
            &mut errors,
        );
        gres::check(cx.model, configuration, version, &mut errors);
    }
    health_checks::check_in_cluster(cx.model, after, version, &mut errors);
    errors.into_result()
}

pub(crate) fn create(
    cx: &Context<'_>,
    region: &mut Region,
    input: &Map<String, Value>,
) -> Result<Value, Error> {
    let unseen = instance_profile::check(cx, input)?;
    let cx = &cx.failing(unseen.as_ref());
    let cluster = cx.cluster(region, input)?.clone();
    let mut members = kept_members(input, &["computeNodeGroupName"]);
    check_in_cluster(&cluster, &members, cx)?;
    drop_removed(&mut members);
    require_status(&cluster, &[Status::Active], "create a compute node group in it")?;
    let name = text(input, "computeNodeGroupName");
    if let Some(same) = region
        .of(Kind::ComputeNodeGroup, Some(&cluster.id))
        .find(|g| g.name == name)
    {
        let message = format!(
            "A compute node group with the name {name} already exists ({})",
            same.id
        );
        return Err(conflict(same, message));
    }
    let most = cx
        .options
        .node_groups_per_cluster
        .unwrap_or(cx.model.rules.quotas.node_groups_per_cluster);
    if region.of(Kind::ComputeNodeGroup, Some(&cluster.id)).count() >= most {
        let message =
            format!("The maximum number of compute node groups in a cluster ({most}) has been reached");
        return Err(Error::QuotaExceeded {
            message,
            subject: Some(Subject::from(&cluster)),
        });
    }
    check_instances(cx, region, &cluster, None, &members)?;
    let draft = Draft {
        kind: Kind::ComputeNodeGroup,
        id: Context::new_id(),
        name: name.to_owned(),
        cluster_id: Some(cluster.id),
        members,
        tags: tags_of(input),
        controller: None,
    };
    Ok(json!({"computeNodeGroup": view(cx, &cx.create(region, draft))}))
}

/// A compute node group as Create, Get and Update answer it.
fn view(cx: &Context<'_>, group: &Resource) -> Value {
    let mut shown = group.detail();
    defaults::node_group(cx.options, &mut shown);
    Value::Object(shown)
}

/// The sum of `maxInstanceCount` over a cluster's groups is limited by the cluster's size.
fn check_instances(
    cx: &Context<'_>,
    region: &Region,
    cluster: &Resource,
    replaced: Option<&str>,
    members: &Map<String, Value>,
) -> Result<(), Error> {
    let max_of = |members: &Map<String, Value>| {
        value_at(members, &["scalingConfiguration", "maxInstanceCount"])
            .and_then(Value::as_i64)
            .unwrap_or(0)
    };
    let others = region
        .of(Kind::ComputeNodeGroup, Some(&cluster.id))
        .filter(|g| Some(g.id.as_str()) != replaced);
    let total = others
        .map(|g| g.may_have().map(max_of).max().unwrap_or_default())
        .fold(max_of(members), i64::saturating_add);
    let size = cluster.text_at(&["size"]).unwrap_or_default();
    let Some(most) = cx.model.rules.quotas.instances_by_size.get(size) else {
        return Ok(());
    };
    if total <= *most {
        return Ok(());
    }
    Err(Error::QuotaExceeded {
        message: format!(
            "The total of maxInstances across all compute node groups has been reached: {total} is more than the {most} of a {size} cluster"
        ),
        subject: Some(Subject::from(cluster)),
    })
}

pub(crate) fn get(cx: &Context<'_>, region: &Region, input: &Map<String, Value>) -> Result<Value, Error> {
    let cluster = cx.cluster(region, input)?;
    let identifier = text(input, "computeNodeGroupIdentifier");
    let group = cx.child(region, cluster, Kind::ComputeNodeGroup, identifier)?;
    Ok(json!({"computeNodeGroup": view(cx, group)}))
}

pub(crate) fn update(
    cx: &Context<'_>,
    region: &mut Region,
    input: &Map<String, Value>,
) -> Result<Value, Error> {
    let unseen = instance_profile::check(cx, input)?;
    let cx = &cx.failing(unseen.as_ref());
    let cluster = cx.cluster(region, input)?.clone();
    let identifier = text(input, "computeNodeGroupIdentifier");
    let group = cx
        .child(region, &cluster, Kind::ComputeNodeGroup, identifier)?
        .clone();
    let mut members = merged(&group, input)?;
    check_in_cluster(&cluster, &members, cx)?;
    drop_removed(&mut members);
    require_status(&cluster, &[Status::Active], "update a compute node group in it")?;
    require_status(&group, &[Status::Active, Status::UpdateFailed], "update it")?;
    check_instances(cx, region, &cluster, Some(&group.id), &members)?;
    Ok(json!({"computeNodeGroup": view(cx, &cx.update(region, &group.id, members)?)}))
}

/// The group's members with the request merged in: an empty string or list removes a member, any other
/// value replaces it, `slurmConfiguration` merges.
fn merged(group: &Resource, input: &Map<String, Value>) -> Result<Map<String, Value>, Error> {
    let mut errors = FieldErrors::default();
    let mut members = group.members.clone();
    let was_managed = group.text_at(&["launchTemplateMode"]) == Some("MANAGED");
    if was_managed && input.contains_key("customLaunchTemplate") && !input.contains_key("launchTemplateMode")
    {
        errors.push(
            "launchTemplateMode",
            "must be CUSTOM to give a MANAGED group a customLaunchTemplate",
        );
    }
    for (name, value) in kept_members(input, &["slurmConfiguration"]) {
        if value.as_str() == Some("") || value.as_array().is_some_and(Vec::is_empty) {
            members.remove(&name);
        } else {
            members.insert(name, value);
        }
    }
    merge_configuration(&mut members, input);
    if text_at(input, &["launchTemplateMode"]) == Some("MANAGED") && !was_managed {
        // "Switching to this mode removes the custom launch template association" (API model).
        members.remove("customLaunchTemplate");
    }
    if text_at(&members, &["purchaseOption"]) != Some("SPOT") {
        members.remove("spotOptions");
    }
    check_launch_template(&members, input, &mut errors);
    check_spot(&members, input, &mut errors);
    errors.into_result()?;
    Ok(members)
}

/// A scale-down time of -1 "removes the override" (API model), so it is never stored.
fn drop_removed(members: &mut Map<String, Value>) {
    let Some(configuration) = members
        .get_mut("slurmConfiguration")
        .and_then(Value::as_object_mut)
    else {
        return;
    };
    if configuration.get("scaleDownIdleTimeInSeconds") == Some(&json!(-1)) {
        configuration.remove("scaleDownIdleTimeInSeconds");
    }
    if configuration.is_empty() {
        members.remove("slurmConfiguration");
    }
}

/// "You must delete all queues associated with the compute node group first" (API Reference), or take the
/// group out of them (User Guide).
pub(crate) fn delete(
    cx: &Context<'_>,
    region: &mut Region,
    input: &Map<String, Value>,
) -> Result<Value, Error> {
    let cluster = cx.cluster(region, input)?.clone();
    let identifier = text(input, "computeNodeGroupIdentifier");
    let group = cx
        .child(region, &cluster, Kind::ComputeNodeGroup, identifier)?
        .clone();
    require_settled(&cluster)?;
    require_settled(&group)?;
    let queues: Vec<String> = region
        .of(Kind::Queue, Some(&cluster.id))
        .filter(|queue| {
            queue
                .may_have()
                .any(|members| group_ids(members).any(|id| id == group.id))
        })
        .map(|queue| format!("{} ({}, {})", queue.name, queue.id, queue.status.name()))
        .collect();
    if !queues.is_empty() {
        return Err(conflict(
            &group,
            format!(
                "The compute node group {} ({}) is still associated with the queues {}; delete them or take the group out of them first",
                group.name,
                group.id,
                queues.join(", ")
            ),
        ));
    }
    cx.delete(region, &group.id)?;
    Ok(json!({}))
}

/// The ids of the compute node groups that a queue with these members sends jobs to.
pub(crate) fn group_ids(queue: &Map<String, Value>) -> impl Iterator<Item = &str> {
    let configurations = queue
        .get("computeNodeGroupConfigurations")
        .and_then(Value::as_array);
    configurations
        .into_iter()
        .flatten()
        .filter_map(|c| c.get("computeNodeGroupId")?.as_str())
}
