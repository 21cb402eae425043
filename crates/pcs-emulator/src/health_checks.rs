//! `instanceHealthChecks` of compute node groups: what the API model's text asks for and its shapes do not.

use serde_json::{Map, Value};

use crate::error::FieldErrors;
use crate::model::Model;
use crate::settings::{is_at_least, needs_version};
use crate::state::{text_at, value_at};

const CHECKS: &str = "instanceHealthChecks";
const ON_START: [&str; 3] = [CHECKS, "deepHealthChecks", "onStart"];

/// What Create- and `UpdateComputeNodeGroup` must satisfy alike; needs no state.
pub(crate) fn check_request(input: &Map<String, Value>, errors: &mut FieldErrors) {
    refuse_empty(
        input,
        &[CHECKS],
        "specify healthMonitoring, deepHealthChecks, or both",
        errors,
    );
    refuse_empty(input, &[CHECKS, "deepHealthChecks"], "specify onStart", errors);
    check_switch(input, &[CHECKS, "healthMonitoring"], "mode", errors);
    check_switch(input, &ON_START, "profile", errors);
}

/// "You can't specify an empty object ({})".
fn refuse_empty(input: &Map<String, Value>, path: &[&str], instead: &str, errors: &mut FieldErrors) -> bool {
    let is_empty = value_at(input, path)
        .and_then(Value::as_object)
        .is_some_and(Map::is_empty);
    if is_empty {
        errors.push(path.join("."), format!("can't be an empty object; {instead}"));
    }
    is_empty
}

/// A check that the member `switch` turns on or, with NONE, off: `switch` has no default, and a check that is
/// off repairs nothing.
fn check_switch(input: &Map<String, Value>, path: &[&str], switch: &str, errors: &mut FieldErrors) {
    let Some(check) = value_at(input, path).and_then(Value::as_object) else {
        return;
    };
    if refuse_empty(input, path, &format!("specify {switch}"), errors) {
        return;
    }
    let at = path.join(".");
    match text_at(check, &[switch]) {
        None => {
            let part = path.last().copied().unwrap_or_default();
            errors.push(
                format!("{at}.{switch}"),
                format!("is required when you specify {part}"),
            );
        }
        Some("NONE") if check.contains_key("repairAction") => errors.push(
            format!("{at}.repairAction"),
            format!("can't be specified when {switch} is NONE"),
        ),
        Some(_) => {}
    }
}

/// The checks of a group in its cluster, as it would be after the call.
pub(crate) fn check_in_cluster(
    model: &Model,
    after: &Map<String, Value>,
    version: &str,
    errors: &mut FieldErrors,
) {
    if !after.contains_key(CHECKS) {
        return;
    }
    let since = &model.rules.features.instance_health_checks;
    if !is_at_least(version, since) {
        errors.push(CHECKS, needs_version(CHECKS, since, version));
    }
    let profile = value_at(after, &ON_START).and_then(|on_start| on_start.get("profile")?.as_str());
    let without = types_without_nvidia_gpus(model, after);
    if profile.is_some_and(|profile| profile != "NONE") && !without.is_empty() {
        errors.push(
            format!("{}.profile", ON_START.join(".")),
            format!(
                "a profile other than NONE requires instance types with NVIDIA GPUs; these have none: {}",
                without.join(", ")
            ),
        );
    }
}

/// The group's instance types outside the families that EC2's guide gives NVIDIA GPUs (`nvidiaFamilies` in
/// `rules.json`).
fn types_without_nvidia_gpus<'a>(model: &Model, group: &'a Map<String, Value>) -> Vec<&'a str> {
    let configs = group.get("instanceConfigs").and_then(Value::as_array);
    let types = configs
        .into_iter()
        .flatten()
        .filter_map(|config| config.get("instanceType")?.as_str());
    types
        .filter(|name| {
            let family = name.split_once('.').map_or(*name, |(family, _)| family);
            !model.rules.nvidia_families.contains(family)
        })
        .collect()
}
