//! Random sequences of calls, failures, suspensions and pauses: after every step the emulator answers and
//! shows what the small reference model (`reference.rs`) says, and its own invariants hold.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use pcs_emulator::Options;
use proptest::prelude::*;
use proptest::test_runner::Config;
use serde_json::{Value, json};

use crate::reference::{CLUSTERS_MAX, INSTANCES_MAX, PARTS_MAX, Part, Reference, Step};
use crate::world::{World, cluster_body, group_body};

/// What a run shows: cluster -> its status, its groups and its queues.
type Shown = BTreeMap<
    String,
    (
        String,
        BTreeMap<String, (String, i64)>,
        BTreeMap<String, (String, BTreeSet<String>)>,
    ),
>;

/// A world and what the test must remember of it: ids by name, and the last changing call.
struct Run {
    world: World,
    reference: Reference,
    last: Option<(&'static str, Value, Value)>,
    tokens: u32,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    // One more name than fits, so that quotas are met; but few, so that calls meet on one resource.
    let cluster = prop_oneof![12 => Just(0_u8), 2 => Just(1), 1 => Just(2)];
    let part = prop_oneof![3 => Just(0_u8), 3 => Just(1), 1 => Just(2), 1 => Just(3)];
    let groups = || prop::collection::btree_set(part.clone(), 0..3);
    let at = (cluster.clone(), part.clone());
    let max = prop_oneof![2 => Just(0_i64), 1 => Just(10), 2 => Just(20), 2 => Just(32), 1 => Just(33)];
    let step = prop_oneof![
        2 => cluster.clone().prop_map(Step::CreateCluster),
        1 => cluster.clone().prop_map(Step::UpdateCluster),
        1 => cluster.clone().prop_map(Step::DeleteCluster),
        5 => (at.clone(), max.clone()).prop_map(|((c, g), max)| Step::CreateGroup(c, g, max)),
        3 => (at.clone(), max).prop_map(|((c, g), max)| Step::UpdateGroup(c, g, max)),
        3 => at.clone().prop_map(|(c, g)| Step::DeleteGroup(c, g)),
        5 => (at.clone(), groups()).prop_map(|((c, q), groups)| Step::CreateQueue(c, q, groups)),
        3 => (at.clone(), groups()).prop_map(|((c, q), groups)| Step::UpdateQueue(c, q, groups)),
        2 => at.clone().prop_map(|(c, q)| Step::DeleteQueue(c, q)),
        1 => cluster.clone().prop_map(|c| Step::Fail(c, None)),
        2 => (at, any::<bool>()).prop_map(|((c, n), group)| {
            Step::Fail(c, Some((if group { Part::Group } else { Part::Queue }, n)))
        }),
        1 => cluster.prop_map(Step::Suspend),
        9 => Just(Step::Advance),
        3 => Just(Step::Replay),
    ];
    // Calls that take back what others rely on, and then fail: rare by chance alone.
    let number = || prop_oneof![Just(0_u8), Just(1)];
    let rolled_back = (number(), number(), groups()).prop_map(|(g, q, groups)| {
        vec![
            Step::CreateQueue(0, q, BTreeSet::from([g])),
            Step::Advance,
            Step::UpdateQueue(0, q, groups),
            Step::DeleteGroup(0, g),
            Step::Fail(0, Some((Part::Queue, q))),
            Step::Advance,
        ]
    });
    let shrunk = (number(), number(), any::<bool>()).prop_map(|(g, other, grow)| {
        let (less, more) = if grow { (20, 32) } else { (1, 20) };
        vec![
            Step::UpdateGroup(0, g, less),
            Step::CreateGroup(0, other, more),
            Step::Fail(0, Some((Part::Group, g))),
        ]
    });
    // A cluster updated or suspended while something in it, or it itself, is on the way elsewhere.
    let busy = (number(), any::<bool>(), any::<bool>()).prop_map(|(g, fails, resumes)| {
        let change = [Step::UpdateGroup(0, g, 5), Step::UpdateCluster(0)];
        let order = fails.then_some(Step::Fail(0, None));
        let after = if resumes {
            vec![Step::UpdateCluster(0), Step::Advance]
        } else {
            vec![]
        };
        let suspended = [Step::Suspend(0), Step::Advance];
        order
            .into_iter()
            .chain(change)
            .chain(suspended)
            .chain(after)
            .collect()
    });
    let single = step.prop_map(|step| vec![step]);
    let phrase = prop_oneof![14 => single, 1 => rolled_back, 1 => shrunk, 1 => busy];
    // A first cluster that is up, so that most sequences reach groups and queues.
    prop::collection::vec(phrase, 1..35).prop_map(|phrases| {
        let up = [Step::CreateCluster(0), Step::Advance];
        up.into_iter().chain(phrases.into_iter().flatten()).collect()
    })
}

proptest! {
    #![proptest_config(Config { cases: 256, failure_persistence: None, ..Config::default() })]

    #[test]
    fn the_emulator_and_the_reference_agree(steps in steps()) {
        let mut run = Run::new();
        for step in &steps {
            run.take(step)?;
            run.compare()?;
        }
        run.outlives_its_process()?;
    }
}

impl Run {
    fn new() -> Run {
        let options = Options {
            clusters_per_region: Some(CLUSTERS_MAX),
            node_groups_per_cluster: Some(PARTS_MAX),
            queues_per_cluster: Some(PARTS_MAX),
            ..Options::default()
        };
        Run {
            world: World::with(options),
            reference: Reference::default(),
            last: None,
            tokens: 0,
        }
    }

    fn take(&mut self, step: &Step) -> Result<(), TestCaseError> {
        let expected = self.reference.take(step);
        let outcome = match step {
            Step::Advance => {
                // All of a sequence fits into the day that a token lives.
                self.world.emulator.advance(Duration::from_mins(2));
                Ok(())
            }
            Step::Replay => return self.replay(),
            Step::Fail(cluster, part) => self.fail(*cluster, *part),
            Step::Suspend(cluster) => self.suspend(*cluster),
            Step::CreateCluster(_)
            | Step::UpdateCluster(_)
            | Step::DeleteCluster(_)
            | Step::CreateGroup(..)
            | Step::UpdateGroup(..)
            | Step::DeleteGroup(..)
            | Step::CreateQueue(..)
            | Step::UpdateQueue(..)
            | Step::DeleteQueue(..) => self.call(step),
        };
        prop_assert_eq!(outcome, expected.map_err(str::to_owned), "{:?}", step);
        Ok(())
    }

    /// One changing call, with a token of its own. A refusal changes nothing.
    fn call(&mut self, step: &Step) -> Result<(), String> {
        let (action, mut body) = self.request(step);
        self.tokens += 1;
        body["clientToken"] = json!(format!("token-{:04}", self.tokens));
        let before = self.world.emulator.snapshot().unwrap();
        match self.world.call(action, &body) {
            Ok(answer) => {
                self.last = Some((action, body, answer));
                Ok(())
            }
            Err(failure) => {
                assert_eq!(
                    before,
                    self.world.emulator.snapshot().unwrap(),
                    "{action} was refused"
                );
                Err(failure.code().to_owned())
            }
        }
    }

    fn request(&self, step: &Step) -> (&'static str, Value) {
        let group =
            |c: u8, g: u8| json!({"clusterIdentifier": name(c), "computeNodeGroupIdentifier": name(g)});
        let queue = |c: u8, q: u8| json!({"clusterIdentifier": name(c), "queueIdentifier": name(q)});
        match step {
            Step::CreateCluster(c) => ("CreateCluster", cluster_body(&name(*c))),
            Step::UpdateCluster(c) => {
                let idle = json!({"scaleDownIdleTimeInSeconds": 60 + self.tokens});
                (
                    "UpdateCluster",
                    json!({"clusterIdentifier": name(*c), "slurmConfiguration": idle}),
                )
            }
            Step::DeleteCluster(c) => ("DeleteCluster", json!({"clusterIdentifier": name(*c)})),
            Step::CreateGroup(c, g, max) => {
                let mut body = group_body(&name(*c), &name(*g));
                body["scalingConfiguration"]["maxInstanceCount"] = json!(max);
                ("CreateComputeNodeGroup", body)
            }
            Step::UpdateGroup(c, g, max) => {
                let mut body = group(*c, *g);
                body["scalingConfiguration"] = json!({"minInstanceCount": 0, "maxInstanceCount": max});
                ("UpdateComputeNodeGroup", body)
            }
            Step::DeleteGroup(c, g) => ("DeleteComputeNodeGroup", group(*c, *g)),
            Step::CreateQueue(c, q, groups) => {
                let configurations = self.configurations(*c, groups);
                let body = json!({"clusterIdentifier": name(*c), "queueName": name(*q),
                    "computeNodeGroupConfigurations": configurations});
                ("CreateQueue", body)
            }
            Step::UpdateQueue(c, q, groups) => {
                let mut body = queue(*c, *q);
                body["computeNodeGroupConfigurations"] = self.configurations(*c, groups);
                ("UpdateQueue", body)
            }
            Step::DeleteQueue(c, q) => ("DeleteQueue", queue(*c, *q)),
            Step::Fail(..) | Step::Suspend(_) | Step::Advance | Step::Replay => panic!("{step:?} is no call"),
        }
    }

    /// Queues name groups by id; a group that is not there has one that was never given out.
    fn configurations(&self, cluster: u8, groups: &BTreeSet<u8>) -> Value {
        let ids = groups.iter().map(|g| {
            let id = self.id_of(cluster, Some((Part::Group, *g)));
            json!({"computeNodeGroupId": id.unwrap_or_else(|| format!("pcs_nothinghere{g}"))})
        });
        ids.collect()
    }

    fn id_of(&self, cluster: u8, part: Option<(Part, u8)>) -> Option<String> {
        let mut body = json!({"clusterIdentifier": name(cluster)});
        let (action, member) = match part {
            None => ("GetCluster", "cluster"),
            Some((Part::Group, g)) => {
                body["computeNodeGroupIdentifier"] = json!(name(g));
                ("GetComputeNodeGroup", "computeNodeGroup")
            }
            Some((Part::Queue, q)) => {
                body["queueIdentifier"] = json!(name(q));
                ("GetQueue", "queue")
            }
        };
        let answer = self.world.call(action, &body).ok()?;
        answer[member]["id"].as_str().map(str::to_owned)
    }

    fn fail(&self, cluster: u8, part: Option<(Part, u8)>) -> Result<(), String> {
        let id = self.id_of(cluster, part).ok_or("ResourceNotFoundException")?;
        assert!(
            self.world
                .emulator
                .fail_resource(&id, "InvalidInput", "ordered")
                .unwrap()
        );
        Ok(())
    }

    fn suspend(&self, cluster: u8) -> Result<(), String> {
        let id = self.id_of(cluster, None).ok_or("ResourceNotFoundException")?;
        assert!(self.world.emulator.suspend(&id).unwrap());
        Ok(())
    }

    /// The last changing call again: the same answer, and nothing changes.
    fn replay(&self) -> Result<(), TestCaseError> {
        if let Some((action, body, answer)) = &self.last {
            let before = self.world.emulator.snapshot().unwrap();
            prop_assert_eq!(&self.world.ok(action, body), answer);
            prop_assert_eq!(before, self.world.emulator.snapshot().unwrap());
        }
        Ok(())
    }

    fn shown(&self) -> Shown {
        let list = |action: &str, member: &str, body: &Value| -> Vec<Value> {
            self.world.ok(action, body)[member].as_array().unwrap().clone()
        };
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let mut shown = Shown::new();
        for cluster in list("ListClusters", "clusters", &json!({})) {
            let within = json!({"clusterIdentifier": cluster["id"]});
            let mut names = BTreeMap::new();
            let mut groups = BTreeMap::new();
            for group in list("ListComputeNodeGroups", "computeNodeGroups", &within) {
                let body =
                    json!({"clusterIdentifier": cluster["id"], "computeNodeGroupIdentifier": group["id"]});
                let detail = self.world.ok("GetComputeNodeGroup", &body)["computeNodeGroup"].clone();
                let max = detail["scalingConfiguration"]["maxInstanceCount"]
                    .as_i64()
                    .unwrap();
                names.insert(text(&group["id"]), text(&group["name"]));
                groups.insert(text(&group["name"]), (text(&group["status"]), max));
            }
            let mut queues = BTreeMap::new();
            for queue in list("ListQueues", "queues", &within) {
                let body = json!({"clusterIdentifier": cluster["id"], "queueIdentifier": queue["id"]});
                let detail = self.world.ok("GetQueue", &body)["queue"].clone();
                let used = detail["computeNodeGroupConfigurations"]
                    .as_array()
                    .unwrap()
                    .iter();
                // No queue without its groups: an id that names no group has no name here.
                let used = used.map(|c| {
                    names
                        .get(c["computeNodeGroupId"].as_str().unwrap())
                        .unwrap()
                        .clone()
                });
                queues.insert(text(&queue["name"]), (text(&queue["status"]), used.collect()));
            }
            shown.insert(text(&cluster["name"]), (text(&cluster["status"]), groups, queues));
        }
        shown
    }

    fn compare(&self) -> Result<(), TestCaseError> {
        let shown = self.shown();
        let expected: Shown = self
            .reference
            .clusters
            .iter()
            .map(|(c, (cluster, parts))| {
                let groups = parts.groups.iter();
                let groups = groups.map(|(g, group)| (name(*g), (group.status.to_owned(), group.holds)));
                let queues = parts.queues.iter();
                let queues = queues.map(|(q, queue)| {
                    let used = queue.holds.iter().map(|g| name(*g)).collect();
                    (name(*q), (queue.status.to_owned(), used))
                });
                (
                    name(*c),
                    (cluster.status.to_owned(), groups.collect(), queues.collect()),
                )
            })
            .collect();
        prop_assert_eq!(&shown, &expected);
        prop_assert!(shown.len() <= CLUSTERS_MAX);
        prop_assert!(shown.values().filter(|(status, ..)| status == "CREATING").count() <= 1);
        for (_, groups, queues) in shown.values() {
            prop_assert!(groups.len() <= PARTS_MAX && queues.len() <= PARTS_MAX);
            prop_assert!(groups.values().map(|(_, max)| max).sum::<i64>() <= INSTANCES_MAX);
        }
        Ok(())
    }

    /// Every state reached is one that is taken back, and shows the same.
    fn outlives_its_process(&self) -> Result<(), TestCaseError> {
        let other = Run::new();
        let loaded = other.world.emulator.load(self.world.emulator.snapshot().unwrap());
        prop_assert!(loaded.is_ok(), "{:?}", loaded);
        prop_assert_eq!(self.shown(), other.shown());
        Ok(())
    }
}

fn name(number: u8) -> String {
    format!("name{number}")
}
