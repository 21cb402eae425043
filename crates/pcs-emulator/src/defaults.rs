//! Documented defaults of members that a caller left out. The User Guide's sample of `GetCluster` leaves them
//! out as well, so they are shown only to who asks for it (`Options::unset_defaults`).

use serde_json::{Map, Value, json};

use crate::options::{Options, UnsetDefaults};

/// Fills in what a cluster was never told (API model: `networkType`, `scaleDownIdleTimeInSeconds`,
/// `accounting`, `slurmRest`).
pub(crate) fn cluster(options: &Options, shown: &mut Map<String, Value>) {
    if options.unset_defaults == UnsetDefaults::Omitted {
        return;
    }
    unset(shown, &["networking", "networkType"], json!("IPV4"));
    let slurm: [(&[&str], Value); 4] = [
        (&["scaleDownIdleTimeInSeconds"], json!(600)),
        (&["accounting", "mode"], json!("NONE")),
        (&["accounting", "defaultPurgeTimeInDays"], json!(-1)),
        (&["slurmRest", "mode"], json!("NONE")),
    ];
    for (path, default) in slurm {
        unset(shown, &[&["slurmConfiguration"], path].concat(), default);
    }
}

/// Fills in what a compute node group was never told (API model: `purchaseOption`, `launchTemplateMode`,
/// `allocationStrategy` of spot options).
pub(crate) fn node_group(options: &Options, shown: &mut Map<String, Value>) {
    if options.unset_defaults == UnsetDefaults::Omitted {
        return;
    }
    unset(shown, &["purchaseOption"], json!("ONDEMAND"));
    unset(shown, &["launchTemplateMode"], json!("CUSTOM"));
    if shown.get("purchaseOption") == Some(&json!("SPOT")) {
        let strategy = json!("price-capacity-optimized");
        unset(shown, &["spotOptions", "allocationStrategy"], strategy);
    }
}

/// Puts `default` at the path of member names, unless something is there.
fn unset(members: &mut Map<String, Value>, path: &[&str], default: Value) {
    match path {
        [] => {}
        [name] => {
            members.entry(*name).or_insert(default);
        }
        [name, rest @ ..] => {
            let inner = members.entry(*name).or_insert_with(|| json!({}));
            if let Some(inner) = inner.as_object_mut() {
                unset(inner, rest, default);
            }
        }
    }
}
