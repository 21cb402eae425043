//! `gresCustomSettings`: records of `gres.conf`, checked one by one, against each other, and against the
//! `Gres` setting that makes them schedulable (User Guide, gres-custom-settings).

use serde_json::{Map, Value};

use crate::error::FieldErrors;
use crate::model::Model;
use crate::settings::{is_at_least, needs_version};

const RECORDS: &str = "gresCustomSettings";

/// Checks the records of a compute node group's `slurmConfiguration`, and its `Gres` settings with them.
pub(crate) fn check(
    model: &Model,
    configuration: &Map<String, Value>,
    version: &str,
    errors: &mut FieldErrors,
) {
    let records: Vec<&Map<String, Value>> = configuration
        .get(RECORDS)
        .and_then(Value::as_array)
        .map(|records| records.iter().filter_map(Value::as_object).collect())
        .unwrap_or_default();
    let mut gpu_records = 0;
    for (i, record) in records.iter().enumerate() {
        let at = format!("slurmConfiguration.{RECORDS}[{i}]");
        check_attributes(model, record, version, &at, errors);
        check_record(record, &at, errors);
        gpu_records += usize::from(is_gpu_record(record));
        if gpu_records > 1 && is_gpu_record(record) {
            errors.push(at, "a compute node group can have at most one GPU record");
        }
    }
    let settings = configuration.get("slurmCustomSettings").and_then(Value::as_array);
    for (i, setting) in settings.into_iter().flatten().enumerate() {
        if setting.get("parameterName").and_then(Value::as_str) == Some("Gres") {
            let value = setting
                .get("parameterValue")
                .and_then(Value::as_str)
                .unwrap_or_default();
            let at = format!("slurmConfiguration.slurmCustomSettings[{i}].parameterValue");
            for entry in value.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
                if let Err(message) = check_entry(entry, &records) {
                    errors.push(&at, message);
                }
            }
        }
    }
}

fn check_attributes(
    model: &Model,
    record: &Map<String, Value>,
    version: &str,
    at: &str,
    errors: &mut FieldErrors,
) {
    let Some(rules) = model.rules.settings.get("computeNodeGroup.gresCustomSettings") else {
        return;
    };
    for name in record.keys() {
        let at = format!("{at}.{name}");
        if !rules.allowed.contains(name) {
            errors.push(at, format!("{name} is not a supported gres.conf attribute"));
        } else if let Some(since) = rules.since.get(name).filter(|since| !is_at_least(version, since)) {
            errors.push(at, needs_version(name, since, version));
        }
    }
}

fn check_record(record: &Map<String, Value>, at: &str, errors: &mut FieldErrors) {
    if attribute(record, "Name").is_none() && !detects(record) {
        errors.push(at, "must declare a Name or an active AutoDetect value");
    }
    let has_files = record.contains_key("File") || record.contains_key("MultipleFiles");
    if attribute(record, "Name") == Some("gpu") && !has_files && !detects(record) {
        errors.push(
            at,
            "a GPU record must specify File or MultipleFiles unless AutoDetect is active",
        );
    }
}

/// One `name[:type]:count` of the `Gres` setting against the records.
fn check_entry(entry: &str, records: &[&Map<String, Value>]) -> Result<(), String> {
    let (name, kind, count) = parts(entry)?;
    let of_name: Vec<&&Map<String, Value>> = records
        .iter()
        .filter(|r| attribute(r, "Name") == Some(name) || (name == "gpu" && is_gpu_record(r)))
        .collect();
    if of_name.is_empty() {
        return Err(format!("{entry}: no record of {RECORDS} declares {name}"));
    }
    let types: Vec<&str> = of_name.iter().filter_map(|r| attribute(r, "Type")).collect();
    if let Some(kind) = kind.filter(|kind| name == "gpu" && !types.is_empty() && !types.contains(kind)) {
        return Err(format!(
            "{entry}: the GPU record declares type {}, not {kind}",
            types.join(", ")
        ));
    }
    // Shared resources are not counted, and what AutoDetect finds cannot be.
    let declared: Option<u64> = of_name.iter().map(|r| declared_count(r)).sum();
    match declared.filter(|declared| !matches!(name, "mps" | "shard") && count > *declared) {
        Some(declared) => Err(format!(
            "{entry}: the records of {RECORDS} declare only {declared} {name}"
        )),
        None => Ok(()),
    }
}

/// `gpu`, `gpu:2` or `gpu:a100:2`; without a count it is one.
fn parts(entry: &str) -> Result<(&str, Option<&str>, u64), String> {
    let bad = || format!("{entry} is not of the form name[:type]:count");
    let fields: Vec<&str> = entry.split(':').collect();
    match fields.as_slice() {
        [name] => Ok((name, None, 1)),
        [name, last] => match last.parse() {
            Ok(count) => Ok((name, None, count)),
            Err(_) => Ok((name, Some(last), 1)),
        },
        [name, kind, count] => Ok((name, Some(kind), count.parse().map_err(|_| bad())?)),
        _ => Err(bad()),
    }
}

/// How many devices a record declares; `None` when it cannot be told before the node boots.
fn declared_count(record: &Map<String, Value>) -> Option<u64> {
    if let Some(count) = attribute(record, "Count") {
        return count.parse().ok();
    }
    match attribute(record, "File").or_else(|| attribute(record, "MultipleFiles")) {
        Some(files) => Some(file_count(files)),
        None if detects(record) => None,
        None => Some(1),
    }
}

/// `/dev/nvidia[0-3,6]` is five files.
fn file_count(files: &str) -> u64 {
    let Some((_, rest)) = files.split_once('[') else {
        return u64::try_from(files.split(',').count()).unwrap_or(u64::MAX);
    };
    let inside = rest.split_once(']').map_or(rest, |(inside, _)| inside);
    let ranges = inside.split(',').map(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        match (first.trim().parse::<u64>(), last.trim().parse::<u64>()) {
            (Ok(first), Ok(last)) => last.saturating_sub(first).saturating_add(1),
            (Ok(_) | Err(_), Ok(_) | Err(_)) => 1,
        }
    });
    ranges.fold(0, u64::saturating_add)
}

fn attribute<'a>(record: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    record.get(name).and_then(Value::as_str)
}

/// A value that turns detection on.
fn detects(record: &Map<String, Value>) -> bool {
    attribute(record, "AutoDetect").is_some_and(|value| !value.eq_ignore_ascii_case("off"))
}

fn is_gpu_record(record: &Map<String, Value>) -> bool {
    attribute(record, "Name") == Some("gpu") || record.contains_key("AutoDetect")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::check;
    use crate::error::FieldErrors;
    use crate::model::Model;

    fn wrong(records: &Value, gres: &str) -> usize {
        let mut configuration = json!({"gresCustomSettings": records});
        if !gres.is_empty() {
            configuration["slurmCustomSettings"] = json!([{"parameterName": "Gres", "parameterValue": gres}]);
        }
        let mut errors = FieldErrors::default();
        check(
            &Model::embedded().unwrap(),
            configuration.as_object().unwrap(),
            "25.11",
            &mut errors,
        );
        errors.0.len()
    }

    /// The cases are the sentences of the User Guide's page on GRES settings.
    #[test]
    fn records_follow_the_user_guide() {
        let a100 = json!({"Name": "gpu", "Type": "a100", "File": "/dev/nvidia[0-7]"});
        assert_eq!(wrong(&json!([a100]), ""), 0);
        assert_eq!(
            wrong(&json!([{"Type": "a100"}]), ""),
            1,
            "neither Name nor AutoDetect"
        );
        assert_eq!(
            wrong(&json!([{"AutoDetect": "off"}]), ""),
            1,
            "off cannot stand alone"
        );
        assert_eq!(wrong(&json!([{"AutoDetect": "nvml"}]), ""), 0);
        assert_eq!(wrong(&json!([{"Name": "gpu"}]), ""), 1, "no File");
        assert_eq!(
            wrong(&json!([a100, {"AutoDetect": "nvml"}]), ""),
            1,
            "two GPU records"
        );
        assert_eq!(
            wrong(&json!([{"Name": "fpga", "NodeName": "n1"}]), ""),
            1,
            "unsupported attribute"
        );
    }

    #[test]
    fn the_gres_setting_agrees_with_the_records() {
        let a100 = json!([{"Name": "gpu", "Type": "a100", "File": "/dev/nvidia[0-7]"}]);
        assert_eq!(wrong(&a100, "gpu:a100:8"), 0);
        assert_eq!(wrong(&a100, "gpu:4"), 0, "fewer is allowed");
        assert_eq!(wrong(&a100, "gpu:9"), 1, "more is not");
        assert_eq!(wrong(&a100, "gpu:h100:8"), 1, "another type");
        assert_eq!(wrong(&json!([]), "gpu:0"), 1, "no GPU record, even for none");
        assert_eq!(
            wrong(&json!([{"AutoDetect": "nvml"}]), "gpu:1g.5gb:7"),
            0,
            "discovered at boot"
        );
        assert_eq!(
            wrong(&json!([{"Name": "mps", "Count": "1"}]), "mps:100"),
            0,
            "shared is not counted"
        );
    }
}
