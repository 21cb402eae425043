//! The five actions on clusters.

use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::context::{
    Context, Draft, conflict, kept_members, require_settled, require_status, tags_of, text,
};
use crate::defaults;
use crate::error::{Error, FieldErrors, Subject};
use crate::job_submit_plugins;
use crate::lifecycle::Change;
use crate::options::EmptySettings;
use crate::settings::{self, Surroundings, is_at_least, needs_version};
use crate::state::{Controller, Kind, Region, Resource, Secret, Status, text_at, value_at};
use crate::tokens;

/// What the input shape of `CreateCluster` cannot say.
pub(crate) fn check_create(cx: &Context<'_>, input: &Map<String, Value>, errors: &mut FieldErrors) {
    if let Some(networking) = input.get("networking") {
        let subnets = networking.get("subnetIds").and_then(Value::as_array);
        if subnets.is_none_or(|subnets| subnets.len() > 1) {
            errors.push("networking.subnetIds", "must be a list of exactly 1 subnet");
        }
    }
    let settings = value_at(input, &["slurmConfiguration", "slurmCustomSettings"]);
    if cx.options.empty_settings == EmptySettings::Refused
        && settings.and_then(Value::as_array).is_some_and(Vec::is_empty)
    {
        errors.push(
            "slurmConfiguration.slurmCustomSettings",
            "must not be an empty list; leave it out to set nothing",
        );
    }
    let Some(version) = text_at(input, &["scheduler", "version"]) else {
        return;
    };
    let versions = &cx.model.rules.scheduler_versions;
    let creatable = cx
        .options
        .creatable_versions
        .as_ref()
        .unwrap_or(&versions.creatable);
    if !creatable.iter().any(|v| v == version) {
        let message = format!(
            "{version} is not one of the supported versions {}",
            creatable.join(", ")
        );
        errors.push("scheduler.version", message);
        return;
    }
    check_configuration(cx, input, version, errors);
}

/// The whole Slurm configuration of a cluster, after an update has been merged in.
fn check_configuration(
    cx: &Context<'_>,
    members: &Map<String, Value>,
    version: &str,
    errors: &mut FieldErrors,
) {
    let features = &cx.model.rules.features;
    let accounting = is_standard(members, "accounting");
    for (name, on, since) in [
        ("accounting", accounting, &features.accounting),
        (
            "slurmRest",
            is_standard(members, "slurmRest"),
            &features.slurm_rest,
        ),
    ] {
        if on && !is_at_least(version, since) {
            errors.push(
                format!("slurmConfiguration.{name}.mode"),
                needs_version(name, since, version),
            );
        }
    }
    if value_at(
        members,
        &["slurmConfiguration", "accounting", "defaultPurgeTimeInDays"],
    ) == Some(&json!(0))
    {
        errors.push(
            "slurmConfiguration.accounting.defaultPurgeTimeInDays",
            "0 is not a valid value",
        );
    }
    let Some(configuration) = members.get("slurmConfiguration").and_then(Value::as_object) else {
        return;
    };
    for list in [
        "slurmCustomSettings",
        "slurmdbdCustomSettings",
        "cgroupCustomSettings",
    ] {
        let around = Surroundings { version, accounting };
        settings::check(cx.model, "cluster", list, configuration, around, errors);
    }
}

fn is_standard(members: &Map<String, Value>, feature: &str) -> bool {
    text_at(members, &["slurmConfiguration", feature, "mode"]) == Some("STANDARD")
}

pub(crate) fn create(
    cx: &Context<'_>,
    region: &mut Region,
    input: &Map<String, Value>,
) -> Result<Value, Error> {
    let name = text(input, "clusterName");
    if let Some(same) = region.of(Kind::Cluster, None).find(|c| c.name == name) {
        return Err(conflict(
            same,
            format!("A cluster with the name {name} already exists ({})", same.id),
        ));
    }
    check_quotas(cx, region)?;
    let id = Context::new_id();
    let draft = Draft {
        kind: Kind::Cluster,
        controller: Some(controller(cx, &id)),
        id,
        name: name.to_owned(),
        cluster_id: None,
        members: kept_members(input, &["clusterName"]),
        tags: tags_of(input),
    };
    let cluster = cx.create(region, draft);
    Ok(json!({"cluster": view(cx, &cluster)}))
}

fn check_quotas(cx: &Context<'_>, region: &Region) -> Result<(), Error> {
    let quotas = &cx.model.rules.quotas;
    let creating: Vec<&Resource> = region
        .of(Kind::Cluster, None)
        .filter(|c| c.status == Status::Creating)
        .collect();
    if let Some(first) = creating
        .first()
        .filter(|_| creating.len() >= quotas.clusters_creating)
    {
        return Err(Error::QuotaExceeded {
            message: format!(
                "There is already a cluster in CREATING status in this Region ({}); wait until it is ACTIVE",
                first.id
            ),
            subject: Some(Subject::from(*first)),
        });
    }
    let most = cx.options.clusters_per_region.unwrap_or(quotas.clusters);
    if region.of(Kind::Cluster, None).count() >= most {
        let message = format!("The maximum number of clusters in this Region ({most}) has been reached");
        return Err(Error::QuotaExceeded {
            message,
            subject: None,
        });
    }
    Ok(())
}

/// A controller's addresses and secrets. The addresses are of documentation or private ranges.
fn controller(cx: &Context<'_>, id: &str) -> Controller {
    let random = Uuid::new_v4();
    let (word, _, _, rest) = random.as_fields();
    let [first, second, ..] = *rest;
    let secret = |name: &str| Secret {
        arn: format!(
            "arn:{}:secretsmanager:{}:{}:secret:pcs!{name}-{id}-{}",
            cx.partition(),
            cx.region,
            cx.account,
            Uuid::new_v4()
                .simple()
                .to_string()
                .chars()
                .take(6)
                .collect::<String>()
        ),
        version: Uuid::new_v4().to_string(),
    };
    Controller {
        ready: false,
        ipv4: format!("10.{}.{first}.{second}", word % 256),
        ipv6: format!("2001:db8::{:x}:{first:x}{second:02x}", word % 65_536),
        shared_secret: tokens::base64(Uuid::new_v4().as_bytes()),
        auth_key: secret("slurm-secret"),
        jwt_key: secret("jwt-key"),
    }
}

/// A cluster as Create, Get and Update answer it.
fn view(cx: &Context<'_>, cluster: &Resource) -> Value {
    let mut shown = cluster.detail();
    defaults::cluster(cx.options, &mut shown);
    if let Some(controller) = cluster.controller.as_ref().filter(|c| c.ready) {
        let configuration = shown.entry("slurmConfiguration").or_insert_with(|| json!({}));
        if let Some(configuration) = configuration.as_object_mut() {
            configuration.insert("authKey".to_owned(), secret_view(&controller.auth_key));
            if is_standard(&cluster.members, "slurmRest") {
                let key = secret_view(&controller.jwt_key);
                configuration.insert("jwtAuth".to_owned(), json!({"jwtKey": key}));
            }
        }
        shown.insert("endpoints".to_owned(), endpoints(cluster, controller));
    }
    Value::Object(shown)
}

fn secret_view(secret: &Secret) -> Value {
    json!({"secretArn": secret.arn, "secretVersion": secret.version})
}

/// The endpoints of a cluster that was ACTIVE once; ports are strings on this API.
pub(crate) fn endpoints(cluster: &Resource, controller: &Controller) -> Value {
    let ipv6 = cluster.text_at(&["networking", "networkType"]) == Some("IPV6");
    let endpoint = |kind: &str, port: &str| {
        let private = if ipv6 { "" } else { controller.ipv4.as_str() };
        let mut endpoint = json!({"type": kind, "privateIpAddress": private, "port": port});
        if let Some(endpoint) = endpoint.as_object_mut().filter(|_| ipv6) {
            endpoint.insert("ipv6Address".to_owned(), json!(controller.ipv6));
        }
        endpoint
    };
    let mut all = vec![endpoint("SLURMCTLD", "6817")];
    if is_standard(&cluster.members, "accounting") {
        all.push(endpoint("SLURMDBD", "6819"));
    }
    if is_standard(&cluster.members, "slurmRest") {
        all.push(endpoint("SLURMRESTD", "6820"));
    }
    Value::Array(all)
}

pub(crate) fn get(cx: &Context<'_>, region: &Region, input: &Map<String, Value>) -> Result<Value, Error> {
    Ok(json!({"cluster": view(cx, cx.cluster(region, input)?)}))
}

/// "You can only update clusters that are in ACTIVE, `UPDATE_FAILED`, or SUSPENDED state. All associated
/// resources (queues and compute node groups) must be in ACTIVE state" (API Reference).
pub(crate) fn update(
    cx: &Context<'_>,
    region: &mut Region,
    input: &Map<String, Value>,
) -> Result<Value, Error> {
    let cluster = cx.cluster(region, input)?.clone();
    let members = merged(cx, &cluster, input)?;
    let updatable = [Status::Active, Status::UpdateFailed, Status::Suspended];
    require_status(&cluster, &updatable, "update it")?;
    let resumes = cluster.status == Status::Suspended;
    let children: &[Status] = if resumes {
        &[Status::Active, Status::Suspended]
    } else {
        &[Status::Active]
    };
    for child in region.children(&cluster.id) {
        require_status(child, children, &format!("update its cluster {}", cluster.id))?;
    }
    let updated = if resumes {
        resume_children(cx, region, &cluster.id);
        let change = |previous| Change::Resume(Some(previous));
        cx.replace(region, &cluster.id, members, change)?
    } else {
        cx.update(region, &cluster.id, members)?
    };
    Ok(json!({"cluster": view(cx, &updated)}))
}

/// Updating a suspended cluster brings what it holds back too. A failure ordered for the call is the cluster's.
fn resume_children(cx: &Context<'_>, region: &mut Region, id: &str) {
    let unharmed = Context { failure: None, ..*cx };
    for child in &mut region.resources {
        if child.cluster_id.as_deref() == Some(id) && child.status == Status::Suspended {
            unharmed.begin(child, Change::Resume(None));
        }
    }
}

/// The cluster's members with the request merged in, checked as a whole.
fn merged(
    cx: &Context<'_>,
    cluster: &Resource,
    input: &Map<String, Value>,
) -> Result<Map<String, Value>, Error> {
    let mut errors = FieldErrors::default();
    let mut members = cluster.members.clone();
    let current = cluster.text_at(&["scheduler", "version"]).unwrap_or_default();
    let wanted = text_at(input, &["scheduler", "version"]);
    if let Some(wanted) = wanted {
        check_step(cx, current, wanted, &mut errors);
        if let Some(scheduler) = members.get_mut("scheduler").and_then(Value::as_object_mut) {
            scheduler.insert("version".to_owned(), json!(wanted));
        }
    }
    let resolved = job_submit_plugins::resolve(cx, &cluster.members, input, &mut errors);
    merge_configuration(&mut members, &resolved);
    check_configuration(cx, &members, wanted.unwrap_or(current), &mut errors);
    errors.into_result()?;
    Ok(members)
}

/// Versions only go up, and at most three at a time (User Guide, "Version compatibility").
fn check_step(cx: &Context<'_>, current: &str, wanted: &str, errors: &mut FieldErrors) {
    let versions = &cx.model.rules.scheduler_versions;
    let place = |version: &str| versions.known.iter().position(|v| v == version);
    let from = place(current).map_or(0, |place| place + 1);
    let targets: Vec<&str> = versions
        .known
        .iter()
        .skip(from)
        .take(versions.steps_max)
        .map(String::as_str)
        .collect();
    if targets.contains(&wanted) {
        return;
    }
    let possible = if targets.is_empty() {
        "none".to_owned()
    } else {
        targets.join(", ")
    };
    errors.push(
        "scheduler.version",
        format!(
            "a cluster of version {current} cannot be updated to {wanted}; possible versions: {possible}"
        ),
    );
}

/// Merges `slurmConfiguration`: a structure member by member, a list as a whole; an empty list removes it.
pub(crate) fn merge_configuration(members: &mut Map<String, Value>, input: &Map<String, Value>) {
    let Some(given) = input.get("slurmConfiguration").and_then(Value::as_object) else {
        return;
    };
    let current = members.entry("slurmConfiguration").or_insert_with(|| json!({}));
    let Some(current) = current.as_object_mut() else {
        return;
    };
    for (name, value) in given {
        if value.as_array().is_some_and(Vec::is_empty) {
            current.remove(name);
            continue;
        }
        match (
            current.get_mut(name).and_then(Value::as_object_mut),
            value.as_object(),
        ) {
            (Some(current), Some(given)) => current.extend(given.clone()),
            (Some(_) | None, Some(_) | None) => {
                current.insert(name.clone(), value.clone());
            }
        }
    }
    for feature in ["accounting", "slurmRest"] {
        if let Some(feature) = current.get_mut(feature).and_then(Value::as_object_mut) {
            // An update may leave the mode out; the answer may not, and NONE is its documented default.
            feature.entry("mode").or_insert_with(|| json!("NONE"));
        }
    }
    if current.is_empty() {
        members.remove("slurmConfiguration");
    }
}

/// "You must delete all queues and compute node groups associated with the cluster before you can delete
/// the cluster" (API Reference).
pub(crate) fn delete(
    cx: &Context<'_>,
    region: &mut Region,
    input: &Map<String, Value>,
) -> Result<Value, Error> {
    let cluster = cx.cluster(region, input)?.clone();
    require_settled(&cluster)?;
    let in_the_way: Vec<String> = region
        .children(&cluster.id)
        .map(|child| {
            format!(
                "{} {} ({}, {})",
                child.kind.noun(),
                child.name,
                child.id,
                child.status.name()
            )
        })
        .collect();
    if !in_the_way.is_empty() {
        let all = in_the_way.join(", ");
        let message = format!(
            "The cluster {} ({}) still has {all}; delete them first",
            cluster.name, cluster.id
        );
        return Err(conflict(&cluster, message));
    }
    cx.delete(region, &cluster.id)?;
    Ok(json!({}))
}
