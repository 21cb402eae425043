//! PCS's model and documented rules, as data.
//!
//! `pcs-2023-02-10.json` is derived from botocore (`model/update.py`); `rules.json` holds what AWS writes
//! only in prose: allow-lists, quotas, scheduler versions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use serde::Deserialize;

use crate::options::{Options, PluginNames};
use crate::pattern::Pattern;
use crate::setting_values::Kind;

/// Shapes and operations of the PCS API, and the rules around them.
#[derive(Debug)]
pub(crate) struct Model {
    operations: BTreeMap<String, Operation>,
    shapes: BTreeMap<String, Shape>,
    pub(crate) rules: Rules,
}

impl Model {
    /// The model compiled into this crate; parsed and its patterns compiled once per process.
    pub(crate) fn embedded() -> Result<Arc<Model>, String> {
        static MODEL: LazyLock<Result<Arc<Model>, String>> = LazyLock::new(|| Model::parse().map(Arc::new));
        MODEL.clone()
    }

    /// The model as these options have it.
    pub(crate) fn of(options: &Options) -> Result<Arc<Model>, String> {
        match options.plugin_names {
            PluginNames::Pattern => Model::embedded(),
            PluginNames::Spaces => Model::parse()?.with_spaces_in_plugin_names().map(Arc::new),
        }
    }

    fn parse() -> Result<Model, String> {
        let file: ModelFile = serde_json::from_str(include_str!("../model/pcs-2023-02-10.json"))
            .map_err(|e| format!("model/pcs-2023-02-10.json: {e}"))?;
        let rules = serde_json::from_str(include_str!("../model/rules.json"))
            .map_err(|e| format!("model/rules.json: {e}"))?;
        Ok(Model {
            operations: file.operations,
            shapes: file.shapes,
            rules,
        })
    }

    /// "Valid characters are letters, numbers, spaces, underscores (_), and hyphens (-). The first character
    /// must be a letter or a number" (API model, `JobSubmitPlugin`), against the pattern beside it.
    fn with_spaces_in_plugin_names(mut self) -> Result<Model, String> {
        let as_in_text =
            Pattern::try_from("[A-Za-z0-9][A-Za-z0-9 _-]*".to_owned()).map_err(|e| e.to_string())?;
        match self.shapes.get_mut("JobSubmitPluginNameString") {
            Some(Shape::String { pattern, .. }) => *pattern = Some(as_in_text),
            _ => return Err("the model has no JobSubmitPluginNameString".to_owned()),
        }
        Ok(self)
    }

    pub(crate) fn shape(&self, name: &str) -> Option<&Shape> {
        self.shapes.get(name)
    }

    /// The input structure of an operation.
    pub(crate) fn input_of(&self, operation: &str) -> Option<&Shape> {
        self.shape(&self.operations.get(operation)?.input)
    }

    #[cfg(test)]
    pub(crate) fn operation_names(&self) -> impl Iterator<Item = &str> {
        self.operations.keys().map(String::as_str)
    }
}

#[derive(Deserialize)]
struct ModelFile {
    operations: BTreeMap<String, Operation>,
    shapes: BTreeMap<String, Shape>,
}

#[derive(Debug, Deserialize)]
struct Operation {
    input: String,
}

/// A shape of the model; lengths count characters or entries, ranges are inclusive.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub(crate) enum Shape {
    Structure {
        members: BTreeMap<String, String>,
        #[serde(default)]
        required: Vec<String>,
    },
    List {
        member: String,
        #[serde(flatten)]
        size: Bounds,
    },
    Map {
        key: String,
        value: String,
        #[serde(flatten)]
        size: Bounds,
    },
    String {
        #[serde(flatten)]
        length: Bounds,
        pattern: Option<Pattern>,
        #[serde(default, rename = "enum")]
        values: Vec<String>,
    },
    Integer {
        #[serde(flatten)]
        range: Bounds,
    },
    Long {
        #[serde(flatten)]
        range: Bounds,
    },
    Boolean,
    Timestamp,
}

/// Inclusive limits; an absent one does not limit.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(crate) struct Bounds {
    pub(crate) min: Option<i64>,
    pub(crate) max: Option<i64>,
}

/// What AWS documents in prose.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Rules {
    pub(crate) quotas: Quotas,
    pub(crate) scheduler_versions: SchedulerVersions,
    pub(crate) features: Features,
    /// Families of EC2 instance types with NVIDIA GPUs.
    pub(crate) nvidia_families: BTreeSet<String>,
    /// Scope (`cluster.slurmCustomSettings`) -> what may be set there.
    pub(crate) settings: BTreeMap<String, SettingRules>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Quotas {
    pub(crate) clusters: usize,
    pub(crate) clusters_creating: usize,
    pub(crate) node_groups_per_cluster: usize,
    pub(crate) queues_per_cluster: usize,
    /// Cluster size -> the most instances over all its compute node groups.
    pub(crate) instances_by_size: BTreeMap<String, i64>,
    pub(crate) tags_per_resource: usize,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SchedulerVersions {
    /// Oldest first.
    pub(crate) known: Vec<String>,
    pub(crate) creatable: Vec<String>,
    /// How many versions one update may go up.
    pub(crate) steps_max: usize,
}

/// The scheduler version from which each feature exists.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Features {
    pub(crate) accounting: String,
    pub(crate) slurm_rest: String,
    pub(crate) node_group_scale_down: String,
    pub(crate) mixed_capacity: String,
    pub(crate) instance_health_checks: String,
}

/// What may be set in one scope of custom settings.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct SettingRules {
    pub(crate) allowed: BTreeSet<String>,
    /// Parameter -> scheduler version from which it may be set.
    pub(crate) since: BTreeMap<String, String>,
    /// Parameter -> the only options its comma-separated value may hold, in any case.
    pub(crate) options: BTreeMap<String, BTreeSet<String>>,
    /// Parameter -> option -> scheduler version from which that option may be set.
    pub(crate) options_since: BTreeMap<String, BTreeMap<String, String>>,
    /// Parameter -> smallest integer.
    pub(crate) minimum: BTreeMap<String, i64>,
    /// Parameter -> what its value is.
    pub(crate) values: BTreeMap<String, Kind>,
    /// Parameter -> option -> the parameter that has to be set with it.
    pub(crate) option_needs: BTreeMap<String, BTreeMap<String, String>>,
    /// Parameter -> groups of options, of each of which one at most may be set.
    pub(crate) exclusive_options: BTreeMap<String, Vec<Vec<String>>>,
    /// Parameter -> the parameter that must be greater where both are set.
    pub(crate) below: BTreeMap<String, String>,
    /// Parameters that need accounting to be on.
    pub(crate) needs_accounting: BTreeSet<String>,
}
