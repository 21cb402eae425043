//! Custom Slurm, `SlurmDBD` and cgroup settings: PCS takes only what its allow-lists name, and checks each
//! setting, its context and its scheduler version before it does anything (User Guide,
//! slurm-custom-settings "Validation and error handling").

use serde_json::{Map, Value};

use crate::error::FieldErrors;
use crate::model::{Model, SettingRules};
use crate::setting_values::digits;

/// What a setting is checked against.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Surroundings<'a> {
    /// `24.11`
    pub(crate) version: &'a str,
    /// Whether the cluster's accounting is on.
    pub(crate) accounting: bool,
}

/// Checks `slurmConfiguration.<list>` of a resource against the rules of `scope.<list>`.
pub(crate) fn check(
    model: &Model,
    scope: &str,
    list: &str,
    configuration: &Map<String, Value>,
    around: Surroundings<'_>,
    errors: &mut FieldErrors,
) {
    let Some(rules) = model.rules.settings.get(&format!("{scope}.{list}")) else {
        return;
    };
    let settings = settings_of(configuration, list);
    for (i, (name, value)) in settings.iter().copied().enumerate() {
        let path = format!("slurmConfiguration.{list}[{i}]");
        check_together(rules, &path, (name, value), &settings, errors);
        if rules.allowed.contains(name) {
            check_setting(rules, &path, name, value, around, errors);
        } else if !name.is_empty() {
            errors.push(
                format!("{path}.parameterName"),
                format!(
                    "{name} is not supported here; supported parameters: {}",
                    listed(&rules.allowed)
                ),
            );
        }
    }
}

/// Names and values of a list.
fn settings_of<'a>(configuration: &'a Map<String, Value>, list: &str) -> Vec<(&'a str, &'a str)> {
    let settings = configuration.get(list).and_then(Value::as_array);
    let settings = settings.into_iter().flatten().map(|setting| {
        let text = |name| setting.get(name).and_then(Value::as_str).unwrap_or_default();
        (text("parameterName"), text("parameterValue"))
    });
    settings.collect()
}

/// "Mutually exclusive options aren't set together and interdependent settings are configured correctly."
fn check_together(
    rules: &SettingRules,
    path: &str,
    (name, value): (&str, &str),
    settings: &[(&str, &str)],
    errors: &mut FieldErrors,
) {
    let at_value = format!("{path}.parameterValue");
    let other = |wanted: &str| {
        settings
            .iter()
            .find(|(name, _)| *name == wanted)
            .map(|(_, value)| *value)
    };
    let has = |option: &str| {
        value
            .split(',')
            .any(|given| given.trim().eq_ignore_ascii_case(option))
    };
    for (option, needed) in rules.option_needs.get(name).into_iter().flatten() {
        if has(option) && other(needed).is_none() {
            errors.push(&at_value, format!("{name}={option} needs {needed} to be set too"));
        }
    }
    for options in rules.exclusive_options.get(name).into_iter().flatten() {
        if options.iter().filter(|option| has(option)).count() > 1 {
            errors.push(&at_value, format!("{name} takes one of {} only", listed(options)));
        }
    }
    let pair = rules
        .below
        .get(name)
        .and_then(|above| Some((above, other(above)?)));
    if let Some((above, limit)) = pair
        && let (Some(value), Some(limit)) = (digits(value), digits(limit))
        && value >= limit
    {
        errors.push(
            &at_value,
            format!("{name} must be less than {above}, which is {limit}"),
        );
    }
}

fn check_setting(
    rules: &SettingRules,
    path: &str,
    name: &str,
    value: &str,
    around: Surroundings<'_>,
    errors: &mut FieldErrors,
) {
    let at_name = format!("{path}.parameterName");
    let at_value = format!("{path}.parameterValue");
    if let Some(since) = rules
        .since
        .get(name)
        .filter(|since| !is_at_least(around.version, since))
    {
        errors.push(&at_name, setting_needs_version(name, since));
    }
    if rules.needs_accounting.contains(name) && !around.accounting {
        errors.push(
            &at_name,
            format!("{name} needs slurmConfiguration.accounting.mode STANDARD"),
        );
    }
    let minimum = rules.minimum.get(name);
    if let Some(minimum) =
        minimum.filter(|minimum| value.parse::<i64>().map_or(true, |number| number < **minimum))
    {
        errors.push(
            &at_value,
            format!("{name} must be an integer of at least {minimum}"),
        );
    } else if let Some(fault) = rules.values.get(name).and_then(|kind| kind.fault(value)) {
        errors.push(&at_value, format!("{name} {fault}"));
    }
    for option in value.split(',').map(str::trim) {
        if let Some(options) = rules.options.get(name)
            && !options.contains(&option.to_ascii_lowercase())
        {
            errors.push(&at_value, format!("{option} is not one of {}", listed(options)));
        }
        let since = rules.options_since.get(name).and_then(|options| {
            options
                .iter()
                .find(|(known, _)| known.eq_ignore_ascii_case(option))
        });
        if let Some((_, since)) = since.filter(|(_, since)| !is_at_least(around.version, since)) {
            errors.push(
                &at_value,
                setting_needs_version(&format!("{name}={option}"), since),
            );
        }
    }
}

/// PCS's own words for a setting that a cluster's scheduler is too old for. Those about one value of a
/// setting are not known: they name it as `Name=value` here.
fn setting_needs_version(setting: &str, since: &str) -> String {
    format!("Slurm custom settings parameter {setting} is only supported for Slurm version {since} or later")
}

/// The message for a feature that a cluster's scheduler is too old for.
pub(crate) fn needs_version(feature: &str, since: &str, version: &str) -> String {
    format!("{feature} needs scheduler version {since} or later; the cluster's is {version}")
}

/// Slurm versions are `YY.MM`, so they order as pairs of numbers.
pub(crate) fn is_at_least(version: &str, since: &str) -> bool {
    parts(version) >= parts(since)
}

fn parts(version: &str) -> Option<(u16, u16)> {
    let (year, month) = version.split_once('.')?;
    Some((year.parse().ok()?, month.parse().ok()?))
}

pub(crate) fn listed<'a>(names: impl IntoIterator<Item = &'a String>) -> String {
    names
        .into_iter()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Surroundings, check};
    use crate::error::FieldErrors;
    use crate::model::Model;

    fn wrong(scope: &str, settings: &[(&str, &str)], version: &str, accounting: bool) -> Vec<String> {
        let model = Model::embedded().unwrap();
        let list: Vec<Value> = settings
            .iter()
            .map(|(n, v)| json!({"parameterName": n, "parameterValue": v}))
            .collect();
        let configuration = json!({"slurmCustomSettings": list});
        let mut errors = FieldErrors::default();
        let around = Surroundings { version, accounting };
        let configuration = configuration.as_object().unwrap();
        check(
            &model,
            scope,
            "slurmCustomSettings",
            configuration,
            around,
            &mut errors,
        );
        errors
            .0
            .into_iter()
            .map(|e| e.name.replace("slurmConfiguration.slurmCustomSettings", ""))
            .collect()
    }

    #[test]
    fn each_scope_has_its_own_allow_list() {
        assert!(wrong("cluster", &[("Prolog", "/p.sh")], "25.05", false).is_empty());
        assert_eq!(
            wrong("queue", &[("Prolog", "/p.sh")], "25.05", false),
            ["[0].parameterName"]
        );
        assert_eq!(
            wrong("cluster", &[("prolog", "/p.sh")], "25.05", false),
            ["[0].parameterName"]
        );
        assert!(wrong("queue", &[("MaxTime", "10")], "25.05", false).is_empty());
    }

    #[test]
    fn values_are_checked_where_the_guide_says_so() {
        assert_eq!(
            wrong("cluster", &[("MinJobAge", "4")], "25.05", false),
            ["[0].parameterValue"]
        );
        assert!(wrong("cluster", &[("MinJobAge", "5")], "25.05", false).is_empty());
        let enforce = |v| wrong("cluster", &[("AccountingStorageEnforce", v)], "25.05", true);
        assert!(enforce("associations,QoS").is_empty());
        assert_eq!(enforce("associations,wckeys"), ["[0].parameterValue"]);
        let off = wrong(
            "cluster",
            &[("AccountingStorageEnforce", "limits")],
            "25.05",
            false,
        );
        assert_eq!(off, ["[0].parameterName"]);
    }

    /// The words that Slurm's `read_config.c` compares with; where it only looks whether a word is in the text
    /// (`PriorityFlags`, `AccountingStoreFlags`), anything passes here too.
    #[test]
    fn words_that_no_slurm_knows_are_refused() {
        for (rules, name, taken, refused) in [
            ("cluster", "PreemptMode", "SUSPEND,GANG", "KILL"),
            ("cluster", "PreemptType", "preempt/qos", "preempt/magic"),
            (
                "cluster",
                "PrologFlags",
                "Alloc,Contain,X11",
                "Contain,Everything",
            ),
            ("cluster", "HealthCheckNodeState", "IDLE,CYCLE", "SLEEPING"),
            (
                "cluster",
                "SelectTypeParameters",
                "CR_Core_Memory,CR_LLN",
                "CR_Rack",
            ),
            ("cluster", "SrunPortRange", "60001-63000", "all"),
            ("cluster", "PriorityFlags", "MAX_TRES", ""),
            ("cluster", "MetricsType", "metrics/openmetrics", "metrics/none"),
            (
                "cluster",
                "TaskPluginParam",
                "Cores,Verbose,Autobind=Threads",
                "Boards",
            ),
            ("cluster", "TaskPluginParam", "SlurmdOffSpec", "autobind=boards"),
            ("cluster", "TaskPluginParam", "OOMKillStep", "none,cores"),
            (
                "cluster",
                "TaskPluginParam",
                "none",
                "autobind=none,autobind=cores",
            ),
            (
                "cluster",
                "TaskPluginParam",
                "threads",
                "SlurmdOffSpec,SlurmdSpecOverride",
            ),
            (
                "cluster",
                "LaunchParameters",
                "enable_nss_slurm,test_exec",
                "disable_send_gids,enable_nss_slurm",
            ),
            ("cluster", "Licenses", "fluent:30", "fluent:x"),
            ("cluster", "RequeueExit", "1-9", "never"),
            ("cluster", "RequeueExitHold", "137", "256"),
            ("cluster", "AccountingStorageTRES", "GRES/gpu", "gpu"),
            ("cluster", "PriorityWeightTRES", "CPU=1000,Mem=2000", "abc"),
            ("cluster", "DefMemPerCPU", "2048", "0800"),
            ("queue", "TRESBillingWeights", "CPU=1.0", "CPU"),
            ("computeNodeGroup", "Features", "a,b", "a b"),
            ("queue", "PreemptMode", "requeue", "sometimes"),
            ("queue", "OverSubscribe", "FORCE:4", "SHARE"),
        ] {
            assert_eq!(
                wrong(rules, &[(name, taken)], "25.11", false),
                [""; 0],
                "{name}={taken}"
            );
            if !refused.is_empty() {
                assert_eq!(
                    wrong(rules, &[(name, refused)], "25.11", false),
                    ["[0].parameterValue"],
                    "{name}={refused}"
                );
            }
        }
    }

    #[test]
    fn settings_and_options_have_their_first_version() {
        let socket = |version| {
            wrong(
                "cluster",
                &[("SelectTypeParameters", "CR_Socket")],
                version,
                false,
            )
        };
        assert_eq!(socket("25.05"), ["[0].parameterValue"]);
        assert!(socket("25.11").is_empty());
        let metrics = |version| {
            let settings = [
                ("MetricsType", "metrics/openmetrics"),
                ("CommunicationParameters", "NoAddrCache,enable_http"),
            ];
            wrong("cluster", &settings, version, false)
        };
        assert_eq!(metrics("25.05"), ["[0].parameterName", "[1].parameterValue"]);
        assert!(metrics("25.11").is_empty());
        // In any case, as Slurm and the list of a setting's options take them.
        for (name, value) in [
            ("SelectTypeParameters", "cr_socket"),
            ("SelectTypeParameters", "CR_SOCKET_MEMORY"),
            ("CommunicationParameters", "NoAddrCache, ENABLE_HTTP"),
        ] {
            let settings = [(name, value)];
            assert_eq!(
                wrong("cluster", &settings, "25.05", false),
                ["[0].parameterValue"],
                "{value}"
            );
            assert!(wrong("cluster", &settings, "25.11", false).is_empty(), "{value}");
        }
        assert!(
            wrong(
                "cluster",
                &[("CommunicationParameters", "NoAddrCache")],
                "25.05",
                false
            )
            .is_empty()
        );
        assert_eq!(
            wrong("computeNodeGroup", &[("Sockets", "2")], "25.05", false),
            ["[0].parameterName"]
        );
        assert!(wrong("computeNodeGroup", &[("Sockets", "2")], "26.05", false).is_empty());
    }

    fn group(settings: &[(&str, &str)]) -> Vec<String> {
        wrong("computeNodeGroup", settings, "25.11", false)
    }

    /// User Guide, hardware-topology: "With `l3cache_as_socket`, `Sockets` is required. This applies on every version."
    #[test]
    fn l3_caches_as_sockets_need_their_number() {
        let sockets = ("Sockets", "24");
        for value in [
            "l3cache_as_socket",
            "L3Cache_As_Socket",
            "config_overrides, l3cache_as_socket",
        ] {
            let parameters = ("Parameters", value);
            assert_eq!(group(&[parameters]), ["[0].parameterValue"], "{value}");
            let newest = wrong("computeNodeGroup", &[parameters], "26.05", false);
            assert_eq!(newest, ["[0].parameterValue"], "{value}");
            assert!(group(&[parameters, sockets]).is_empty() && group(&[sockets, parameters]).is_empty());
        }
        assert!(group(&[("Parameters", "numa_node_as_socket")]).is_empty());
        let both = ("Parameters", "numa_node_as_socket,l3cache_as_socket");
        assert_eq!(group(&[both, sockets]), ["[0].parameterValue"]);
    }

    #[test]
    fn numbers_of_a_node_are_numbers() {
        for (name, value) in [
            ("Sockets", "abc"),
            ("Sockets", "0"),
            ("Sockets", "-1"),
            ("Sockets", "1.5"),
            ("Sockets", ""),
            ("Sockets", "65536"),
            ("RealMemory", "16G"),
            ("MemSpecLimit", "some"),
            ("Weight", "-1"),
            ("Weight", "4294967296"),
            ("CpuSpecList", "first"),
        ] {
            assert_eq!(group(&[(name, value)]), ["[0].parameterValue"], "{name}={value}");
        }
        for (name, value) in [
            ("Sockets", "24"),
            ("RealMemory", "2048"),
            ("MemSpecLimit", "512"),
            ("Weight", "10"),
            ("CpuSpecList", "0-1,8"),
            ("Features", "gpu,nvme"),
        ] {
            assert!(group(&[(name, value)]).is_empty(), "{name}={value}");
        }
        let memory = |limit| group(&[("MemSpecLimit", limit), ("RealMemory", "2048")]);
        assert!(memory("2047").is_empty());
        assert_eq!(memory("2048"), ["[0].parameterValue"]);
    }

    #[test]
    fn values_of_clusters_and_queues_are_checked_too() {
        for (scope, name, value, is_fine) in [
            ("cluster", "PriorityWeightAge", "1000", true),
            ("cluster", "PriorityWeightAge", "much", false),
            ("cluster", "OverTimeLimit", "UNLIMITED", true),
            ("cluster", "PriorityMaxAge", "7-0", true),
            ("cluster", "PriorityMaxAge", "a week", false),
            ("cluster", "TrackWCKey", "maybe", false),
            ("cluster", "MinJobAge", "abc", false),
            ("cluster", "EnforcePartLimits", "ALL", true),
            ("cluster", "EnforcePartLimits", "SOME", false),
            ("queue", "MaxTime", "1-00:00:00", true),
            ("queue", "MaxTime", "a day", false),
            ("queue", "Default", "YES", true),
            ("queue", "Default", "PERHAPS", false),
            ("queue", "PriorityTier", "65536", false),
        ] {
            let found = wrong(scope, &[(name, value)], "25.11", true);
            assert_eq!(found.is_empty(), is_fine, "{scope} {name}={value}: {found:?}");
            assert!(found.len() <= 1, "told once: {found:?}");
        }
    }
}
