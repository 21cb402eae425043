//! `slurmConfiguration.jobSubmitPlugins` of clusters in an update: AWS does not say whether the list replaces
//! the present one (`Options::plugin_update`).

use serde_json::{Map, Value, json};

use crate::context::Context;
use crate::error::FieldErrors;
use crate::model::Shape;
use crate::options::PluginUpdate;
use crate::state::value_at;

const PLUGINS: [&str; 2] = ["slurmConfiguration", "jobSubmitPlugins"];

/// The request with the list that the cluster is to have in the place of the one that was given.
pub(crate) fn resolve(
    cx: &Context<'_>,
    current: &Map<String, Value>,
    input: &Map<String, Value>,
    errors: &mut FieldErrors,
) -> Map<String, Value> {
    let mut resolved = input.clone();
    let Some(given) = list(input).filter(|_| cx.options.plugin_update == PluginUpdate::Merge) else {
        return resolved;
    };
    let merged = merge(list(current).unwrap_or_default(), given);
    if let Some(most) = most(cx).filter(|most| merged.len() > *most) {
        let names: Vec<&str> = merged.iter().map(name).collect();
        let message = format!("the cluster would have {}; at most {most}", names.join(" and "));
        errors.push(PLUGINS.join("."), message);
    }
    let [configuration, plugins] = PLUGINS;
    if let Some(configuration) = resolved.get_mut(configuration).and_then(Value::as_object_mut) {
        configuration.insert(plugins.to_owned(), json!(merged));
    }
    resolved
}

/// A plugin of the same name is replaced where it stands, others are added.
fn merge(current: &[Value], given: &[Value]) -> Vec<Value> {
    let mut merged = current.to_vec();
    for plugin in given {
        match merged.iter_mut().find(|present| name(present) == name(plugin)) {
            Some(present) => *present = plugin.clone(),
            None => merged.push(plugin.clone()),
        }
    }
    merged
}

fn list(members: &Map<String, Value>) -> Option<&[Value]> {
    value_at(members, &PLUGINS)?.as_array().map(Vec::as_slice)
}

fn name(plugin: &Value) -> &str {
    plugin.get("name").and_then(Value::as_str).unwrap_or_default()
}

/// How many plugins a cluster may have.
fn most(cx: &Context<'_>) -> Option<usize> {
    match cx.model.shape("JobSubmitPluginList")? {
        Shape::List { size, .. } => usize::try_from(size.max?).ok(),
        Shape::Structure { .. }
        | Shape::Map { .. }
        | Shape::String { .. }
        | Shape::Integer { .. }
        | Shape::Long { .. }
        | Shape::Boolean
        | Shape::Timestamp => None,
    }
}
