//! PCS in two hundred lines: what the API Reference and the User Guide say of states, order and quotas, and
//! nothing of the wire. It shares no code with the crate; `properties.rs` holds the two against each other.

use std::collections::{BTreeMap, BTreeSet};

pub const CLUSTERS_MAX: usize = 2;
pub const PARTS_MAX: usize = 3;
/// Instances of a SMALL cluster.
pub const INSTANCES_MAX: i64 = 32;

/// What a test does. Names are small numbers, so that they meet.
#[derive(Clone, Debug)]
pub enum Step {
    CreateCluster(u8),
    UpdateCluster(u8),
    DeleteCluster(u8),
    /// Cluster, group, `maxInstanceCount`.
    CreateGroup(u8, u8, i64),
    UpdateGroup(u8, u8, i64),
    DeleteGroup(u8, u8),
    /// Cluster, queue, groups.
    CreateQueue(u8, u8, BTreeSet<u8>),
    UpdateQueue(u8, u8, BTreeSet<u8>),
    DeleteQueue(u8, u8),
    /// Cluster, and a group or queue of it.
    Fail(u8, Option<(Part, u8)>),
    Suspend(u8),
    /// Every transition ends.
    Advance,
    /// The last changing call again, with its token.
    Replay,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    Group,
    Queue,
}

/// A cluster, group or queue; `holds` is what an update changes of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Thing<T> {
    pub status: &'static str,
    pub holds: T,
    before: Option<T>,
    fails: bool,
}

#[derive(Clone, Debug, Default)]
pub struct Parts {
    pub groups: BTreeMap<u8, Thing<i64>>,
    pub queues: BTreeMap<u8, Thing<BTreeSet<u8>>>,
}

#[derive(Clone, Debug, Default)]
pub struct Reference {
    pub clusters: BTreeMap<u8, (Thing<()>, Parts)>,
}

pub type Verdict = Result<(), &'static str>;
const CONFLICT: Verdict = Err("ConflictException");
const QUOTA: Verdict = Err("ServiceQuotaExceededException");
const ABSENT: Verdict = Err("ResourceNotFoundException");

impl<T> Thing<T> {
    fn new(holds: T) -> Thing<T> {
        Thing {
            status: "CREATING",
            holds,
            before: None,
            fails: false,
        }
    }

    fn moving(&self) -> bool {
        self.status.ends_with("ING")
    }

    fn updatable(&self) -> bool {
        ["ACTIVE", "UPDATE_FAILED"].contains(&self.status)
    }

    fn update(&mut self, holds: T) {
        self.before = Some(std::mem::replace(&mut self.holds, holds));
        self.status = "UPDATING";
    }

    fn suspend(&mut self) {
        if self.updatable() || ["UPDATING", "RESUMING"].contains(&self.status) {
            self.status = "SUSPENDING";
            self.before = None;
        }
    }

    /// The transition ends; false when nothing is left.
    fn end(&mut self) -> bool {
        let fails = self.moving() && std::mem::take(&mut self.fails);
        let before = self.before.take();
        self.status = match (self.status, fails) {
            ("CREATING", true) => "CREATE_FAILED",
            ("DELETING", true) => "DELETE_FAILED",
            ("UPDATING" | "SUSPENDING" | "RESUMING", true) => "UPDATE_FAILED",
            ("CREATING" | "UPDATING" | "RESUMING", false) => "ACTIVE",
            ("SUSPENDING", false) => "SUSPENDED",
            ("DELETING", false) => return false,
            (settled, _) => settled,
        };
        if fails && let Some(before) = before {
            self.holds = before;
        }
        true
    }

    fn fail(&mut self) {
        self.fails = true;
        if self.moving() {
            self.end();
        }
    }
}

impl Reference {
    /// What PCS answers, and does if it answers well. `Replay` is not for it.
    pub fn take(&mut self, step: &Step) -> Verdict {
        match step {
            Step::CreateCluster(name) => self.create_cluster(*name),
            Step::UpdateCluster(name) => self.update_cluster(*name),
            Step::DeleteCluster(name) => match self.clusters.get_mut(name) {
                None => ABSENT,
                Some((cluster, parts)) => {
                    if cluster.moving() || !parts.groups.is_empty() || !parts.queues.is_empty() {
                        return CONFLICT;
                    }
                    cluster.status = "DELETING";
                    Ok(())
                }
            },
            Step::CreateGroup(cluster, name, max) => {
                self.within(*cluster, |c, p| p.create_group(c, *name, *max))
            }
            Step::UpdateGroup(cluster, name, max) => {
                self.within(*cluster, |c, p| p.update_group(c, *name, *max))
            }
            Step::DeleteGroup(cluster, name) => self.within(*cluster, |c, p| p.delete_group(c, *name)),
            Step::CreateQueue(cluster, name, groups) => {
                self.within(*cluster, |c, p| p.create_queue(c, *name, groups))
            }
            Step::UpdateQueue(cluster, name, groups) => {
                self.within(*cluster, |c, p| p.update_queue(c, *name, groups))
            }
            Step::DeleteQueue(cluster, name) => self.within(*cluster, |c, p| match p.queues.get_mut(name) {
                None => ABSENT,
                Some(queue) if c.moving() || queue.moving() => CONFLICT,
                Some(queue) => {
                    queue.status = "DELETING";
                    Ok(())
                }
            }),
            Step::Fail(cluster, part) => self.fail(*cluster, *part),
            Step::Suspend(name) => self.within(*name, |_, _| Ok(())).map(|()| self.suspend(*name)),
            Step::Advance => {
                self.advance();
                Ok(())
            }
            Step::Replay => Ok(()),
        }
    }

    fn within(&mut self, cluster: u8, act: impl FnOnce(&Thing<()>, &mut Parts) -> Verdict) -> Verdict {
        let (cluster, parts) = self
            .clusters
            .get_mut(&cluster)
            .ok_or("ResourceNotFoundException")?;
        act(cluster, parts)
    }

    fn create_cluster(&mut self, name: u8) -> Verdict {
        if self.clusters.contains_key(&name) {
            return CONFLICT;
        }
        let creating = self.clusters.values().any(|(c, _)| c.status == "CREATING");
        if creating || self.clusters.len() >= CLUSTERS_MAX {
            return QUOTA;
        }
        self.clusters.insert(name, (Thing::new(()), Parts::default()));
        Ok(())
    }

    fn update_cluster(&mut self, name: u8) -> Verdict {
        let Some((cluster, parts)) = self.clusters.get_mut(&name) else {
            return ABSENT;
        };
        let resumes = cluster.status == "SUSPENDED";
        let fit = |status: &str| status == "ACTIVE" || (resumes && status == "SUSPENDED");
        let all_fit =
            parts.groups.values().all(|g| fit(g.status)) && parts.queues.values().all(|q| fit(q.status));
        if !(cluster.updatable() || resumes) || !all_fit {
            return CONFLICT;
        }
        cluster.update(());
        if resumes {
            cluster.status = "RESUMING";
            let resume = |status: &mut &'static str| {
                if *status == "SUSPENDED" {
                    *status = "RESUMING";
                }
            };
            parts.groups.values_mut().for_each(|g| resume(&mut g.status));
            parts.queues.values_mut().for_each(|q| resume(&mut q.status));
        }
        Ok(())
    }

    fn fail(&mut self, cluster: u8, part: Option<(Part, u8)>) -> Verdict {
        let Some((cluster, parts)) = self.clusters.get_mut(&cluster) else {
            return ABSENT;
        };
        match part {
            None => cluster.fail(),
            Some((Part::Group, name)) => parts
                .groups
                .get_mut(&name)
                .map(Thing::fail)
                .ok_or("ResourceNotFoundException")?,
            Some((Part::Queue, name)) => parts
                .queues
                .get_mut(&name)
                .map(Thing::fail)
                .ok_or("ResourceNotFoundException")?,
        }
        Ok(())
    }

    fn suspend(&mut self, name: u8) {
        if let Some((cluster, parts)) = self.clusters.get_mut(&name) {
            cluster.suspend();
            parts.groups.values_mut().for_each(Thing::suspend);
            parts.queues.values_mut().for_each(Thing::suspend);
        }
    }

    fn advance(&mut self) {
        for (_, parts) in self.clusters.values_mut() {
            parts.groups.retain(|_, group| group.end());
            parts.queues.retain(|_, queue| queue.end());
        }
        self.clusters.retain(|_, (cluster, _)| cluster.end());
    }
}

impl Parts {
    /// Instances with `max` for the group `of`. An update that may still fail counts with what it may go back to.
    fn over_capacity(&self, of: u8, max: i64) -> bool {
        let others = self.groups.iter().filter(|(name, _)| **name != of);
        let most = |group: &Thing<i64>| group.holds.max(group.before.unwrap_or(0));
        others.map(|(_, group)| most(group)).sum::<i64>() + max > INSTANCES_MAX
    }

    /// The groups of a queue must be there and usable; the first that is not decides.
    fn usable(&self, groups: &BTreeSet<u8>) -> Verdict {
        for name in groups {
            let group = self.groups.get(name).ok_or("ResourceNotFoundException")?;
            if !["ACTIVE", "UPDATING", "UPDATE_FAILED"].contains(&group.status) {
                return CONFLICT;
            }
        }
        Ok(())
    }

    fn create_group(&mut self, cluster: &Thing<()>, name: u8, max: i64) -> Verdict {
        if cluster.status != "ACTIVE" || self.groups.contains_key(&name) {
            return CONFLICT;
        }
        if self.groups.len() >= PARTS_MAX || self.over_capacity(name, max) {
            return QUOTA;
        }
        self.groups.insert(name, Thing::new(max));
        Ok(())
    }

    fn update_group(&mut self, cluster: &Thing<()>, name: u8, max: i64) -> Verdict {
        let over = self.over_capacity(name, max);
        let group = self.groups.get_mut(&name).ok_or("ResourceNotFoundException")?;
        if cluster.status != "ACTIVE" || !group.updatable() {
            return CONFLICT;
        }
        if over {
            return QUOTA;
        }
        group.update(max);
        Ok(())
    }

    fn delete_group(&mut self, cluster: &Thing<()>, name: u8) -> Verdict {
        let used = |queue: &Thing<BTreeSet<u8>>| {
            queue.holds.contains(&name) || queue.before.as_ref().is_some_and(|before| before.contains(&name))
        };
        let used = self.queues.values().any(used);
        let group = self.groups.get_mut(&name).ok_or("ResourceNotFoundException")?;
        if cluster.moving() || group.moving() || used {
            return CONFLICT;
        }
        group.status = "DELETING";
        Ok(())
    }

    fn create_queue(&mut self, cluster: &Thing<()>, name: u8, groups: &BTreeSet<u8>) -> Verdict {
        self.usable(groups)?;
        if cluster.status != "ACTIVE" || self.queues.contains_key(&name) {
            return CONFLICT;
        }
        if self.queues.len() >= PARTS_MAX {
            return QUOTA;
        }
        self.queues.insert(name, Thing::new(groups.clone()));
        Ok(())
    }

    fn update_queue(&mut self, cluster: &Thing<()>, name: u8, groups: &BTreeSet<u8>) -> Verdict {
        if !self.queues.contains_key(&name) {
            return ABSENT;
        }
        self.usable(groups)?;
        let queue = self.queues.get_mut(&name).ok_or("ResourceNotFoundException")?;
        if cluster.status != "ACTIVE" || !queue.updatable() {
            return CONFLICT;
        }
        queue.update(groups.clone());
        Ok(())
    }
}
