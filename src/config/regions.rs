//! Which Regions this deployment reaches, and what a caller is told who names another.

use crate::{contract, validate};

/// The Regions that callers may name: those of the deployment's partition, whose credentials are good in no other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Regions {
    /// The function's own Region, used when a request names none.
    pub default: String,
    pub partition: String,
    /// `None` = every Region of the contract that is in the partition.
    pub only: Option<String>,
}

impl Regions {
    pub fn allows(&self, region: &str) -> bool {
        contract::REGIONS.contains(&region)
            && partition_of(region) == self.partition
            && self.only.as_deref().is_none_or(|only| only == region)
    }

    /// Every Region that callers may name.
    pub fn names(&self) -> Vec<&'static str> {
        contract::REGIONS
            .iter()
            .copied()
            .filter(|region| self.allows(region))
            .collect()
    }

    /// Why a name that is not allowed is none; what was probably meant is guessed for misspelt names alone.
    pub fn refusal(&self, region: &str) -> String {
        let plain = region.to_ascii_lowercase().replace('_', "-");
        let partition = partition_of(&plain);
        let reached = match &self.only {
            Some(only) => format!("must be {only}: this deployment reaches no other Region"),
            None => format!("must be one of {}", self.names().join(", ")),
        };
        if partition != self.partition && (partition != "aws" || has_form(&plain)) {
            return format!(
                "is of another partition ({partition}) than this deployment ({}); it {reached}",
                self.partition
            );
        }
        if has_form(region) {
            return reached;
        }
        let names = self.names();
        reached + &validate::meant(region, &names)
    }
}

/// Whether it is a Region's name, also of one where PCS is not: `eu-west-7`.
fn has_form(region: &str) -> bool {
    const DIRECTIONS: [&str; 9] = [
        "north",
        "northeast",
        "east",
        "southeast",
        "south",
        "southwest",
        "west",
        "northwest",
        "central",
    ];
    let words: Vec<&str> = region.split('-').collect();
    let is_like_others = matches!(
        words.as_slice(),
        [area, direction, number]
            if area.len() == 2
                && area.bytes().all(|byte| byte.is_ascii_lowercase())
                && DIRECTIONS.contains(direction)
                && matches!(number.as_bytes(), [b'1'..=b'9'])
    );
    is_like_others || contract::REGIONS.contains(&region)
}

/// The partition that a Region is in, by its name (botocore's `partitions.json`, `regionRegex`).
pub(super) fn partition_of(region: &str) -> &'static str {
    const PREFIXES: [(&str, &str); 7] = [
        ("cn-", "aws-cn"),
        ("eusc-", "aws-eusc"),
        ("us-iso-", "aws-iso"),
        ("us-isob-", "aws-iso-b"),
        ("eu-isoe-", "aws-iso-e"),
        ("us-isof-", "aws-iso-f"),
        ("us-gov-", "aws-us-gov"),
    ];
    let found = PREFIXES.iter().find(|(prefix, _)| region.starts_with(prefix));
    found.map_or("aws", |(_, partition)| partition)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(partition: &str, only: Option<&str>) -> Regions {
        Regions {
            default: String::new(),
            partition: partition.to_owned(),
            only: only.map(str::to_owned),
        }
    }

    /// A Region of any partition is meant as it stands: nobody who asked for one is pointed to another.
    #[test]
    fn no_region_is_taken_for_another() {
        for own in [
            "aws",
            "aws-us-gov",
            "aws-cn",
            "aws-eusc",
            "aws-iso",
            "aws-iso-b",
            "aws-iso-e",
            "aws-iso-f",
        ] {
            for scope in [None, Some("us-east-1")] {
                let regions = of(own, scope);
                let elsewhere = [
                    "cn-north-1",
                    "cn-northwest-1",
                    "us-west-1",
                    "ca-west-1",
                    "mx-central-1",
                    "il-central-1",
                ];
                for region in contract::REGIONS.iter().chain(&elsewhere) {
                    let told = regions.refusal(region);
                    assert!(!told.contains("did you mean"), "{own} {region}: {told}");
                    let is_other = partition_of(region) != own;
                    assert_eq!(
                        told.contains("is of another partition"),
                        is_other,
                        "{own} {region}: {told}"
                    );
                }
            }
        }
        let commercial = of("aws", None);
        for region in [
            "us-gov-wset-1",
            "US-GOV-WEST-1",
            "us_gov_west_1",
            "cn-nrth-1",
            "cn",
            "eusc-",
            "cn-",
        ] {
            let told = commercial.refusal(region);
            let is_other = region.len() > 2;
            assert_eq!(told.contains("is of another partition"), is_other, "{told}");
            assert!(!told.contains("did you mean"), "{told}");
        }
    }

    #[test]
    fn a_misspelt_region_is_guessed() {
        for (own, given, meant) in [
            ("aws", "us-esat-1", "us-east-1"),
            ("aws", "us_east_1", "us-east-1"),
            ("aws", "US-EAST-1", "us-east-1"),
            ("aws", "eu-cental-1", "eu-central-1"),
            ("aws-us-gov", "us-gvo-west-1", "us-gov-west-1"),
        ] {
            let told = of(own, None).refusal(given);
            assert!(
                told.contains(&format!("(did you mean {meant}?)")),
                "{given}: {told}"
            );
        }
        assert!(
            !of("aws", Some("us-east-1"))
                .refusal("mars-1")
                .contains("did you mean")
        );
    }
}
