//! Reads what all compute node groups use, moments before unused roles go. What cannot be read keeps every role, unless
//! it is all of a Region in which nobody saw a cluster.

use futures_util::{
    FutureExt,
    stream::{self, StreamExt},
};
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{
    Run,
    groups::profile_of,
    reach::{Reads, Unread},
};
use crate::guardrails::node_role::{Changed, Uses};

/// Each reads the compute node groups of its Region.
const REGIONS_AT_A_TIME: usize = 4;

/// What was read of a Region.
#[derive(Default)]
struct Region {
    has_clusters: bool,
    uses: Uses,
}

impl Run<'_> {
    /// What the groups of all Regions in scope use. Those that were out of reach are asked too: one may have been enabled
    /// since, and have a group by now. A Region that lets nothing be seen and never had a cluster counts as empty.
    pub(super) async fn used(&mut self) -> Result<Uses, Unread> {
        let names = self.gateway.config.regions.names();
        let reads: Vec<_> = names
            .into_iter()
            .map(|region| (region, self.reads(region)))
            .collect();
        let regions = stream::iter(reads).map(|(region, reads)| used_in(region, reads).boxed());
        let mut regions = regions.buffer_unordered(REGIONS_AT_A_TIME).boxed();
        let mut all = Uses::default();
        let mut result = Ok(());
        while let Some((region, read)) = regions.next().await {
            let memory = &mut self.progress.memory;
            match read {
                Ok(read) => {
                    memory.saw(region, read.has_clusters);
                    all.append(read.uses);
                }
                Err(Unread::OutOfTime) => result = Err(Unread::OutOfTime),
                Err(Unread::OutOfReach) if memory.is_empty_and_out_of_reach(region, self.now) => {}
                Err(Unread::Denied) if !memory.inhabited.contains(region) => self.miss(region),
                Err(Unread::OutOfReach | Unread::Denied | Unread::Refused | Unread::Failed) => {
                    self.miss(region);
                    result = result.and(Err(Unread::Failed));
                }
            }
        }
        result.map(|()| all)
    }
}

async fn used_in(region: &'static str, reads: Reads<'_>) -> (&'static str, Result<Region, Unread>) {
    let read = async {
        let mut read = Region::default();
        read.uses.read.push(region);
        for cluster in reads.clusters().await? {
            read.has_clusters = true;
            let groups = match reads.groups(&cluster).await {
                Err(Unread::Refused) if reads.is_gone(&cluster, None).await => continue,
                groups => groups?,
            };
            let mut outputs = reads.each(&cluster, groups);
            while let Some((group, output)) = outputs.next().await {
                match output {
                    Ok(output) => {
                        read.uses.add_profile(profile_of(&output).ok_or(Unread::Failed)?);
                        read.uses.changed.extend(changed(region, &output));
                    }
                    Err(Unread::Refused) if reads.is_gone(&cluster, Some(&group)).await => {}
                    Err(unread) => return Err(unread),
                }
            }
        }
        Ok(read)
    };
    (region, read.await)
}

/// What the group's last change may have left.
fn changed(region: &'static str, output: &Map<String, Value>) -> Option<Changed> {
    let group = output.get("computeNodeGroup")?;
    let text = |name: &str| group.get(name).and_then(Value::as_str);
    let time = |name: &str| Some(text(name)?.parse::<Timestamp>().ok()?.as_second());
    Some(Changed {
        region,
        name: text("name").unwrap_or_default().to_owned(),
        created: time("createdAt"),
        modified: time("modifiedAt"),
        is_updating: text("status") == Some("UPDATING"),
        is_update_failed: text("status") == Some("UPDATE_FAILED"),
    })
}
