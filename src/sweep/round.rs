//! Where a round through the Regions is, and which Regions it leaves out. Nothing here asks anybody.

use jiff::{SignedDuration, Timestamp};

use crate::audit::progress::{Memory, Part, Place, Round};

/// A Region that was out of reach may have been enabled since.
const ASKED_AGAIN_AFTER: SignedDuration = SignedDuration::from_hours(24);
/// Clusters of a Region that got out of reach are told as missed for so long; they may have been deleted right before, and
/// nobody could see it.
const FORGOTTEN_AFTER: SignedDuration = SignedDuration::from_hours(14 * 24);

impl Round {
    pub(super) fn begin_unless_under_way(&mut self, now: Timestamp) {
        if self.part == Part::Over {
            *self = Round {
                began: Some(now),
                part: Part::Checking,
                out_of_reach: std::mem::take(&mut self.out_of_reach),
                ..Round::default()
            };
        }
    }

    /// The Region to look at now; `names` are those in scope.
    pub(super) fn region<'n>(&self, names: &[&'n str]) -> Option<&'n str> {
        let ahead = names.iter().copied().filter(|name| self.has_before_it(name));
        ahead.min()
    }

    /// Whether the round has still to look at the Region.
    pub(super) fn has_before_it(&self, region: &str) -> bool {
        self.part == Part::Checking && region >= self.place.region.as_str()
    }

    /// Whether the Region was out of reach when it was asked last, less than a day ago.
    pub(super) fn is_out_of_reach(&self, region: &str, now: Timestamp) -> bool {
        let asked = self.out_of_reach.get(region);
        asked.is_some_and(|asked| now < *asked + ASKED_AGAIN_AFTER)
    }

    /// Goes to the Region, unless it is there already.
    pub(super) fn enter(&mut self, region: &str) {
        if self.place.region != region {
            self.place = Place {
                region: region.to_owned(),
                ..Place::default()
            };
        }
    }

    /// Goes behind the cluster, in the Region that the round is in.
    pub(super) fn leave_cluster(&mut self, cluster: &str) {
        // No id lies between the two.
        self.place.cluster = format!("{cluster}!");
        self.place.group.clear();
    }

    /// Goes behind the Region.
    pub(super) fn leave(&mut self, region: &str) {
        // No name of a Region lies between the two.
        self.place = Place {
            region: format!("{region}!"),
            ..Place::default()
        };
    }
}

impl Memory {
    /// The Region's clusters could be read.
    pub(super) fn saw(&mut self, region: &str, has_clusters: bool) {
        self.round.out_of_reach.remove(region);
        self.lost.remove(region);
        if has_clusters {
            self.inhabited.insert(region.to_owned());
        } else {
            self.inhabited.remove(region);
        }
    }

    /// Notes that the Region is out of reach; `false` where that is a fault: one that had clusters has them still, they
    /// run on, and nobody checks them.
    pub(super) fn is_empty_and_out_of_reach(&mut self, region: &str, now: Timestamp) -> bool {
        if self.inhabited.contains(region) {
            let since = *self.lost.entry(region.to_owned()).or_insert(now);
            if now < since + FORGOTTEN_AFTER {
                return false;
            }
            self.saw(region, false);
        }
        self.round.out_of_reach.insert(region.to_owned(), now);
        true
    }
}

impl Place {
    /// Whether the group was looked at in this round.
    pub(super) fn is_behind(&self, cluster: &str, group: &str) -> bool {
        (cluster, group) <= (self.cluster.as_str(), self.group.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 3] = ["us-east-1", "eu-north-1", "eu-west-1"];

    fn at(time: &str) -> Timestamp {
        time.parse().unwrap()
    }

    #[test]
    fn a_round_goes_through_all_regions_once() {
        let mut round = Round::default();
        assert_eq!(round.region(&NAMES), None, "there is none");
        round.begin_unless_under_way(at("2026-11-21T01:00:00Z"));
        let mut seen = Vec::new();
        while let Some(region) = round.region(&NAMES) {
            round.enter(region);
            seen.push(region);
            round.leave(region);
        }
        assert_eq!(seen, ["eu-north-1", "eu-west-1", "us-east-1"]);
    }

    #[test]
    fn a_round_under_way_goes_on() {
        let mut round = Round::default();
        round.begin_unless_under_way(at("2026-11-21T01:00:00Z"));
        round.enter("eu-west-1");
        round.place.cluster = "pcs_b".to_owned();
        round.place.group = "pcs_g".to_owned();
        let before = round.clone();
        round.begin_unless_under_way(at("2026-11-21T02:00:00Z"));
        round.enter("eu-west-1");
        assert_eq!(round, before);
        for (cluster, group, is_behind) in [
            ("pcs_a", "pcs_z", true),
            ("pcs_b", "pcs_g", true),
            ("pcs_b", "pcs_h", false),
            ("pcs_c", "pcs_a", false),
        ] {
            assert_eq!(
                round.place.is_behind(cluster, group),
                is_behind,
                "{cluster} {group}"
            );
        }
    }

    /// It may have been emptied and then disabled, with nobody to see it.
    #[test]
    fn clusters_out_of_reach_are_forgotten_after_two_weeks() {
        let mut memory = Memory::default();
        assert!(memory.is_empty_and_out_of_reach("af-south-1", at("2026-11-01T00:00:00Z")));
        memory.saw("eu-west-1", true);
        for (time, is_empty) in [
            ("2026-11-01T01:00:00Z", false),
            ("2026-11-15T00:59:59Z", false),
            ("2026-11-15T01:00:00Z", true),
            ("2026-11-15T02:00:00Z", true),
        ] {
            assert_eq!(
                memory.is_empty_and_out_of_reach("eu-west-1", at(time)),
                is_empty,
                "{time}"
            );
        }
        assert_eq!((memory.inhabited.len(), memory.lost.len()), (0, 0));
    }

    #[test]
    fn a_cluster_that_is_left_is_behind_and_the_next_is_not() {
        let mut round = Round::default();
        round.enter("eu-west-1");
        round.leave_cluster("pcs_b");
        assert!("pcs_b" < round.place.cluster.as_str() && round.place.cluster.as_str() < "pcs_b0");
        assert!(!round.place.is_behind("pcs_b0", "pcs_a"));
    }

    #[test]
    fn a_region_out_of_reach_is_asked_again_after_a_day() {
        let mut round = Round::default();
        let asked = at("2026-11-21T01:00:00Z");
        round.out_of_reach.insert("af-south-1".to_owned(), asked);
        for (time, is_out) in [("2026-11-22T00:59:59Z", true), ("2026-11-22T01:00:00Z", false)] {
            assert_eq!(round.is_out_of_reach("af-south-1", at(time)), is_out, "{time}");
        }
        round.begin_unless_under_way(asked);
        assert!(round.is_out_of_reach("af-south-1", asked), "a new round knows it");
        assert!(!round.is_out_of_reach("eu-west-1", asked));
    }
}
