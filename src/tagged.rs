//! `resourceArn`: what its schema cannot say. PCS would only answer that it does not find the ARN of another Region,
//! account or partition; what stands in it tells more. Of `tagKeys` nothing is to say here: PCS takes every key of 1 to
//! 128 characters, so that one which no tag should have may be there and must be removable.

use serde_json::{Map, Value};

use crate::{
    config::{Config, Regions},
    error::FieldError,
};

const ARN: &str = "resourceArn";

/// Adds to `errors` why the resource cannot be among those that a request for `region` reaches; `None` where the request
/// names none that it can.
pub fn check(
    input: &Map<String, Value>,
    region: Option<&str>,
    config: &Config,
    errors: &mut Vec<FieldError>,
) {
    let is_told = || errors.iter().any(|error| error.path.starts_with(ARN));
    if let Some(arn) = input.get(ARN).and_then(Value::as_str)
        && !is_told()
    {
        check_arn(arn, region, config, errors);
    }
}

fn check_arn(arn: &str, region: Option<&str>, config: &Config, errors: &mut Vec<FieldError>) {
    let mut parts = arn.splitn(6, ':').skip(1);
    let mut next = || parts.next().unwrap_or_default();
    let (partition, service, named, account, resource) = (next(), next(), next(), next(), next());
    let kinds = kinds_of(resource);
    if service != "pcs" || kinds.is_none() || [partition, named, account].contains(&"") {
        let message = "must be the ARN of a PCS cluster, compute node group or queue: \
                       arn:PARTITION:pcs:REGION:ACCOUNT:cluster/ID, with /computenodegroup/ID or /queue/ID behind it";
        return errors.push(FieldError::new(ARN, message));
    }
    if kinds.is_some_and(|ids| !ids.into_iter().flatten().all(is_id)) {
        let message =
            "must have ids (pcs_...), not names; the answers of List and Get operations have the ARN";
        errors.push(FieldError::new(ARN, message));
    }
    let own = &config.deployment;
    let mut refuse = |message: String, recorded: &'static str| {
        errors.push(FieldError::new(ARN, message).recorded_as(recorded));
    };
    if partition != own.partition {
        let message = format!(
            "is of the partition {}; this API reaches {}",
            shown(partition),
            own.partition
        );
        refuse(message, "is of a partition that this API does not reach");
    }
    if account != own.account_id {
        let message = format!(
            "is of the account {}; this API reaches {}",
            shown(account),
            own.account_id
        );
        refuse(message, "is of an account that this API does not reach");
    }
    // A Region that cannot be named is told as that.
    if let Some(region) = region.filter(|region| *region != named) {
        refuse(
            other_region(named, region, &config.regions),
            "is of another Region than the request",
        );
    }
}

/// What stands for the ids in `cluster/ID`, `cluster/ID/computenodegroup/ID` and `cluster/ID/queue/ID`.
fn kinds_of(resource: &str) -> Option<[Option<&str>; 2]> {
    let mut segments = resource.split('/');
    let mut next = || segments.next();
    match [next(), next(), next(), next(), next()] {
        [Some("cluster"), Some(cluster), None, None, None] => Some([Some(cluster), None]),
        [
            Some("cluster"),
            Some(cluster),
            Some("computenodegroup" | "queue"),
            Some(inner),
            None,
        ] => Some([Some(cluster), Some(inner)]),
        _ => None,
    }
}

fn is_id(text: &str) -> bool {
    text.strip_prefix("pcs_").is_some_and(|rest| !rest.is_empty())
}

fn other_region(named: &str, region: &str, regions: &Regions) -> String {
    if regions.allows(named) {
        format!("is of the Region {named}, and the request is for {region}; send it with `region={named}`")
    } else {
        format!(
            "is of the Region {}, which this API does not reach; the request is for {region}",
            shown(named)
        )
    }
}

/// Of a caller's text as much as any such name has.
fn shown(text: &str) -> String {
    text.chars().take(32).collect()
}
