//! `resourceArn`: what its pattern cannot say. PCS would only answer that it does not find the ARN of another Region,
//! account or partition; what stands in it tells more.

use serde_json::{Map, Value};

use crate::{
    config::{Config, Regions},
    error::FieldError,
};

const NAME: &str = "resourceArn";

/// Adds to `errors` why the resource cannot be among those that a request for `region` reaches.
pub fn check(input: &Map<String, Value>, region: &str, config: &Config, errors: &mut Vec<FieldError>) {
    if errors.iter().any(|error| error.path == NAME) {
        return;
    }
    let Some(arn) = input.get(NAME).and_then(Value::as_str) else {
        return;
    };
    let mut parts = arn.splitn(6, ':').skip(1);
    let mut next = || parts.next().unwrap_or_default();
    let (partition, service, named, account) = (next(), next(), next(), next());
    if service != "pcs" {
        let message = "must be the ARN of a PCS cluster, compute node group or queue";
        return errors.push(FieldError::new(NAME, message));
    }
    let own = &config.deployment;
    let mut refuse = |message: String| errors.push(FieldError::new(NAME, message));
    if partition != own.partition {
        refuse(format!(
            "is of the partition {}; this API reaches {}",
            shown(partition),
            own.partition
        ));
    }
    if account != own.account_id {
        refuse(format!(
            "is of the account {}; this API reaches {}",
            shown(account),
            own.account_id
        ));
    }
    if named != region {
        refuse(other_region(named, region, &config.regions));
    }
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
