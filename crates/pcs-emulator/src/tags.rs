//! Tags. PCS shows them only through `ListTagsForResource`, never on the resource.

use serde_json::{Map, Value, json};

use crate::context::{Context, not_found, tags_of, text};
use crate::error::{Error, FieldErrors, Subject};
use crate::state::{Kind, Region, Resource};

/// `aws:` keys are AWS's own on every service.
pub(crate) fn check_request(input: &Map<String, Value>, errors: &mut FieldErrors) {
    for key in input
        .get("tags")
        .and_then(Value::as_object)
        .into_iter()
        .flat_map(Map::keys)
    {
        if key.to_ascii_lowercase().starts_with("aws:") {
            errors.push(
                format!("tags.{key}"),
                "tag keys that start with aws: are reserved",
            );
        }
    }
}

fn tagged<'r>(region: &'r Region, input: &Map<String, Value>) -> Result<&'r Resource, Error> {
    let arn = text(input, "resourceArn");
    region.by_arn(arn).ok_or_else(|| not_found(kind_in(arn), arn))
}

/// The kind an ARN's resource part speaks of.
fn kind_in(arn: &str) -> Kind {
    if arn.contains("/computenodegroup/") {
        Kind::ComputeNodeGroup
    } else if arn.contains("/queue/") {
        Kind::Queue
    } else {
        Kind::Cluster
    }
}

pub(crate) fn list(region: &Region, input: &Map<String, Value>) -> Result<Value, Error> {
    Ok(json!({"tags": tagged(region, input)?.tags}))
}

pub(crate) fn tag(cx: &Context<'_>, region: &mut Region, input: &Map<String, Value>) -> Result<Value, Error> {
    let resource = tagged(region, input)?;
    let mut tags = resource.tags.clone();
    tags.extend(tags_of(input));
    let most = cx.model.rules.quotas.tags_per_resource;
    if tags.len() > most {
        let message = format!("A resource can have at most {most} tags");
        return Err(Error::QuotaExceeded {
            message,
            subject: Some(Subject::from(resource)),
        });
    }
    let id = resource.id.clone();
    if let Some(resource) = region.by_id_mut(&id) {
        resource.tags = tags;
    }
    Ok(json!({}))
}

/// Removing a tag that is not there is no error.
pub(crate) fn untag(region: &mut Region, input: &Map<String, Value>) -> Result<Value, Error> {
    let id = tagged(region, input)?.id.clone();
    let keys = input.get("tagKeys").and_then(Value::as_array);
    if let Some(resource) = region.by_id_mut(&id) {
        for key in keys.into_iter().flatten().filter_map(Value::as_str) {
            resource.tags.remove(key);
        }
    }
    Ok(json!({}))
}
