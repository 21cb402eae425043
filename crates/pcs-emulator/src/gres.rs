//! `gresCustomSettings`: records of `gres.conf`, checked one by one, against each other, and against the
//! `Gres` setting that makes them schedulable (User Guide, gres-custom-settings).

use serde_json::{Map, Value};

use crate::error::FieldErrors;
use crate::model::Model;
use crate::setting_values::{digits, is_cpu_list};
use crate::settings::{is_at_least, listed, needs_version};

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
            for message in entry_faults(value, &records) {
                errors.push(&at, message);
            }
        }
    }
}

/// What is wrong with the entries of a `Gres` setting, each by itself and with those before it.
fn entry_faults(value: &str, records: &[&Map<String, Value>]) -> Vec<String> {
    let mut faults = Vec::new();
    let mut before: Vec<Entry<'_>> = Vec::new();
    for text in value.split(',').map(str::trim).filter(|text| !text.is_empty()) {
        match Entry::read(text) {
            Some(entry) => {
                faults.extend(entry.fault(text, &before, records));
                before.push(entry);
            }
            None => faults.push(format!(
                "{text} is not of the form name[:type][:no_consume]:count[K|M|G|T|P]"
            )),
        }
    }
    faults
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
    for (name, value) in record {
        let at = format!("{at}.{name}");
        let value = value.as_str().unwrap_or_default();
        if !rules.allowed.contains(name) {
            errors.push(at, format!("{name} is not a supported gres.conf attribute"));
        } else if let Some(since) = rules.since.get(name).filter(|since| !is_at_least(version, since)) {
            errors.push(at, needs_version(name, since, version));
        } else if let Some(fault) = rules.values.get(name).and_then(|kind| kind.fault(value)) {
            errors.push(at, format!("{name} {fault}"));
        } else if let Some(words) = rules
            .options
            .get(name)
            .filter(|words| !words.contains(&value.to_ascii_lowercase()))
        {
            errors.push(at, format!("{value} is not one of {}", listed(words)));
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
    if record.contains_key("File") && record.contains_key("MultipleFiles") {
        errors.push(at, "File and MultipleFiles are mutually exclusive");
    }
    if let Some(cores) = attribute(record, "Cores").filter(|cores| !is_cpu_list(cores)) {
        errors.push(
            format!("{at}.Cores"),
            format!("{cores} is not a list of cores like 0,1 or 0-3,8"),
        );
    }
    if let Some(count) = attribute(record, "Count") {
        check_count(record, count, at, errors);
    }
}

/// A number, and that of the files where there are any and nothing shares them.
fn check_count(record: &Map<String, Value>, count: &str, at: &str, errors: &mut FieldErrors) {
    let at = format!("{at}.Count");
    let is_shared = matches!(attribute(record, "Name"), Some("mps" | "shard"));
    let files = attribute(record, "File").map(file_count).filter(|_| !is_shared);
    match (gres_count(count), files) {
        (None, _) => errors.push(
            at,
            format!("{count} is not a number, with K, M, G, T or P after it or not"),
        ),
        (Some(number), Some(files)) if number != files => {
            errors.push(at, format!("Count is {number}, and File names {files}"));
        }
        (Some(_), _) => {}
    }
}

/// One `name[:type][:no_consume]:count[K|M|G|T|P]` of the `Gres` setting (slurm.conf(5)).
struct Entry<'a> {
    name: &'a str,
    kind: Option<&'a str>,
    count: u64,
}

impl<'a> Entry<'a> {
    /// As Slurm reads it (`_get_gres_cnt`): what begins with a digit at the end is the count, and without one it is one;
    /// `no_consume` stands where a type may.
    fn read(text: &'a str) -> Option<Entry<'a>> {
        let mut fields: Vec<&str> = text.split(':').collect();
        let name = fields.remove(0);
        let counted = fields
            .last()
            .is_some_and(|last| last.starts_with(|char: char| char.is_ascii_digit()));
        let count = if counted { gres_count(fields.pop()?)? } else { 1 };
        let (consume, kinds): (Vec<&str>, Vec<&str>) = fields
            .into_iter()
            .partition(|field| field.eq_ignore_ascii_case("no_consume"));
        let is_word = |word: &str| {
            let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
            word.starts_with(|char: char| char.is_ascii_alphanumeric()) && word.bytes().all(is_letter)
        };
        let is_entry =
            is_word(name) && consume.len() <= 1 && kinds.len() <= 1 && kinds.iter().all(|kind| is_word(kind));
        is_entry.then(|| Entry {
            name,
            kind: kinds.first().copied(),
            count,
        })
    }

    /// What is wrong with it beside the records and the entries before it.
    fn fault(&self, text: &str, before: &[Entry<'_>], records: &[&Map<String, Value>]) -> Option<String> {
        let name = self.name;
        let of_name: Vec<&&Map<String, Value>> = records
            .iter()
            .filter(|r| attribute(r, "Name") == Some(name) || (name == "gpu" && is_gpu_record(r)))
            .collect();
        if of_name.is_empty() {
            return Some(format!("{text}: no record of {RECORDS} declares {name}"));
        }
        let types: Vec<&str> = of_name.iter().filter_map(|r| attribute(r, "Type")).collect();
        if let Some(kind) = self
            .kind
            .filter(|kind| name == "gpu" && !types.is_empty() && !types.contains(kind))
        {
            return Some(format!(
                "{text}: the GPU record declares type {}, not {kind}",
                types.join(", ")
            ));
        }
        let mut same = before.iter().filter(|entry| entry.name == name).peekable();
        if same
            .peek()
            .is_some_and(|other| other.kind.is_some() != self.kind.is_some())
        {
            return Some(format!(
                "{text}: {name} has entries with a type and entries without one"
            ));
        }
        // Shared resources are not counted, and what AutoDetect finds cannot be.
        let declared: Option<u64> = of_name
            .iter()
            .map(|r| declared_count(r))
            .try_fold(0, |sum: u64, count| Some(sum.saturating_add(count?)));
        let wanted = same.fold(self.count, |sum, entry| sum.saturating_add(entry.count));
        let declared = declared.filter(|declared| !matches!(name, "mps" | "shard") && wanted > *declared)?;
        Some(format!(
            "{text}: the records of {RECORDS} declare only {declared} {name}"
        ))
    }
}

/// A number with one of Slurm's suffixes (`suffix_mult`), in any case: `4G` and `4GiB` are by 1,024, `4GB` by 1,000.
fn gres_count(text: &str) -> Option<u64> {
    let end = text
        .find(|char: char| !char.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let suffix = suffix.to_ascii_lowercase();
    let mut letters = suffix.chars();
    let power = match letters.next() {
        None => 0,
        Some(letter) => 1 + u32::try_from("kmgtp".find(letter)?).ok()?,
    };
    let base: u64 = match letters.as_str() {
        "" | "ib" => 1_024,
        "b" => 1_000,
        _ => return None,
    };
    digits(number)?.checked_mul(base.checked_pow(power)?)
}

/// How many devices a record declares; `None` when it cannot be told before the node boots.
fn declared_count(record: &Map<String, Value>) -> Option<u64> {
    if let Some(count) = attribute(record, "Count") {
        return gres_count(count);
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

    /// Every form of slurm.conf(5): `name[:type][:no_consume]:count[K|M|G|T|P]`.
    #[test]
    fn gres_entries_have_all_forms_of_slurm() {
        let lustre = json!([{"Name": "bandwidth", "Type": "lustre", "Count": "4G", "Flags": "CountOnly"}]);
        for entry in [
            "bandwidth:lustre:4G",
            "bandwidth:lustre:no_consume:4G",
            "bandwidth:no_consume:4G",
            "bandwidth:lustre:NO_CONSUME:4g",
            "bandwidth:no_consume:lustre:4096M",
            "bandwidth:4194304K",
            "bandwidth:4GiB",
            "bandwidth:4GB",
            "bandwidth:4294967296",
            "bandwidth:lustre",
            "bandwidth:no_consume",
            "bandwidth",
            "bandwidth:lustre:0",
            "bandwidth:lustre:2G,bandwidth:other:2G",
        ] {
            assert_eq!(wrong(&lustre, entry), 0, "{entry}");
        }
        for entry in [
            "bandwidth:lustre:5G",
            "bandwidth:lustre:1T",
            "bandwidth:lustre:4Q",
            "bandwidth:lustre:4Gx",
            "bandwidth:lustre:4.5G",
            "bandwidth:lustre:-1",
            "bandwidth:lustre:99999999999999999999",
            "bandwidth:lustre:16384P",
            "bandwidth:lustre:other:4",
            "bandwidth:no_consume:no_consume:4",
            "bandwidth::4",
            "bandwidth:lustre:",
            ":lustre:4",
            ":",
            "bandwidth:lustre:2G,bandwidth:other:3G",
            "bandwidth:lustre:1G,bandwidth:1G",
            "bandwidth:lustre:4G:no_consume:1G",
            "storage:lustre:4G",
        ] {
            assert_eq!(wrong(&lustre, entry), 1, "{entry}");
        }
        let petabytes = json!([{"Name": "storage", "Count": "16383P"}]);
        assert_eq!(wrong(&petabytes, "storage:16383P"), 0);
        let gpus = json!([{"Name": "gpu", "File": "/dev/nvidia[0-3]"}, {"Name": "bandwidth", "Count": "4G"}]);
        assert_eq!(
            wrong(&gpus, "gpu:tesla:2,gpu:kepler:2, bandwidth:lustre:no_consume:4G"),
            0
        );
    }

    #[test]
    fn numbers_of_records_are_numbers() {
        for (record, expected) in [
            (json!({"Name": "fpga", "Count": "2"}), 0),
            (json!({"Name": "fpga", "Count": "some"}), 1),
            (json!({"Name": "fpga", "Count": "-1"}), 1),
            (json!({"Name": "fpga", "Count": "16384P"}), 1),
            (
                json!({"Name": "gpu", "Count": "8", "File": "/dev/nvidia[0-7]"}),
                0,
            ),
            (
                json!({"Name": "gpu", "Count": "7", "File": "/dev/nvidia[0-7]"}),
                1,
            ),
            (json!({"Name": "mps", "Count": "100", "File": "/dev/nvidia0"}), 0),
            (json!({"Name": "gpu", "Cores": "0-15", "File": "/dev/nvidia0"}), 0),
            (json!({"Name": "gpu", "Cores": "all", "File": "/dev/nvidia0"}), 1),
            (
                json!({"Name": "gpu", "Links": "-1,16", "File": "/dev/nvidia0"}),
                0,
            ),
            (json!({"Name": "gpu", "Links": "all", "File": "/dev/nvidia0"}), 1),
            (json!({"AutoDetect": "NVML"}), 0),
            (json!({"AutoDetect": "magic"}), 1),
            (
                json!({"Name": "gpu", "File": "/dev/nvidia0", "MultipleFiles": "/dev/nvidia0"}),
                1,
            ),
        ] {
            assert_eq!(wrong(&json!([record]), ""), expected, "{record}");
        }
    }
}
